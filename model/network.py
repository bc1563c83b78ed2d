"""MOST-NET+: enhancement, optical flow and tooth mask in one pass per frame, with features carried between frames.

It follows the talk "Multi-task Learning for Video Processing: Going with the Flow" (CoGNETs, 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mostnet.contract import StatePair, check_size

from .branch import Branch, Decoded, finest_flow
from .cells import CELL_NUMBERS, COLOURS, Shrink, fine_picture
from .colour import ColourMap
from .config import STRIDES, ModelConfig
from .flow import FINE_STRIDE, FlowEstimator, FlowResize, MatchHead, Matching, has_history
from .layers import blocks, conv_relu, patch_conv_relu

#: The recurrent tensors of one stream, in the order of ``MostNet.state_pairs``.
State = tuple[Tensor, ...]


class ScalePrediction(NamedTuple):
    """Predictions of one decoder branch, with the fields of ``Decoded``.

    ``enhanced`` is the averaged frame, corrected, BGR 0..1; at the finest scale it is the full picture before cropping.
    """

    stride: int
    enhanced: Tensor
    mask_logit: Tensor
    flow: Tensor | None
    log_error: Tensor | None
    matching: Matching | None


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
        self.stem = conv_relu(CELL_NUMBERS, c[0])
        self.down = nn.ModuleList(conv_relu(c[i], c[i + 1], stride=2) for i in range(2))
        halves = nn.Sequential(nn.Conv2d(4 * COLOURS, extra, 6, stride=2, padding=2), nn.ReLU())
        self.image = nn.ModuleList((halves, patch_conv_relu(COLOURS, extra)))
        self.shrink = Shrink()
        self.join = nn.ModuleList(conv_relu(c[i + 1] + extra, c[i + 1]) for i in range(2))
        self.blocks = nn.ModuleList(blocks(c[i], config.extractor_blocks[i]) for i in range(3))

    def forward(self, cells: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """The features, finest first, and the results of ``Shrink``."""
        half, quarter = self.shrink(cells)
        features = [self.blocks[0](self.stem(cells))]
        for i, picture in enumerate((half, quarter)):
            joined = self.join[i](torch.cat((self.down[i](features[-1]), self.image[i](picture)), dim=1))
            features.append(self.blocks[i + 1](joined))
        return features, quarter, half


class MostNet(nn.Module):
    """The network of one variant.

    The enhanced picture is ``frame * (1 + gain) * scale + residual + shift``: gain and residual of each cell clean the
    frame, scale and shift of the whole frame correct its colours. Training starts from the frame as it is. State
    tensors are ``hidden<stride>``, ``match<stride>`` at the scales that predict flow, and ``fine2``, the grey frame at
    half its size. Tanh bounds ``hidden``, so that the recurrence cannot diverge and fits half precision.
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
        fine_hw = [side * STRIDES[0] // FINE_STRIDE for side in cells[0]]
        return (*hidden, *match, StatePair(f"fine{FINE_STRIDE}", (1, 1, *fine_hw), dtype))

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
        height, width = frame.shape[-2:]
        missing = (0, -width % STRIDES[-1], 0, -height % STRIDES[-1])
        padded = F.pad(frame, missing, mode="replicate") if any(missing) else frame
        state = self.zero_state(frame) if state is None else state
        scales, new_state = self.predict_cells(F.pixel_unshuffle(padded, STRIDES[0]), state)
        return self.finish(scales, (height, width)), new_state

    def predict_cells(self, cells: Tensor, state: State) -> tuple[tuple[Decoded, ...], State]:
        """Predictions of every branch, finest first, and the new state.

        ``cells`` ``(N, 48, H / 4, W / 4)`` are the padded frame. Its sides are multiples of the coarsest stride.
        """
        hidden, previous_match, previous_fine = self._split(cells, state)
        features, quarter, half = self.extractor(cells)
        match = [head(features[scale]) for head, scale in zip(self.match_heads, self.config.flow_scales, strict=True)]
        fine = fine_picture(half)
        scales, new_hidden = self._decode(
            (cells, quarter), features, hidden, match, previous_match, (fine, previous_fine)
        )
        return tuple(scales), (*new_hidden, *match, fine)

    def finish(self, scales: Sequence[Decoded], size_hw: tuple[int, int]) -> Prediction:
        """The finest predictions at the size of the frame."""
        enhanced = [cast(Branch, branch).enhance(scale) for branch, scale in zip(self.branches, scales, strict=True)]
        enhanced[0] = F.pixel_shuffle(enhanced[0], STRIDES[0])
        logit, flow = self.resize(scales[0].mask_logit, finest_flow(scales), size_hw)
        return Prediction(
            enhanced=enhanced[0][..., : size_hw[0], : size_hw[1]],
            mask_logit=logit,
            flow=flow,
            scales=tuple(
                ScalePrediction(stride, picture, scale.mask_logit, scale.flow, scale.log_error, scale.matching)
                for stride, picture, scale in zip(STRIDES, enhanced, scales, strict=True)
            ),
        )

    def resize(self, mask_logit: Tensor, flow: Tensor, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The finest mask and flow, bilinearly resized to the padded frame and cropped to the frame."""
        logit = F.interpolate(mask_logit, scale_factor=float(STRIDES[0]), mode="bilinear", align_corners=False)
        padded_hw = (logit.shape[-2], logit.shape[-1])
        return logit[..., : size_hw[0], : size_hw[1]], self.resize_flow(flow, padded_hw, size_hw)

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

    def _split(self, cells: Tensor, state: State) -> tuple[State, State, Tensor]:
        n, _, height, width = cells.shape
        pairs = self.state_pairs((height * STRIDES[0], width * STRIDES[0]))
        if len(state) != len(pairs):
            raise ValueError(f"the state has {len(state)} tensors, this variant carries {len(pairs)}")
        for tensor, pair in zip(state, pairs, strict=True):
            wanted = (n, *pair.shape[1:])
            if tuple(tensor.shape) != wanted:
                raise ValueError(f"state {pair.name} is {tuple(tensor.shape)}, frames like this one need {wanted}")
        return state[: len(STRIDES)], state[len(STRIDES) : -1], state[-1]

    def _decode(
        self,
        pictures: tuple[Tensor, Tensor],
        features: list[Tensor],
        hidden: State,
        match: list[Tensor],
        previous_match: State,
        fine: tuple[Tensor, Tensor],
    ) -> tuple[list[Decoded], list[Tensor]]:
        """From coarse to fine, estimate flow, align and fuse, decode, refine. Returns both lists finest first."""
        scales: list[Decoded] = []
        new_hidden: list[Tensor] = []
        flow: Tensor | None = None
        decoded: Tensor | None = None
        colour: tuple[Tensor, Tensor] | None = None
        cells, quarter = pictures
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
            picture = cells if branch.finest else F.avg_pool2d(quarter, branch.stride // STRIDES[0])
            if colour is None:
                colour = self.colour(decoded, picture)
            prediction = branch.predict(decoded, picture, flow, seen, fine, colour)
            flow = flow if prediction.flow is None else prediction.flow
            scales.insert(0, prediction._replace(matching=matching))
            new_hidden.insert(0, torch.tanh(branch.remember(decoded)))
        return scales, new_hidden
