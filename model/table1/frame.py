"""A network of Table I for uint8 frames, as a module that becomes an ONNX graph."""

from __future__ import annotations

import torch
from torch import Tensor

from mostnet.model.frame import FrameModule, SoundCells, all_true, constant_like
from mostnet.model.layers import Float32Island
from mostnet.model.network import State

from .baseline import Baseline


class Healed(Float32Island):
    """A tensor if all of the frame is sound, else a constant."""

    def forward(self, x: Tensor, sound: Tensor) -> Tensor:
        return torch.where(sound, x, constant_like(x, 0.0))


class BaselineFrame(FrameModule):
    """``FrameModel`` for a network of Table I: its inputs, outputs and guarantees.

    If any output or any new state has a value that is NaN, infinite or near the end of half precision, ``finite`` is
    false, the picture is the input frame, and flow, mask and state are zero. The next frame then begins a new stream.
    """

    def __init__(self, network: Baseline) -> None:
        super().__init__()
        self.network = network
        self.sound = SoundCells()
        self.healed = Healed()

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """See ``FrameModule``; the state is in the order of ``Baseline.state_pairs``."""
        # TensorRT accepts uint8 only in a Cast, so the cast comes first, and last on the way out.
        levels = frame.to(next(self.network.parameters()).dtype)
        prediction, new_state = self.network.step(levels.permute(0, 3, 1, 2) / 255.0, state)
        found = {"enhance": prediction.enhanced, "mask": prediction.mask_logit, "flow": prediction.flow}
        # It looks at the values before they are clamped, because TensorRT's Clip turns NaN into a bound.
        flags = [self.sound(found[task]) for task in self.network.tasks]
        finite = all_true([*flags, *(self.sound(tensor) for tensor in new_state)], levels.dtype)
        ok = finite.reshape(1, 1, 1, 1)
        picture = torch.round((prediction.enhanced.permute(0, 2, 3, 1) * 255.0).clamp(0.0, 255.0))
        enhanced = torch.where(ok, picture, levels).to(torch.uint8)
        mask = self.healed(torch.round(torch.sigmoid(prediction.mask_logit) * 255.0), ok)[:, 0].to(torch.uint8)
        flow, *clean = (self.healed(x, ok) for x in (prediction.flow, *new_state))
        return enhanced, flow, mask, finite, *clean

    def zero_state(self, size_hw: tuple[int, int]) -> State:
        """State of a new stream, batch 1, of the network's dtype and on its device."""
        weight = next(self.network.parameters())
        return self.network.zero_state(torch.empty((1, 3, *size_hw), dtype=weight.dtype, device=weight.device))
