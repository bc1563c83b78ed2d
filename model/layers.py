"""Building blocks of the network: convolutions, warping, correlation and fusion."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Columns of one tile of a correlation, few so that little is computed outside the search window.
_TILE = 16


def conv(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution with bias that keeps the size, or halves it with ``stride=2``."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)


def conv_relu(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution and a ReLU."""
    return nn.Sequential(conv(inputs, outputs, stride=stride), nn.ReLU())


def patch_conv_relu(inputs: int, outputs: int) -> nn.Sequential:
    """Pixels to cells of 4x4 pixels, then a ReLU. Each cell sees its own pixels and its eight neighbours'."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 12, stride=4, padding=4), nn.ReLU())


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity path, without normalisation because a stream has batch size one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels)
        self.conv2 = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


def blocks(channels: int, count: int) -> nn.Sequential:
    """``count`` residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


class Float32Island(nn.Module):
    """A module that computes in float32 inside a half-precision network. Export checks that no other node does."""


class Warp(Float32Island):
    """Align features of the previous frame with the current frame.

    Flow, grid and sampling stay float32: a half-precision grid is wrong by up to half a pixel at x = 600.
    """

    def forward(self, x: Tensor, flow: Tensor, stride: int) -> Tensor:
        """Sample ``x`` ``(N, C, H, W)`` at each cell plus ``flow`` ``(N, 2, H, W)``, float32 pixels of the frame."""
        height, width = flow.shape[-2:]
        # From -1 to 1, the centres of the outer cells. All is made on the device: with a copy from the host, the host
        # would wait for the device in every frame.
        columns, rows = (torch.arange(side, device=flow.device) * (2.0 / (side - 1)) - 1.0 for side in (width, height))
        here = torch.stack((columns[None, :].expand(height, width), rows[:, None].expand(height, width)))
        scales = [torch.full((1, 1, 1), 2.0 / ((side - 1) * stride), device=flow.device) for side in (width, height)]
        grid = flow * torch.cat(scales) + here
        warped = F.grid_sample(
            x.float(), grid.permute(0, 2, 3, 1), mode="bilinear", padding_mode="border", align_corners=True
        )
        return warped.to(x.dtype)


class LocalCorrelation(nn.Module):
    """Inner products of each current feature with the previous ones within ``radius`` cells.

    This is the cost volume of PWC-Net (Sun et al. 2018), as one batched matrix product instead of (2r+1)^2 elementwise
    passes: each row is cut into tiles, and each tile is multiplied by all columns within its reach.
    """

    def __init__(self, radius: int) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """``(N, C, H, W)`` twice -> ``(N, (2r+1)^2, H, W)``, displacement ``(dy, dx)`` row-major from ``(-r, -r)``."""
        n, channels, height, width = current.shape
        radius, side = self.radius, 2 * self.radius + 1
        tiles = -(-width // _TILE)
        missing = tiles * _TILE - width
        reach = _TILE + side - 1
        # Rows first, while the tensor is small: what follows then moves runs of numbers.
        padded = F.pad(previous.transpose(1, 2), (radius, radius + missing, 0, 0, radius, radius))
        windows = torch.stack([padded[..., _TILE * t : _TILE * t + reach] for t in range(tiles)], dim=2)
        keys = torch.stack([windows[:, dy : dy + height] for dy in range(side)], dim=3)
        # (N, H, tiles, side, C, reach)
        queries = F.pad(current, (0, missing)).reshape(n, channels, height, tiles, _TILE)
        queries = F.pad(queries, (0, reach + 1 - _TILE)).permute(0, 2, 3, 4, 1).unsqueeze(3)
        products = torch.matmul(queries, keys)  # (N, H, tiles, side, reach + 1, reach)
        # Row x of each product needs columns x .. x + 2r. Read as rows that are one longer, each row starts one column
        # further right, so the band becomes the first columns. The extra zero row makes the reshape fit without a copy.
        band = products.reshape(n, height, tiles, side, reach, reach + 1)[..., :_TILE, :side]
        return band.permute(0, 3, 5, 1, 2, 4).reshape(n, side * side, height, tiles * _TILE)[..., :width]


class ChannelAttentionFusion(nn.Module):
    """Fuse current features with aligned previous ones, with channel weights from the global context.

    The weights follow squeeze-and-excitation (Hu et al. 2018).
    """

    def __init__(self, channels: int, state_channels: int) -> None:
        super().__init__()
        both = channels + state_channels
        hidden = max(8, both // 8)
        self.squeeze = conv(both, hidden, kernel=1)
        self.excite = conv(hidden, both, kernel=1)
        self.mix_conv = conv(both, channels)

    def forward(self, current: Tensor, aligned: Tensor) -> Tensor:
        both = torch.cat((current, aligned), dim=1)
        weights = torch.sigmoid(self.excite(F.relu(self.squeeze(mean(both)))))
        return F.relu(self.mix_conv(both * weights))


def mean(x: Tensor) -> Tensor:
    """Mean over the picture, ``(N, C, 1, 1)``.

    One axis after the other: in half precision, a runtime that sums all cells before it divides overflows.
    """
    return x.mean(-1, keepdim=True).mean(-2, keepdim=True)


def exact_conv(x: Tensor, weight: Tensor) -> Tensor:
    """A convolution without padding in the type of its weight, also where autocast would narrow it."""
    device = x.device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return F.conv2d(x, weight)
    with torch.autocast(device, enabled=False):
        return F.conv2d(x.to(weight.dtype), weight)


def box_mean(x: Tensor, side: int) -> Tensor:
    """Sum over a window of ``side`` x ``side`` cells, over the number of its cells; zero lies outside the picture.

    ONNX Runtime 1.23 pads a pool wrongly if it pads the height alone, so the height is pooled as the width.
    """
    window, padding = (1, side), (0, side // 2)
    columns = F.avg_pool2d(x.transpose(-2, -1), window, stride=1, padding=padding)
    return F.avg_pool2d(columns.transpose(-2, -1), window, stride=1, padding=padding)
