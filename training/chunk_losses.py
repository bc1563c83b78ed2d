"""The losses of one chunk: plain, or replayed as a CUDA graph."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from mostnet.model import Prediction, State
from mostnet.model.table1 import Baseline, BaselinePrediction
from mostnet.training.data.clips import Batch
from mostnet.training.data.dataset import TASKS
from mostnet.training.losses.baselines import baseline_losses
from mostnet.training.losses.ours import LossOptions, Target, frame_losses
from mostnet.training.losses.source import source_losses

from .ablations import Stepper
from .networks import Network
from .options import TrainOptions

_AMP_TYPES = {"off": torch.bfloat16, "bf16": torch.bfloat16, "fp16": torch.float16}


class ChunkLosses(nn.Module):
    """Runs a network over a chunk. The first input is the network, so its parameters are parameters of this module."""

    def __init__(self, model: Network, options: TrainOptions, losses: LossOptions) -> None:
        super().__init__()
        self.model = model
        self._options, self._losses = options, losses
        self._stepper = Stepper(model, recurrence=options.recurrence, compiled=options.compile)

    def forward(self, batch: Batch, state: State | None) -> tuple[dict[str, Tensor], State | None]:
        """Mean loss of each task over the frames of a chunk, and the state after it."""
        amp = self._options.amp
        sums: dict[str, Tensor] = {}
        count = batch.input.shape[1]
        for t in range(count):
            frame = batch.input[:, t].permute(0, 3, 1, 2).float() / 255
            with torch.autocast(frame.device.type, _AMP_TYPES[amp], enabled=amp != "off", cache_enabled=False):
                prediction, state = self._stepper(frame, state)
            losses = self._frame_losses(prediction, frame_target(batch, t))
            sums = {task: sums.get(task, 0) + loss / count for task, loss in losses.items()}
        return sums, state

    def _frame_losses(self, prediction: Prediction | BaselinePrediction, target: Target) -> dict[str, Tensor]:
        if isinstance(prediction, BaselinePrediction):
            assert isinstance(self.model, Baseline)
            return baseline_losses(self.model, prediction, target)
        chosen = source_losses if self._options.losses == "source" else frame_losses
        return chosen(prediction, target, self._losses)


class GraphedLosses:
    """``ChunkLosses`` as a CUDA graph, forward and backward.

    A chunk launches thousands of kernels, which takes longer than to run them. The first call captures the graph, so no
    other thread may use the GPU during it. All batches have the shape of the first one.
    """

    def __init__(self, losses: ChunkLosses) -> None:
        self._flat = _FlatLosses(losses)
        self._replay: nn.Module | None = None
        self._first: State | None = None

    def __call__(self, batch: Batch, state: State | None) -> tuple[dict[str, Tensor], State | None]:
        """Like ``ChunkLosses``. The next call overwrites the state that this one returns."""
        if self._replay is None:
            self._capture(batch)
        assert self._replay is not None and self._first is not None
        found = self._replay(*batch, *(self._first if state is None else state))
        return dict(zip(TASKS, found, strict=False)), tuple(found[len(TASKS) :])

    def _capture(self, batch: Batch) -> None:
        """Capture the graph with this batch as its sample."""
        with torch.no_grad():
            _, state = self._flat.losses(batch, None)
        self._first = tuple(torch.zeros_like(part) for part in state)
        copies = [part.clone(memory_format=torch.contiguous_format) for part in batch]
        sample = (*copies, *(part.clone() for part in self._first))
        graphed = torch.cuda.make_graphed_callables(self._flat, sample, allow_unused_input=True)
        self._replay = cast(nn.Module, graphed)


class _FlatLosses(nn.Module):
    """``ChunkLosses`` with tensors only as arguments and results, as a CUDA graph needs them."""

    def __init__(self, losses: ChunkLosses) -> None:
        super().__init__()
        self.losses = losses

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        count = len(Batch._fields)
        losses, state = self.losses(Batch(*tensors[:count]), tensors[count:])
        assert state is not None
        return (*(losses[task] for task in TASKS), *(part.detach() for part in state))


def frame_target(batch: Batch, t: int) -> Target:
    """Labels of frame ``t`` of every clip."""
    return Target(
        reference=batch.reference[:, t].permute(0, 3, 1, 2).float() / 255,
        mask=batch.mask[:, t, None].float() / 255,
        flow=batch.flow[:, t],
        valid=batch.valid[:, t, None].float(),
        has_reference=batch.has_reference.float(),
        has_mask=batch.has_mask.float(),
    )
