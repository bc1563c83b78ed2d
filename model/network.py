"""MOST-NET+: enhancement, optical flow and tooth mask in one pass per frame, with features carried between frames.

It follows the talk "Multi-task Learning for Video Processing: Going with the Flow" (CoGNETs, 2025).
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mostnet.contract import StatePair, check_size

from .config import STRIDES, ModelConfig
from .flow import FlowEstimator, FlowResize, FlowUpdate, MatchHead, Matching, has_history
from .layers import ChannelAttentionFusion, Warp, blocks, conv, conv_relu, mean, patch_conv_relu

#: The recurrent tensors of one stream, in the order of ``MostNet.state_pairs``.
State = tuple[Tensor, ...]

_COLOURS = 3
#: Sub-pixels of one cell at the finest scale, as channels of a pixel shuffle.
_SUBPIXELS = _COLOURS * STRIDES[0] ** 2
#: Channels of the colour map, and the standard deviation of its first weights on colours. The colours of a frame spread
#: by about a fifth.
_VOTES, _COLOUR_CONTRAST = 64, 2.0


class ScalePrediction(NamedTuple):
    """Predictions of one decoder branch at its own scale, ``(N, _, ceil(H / stride), ceil(W / stride))``.

    ``enhanced`` is the averaged frame, corrected, BGR 0..1; at the finest scale it is the full picture before cropping.
    ``mask_logit`` has one channel. ``flow`` is float32 in pixels of the frame, and ``matching`` holds its inputs; both
    are None at scales that predict no flow.
    """

    stride: int
    enhanced: Tensor
    mask_logit: Tensor
    flow: Tensor | None
    matching: Matching | None = None


class Prediction(NamedTuple):
    """The finest predictions at the frame's size, and for training the predictions of every branch, finest first.

    ``enhanced`` ``(N, 3, H, W)`` BGR, not clamped; ``mask_logit`` ``(N, 1, H, W)``; ``flow`` ``(N, 2, H, W)`` float32.
    """

    enhanced: Tensor
    mask_logit: Tensor
    flow: Tensor
    scales: tuple[ScalePrediction, ...]


class Extractor(nn.Module):
    """Deep features at 1/4, 1/8, 1/16, each joined with image-level features of that scale.

    At 1/4 the image-level features are the stem's, which the residual blocks pass on along their identity path.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c, extra = config.channels, config.image_channels
        self.stem = patch_conv_relu(_COLOURS, c[0])
        self.down = nn.ModuleList(conv_relu(c[i], c[i + 1], stride=2) for i in range(2))
        self.image = nn.ModuleList(patch_conv_relu(_COLOURS, extra) for _ in range(2))
        self.join = nn.ModuleList(conv_relu(c[i + 1] + extra, c[i + 1]) for i in range(2))
        self.blocks = nn.ModuleList(blocks(c[i], config.extractor_blocks[i]) for i in range(3))

    def forward(self, frame: Tensor) -> tuple[list[Tensor], Tensor]:
        """The features, finest first, and the frame averaged over the coarsest cells."""
        features = [self.blocks[0](self.stem(frame))]
        for i in range(2):
            frame = F.avg_pool2d(frame, 2)
            joined = self.join[i](torch.cat((self.down[i](features[-1]), self.image[i](frame)), dim=1))
            features.append(self.blocks[i + 1](joined))
        return features, F.avg_pool2d(frame, STRIDES[-1] // 4)


class ColourMap(nn.Module):
    """One scale and one shift of each colour for the whole frame. They correct exposure and cast.

    No single cell can tell these. Every cell votes from its colour and its decoded features. The mean of the votes
    decides.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.vote = conv(channels + _COLOURS, _VOTES, kernel=1)
        self.weigh = conv(_VOTES, _VOTES, kernel=1)
        self.decide = conv(_VOTES, 2 * _COLOURS, kernel=1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Make the map change nothing, with layers before the last that differ enough between frames to learn from."""
        for part in self.parameters():
            nn.init.zeros_(part)
        assert self.vote.bias is not None
        channels = self.vote.in_channels - _COLOURS
        nn.init.normal_(self.vote.weight[:, :channels].detach(), std=channels**-0.5)
        nn.init.normal_(self.vote.weight[:, channels:].detach(), std=_COLOUR_CONTRAST)
        nn.init.uniform_(self.vote.bias, -1.0, 1.0)
        nn.init.normal_(self.weigh.weight, std=_VOTES**-0.5)

    def forward(self, decoded: Tensor, thumbnail: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift ``(N, 3, 1, 1)``, from tensors ``(N, _, H, W)`` of the coarsest scale."""
        votes = F.relu(self.vote(torch.cat((decoded, thumbnail), dim=1)))
        scale, shift = torch.split(self.decide(torch.tanh(self.weigh(mean(votes)))), _COLOURS, dim=1)
        return 1.0 + scale, shift


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
        residual = _SUBPIXELS if self.finest else _COLOURS
        self.predicts_flow = scale in config.flow_scales
        self.head_channels = (residual, _COLOURS, 1, *((2,) if self.predicts_flow else ()))
        self.head = conv(channels, sum(self.head_channels))
        self.refine_flow = FlowUpdate(self.stride)

    def forward(self, features: Tensor, hidden: Tensor, flow: Tensor, coarser: Tensor | None) -> Tensor:
        """Decoded features ``(N, C, H, W)`` from the current ones, the hidden state, flow and the coarser branch."""
        fused = self.fuse(features, self.warp(hidden, flow, self.stride))
        if self.from_coarser is not None:
            fused = fused + F.interpolate(self.from_coarser(coarser), scale_factor=2.0, mode="nearest")
        decoded: Tensor = self.blocks(fused)
        return decoded

    def predict(
        self, decoded: Tensor, frame: Tensor, flow: Tensor, seen: Tensor | None, colour: tuple[Tensor, Tensor]
    ) -> ScalePrediction:
        """Predictions of this branch.

        ``flow`` is its first estimate, which is refined if the branch predicts flow. ``colour`` is the scale and shift
        of the frame's colour map.
        """
        residual, gain, mask_logit, *refinement = torch.split(self.head(decoded), list(self.head_channels), dim=1)
        if self.finest:
            base = frame
            residual = F.pixel_shuffle(residual, self.stride)
            gain = F.interpolate(1.0 + gain, scale_factor=float(self.stride), mode="bilinear", align_corners=False)
        else:
            base = F.avg_pool2d(frame, self.stride)
            gain = 1.0 + gain
        refined = None if seen is None else self.refine_flow(flow, refinement[0], seen)
        scale, shift = colour
        return ScalePrediction(self.stride, (base * gain + residual) * scale + shift, mask_logit, refined)


class MostNet(nn.Module):
    """The network of one variant.

    The enhanced picture is ``(frame * (1 + gain) + residual) * scale + shift``: gain and residual of each cell clean
    the frame, scale and shift of the whole frame correct its colours. Training starts from the frame as it is. State
    tensors are ``hidden<stride>``, and ``match<stride>`` at the scales that predict flow. Tanh bounds ``hidden``,
    so that the recurrence cannot diverge and fits half precision.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.extractor = Extractor(config)
        self.match_heads = nn.ModuleList(
            MatchHead(config.channels[scale], config.match_channels) for scale in config.flow_scales
        )
        self.estimators = nn.ModuleList(
            FlowEstimator(channels=config.channels[scale], hidden=hidden, radius=radius, stride=STRIDES[scale])
            for scale, hidden, radius in zip(config.flow_scales, config.flow_channels, config.search_radii, strict=True)
        )
        self.resize_flow = FlowResize()
        self.branches = nn.ModuleList(Branch(config, scale) for scale in range(len(STRIDES)))
        self.colour = ColourMap(config.channels[-1])

    def state_pairs(self, size_hw: tuple[int, int], *, dtype: str = "float32") -> tuple[StatePair, ...]:
        """Names and shapes (batch 1) of the state for frames of ``size_hw``.

        Raises:
            FrameError: the frame is too small for the network.
        """
        check_size(size_hw)
        cells = [tuple(-(-side // STRIDES[-1]) * (STRIDES[-1] // stride) for side in size_hw) for stride in STRIDES]
        hidden = [
            StatePair(f"hidden{stride}", (1, channels, *cells[i]), dtype)
            for i, (stride, channels) in enumerate(zip(STRIDES, self.config.state_channels, strict=True))
        ]
        match = [
            StatePair(f"match{STRIDES[i]}", (1, self.config.match_channels, *cells[i]), dtype)
            for i in self.config.flow_scales
        ]
        return (*hidden, *match)

    def zero_state(self, frame: Tensor) -> State:
        """The state without a previous frame, for frames like ``frame`` ``(N, 3, H, W)``."""
        pairs = self.state_pairs((frame.shape[-2], frame.shape[-1]))
        return tuple(frame.new_zeros((frame.shape[0], *pair.shape[1:])) for pair in pairs)

    def step(self, frame: Tensor, state: State | None = None) -> tuple[Prediction, State]:
        """Run one frame of a stream.

        Args:
            frame: BGR ``(N, 3, H, W)``, 0..1, any H and W from 64 on, of the network's dtype and on its device.
            state: returned by the previous step; None for the first frame.

        Returns:
            The predictions and the state for the next frame.

        Raises:
            FrameError: the frame is too small.
            ValueError: the state is of another variant, batch or frame size.
        """
        size_hw = (frame.shape[-2], frame.shape[-1])
        scales, new_state = self.predict_scales(frame, state)
        return self.finish(scales, size_hw), new_state

    def predict_scales(self, frame: Tensor, state: State | None) -> tuple[tuple[ScalePrediction, ...], State]:
        """Predictions of every branch for the padded frame, finest first; arguments and state as in ``step``."""
        height, width = frame.shape[-2:]
        hidden, previous_match = self._split(frame, self.zero_state(frame) if state is None else state)
        missing = (0, -width % STRIDES[-1], 0, -height % STRIDES[-1])
        padded = F.pad(frame, missing, mode="replicate") if any(missing) else frame
        features, thumbnail = self.extractor(padded)
        match = [head(features[scale]) for head, scale in zip(self.match_heads, self.config.flow_scales, strict=True)]
        scales, new_hidden = self._decode(padded, thumbnail, features, hidden, match, previous_match)
        return tuple(scales), (*new_hidden, *match)

    def finish(self, scales: tuple[ScalePrediction, ...], size_hw: tuple[int, int]) -> Prediction:
        """The finest predictions at the size of the frame."""
        finest = scales[0]
        flow = next(s.flow for s in scales if s.flow is not None)
        logit = F.interpolate(
            finest.mask_logit, scale_factor=float(finest.stride), mode="bilinear", align_corners=False
        )
        padded_hw = (finest.enhanced.shape[-2], finest.enhanced.shape[-1])
        return Prediction(
            enhanced=finest.enhanced[..., : size_hw[0], : size_hw[1]],
            mask_logit=logit[..., : size_hw[0], : size_hw[1]],
            flow=self.resize_flow(flow, padded_hw, size_hw),
            scales=scales,
        )

    def forward(self, clip: Tensor, state: State | None = None) -> tuple[list[Prediction], State]:
        """Run a clip ``(N, T, 3, H, W)`` frame by frame; returns the predictions of T frames and the last state.

        Raises:
            ValueError: the clip has no frames.
        """
        if clip.shape[1] == 0:
            raise ValueError("the clip has no frames")
        predictions = []
        for frame in clip.unbind(1):
            prediction, state = self.step(frame, state)
            predictions.append(prediction)
        assert state is not None
        return predictions, state

    def _split(self, frame: Tensor, state: State) -> tuple[State, State]:
        pairs = self.state_pairs((frame.shape[-2], frame.shape[-1]))
        if len(state) != len(pairs):
            raise ValueError(f"the state has {len(state)} tensors, this variant carries {len(pairs)}")
        for tensor, pair in zip(state, pairs, strict=True):
            wanted = (frame.shape[0], *pair.shape[1:])
            if tuple(tensor.shape) != wanted:
                raise ValueError(f"state {pair.name} is {tuple(tensor.shape)}, frames like this one need {wanted}")
        return state[: len(STRIDES)], state[len(STRIDES) :]

    def _decode(
        self,
        frame: Tensor,
        thumbnail: Tensor,
        features: list[Tensor],
        hidden: State,
        match: list[Tensor],
        previous_match: State,
    ) -> tuple[list[ScalePrediction], list[Tensor]]:
        """From coarse to fine, estimate flow, align and fuse, decode, refine. Returns both lists finest first."""
        scales: list[ScalePrediction] = []
        new_hidden: list[Tensor] = []
        flow: Tensor | None = None
        decoded: Tensor | None = None
        colour: tuple[Tensor, Tensor] | None = None
        for scale in reversed(range(len(STRIDES))):
            size_hw = (features[scale].shape[-2], features[scale].shape[-1])
            flow = None if flow is None else self.resize_flow(flow, size_hw)
            seen: Tensor | None = None
            matching: Matching | None = None
            if scale in self.config.flow_scales:
                i = self.config.flow_scales.index(scale)
                seen = has_history(previous_match[i])
                flow, matching = self.estimators[i](features[scale], match[i], previous_match[i], flow, seen)
            assert flow is not None
            branch = cast(Branch, self.branches[scale])
            decoded = branch(features[scale], hidden[scale], flow, decoded)
            colour = self.colour(decoded, thumbnail) if colour is None else colour
            prediction = branch.predict(decoded, frame, flow, seen, colour)
            flow = flow if prediction.flow is None else prediction.flow
            scales.insert(0, prediction._replace(matching=matching))
            new_hidden.insert(0, torch.tanh(branch.remember(decoded)))
        return scales, new_hidden
