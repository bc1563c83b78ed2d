"""Degradations of a clip on any device, from none to strong: light, colour, blur, mist, drops, noise, compression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .jpeg import compress

_GAMMA = 2.2
#: Pixels at up to 240 rows. The greatest deviation is 1.6.
_BLUR_RADIUS = 6
_MOST_DROPS = 3
#: Share of clips with drops on the lens, and with grain as soft as that of a demosaiced picture.
_DROPS, _SOFT = 0.12, 0.5


@dataclass(frozen=True)
class Wear:
    """Degradations of N clips. Lengths are in fractions of the frame's height.

    Attributes:
        strength: 0 leaves a clip as it is, ``(N,)``.
        defocus: deviation of the blur in pixels at 240 rows, ``(N,)``.
        gain: exposure of each frame, in linear light, ``(N, T)``.
        cast: gain of each channel, in linear light, ``(N, 3)``.
        contrast: exponent of the tone curve, ``(N,)``.
        veil: share of mist of each frame, ``(N, T)``.
        veil_bgr: colour of the mist, 0 to 1, ``(N, 3)``.
        mist: density of the mist on a coarse grid, ``(N, 1, 4, 5)``.
        vignette: centre x, centre y and fall-off of the light, ``(N, 3)``.
        grain: deviation of the noise at middle grey, in levels of 255, ``(N,)``.
        soft: 1 if the noise is correlated, ``(N,)``.
        quality: of the JPEG, ``(N,)``; 101 is no compression.
        drops: x, y, radius and power of each drop, ``(N, 3, 4)``; radius 0 is no drop.
    """

    strength: Tensor
    defocus: Tensor
    gain: Tensor
    cast: Tensor
    contrast: Tensor
    veil: Tensor
    veil_bgr: Tensor
    mist: Tensor
    vignette: Tensor
    grain: Tensor
    soft: Tensor
    quality: Tensor
    drops: Tensor


def draw_wear(
    rng: np.random.Generator,
    count: int,
    frames: int,
    *,
    none: float,
    strength: tuple[float, float],
    device: torch.device,
) -> Wear:
    """Degradations of ``count`` clips: none for the share ``none``, else of a strength from least to greatest."""
    strengths = rng.uniform(*strength, count) * (rng.random(count) >= none)
    harm = strengths * rng.uniform(0.3, 1.0, count)  # what no map of the colours undoes: blur, noise and compression
    s = strengths[:, None]

    def some(share: float) -> np.ndarray:
        """1 in this share of the clips, else 0."""
        return (rng.random(count) < share).astype(float)

    time = np.arange(frames) / 25
    waves = np.sin(2 * np.pi * rng.uniform(0.1, 1.2, (count, 1)) * time + rng.uniform(0, 6.3, (count, 1)))
    gain = np.exp(s * (rng.normal(-0.7, 0.4, (count, 1)) + 0.08 * waves))
    veil = s * rng.uniform(0, 0.6, (count, 1)) * some(0.6)[:, None] * (1 + 0.3 * waves)
    drops = np.stack(
        [
            rng.uniform(-0.7, 0.7, (count, _MOST_DROPS)),
            rng.uniform(-0.5, 0.5, (count, _MOST_DROPS)),
            rng.uniform(0.04, 0.16, (count, _MOST_DROPS)) * (rng.random((count, _MOST_DROPS)) < 0.6),
            rng.uniform(0.35, 0.8, (count, _MOST_DROPS)),
        ],
        axis=-1,
    )
    drops[..., 2] *= (some(_DROPS) * (strengths > 0))[:, None]
    parts = (
        strengths,
        harm * np.exp(rng.uniform(np.log(0.2), np.log(1.6), count)) * some(0.7),
        gain,
        np.exp(s * (rng.normal(0, 0.2, (count, 3)))),
        np.exp(strengths * rng.uniform(-0.5, 0.5, count)),
        np.clip(veil, 0, 0.6),
        np.clip(rng.uniform(0.3, 0.85, (count, 1)) * rng.uniform(0.85, 1.15, (count, 3)), 0, 1),
        rng.random((count, 1, 4, 5)),
        np.stack([*rng.uniform(-0.2, 0.2, (2, count)), strengths * rng.uniform(0, 0.8, count) * some(0.5)], -1),
        harm * np.exp(rng.uniform(np.log(1.0), np.log(25.0), count)),
        some(_SOFT),
        np.where(strengths > 0, 100 - harm * rng.uniform(0, 70, count), 101),
        drops,
    )
    return Wear(*(torch.from_numpy(np.asarray(part, np.float32)).to(device) for part in parts))


def degrade(clips: Tensor, wear: Wear, noise: torch.Generator) -> Tensor:
    """Degrade clips ``(N, T, 3, H, W)`` BGR of 0 to 1; returns levels of 0 to 255, rounded.

    Clips of strength 0 come back as they are, but for the rounding.
    """
    height, width = clips.shape[3:]
    x = _defocused(clips, wear.defocus * height / 240)
    x = _toned(x, wear)
    y = (torch.arange(height, device=x.device) - (height - 1) / 2)[:, None] / height
    across = (torch.arange(width, device=x.device) - (width - 1) / 2) / height
    cx, cy, fall = wear.vignette.view(-1, 3, 1, 1).unbind(1)
    x = x / (1 + fall * ((across - cx) ** 2 + (y - cy) ** 2))[:, None, None]
    mist = F.interpolate(wear.mist, (height, width), mode="bicubic", align_corners=True)
    density = wear.veil.view(*wear.veil.shape, 1, 1, 1) * (0.7 + 0.5 * mist).clamp(0, 1.3)[:, None]
    x = x + density * (wear.veil_bgr.view(-1, 1, 3, 1, 1) - x)
    wet = (wear.drops[..., 2].amax(1) > 0).nonzero()[:, 0]
    if len(wet):
        x = x.index_copy(0, wet, _through_drops(x[wet], wear.drops[wet]))
    levels = _noisy(x * 255, wear, noise)
    worn = levels.clamp(0, 255).round()
    count = clips.shape[1]
    pressed = compress(worn.flatten(0, 1), wear.quality.clamp_max(100).repeat_interleave(count)).view_as(clips)
    worn = torch.where(wear.quality.view(-1, 1, 1, 1, 1) > 100, worn, pressed)
    return torch.where(wear.strength.view(-1, 1, 1, 1, 1) > 0, worn, (clips * 255).clamp(0, 255).round())


def _defocused(clips: Tensor, deviation: Tensor) -> Tensor:
    """A Gaussian blur of its own for each clip."""
    _, frames, channels, height, width = clips.shape
    radius = max(_BLUR_RADIUS, math.ceil(_BLUR_RADIUS * height / 240))
    at = torch.arange(-radius, radius + 1, device=clips.device)
    kernel = torch.exp(-0.5 * (at / deviation.clamp_min(1e-3)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(frames * channels, 0)
    planes = F.pad(clips.reshape(1, -1, height, width), [radius] * 4, mode="reflect")
    planes = F.conv2d(planes, kernel[:, None, :, None], groups=len(kernel))
    return F.conv2d(planes, kernel[:, None, None, :], groups=len(kernel)).view_as(clips)


def _toned(clips: Tensor, wear: Wear) -> Tensor:
    """Gain and cast in linear light, then the camera's contrast."""
    factor = wear.gain[:, :, None] * wear.cast[:, None]
    linear = (clips.clamp(1e-4, 1) ** _GAMMA * factor[..., None, None]).clamp(1e-8, 1)
    return linear ** (wear.contrast.view(-1, 1, 1, 1, 1) / _GAMMA)


