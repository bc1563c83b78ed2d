"""ESTRNN: deblurring with a recurrent cell and attention over five frames (Zhong et al., ECCV 2020).

The paper fuses the features of two past, the current and two future frames. A live picture has no future, so this
network fuses the current and the four past frames, with the same parameters and the same work per frame. Features of
frames before the first one are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mostnet.model.layers import conv, conv_relu, mean
from mostnet.model.network import State

from .baseline import Baseline, Computed, NamedShape

#: Channels at full size and of the hidden state; channels of the features of one frame.
_CHANNELS, _FEATURES = 16, 80
#: Residual dense blocks of the recurrent cell, convolutions of each block, and past frames in the fusion. The number of
#: blocks gives the 2.3 million parameters of Table I.
_BLOCKS, _DENSE, _PAST = 14, 3, 4


class ResidualDense(nn.Module):
    """A residual dense block: each convolution sees all before it (Zhang et al. 2018)."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv_relu(channels + i * growth, growth) for i in range(_DENSE))
        self.join = conv(channels + _DENSE * growth, channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for layer in self.layers:
            seen = torch.cat((seen, layer(seen)), dim=1)
        out: Tensor = x + self.join(seen)
        return out


class DenseChain(nn.Module):
    """Residual dense blocks in a row, with the outputs of all of them joined."""

    def __init__(self, channels: int, growth: int, count: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualDense(channels, growth) for _ in range(count))
        self.join = nn.Sequential(conv(count * channels, channels, kernel=1), conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        first, outputs = x, []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        out: Tensor = first + self.join(torch.cat(outputs, dim=1))
        return out


class RecurrentCell(nn.Module):
    """Features of one frame at 1/4, from the frame and the hidden state of the frame before."""

    def __init__(self) -> None:
        super().__init__()
        c = _CHANNELS
        self.extract = nn.Sequential(
            conv(3, c, kernel=5),
            ResidualDense(c, c),
            conv(c, 2 * c, kernel=5, stride=2),
            ResidualDense(2 * c, 3 * c // 2),
            conv(2 * c, 4 * c, kernel=5, stride=2),
        )
        self.chain = DenseChain(_FEATURES, 2 * c, _BLOCKS)
        self.remember = nn.Sequential(conv(_FEATURES, c), ResidualDense(c, c), conv(c, c))

    def forward(self, frame: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, 3, H, W)`` and ``(N, 16, H / 4, W / 4)`` to features ``(N, 80, H / 4, W / 4)`` and the new hidden."""
        features = self.chain(torch.cat((self.extract(frame), hidden), dim=1))
        return features, self.remember(features)


class FrameFusion(nn.Module):
    """Global spatio-temporal attention: past features, weighted by what they share with the current ones."""

    def __init__(self) -> None:
        super().__init__()
        both = 2 * _FEATURES
        self.weigh = nn.Sequential(conv(both, both, kernel=1), nn.ReLU(), conv(both, both, kernel=1), nn.Sigmoid())
        self.mix = nn.Sequential(conv(both, 2 * both, kernel=1), nn.ReLU(), conv(2 * both, both, kernel=1))
        self.condense = conv(both, _FEATURES, kernel=1)
        self.join = conv((1 + _PAST) * _FEATURES, (1 + _PAST) * _FEATURES, kernel=1)

    def forward(self, current: Tensor, past: Sequence[Tensor]) -> Tensor:
        """Features ``(N, 80, H, W)`` of five frames to ``(N, 400, H, W)``."""
        fused = [current]
        for features in past:
            both = torch.cat((current, features), dim=1)
            fused.append(self.condense(self.mix(both) * self.weigh(mean(both))))
        out: Tensor = self.join(torch.cat(fused, dim=1))
        return out


def _reconstructor() -> nn.Sequential:
    wide, c = (1 + _PAST) * _FEATURES, _CHANNELS
    layers = nn.Sequential(
        nn.ConvTranspose2d(wide, 2 * c, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose2d(2 * c, c, 3, stride=2, padding=1, output_padding=1),
        conv(c, 3, kernel=5),
    )
    for weight in layers[-1].parameters():
        nn.init.zeros_(weight)
    return layers


class Estrnn(Baseline):
    """ESTRNN for a live picture.

    The paper's reconstructor makes the picture itself. Ours makes what is added to the frame, and begins at zero: a
    short training then begins at the frame. The hidden state and the features of four past frames are its state.
    """

    name: ClassVar[str] = "estrnn"
    tasks: ClassVar[tuple[str, ...]] = ("enhance",)
    stride: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__()
        self.cell = RecurrentCell()
        self.fusion = FrameFusion()
        self.reconstruct = _reconstructor()

    def shapes(self, padded_hw: tuple[int, int]) -> Sequence[NamedShape]:
        cells = (padded_hw[0] // self.stride, padded_hw[1] // self.stride)
        past = ((f"past{age}", (_FEATURES, *cells)) for age in range(1, _PAST + 1))
        return (("hidden", (_CHANNELS, *cells)), *past)

    def compute(self, frame: Tensor, state: State) -> tuple[Computed, State]:
        hidden, *past = state
        features, new_hidden = self.cell(frame, hidden)
        enhanced = frame + self.reconstruct(self.fusion(features, past))
        return Computed(enhanced=enhanced, steps=(enhanced,)), (new_hidden, features, *past[:-1])
