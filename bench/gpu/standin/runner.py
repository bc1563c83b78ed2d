"""What computes the networks of the stand-in: PyTorch on a GPU, or the miniature GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .plan import StandinPlan


@dataclass(frozen=True)
class Binding:
    """A tensor of a network at a fixed device address."""

    name: str
    address: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Bindings:
    """All tensors of one execution context: inputs and outputs of the network, and its scratch memory."""

    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    scratch: Binding


class NetworkTask(Protocol):
    """One network at fixed addresses."""

    def enqueue(self, stream: int) -> None:
        """Put the work of one frame on the ``CUstream`` with the handle ``stream``, or in its capture.

        Raises:
            RuntimeError: the GPU or PyTorch refuses it.
        """


class LoadedNetwork(Protocol):
    """A network whose weights are on the device."""

    def bind(self, bindings: Bindings) -> NetworkTask:
        """The network at the addresses of one context."""


class Runner(Protocol):
    """A device that runs networks. It may also count the objects of the stand-in, and note their misuse."""

    def load(self, plan: StandinPlan) -> LoadedNetwork:
        """Bring the network of ``plan`` to the device.

        Raises:
            RuntimeError: it does not fit, or PyTorch refuses it.
            MostnetError: its checkpoint is damaged.
        """

    def made(self, kind: str) -> None:
        """Count a new object, such as a ``context``."""

    def destroyed(self, kind: str) -> None:
        """Count an object that is gone."""

    def misused(self, what: str) -> None:
        """Note a misuse whose effect on TensorRT is hard to trace."""
