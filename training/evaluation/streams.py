"""What is evaluated, as one kind of thing: outputs of one frame after another, with the state carried in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import torch

from mostnet.contract import NoGpuError
from mostnet.contract.metrics import Picture
from mostnet.engine import Output
from mostnet.model import FrameModel, MostNet, State
from mostnet.training.losses import TASKS


class Stream(Protocol):
    """Anything that infers frame after frame: an ``Engine``, or a network by way of ``NetworkStream``."""

    def infer(self, frame: Picture) -> Output:
        """Outputs of the next frame of the sequence."""

    def reset(self) -> None:
        """The next frame starts a new sequence."""


class NetworkStream:
    """A network in PyTorch, float32, one uint8 frame at a time with its state carried."""

    def __init__(self, network: MostNet, *, device: str = "cpu", recurrence: bool = True) -> None:
        """Take over ``network``: it is moved to ``device``. Without ``recurrence`` every frame starts from zero state.

        Raises:
            NoGpuError: the device cannot be used.
        """
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise NoGpuError("PyTorch finds no CUDA device; use --device cpu, or install a CUDA build of torch")
        self._module = FrameModel(network.to(device)).eval()
        self._device = device
        self._recurrence = recurrence
        self._state: State | None = None
        self._next_id = 0

    def reset(self) -> None:
        """The next frame starts from zero state, and may be of another size."""
        self._state = None

    def infer(self, frame: Picture) -> Output:
        """Outputs of the next frame, uint8 ``(H, W, 3)`` BGR.

        Raises:
            FrameError: the frame is too small.
        """
        begun_s = perf_counter()
        if self._state is None:
            self._state = self._module.zero_state((frame.shape[0], frame.shape[1]))
        with torch.inference_mode():
            outputs = self._module(torch.from_numpy(frame)[None].to(self._device), *self._state)
        enhanced, flow, mask, finite, *state = outputs
        self._state = tuple(state) if self._recurrence else None
        self._next_id += 1
        return Output(
            enhanced=enhanced[0].cpu().numpy(),
            flow=flow[0].cpu().numpy(),
            mask=mask[0].cpu().numpy(),
            finite=bool(finite),
            frame_id=self._next_id - 1,
            timestamp=None,
            latency_ms=(perf_counter() - begun_s) * 1e3,
        )


@dataclass(frozen=True)
class ModelInfo:
    """What was evaluated.

    Attributes:
        file: name of the file.
        sha256: its digest.
        runs_in: ``PyTorch`` or ``engine``, and where: ``PyTorch on cpu``.
        variant: network variant.
        precision: ``fp32``, ``fp16`` or ``int8``.
        parameters_m: millions of trained values; None for an engine of a variant that is not one of ours.
        trained: false for seeded initial weights.
        size_hw: the only frame size it takes; None for any.
        training: the checkpoint's record of its training; None for initial weights and for engines.
    """

    file: str
    sha256: str
    runs_in: str
    variant: str
    precision: str
    parameters_m: float | None
    trained: bool
    size_hw: tuple[int, int] | None
    training: Mapping[str, Any] | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it was trained for: a network of one task gives noise for the others, which is not measured."""
        return tuple(self._option("tasks", TASKS))

    @property
    def recurrence(self) -> bool:
        """Whether it was trained to carry its state."""
        return bool(self._option("recurrence", True))

    @property
    def alignment(self) -> bool:
        """Whether it was trained to align the previous features by the flow."""
        return bool(self._option("alignment", True))

    def _option(self, name: str, default: Any) -> Any:
        return ((self.training or {}).get("options") or {}).get(name, default)
