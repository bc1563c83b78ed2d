"""One decoder branch: it aligns and fuses the previous features, decodes, and predicts every task at its scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cells import CELL_NUMBERS, COLOURS, UpsampleToCells
from .config import STRIDES, ModelConfig
from .flow import FlowUpdate, GradientStep, Matching
from .layers import ChannelAttentionFusion, Warp, blocks, conv


class Decoded(NamedTuple):
    """What one decoder branch knows of a frame, at its scale of the padded frame: ``(N, _, H / stride, W / stride)``.

    ``features`` are the decoded ones. ``picture`` is the frame, as cells at the finest scale and averaged over cells at
    the others. ``factor`` ``(N, 3, _, _)`` and ``shift`` ``(N, 3, 1, 1)`` correct its colours. ``mask_logit`` has one
    channel. The others are None at scales that predict no flow: ``flow``, float32 in pixels of the frame; its
    ``matching``; and at the finest of these scales ``log_error``, the logarithm of the flow's expected error in pixels.
    """

    features: Tensor
    picture: Tensor
    factor: Tensor
    shift: Tensor
    mask_logit: Tensor
    flow: Tensor | None = None
    log_error: Tensor | None = None
    matching: Matching | None = None


def finest_flow(scales: Sequence[Decoded]) -> Tensor:
    """The flow of the finest scale that predicts one."""
    return next(scale.flow for scale in scales if scale.flow is not None)


class Branch(nn.Module):
    """Decoder branch of one scale: align and fuse the previous features, decode, and predict every task."""

    def __init__(self, config: ModelConfig, scale: int) -> None:
        super().__init__()
        channels = config.channels[scale]
        self.stride = STRIDES[scale]
        self.finest = scale == 0
        self.warp = Warp()
        self.fuse = ChannelAttentionFusion(channels, config.state_channels[scale])
        self.from_coarser = conv(config.channels[scale + 1], channels, kernel=1) if scale < 2 else None
        self.blocks = blocks(channels, config.decoder_blocks[scale])
        self.remember = conv(channels, config.state_channels[scale], kernel=1)
        self.predicts_flow = scale in config.flow_scales
        ends_flow = scale == min(config.flow_scales)
        # The correction of the flow; where flow ends, also two dampings and the logarithm of the error.
        flow_channels = (2, 2, 1) if ends_flow else (2,)
        self.head_channels = (COLOURS, 1, *(flow_channels if self.predicts_flow else ()))
        self.head = conv(channels, sum(self.head_channels))
        # Without a bias: where the features are zero, the picture is the frame.
        self.residual = nn.Conv2d(channels, CELL_NUMBERS if self.finest else COLOURS, 3, padding=1, bias=False)
        self.upsample = UpsampleToCells() if self.finest else None
        self.refine_flow = FlowUpdate(self.stride)
        self.gradient_step = GradientStep(self.stride) if ends_flow else None

    def forward(self, features: Tensor, hidden: Tensor, flow: Tensor, coarser: Tensor | None) -> Tensor:
        """Decoded features ``(N, C, H, W)`` from the current ones, the hidden state, flow and the coarser branch."""
        fused = self.fuse(features, self.warp(hidden, flow, self.stride))
        if self.from_coarser is not None:
            fused = fused + F.interpolate(self.from_coarser(coarser), scale_factor=2.0, mode="nearest")
        decoded: Tensor = self.blocks(fused)
        return decoded

    def predict(
        self,
        decoded: Tensor,
        picture: Tensor,
        flow: Tensor,
        seen: Tensor | None,
        fine: tuple[Tensor, Tensor],
        colour: tuple[Tensor, Tensor],
    ) -> Decoded:
        """All that this branch predicts, from its decoded features.

        Args:
            decoded: the result of ``forward``.
            picture: the frame, as in ``Decoded``.
            flow: its first estimate, which is refined if the branch predicts flow.
            seen: ``has_history`` of the previous frame; None if the branch predicts no flow.
            fine: results of ``fine_picture`` for this frame and the previous one.
            colour: scale and shift of the frame's colour map.
        """
        gain, mask_logit, *steps = torch.split(self.head(decoded), list(self.head_channels), dim=1)
        scale, shift = colour
        prediction = Decoded(decoded, picture, scale * (1.0 + gain), shift, mask_logit)
        if seen is None:
            return prediction
        refined = self.refine_flow(flow, seen, steps[0])
        if self.gradient_step is None:
            return prediction._replace(flow=refined)
        return prediction._replace(flow=self.gradient_step(*fine, refined, steps[1], seen), log_error=steps[2])

    def enhance(self, scale: Decoded, *, white: float = 1.0) -> Tensor:
        """The corrected picture, as ``scale.picture`` is laid out, from 0 to ``white``."""
        factor, shift, residual = scale.factor * white, scale.shift * white, self.residual(scale.features) * white
        if self.upsample is not None:
            factor, shift = self.upsample(factor), shift.repeat_interleave(self.stride**2, dim=1)
        enhanced: Tensor = scale.picture * factor + (residual + shift)
        return enhanced
