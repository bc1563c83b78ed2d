"""The networks of the stand-in in PyTorch, on any device.

The same lines run on a GPU and, in the tests, on the processor. They neither wait for the device nor copy from the
host, so that a CUDA graph can capture them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mostnet.contract import staging_folder
from mostnet.model.table1 import frame_module, load_either

from .plan import StandinPlan
from .toy import BOUND, HISTORY, NAN

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}

#: Takes the inputs of one frame by name, and returns its outputs by name.
TensorStep = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


class TorchNetwork:
    """The network of a plan, with its weights on a device."""

    def __init__(self, plan: StandinPlan, *, device: str) -> None:
        """Load the weights.

        Raises:
            CheckpointError: the checkpoint is damaged.
            RuntimeError: the weights do not fit.
        """
        self.device = device
        toy = plan.checkpoint is None
        self.step: TensorStep = partial(toy_step, nan=plan.nan) if toy else _frame_step(plan, device)

    def bind(self, inputs: Mapping[str, object], outputs: Mapping[str, object]) -> BoundNetwork:
        """The network on given memory, by name: anything that ``torch.as_tensor`` takes without a copy."""
        return BoundNetwork(self, inputs, outputs)


class BoundNetwork:
    """A network on fixed tensors."""

    def __init__(self, network: TorchNetwork, inputs: Mapping[str, object], outputs: Mapping[str, object]) -> None:
        self._step = network.step
        self._inputs, self._outputs = (
            {name: torch.as_tensor(memory, device=network.device) for name, memory in tensors.items()}
            for tensors in (inputs, outputs)
        )

    def run(self) -> None:
        """Write the outputs of one frame."""
        with torch.no_grad():
            for name, value in self._step(self._inputs).items():
                self._outputs[name].copy_(value)


def toy_step(tensors: Mapping[str, Tensor], *, nan: int = NAN) -> dict[str, Tensor]:
    """``mostnet.bench.gpu.standin.toy.step`` in PyTorch."""
    frame = tensors["frame"]
    height, width = frame.shape[1:3]
    states, finite = {}, []
    for name in ("seen", "sum", "last"):
        value = tensors[f"state_in_{name}"]
        sound = value.float().abs() < BOUND
        states[name] = torch.where(sound, value, torch.zeros_like(value))
        finite.append(sound.all())
    number = frame[:, :1, :1, :1].float()
    newest = (number.clamp(max=254) + 1).half()
    seen = torch.cat([states["seen"][..., 1:], newest], dim=-1)
    length = (tensors["state_in_length"] - 1).clamp(min=-HISTORY)
    total = states["sum"] + number
    last = states["last"][..., 0].float()[:, None]
    told = torch.cat([seen.reshape(-1), -length.reshape(-1)]).to(torch.uint8)
    mask = torch.cat([told, torch.zeros(height * width - told.numel(), dtype=torch.uint8, device=frame.device)])
    return {
        "enhanced": 255 - frame,
        "flow": torch.cat([total.expand(-1, 1, height, width), last], dim=1),
        "mask": mask.reshape(1, height, width),
        "finite": torch.stack([*finite, (number < nan).all()]).all().reshape(1),
        "state_out_seen": seen,
        "state_out_length": length,
        "state_out_sum": total,
        "state_out_last": frame[..., :1].half(),
    }


def _frame_step(plan: StandinPlan, device: str) -> TensorStep:
    assert plan.checkpoint is not None
    with staging_folder(Path(tempfile.gettempdir())) as folder:
        path = folder / "case.pt"
        path.write_bytes(plan.checkpoint)
        network = load_either(path).model
    module = frame_module(network.to(_DTYPES[plan.metadata.precision])).eval().to(device)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs, outputs = ([spec.name for spec in specs] for specs in (plan.inputs, plan.outputs))

    def step(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(zip(outputs, module(*(tensors[name] for name in inputs)), strict=True))

    return step