def _through_drops(clips: Tensor, drops: Tensor) -> Tensor:
    """Bend the picture behind each drop, and add the drop's highlight."""
    n, _, _, height, width = clips.shape
    y = ((torch.arange(height, device=clips.device) - (height - 1) / 2)[:, None] / height).expand(height, width)
    x = ((torch.arange(width, device=clips.device) - (width - 1) / 2) / height).expand(height, width)
    seen_x, seen_y, shine = x.expand(n, -1, -1), y.expand(n, -1, -1), torch.zeros(n, height, width, device=x.device)
    for x0, y0, radius, power in (part.view(4, n, 1, 1).unbind(0) for part in drops.permute(1, 2, 0)):
        dx, dy = (x - x0) / radius.clamp_min(1e-6), (y - y0) / radius.clamp_min(1e-6)
        square = dx * dx + dy * dy
        edge = ((1 - square) / 0.25).clamp(0, 1)
        cover = edge * edge * (3 - 2 * edge) * (radius > 0)
        bend = power * (1 - square) * cover * radius
        seen_x, seen_y = seen_x - dx * bend, seen_y - dy * bend
        shine = shine + 0.5 * cover * torch.exp(-((dx + 0.35) ** 2 + (dy + 0.4) ** 2) / 0.03)
    grid = torch.stack([seen_x * 2 * height / (width - 1), seen_y * 2 * height / (height - 1)], -1)
    bent = F.grid_sample(clips.flatten(1, 2), grid, padding_mode="reflection", align_corners=True).view_as(clips)
    return (bent + shine[:, None, None]).clamp(0, 1)


def _noisy(levels: Tensor, wear: Wear, noise: torch.Generator) -> Tensor:
    """Shot noise grows with the light, read noise does not (Foi et al., IEEE TIP 17 (2008), eq. 3)."""
    grain = torch.randn(levels.shape, generator=noise, device=levels.device)
    pairs = (grain + grain.roll(1, -1)) / 2
    grain = torch.where(wear.soft.view(-1, 1, 1, 1, 1) > 0, pairs + pairs.roll(1, -2), grain)
    deviation = (levels.clamp_min(0) * (0.7 / 128) + 0.3).sqrt()
    return levels + wear.grain.view(-1, 1, 1, 1, 1) * deviation * grain
