"""The network for uint8 frames: uint8 BGR in; uint8 picture, float32 flow and uint8 mask out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import Float32Island
from .network import MostNet, ScalePrediction, State

#: Values of this magnitude or more count as infinite. It is just below the largest half-precision number.
_BOUND = 65000.0
#: Replacement for a mask logit that is not finite. Its probability rounds to zero.
_NO_TOOTH = -20.0


class FrameModel(nn.Module):
    """The module that becomes the ONNX graph: the network for uint8 frames, with its state sanitised.

    A NaN in a recurrent state would stay forever, so state values that are not finite become zeros. Outputs that are
    not finite become the input frame, zero flow and zero mask. ``finite`` is false for such a frame, and the next
    frame is sound again.
    """

    def __init__(self, network: MostNet) -> None:
        super().__init__()
        self.network = network
        self.sanitise = Sanitise()

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Run one frame.

        Args:
            frame: uint8 ``(1, H, W, 3)`` BGR.
            state: state tensors in the order of ``MostNet.state_pairs``.

        Returns:
            ``enhanced`` uint8 ``(1, H, W, 3)``, ``flow`` float32 ``(1, 2, H, W)`` in pixels, ``mask`` uint8
            ``(1, H, W)``, ``finite`` bool ``(1,)``, then the new state.
        """
        # TensorRT accepts uint8 only in a Cast, so the cast precedes the transposition, and follows it on the way out.
        picture = (frame.to(state[0].dtype) * (1.0 / 255.0)).permute(0, 3, 1, 2)
        scales, new_state = self.network.predict_scales(picture, state)
        scales, oks = self._sanitise_scales(scales)
        prediction = self.network.finish(scales, (picture.shape[-2], picture.shape[-1]))
        enhanced, ok = self.sanitise(prediction.enhanced, picture)
        clean = [self.sanitise(tensor) for tensor in new_state]
        finite = _all([ok, *oks, *(ok for _, ok in clean)], picture.dtype)
        enhanced = torch.round(enhanced.clamp(0.0, 1.0) * 255.0).permute(0, 2, 3, 1).to(torch.uint8)
        mask = torch.round(torch.sigmoid(prediction.mask_logit[:, 0]) * 255.0).to(torch.uint8)
        return enhanced, prediction.flow, mask, finite, *(value for value, _ in clean)

    def _sanitise_scales(self, scales: tuple[ScalePrediction, ...]) -> tuple[tuple[ScalePrediction, ...], list[Tensor]]:
        """Sanitise flow and mask at the scale of their prediction, which is less work than at the frame's size."""
        oks: list[Tensor] = []
        clean: list[ScalePrediction] = []
        for scale in scales:
            if scale.flow is not None and not any(s.flow is not None for s in clean):
                flow, ok = self.sanitise(scale.flow)
                scale, oks = scale._replace(flow=flow), [*oks, ok]
            if not clean:
                logit, ok = self.sanitise(scale.mask_logit, torch.full_like(scale.mask_logit, _NO_TOOTH))
                scale, oks = scale._replace(mask_logit=logit), [*oks, ok]
            clean.append(scale)
        return tuple(clean), oks

    def zero_state(self, size_hw: tuple[int, int]) -> State:
        """State of a new stream, batch 1, of the network's dtype and on its device."""
        weight = next(self.network.parameters())
        return self.network.zero_state(torch.empty((1, 3, *size_hw), dtype=weight.dtype, device=weight.device))


class Sanitise(Float32Island):
    """Replace every NaN, infinite or huge value, and return a mask of the sound ones.

    It compares instead of clipping, because TensorRT's Clip, Min and Max turn NaN into a bound.
    """

    def forward(self, x: Tensor, instead: Tensor | None = None) -> tuple[Tensor, Tensor]:
        ok = (x < _BOUND) & (x > -_BOUND)
        return torch.where(ok, x, torch.zeros_like(x) if instead is None else instead), ok


def _all(flags: list[Tensor], dtype: torch.dtype) -> Tensor:
    """Bool ``(1,)``: whether every element of every flag is true.

    It reduces rows first and then the rest, in ``dtype``, because some backends cannot reduce booleans.
    """
    bad = [torch.logical_not(ok).to(dtype).max(dim=-1)[0].reshape(1, -1) for ok in flags]
    return torch.logical_not(torch.cat(bad, dim=1).max(dim=1)[0].to(torch.bool))
