"""FlowNetS: optical flow by one encoder and decoder (Dosovitskiy et al., "FlowNet", ICCV 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mostnet.model.flow import FlowResize
from mostnet.model.layers import Float32Island

from .baseline import Computed
from .flow_pair import FlowPair

#: Pixels of flow for an output of one. The paper's training divides the true flow by this, so that a network with
#: ordinary initial weights has outputs of the right size.
PIXELS = 20.0
#: Negative slope of every LeakyReLU.
_SLOPE = 0.1
#: Output channels, kernel and stride of each convolution of the encoder.
_ENCODER = (
    ((64, 7, 2),),
    ((128, 5, 2),),
    ((256, 5, 2), (256, 3, 1)),
    ((512, 3, 2), (512, 3, 1)),
    ((512, 3, 2), (512, 3, 1)),
    ((1024, 3, 2), (1024, 3, 1)),
)
#: Channels of each deconvolution of the decoder, from 1/32 to 1/4.
_DECODER = (512, 256, 128, 64)
#: Standard deviation of the initial weights of each head, for a first flow of a few pixels.
_HEAD_STD = 1e-3


def _encoder_level(inputs: int, layers: Sequence[tuple[int, int, int]]) -> nn.Sequential:
    level = nn.Sequential()
    for outputs, kernel, stride in layers:
        layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        nn.init.kaiming_normal_(layer.weight, a=_SLOPE)
        level.extend((layer, nn.LeakyReLU(_SLOPE)))
        inputs = outputs
    return level


def _head(inputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, 2, 3, padding=1)
    nn.init.normal_(layer.weight, std=_HEAD_STD)
    return layer


def _twice(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


class FlowPixels(Float32Island):
    """Outputs of a head as float32 flow in pixels of the frame."""

    def forward(self, output: Tensor) -> Tensor:
        return output.float() * PIXELS


class FlowNetS(FlowPair):
    """FlowNetS without batch normalisation: flow at 1/64 to 1/4, the last resized bilinearly to the frame.

    The steps of the loss are the flows of all five scales, coarse to fine, in pixels of the frame.
    """

    name: ClassVar[str] = "flownet"
    stride: ClassVar[int] = 64

    def __init__(self) -> None:
        super().__init__()
        widths = [6, *(level[-1][0] for level in _ENCODER)]
        self.encoder = nn.ModuleList(
            _encoder_level(inputs, level) for inputs, level in zip(widths, _ENCODER, strict=False)
        )
        # Features of the encoder, those of the scale below, and the flow of the scale below.
        joined = [widths[-1], *(widths[-2 - i] + count + 2 for i, count in enumerate(_DECODER))]
        self.heads = nn.ModuleList(_head(count) for count in joined)
        self.features_up = nn.ModuleList(
            nn.Sequential(_twice(inputs, outputs), nn.LeakyReLU(_SLOPE))
            for inputs, outputs in zip(joined, _DECODER, strict=False)
        )
        self.flow_up = nn.ModuleList(_twice(2, 2) for _ in _DECODER)
        self.pixels = FlowPixels()
        self.resize = FlowResize()

    def match(self, current: Tensor, previous: Tensor) -> tuple[Tensor, ...]:
        x = torch.cat((current, previous), dim=1) - 0.5
        features = []
        for level in self.encoder:
            x = level(x)
            features.append(x)
        outputs = [self.heads[0](x)]
        for i, skip in enumerate(reversed(features[1:-1])):
            x = torch.cat((skip, self.features_up[i](x), self.flow_up[i](outputs[-1])), dim=1)
            outputs.append(self.heads[i + 1](x))
        flows = [self.pixels(output) for output in outputs]
        return (*flows, self.resize(flows[-1], (current.shape[-2], current.shape[-1])))

    def arrange(self, flows: tuple[Tensor, ...]) -> Computed:
        return Computed(flow=flows[-1], steps=flows[:-1])
