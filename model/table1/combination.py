"""Three networks that each do one task, side by side: the combination with which Table I compares one for all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from mostnet.model.network import State

from .baseline import Baseline, BaselinePrediction, Computed, NamedShape
from .estrnn import Estrnn
from .raft import Raft
from .segmenters import DeepLabV3Plus


class Combination(Baseline):
    """ESTRNN, RAFT and DeepLabv3+. Each sees the frame itself, and pads it as it needs.

    The parts are trained one by one, so the combination has no steps of a loss.
    """

    name: ClassVar[str] = "combination"
    tasks: ClassVar[tuple[str, ...]] = ("enhance", "flow", "mask")
    stride: ClassVar[int] = 1

    def __init__(self) -> None:
        """Make the parts; their weights come from torch's random generator.

        Raises:
            BackendNotInstalledError: a library is not installed, or does not fit torch.
        """
        super().__init__()
        self.estrnn = Estrnn()
        self.raft = Raft()
        self.deeplab = DeepLabV3Plus()

    def parts(self) -> dict[str, Baseline]:
        """The networks by the name that begins the names of their states."""
        return {"estrnn": self.estrnn, "raft": self.raft, "deeplab": self.deeplab}

    def shapes(self, padded_hw: tuple[int, int]) -> Sequence[NamedShape]:
        return [
            (f"{part}_{pair.name}", (pair.shape[1], pair.shape[2], pair.shape[3]))
            for part, network in self.parts().items()
            for pair in network.state_pairs(padded_hw)
        ]

    def compute(self, frame: Tensor, state: State) -> tuple[Computed, State]:
        size_hw = (frame.shape[-2], frame.shape[-1])
        predictions: dict[str, BaselinePrediction] = {}
        new_state: list[Tensor] = []
        first = 0
        for part, network in self.parts().items():
            last = first + len(network.state_pairs(size_hw))
            predictions[part], carried = network.step(frame, state[first:last])
            new_state.extend(carried)
            first = last
        found = Computed(
            enhanced=predictions["estrnn"].enhanced,
            mask_logit=predictions["deeplab"].mask_logit,
            flow=predictions["raft"].flow,
        )
        return found, tuple(new_state)
