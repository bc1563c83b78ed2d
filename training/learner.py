"""A network in training: optimiser, averaged weights, and one step on one chunk of a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mostnet.contract import NoGpuError, TrainingError
from mostnet.model import MostNet, State
from mostnet.training.data.clips import Batch
from mostnet.training.losses.ours import LossOptions, TaskWeights

from .ablations import remove_alignment
from .chunk_losses import ChunkLosses, GraphedLosses
from .networks import Network, copy_of, first_network, trained_tasks
from .options import TrainOptions
from .schedule import AveragedWeights


class StepResult(NamedTuple):
    """The result of one step.

    Attributes:
        is_sound: false if loss or gradient was not finite; then no weight or statistic changed.
        values: detached scalars: ``loss``, ``grad_norm``, and the unweighted loss of each task.
        state: the state after the step, detached.
    """

    is_sound: bool
    values: dict[str, Tensor]
    state: State | None


class Learner:
    """The network of a run on its device, with everything that changes in training."""

    def __init__(self, options: TrainOptions, init: Path | None = None) -> None:
        """Build the network from seeded initial weights, or from the weights of ``init``, grown if need be.

        Raises:
            TrainingError: ``init`` is of a wider variant, or the options do not fit the device or the network.
            CheckpointError: ``init`` cannot be used.
            BackendNotInstalledError: the network needs a library that is not installed.
            NoGpuError: CUDA was requested, but there is no GPU.
        """
        self.options = options
        self.device = choose_device(options)
        self.model = first_network(options, init).to(self.device).train().requires_grad_(True)
        self.tasks = trained_tasks(options, self.model)
        if options.channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if isinstance(self.model, MostNet) and not options.alignment:
            remove_alignment(self.model)
        weights = {"enhance": options.w_enhance, "flow": options.w_flow, "mask": options.w_mask}
        alone = len(self.tasks) == 1 and not isinstance(self.model, MostNet)  # nothing to be weighed against
        losses = LossOptions(self.tasks, **(dict.fromkeys(weights, 1.0) if alone else weights))
        self.weights = TaskWeights(losses, learned=options.learned_weights).to(self.device)
        self.optimiser = make_optimiser(self.model, self.weights, options)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=options.amp == "fp16")
        self.average = AveragedWeights(self.model, options.ema)
        plain = ChunkLosses(self.model, options, losses)
        self._losses = GraphedLosses(plain) if options.cuda_graph else plain

    def step(self, batch: Batch, state: State | None, *, rate: float, number: int) -> StepResult:
        """Take one optimiser step on a chunk.

        Args:
            batch: the frames of the chunk.
            state: the network's state before them; None at the start of a clip.
            rate: learning rate.
            number: number of the step in the run, from 1.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        losses, state = self._losses(batch, state)
        total = self.weights(losses)
        values = {name: value.detach() for name, value in {"loss": total, **losses}.items()}
        if not bool(torch.isfinite(total.detach())):
            # On the CPU, the backward pass of grid_sample crashes with a segmentation fault at NaN coordinates.
            self.average.restore_buffers(self.model)
            return StepResult(False, values, None)
        values["grad_norm"], is_sound = self._update_weights(total, number)
        return StepResult(is_sound, values, None if state is None else tuple(part.detach() for part in state))

    def _update_weights(self, total: Tensor, number: int) -> tuple[Tensor, bool]:
        """Update the weights if the gradient is finite; returns the gradient's norm, and whether it is finite."""
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(total))
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm).detach()
        is_sound = bool(torch.isfinite(norm))
        if is_sound:
            self.scaler.step(self.optimiser)
            self.average.update(self.model, number)
        else:
            self.average.restore_buffers(self.model)
        self.scaler.update()
        return norm, is_sound

    def averaged_copy(self) -> Network:
        """A copy of the network with the averaged weights, on the CPU."""
        return copy_of(self.average.model)

    def state_dict(self) -> dict[str, Any]:
        """All state that ``load_state_dict`` restores."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, parts: dict[str, Any]) -> None:
        """Restore the state that ``state_dict`` returned, except for the weight decay."""
        decays = [group["weight_decay"] for group in self.optimiser.param_groups]
        for name, part in self._parts().items():
            part.load_state_dict(parts[name])
        for group, decay in zip(self.optimiser.param_groups, decays, strict=True):
            group["weight_decay"] = decay  # the option of this run, not of the file

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "average": self.average.model,
            "weights": self.weights,
            "optimiser": self.optimiser,
            "scaler": self.scaler,
        }


def choose_device(options: TrainOptions) -> torch.device:
    """The device that the options ask for.

    Raises:
        NoGpuError: CUDA was requested, but there is no GPU.
        TrainingError: half precision or a CUDA graph without CUDA, or a CUDA graph of what it cannot hold.
    """
    if options.device == "cuda" and not torch.cuda.is_available():
        raise NoGpuError("device is cuda, and PyTorch finds no GPU; use --device cpu, or install a CUDA build of torch")
    name = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    if options.amp == "fp16" and name != "cuda":
        raise TrainingError("amp is fp16, which needs CUDA; use --amp bf16 on the CPU")
    if options.cuda_graph:
        if name != "cuda":
            raise TrainingError("cuda_graph needs CUDA; drop --cuda-graph on the CPU")
        if options.compile or not options.recurrence:
            raise TrainingError("cuda_graph does not go with compile, or without recurrence; drop --cuda-graph")
    return torch.device(name)


def make_optimiser(model: nn.Module, weights: nn.Module, options: TrainOptions) -> torch.optim.AdamW:
    """AdamW with weight decay on kernels only, not on biases, the softmax's sharpness or the task weights."""
    kernels = [value for value in model.parameters() if value.dim() > 1]
    others = [*(value for value in model.parameters() if value.dim() <= 1), *weights.parameters()]
    groups = [
        {"params": kernels, "weight_decay": options.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.lr)
