"""One interface to all evaluated models: outputs frame by frame, with the state carried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from mostnet.contract import Frame
from mostnet.engine import Output
from mostnet.training.data.dataset import TASKS

if TYPE_CHECKING:
    from mostnet.model import NetworkStream
    from mostnet.model.threads import TorchThreads


class InferenceStream(Protocol):
    """A model that runs frame after frame: an ``Engine``, or a ``CheckpointStream``."""

    def infer(self, frame: Frame) -> Output:
        """Outputs of the next frame of the sequence."""

    def reset(self) -> None:
        """Start a new sequence with the next frame."""


class CheckpointStream:
    """A ``NetworkStream`` whose outputs carry their latency, like the outputs of an ``Engine``."""

    def __init__(self, network: NetworkStream, threads: TorchThreads | None = None) -> None:
        self._network, self._threads = network, threads
        self._ids = count()

    def infer(self, frame: Frame) -> Output:
        """Outputs of the next frame, uint8 ``(H, W, 3)`` BGR.

        Raises:
            FrameError: the frame is too small.
        """
        if self._threads is not None:
            self._threads.follow()
        begun_s = perf_counter()
        outputs = self._network.infer(frame)
        latency_ms = (perf_counter() - begun_s) * 1e3
        return Output(*outputs, frame_id=next(self._ids), timestamp=None, latency_ms=latency_ms)

    def reset(self) -> None:
        """Start from zero state; the next frame may be of another size."""
        self._network.reset()


@dataclass(frozen=True)
class ModelInfo:
    """The model that was evaluated.

    Attributes:
        file: name of the file.
        sha256: its digest.
        runs_in: ``PyTorch`` or ``engine``, and where: ``PyTorch on cpu``.
        variant: network variant, or name of a network of Table I.
        precision: ``fp32``, ``fp16`` or ``int8``.
        parameters_m: millions of trained values; None for an engine of an unknown variant.
        trained: false for seeded initial weights.
        size_hw: the only frame size it takes; None for any.
        training: the checkpoint's record of its training; None for initial weights and for engines.
        network_tasks: the tasks that the network has.
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
    network_tasks: tuple[str, ...] = TASKS

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks it was trained for. Its outputs for other tasks are noise and are not measured."""
        return tuple(task for task in self._option("tasks", TASKS) if task in self.network_tasks)

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
