"""Networks that find flow between two frames, on a stream: they carry the previous frame."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from mostnet.model.layers import Float32Island
from mostnet.model.network import State

from .baseline import Baseline, Computed, NamedShape


class SeenFlow(Float32Island):
    """Zero flow for a frame without a previous one."""

    def forward(self, flow: Tensor, seen: Tensor) -> Tensor:
        return flow * seen.float()


class FlowPair(Baseline):
    """A network for two frames. Its state is the previous padded frame, and ``seen``, 1 after the first frame.

    The current frame is the first of the two, because flow is backward.
    """

    tasks: ClassVar[tuple[str, ...]] = ("flow",)

    def __init__(self) -> None:
        super().__init__()
        self.seen_flow = SeenFlow()

    @abstractmethod
    def match(self, current: Tensor, previous: Tensor) -> tuple[Tensor, ...]:
        """Flow float32 in pixels of the frame, coarse to fine or first to last.

        The last is ``(N, 2, H, W)``, the flow of the padded frame. The others are the steps of a loss. In evaluation
        mode, they may be missing.
        """

    def shapes(self, padded_hw: tuple[int, int]) -> Sequence[NamedShape]:
        return (("previous", (3, *padded_hw)), ("seen", (1, 1, 1)))

    def history(self, previous: Tensor) -> State:
        """The state after a frame ``(N, 3, H, W)``, without running the network on it."""
        padded = self.padded(previous)
        return padded, padded.new_ones((padded.shape[0], 1, 1, 1))

    def compute(self, frame: Tensor, state: State) -> tuple[Computed, State]:
        previous, seen = state
        flows = tuple(self.seen_flow(flow, seen) for flow in self.match(frame, previous))
        new_state = (frame.detach(), frame.new_ones((frame.shape[0], 1, 1, 1)))
        return self.arrange(flows), new_state

    def arrange(self, flows: tuple[Tensor, ...]) -> Computed:
        """The outputs; by default every flow is a step of the loss."""
        return Computed(flow=flows[-1], steps=flows)
