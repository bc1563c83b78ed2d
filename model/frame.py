"""The network for uint8 frames: uint8 BGR in; uint8 picture, float32 flow and uint8 mask out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .branch import Branch, Decoded, finest_flow
from .config import STRIDES
from .layers import Float32Island
from .network import MostNet, State

#: A cell whose magnitudes add up to this counts as infinite. It is just below the largest half-precision number.
_BOUND = 65000.0
#: Replacement for a mask logit that is not finite. Its probability rounds to zero.
_NO_TOOTH = -20.0


class FrameModule(nn.Module, ABC):
    """A network for uint8 frames: what a stream runs, and what becomes an ONNX graph."""

    @abstractmethod
    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Run one frame.

        Args:
            frame: uint8 ``(1, H, W, 3)`` BGR.
            state: the state tensors, all zero for the first frame.

        Returns:
            ``enhanced`` uint8 ``(1, H, W, 3)``, ``flow`` float32 ``(1, 2, H, W)`` in pixels, ``mask`` uint8
            ``(1, H, W)``, ``finite`` bool ``(1,)``, then the new state.
        """

    @abstractmethod
    def zero_state(self, size_hw: tuple[int, int]) -> State:
        """State of a new stream, batch 1, of the network's dtype and on its device."""


class FrameModel(FrameModule):
    """The module that becomes the ONNX graph: the network for uint8 frames, with its state sanitised.

    A NaN in a recurrent state would stay forever, so cells of the state that are not sound become zero. So do cells of
    flow and mask. If anything that makes the picture is not sound, the picture becomes the input frame. ``finite`` is
    false for such a frame, and the next frame is sound again.
    """

    def __init__(self, network: MostNet) -> None:
        super().__init__()
        self.network = network
        weight = next(network.parameters())
        self.read = FrameToCells().to(weight.device, weight.dtype)
        self.sanitise = Sanitise()
        self.sound = SoundCells()

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """See ``FrameModule``; the state is in the order of ``MostNet.state_pairs``."""
        size_hw = (frame.shape[1], frame.shape[2])
        cells = self.read(frame)
        scales, new_state = self.network.predict_cells(cells, state)
        flow, flow_ok = self.sanitise(finest_flow(scales))
        logit, mask_ok = self.sanitise(scales[0].mask_logit, _NO_TOOTH)
        finest, picture_ok = self._sound_or_unchanged(scales[0])
        clean = [self.sanitise(tensor) for tensor in new_state]
        finite = all_true([flow_ok, mask_ok, picture_ok, *(ok for _, ok in clean)], cells.dtype)
        picture = cast(Branch, self.network.branches[0]).enhance(finest, white=255.0)
        picture = F.pixel_shuffle(torch.round(picture.clamp(0.0, 255.0)), STRIDES[0]).permute(0, 2, 3, 1)
        enhanced = picture[:, : size_hw[0], : size_hw[1]].to(torch.uint8)
        mask, flow = self.network.resize(logit, flow, size_hw)
        mask = torch.round(torch.sigmoid(mask[:, 0]) * 255.0).to(torch.uint8)
        return enhanced, flow, mask, finite, *(value for value, _ in clean)

    def _sound_or_unchanged(self, scale: Decoded) -> tuple[Decoded, Tensor]:
        """What the branch knows if all of it is sound, else what leaves the picture as it is; and a flag ``(1, ...)``.

        The features are a third of the picture's numbers, and zero features make no residual. Factor and shift of 255
        or more would overflow half precision. A residual that does so is white or black.
        """
        parts = (scale.features, scale.factor, scale.shift)
        bounds = (_BOUND, 255.0, 255.0)
        flags = [self.sound(part, bound) for part, bound in zip(parts, bounds, strict=True)]
        ok = all_true(flags, scale.features.dtype).view(1, 1, 1, 1)
        features, factor, shift = (
            torch.where(ok, x, constant_like(x, idle)) for x, idle in zip(parts, (0, 1, 0), strict=True)
        )
        return scale._replace(features=features, factor=factor, shift=shift), ok

    def zero_state(self, size_hw: tuple[int, int]) -> State:
        """State of a new stream, batch 1, of the network's dtype and on its device."""
        weight = next(self.network.parameters())
        return self.network.zero_state(torch.empty((1, 3, *size_hw), dtype=weight.dtype, device=weight.device))


class FrameToCells(nn.Module):
    """Frame ``(1, H, W, 3)`` of 0..255 to cells of 4x4 pixels of 0..1, ``(1, 48, H / 4, W / 4)``.

    A convolution with one weight of 1/255 for each number moves them faster than a transposition does.
    """

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        side = STRIDES[0]
        numbers = 3 * side**2
        # A frame has row, column and colour of a pixel in its cell, in this order; a cell has the colour first.
        places = torch.eye(numbers).reshape(side, side, 3, numbers).permute(2, 0, 1, 3)
        self.register_buffer("weight", places.reshape(numbers, 1, side, 3 * side) / 255.0, persistent=False)

    def forward(self, frame: Tensor) -> Tensor:
        # TensorRT accepts uint8 only in a Cast, so the cast comes first, and last on the way out.
        picture = frame.to(self.weight.dtype)
        for dim in (1, 2):
            missing = -picture.shape[dim] % STRIDES[-1]
            if missing:
                last = picture.narrow(dim, picture.shape[dim] - 1, 1)
                picture = torch.cat((picture, *[last] * missing), dim=dim)
        rows = picture.reshape(1, 1, picture.shape[1], 3 * picture.shape[2])
        return F.conv2d(rows, self.weight, stride=(STRIDES[0], 3 * STRIDES[0]))


class SoundCells(Float32Island):
    """Whether the magnitudes of a cell add up to less than a bound: ``(N, C, H, W)`` to bool ``(N, 1, H, W)``.

    A sum with a NaN or an infinite number is one itself. It compares instead of clipping, because TensorRT's Clip, Min
    and Max turn NaN into a bound.
    """

    def forward(self, x: Tensor, bound: float = _BOUND) -> Tensor:
        return x.float().abs().sum(1, keepdim=True) < bound


class Sanitise(Float32Island):
    """Replace the values of every cell that is not sound, and return a mask of the sound cells."""

    def __init__(self) -> None:
        super().__init__()
        self.sound = SoundCells()

    def forward(self, x: Tensor, instead: float = 0.0) -> tuple[Tensor, Tensor]:
        ok: Tensor = self.sound(x)
        return torch.where(ok, x, constant_like(x, instead)), ok


def constant_like(x: Tensor, value: float) -> Tensor:
    return torch.full((1,), value, dtype=x.dtype, device=x.device)


def all_true(flags: list[Tensor], dtype: torch.dtype) -> Tensor:
    """Bool ``(1,)``: whether every element of every flag is true.

    It reduces rows first and then the rest, in ``dtype``, because some backends cannot reduce booleans.
    """
    rows = [ok.to(dtype).min(dim=-1)[0].reshape(1, -1) for ok in flags]
    return torch.cat(rows, dim=1).min(dim=1)[0].to(torch.bool)
