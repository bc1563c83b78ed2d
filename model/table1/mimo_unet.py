"""MIMO-UNet: deblurring at three scales with one U-shaped network (Cho et al., ICCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mostnet.model.layers import conv, conv_relu
from mostnet.model.network import State

from .baseline import Baseline, Computed, NamedShape

#: Channels at 1/1, 1/2 and 1/4.
_CHANNELS = (32, 64, 128)
#: Residual blocks of each of the six stages.
_BLOCKS = 8


class ResidualPair(nn.Module):
    """Two 3x3 convolutions beside an identity path, with no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_relu(channels, channels), conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


def _stage(channels: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualPair(channels) for _ in range(_BLOCKS)))


def _point_relu(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv(inputs, outputs, kernel=1), nn.ReLU())


def _up(channels: int) -> nn.Sequential:
    """Twice the size with half the channels."""
    return nn.Sequential(nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1), nn.ReLU())


class ShallowFeatures(nn.Module):
    """Features of a down-scaled picture, ``(N, 3, H, W)`` to ``(N, channels, H, W)``: the paper's SCM."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_relu(3, channels // 4),
            _point_relu(channels // 4, channels // 2),
            conv_relu(channels // 2, channels // 2),
            _point_relu(channels // 2, channels - 3),
        )
        self.join = conv(channels, channels, kernel=1)

    def forward(self, picture: Tensor) -> Tensor:
        out: Tensor = self.join(torch.cat((picture, self.body(picture)), dim=1))
        return out


class FeatureGate(nn.Module):
    """Features of the finer scale, corrected where they agree with those of the picture: the paper's FAM."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.merge = conv(channels, channels)

    def forward(self, x: Tensor, shallow: Tensor) -> Tensor:
        out: Tensor = x + self.merge(x * shallow)
        return out


class MimoUNet(Baseline):
    """MIMO-UNet with eight residual blocks per stage.

    At each scale the picture is the down-scaled frame plus a residual, as in the paper. The layers that make a residual
    begin with zero weights, so an untrained network returns its frame. The steps of the loss are the pictures at 1/4,
    1/2 and 1/1.
    """

    name: ClassVar[str] = "mimo-unet"
    tasks: ClassVar[tuple[str, ...]] = ("enhance",)
    stride: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__()
        c = _CHANNELS
        self.enter = conv_relu(3, c[0])
        self.down = nn.ModuleList(conv_relu(c[i], c[i + 1], stride=2) for i in range(2))
        self.shallow = nn.ModuleList(ShallowFeatures(channels) for channels in c[1:])
        self.gates = nn.ModuleList(FeatureGate(channels) for channels in c[1:])
        self.encoder = nn.ModuleList(_stage(channels) for channels in c)
        self.fuse = nn.ModuleList(
            nn.Sequential(_point_relu(sum(c), channels), conv(channels, channels)) for channels in c[:2]
        )
        self.up = nn.ModuleList(_up(channels) for channels in c[1:])
        self.narrow = nn.ModuleList(_point_relu(2 * channels, channels) for channels in c[:2])
        self.decoder = nn.ModuleList(_stage(channels) for channels in c)
        self.leave = nn.ModuleList(conv(channels, 3) for channels in c)
        for layer in self.leave:
            for weight in layer.parameters():
                nn.init.zeros_(weight)

    def shapes(self, padded_hw: tuple[int, int]) -> Sequence[NamedShape]:
        return ()

    def compute(self, frame: Tensor, state: State) -> tuple[Computed, State]:
        half = F.avg_pool2d(frame, 2)
        pictures = (frame, half, F.avg_pool2d(half, 2))
        features = self._encode(pictures)
        skips = self._fuse(features)
        x = self.decoder[2](features[2])
        steps = [pictures[2] + self.leave[2](x)]
        for i in (1, 0):
            x = self.decoder[i](self.narrow[i](torch.cat((self.up[i](x), skips[i]), dim=1)))
            steps.append(pictures[i] + self.leave[i](x))
        return Computed(enhanced=steps[-1], steps=tuple(steps)), ()

    def _encode(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        features = [self.encoder[0](self.enter(pictures[0]))]
        for i in range(2):
            x = self.gates[i](self.down[i](features[-1]), self.shallow[i](pictures[i + 1]))
            features.append(self.encoder[i + 1](x))
        return features

    def _fuse(self, features: list[Tensor]) -> list[Tensor]:
        """The features of all scales at 1/1 and at 1/2: the paper's AFF."""
        full, half, quarter = features
        quarter_up = F.interpolate(quarter, scale_factor=2.0, mode="nearest")
        at_full = (full, *(F.interpolate(x, scale_factor=2.0, mode="nearest") for x in (half, quarter_up)))
        at_half = (F.avg_pool2d(full, 2), half, quarter_up)
        return [fuse(torch.cat(x, dim=1)) for fuse, x in zip(self.fuse, (at_full, at_half), strict=True)]
