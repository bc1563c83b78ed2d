"""Make the demo clip, a synthetic video of teeth under a shaking handpiece.

::

    python docs/make_demo_clip.py video/demo.mp4

A height map of teeth and gum is lit once. Each frame views it through a camera that sways and vibrates. The bur hardly
moves in the picture, since the camera sits on its handpiece. Colour cast, blur and noise are added last.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame, MostnetError
from mostnet.contract.terminal import CommandParser
from mostnet.video import VideoWriter

FPS = Fraction(25)
FRAMES = 100
SIZE_HW = (480, 640)
SEED = 7

_MARGIN = 60
_CRF = 20
#: Centre x and y, half width, half height, all in pixels of the world: molar, molar, premolar, premolar.
_TEETH = ((110, 300, 128, 150), (352, 282, 122, 146), (560, 300, 94, 128), (728, 326, 82, 118))
_TIP_XY = (322, 232)
#: Outline of the tool from its tip on: bur, shank, chuck, head; half its width at each distance, in pixels.
_ALONG = (-7, -4, 0, 8, 34, 44, 54, 92, 96, 112, 118, 150, 190, 260, 500)
_HALF = (0, 5, 8, 9.5, 8, 6, 5, 5, 15, 16, 28, 38, 43, 46, 50)

Map = npt.NDArray[np.float32]


def frames(count: int = FRAMES, *, seed: int = SEED) -> Iterator[Frame]:
    """Yield ``count`` uint8 ``(480, 640, 3)`` BGR frames; the same for the same seed and OpenCV."""
    rng = np.random.default_rng(seed)
    world = _world(rng)
    tool = _tool()
    phases = rng.uniform(0, 2 * np.pi, 4)
    for k in range(count):
        yield _degrade(_clean_frame(world, tool, k / float(FPS), phases), k / float(FPS), rng)


def write_clip(path: Path) -> None:
    """Write the demo clip.

    Raises:
        VideoError: the file cannot be written.
    """
    with VideoWriter(path, FPS, SIZE_HW, crf=_CRF) as writer:
        for frame in frames():
            writer.write(frame)


def _world(rng: np.random.Generator) -> Map:
    """The lit scene, float32 ``(H, W, 3)`` BGR in 0..1, larger than a frame by the margin on each side."""
    shape = (SIZE_HW[0] + 2 * _MARGIN, SIZE_HW[1] + 2 * _MARGIN)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    rough, fine = 0.8 * _noise(rng, shape, 42) + 0.12 * _noise(rng, shape, 12), _noise(rng, shape, 2.5)
    height, albedo = _gum(x, y, rough, fine)
    for tooth in _TEETH:
        _add_tooth(height, albedo, x, y, tooth, rough, fine)
    return _light(height, albedo)


def _gum(x: Map, y: Map, rough: Map, fine: Map) -> tuple[Map, Map]:
    """Height and albedo of the gum: two ridges with the row of teeth between them."""
    ridge = 66 * np.exp(-(((y - 520) / 110) ** 2)) + 52 * np.exp(-(((y - 60) / 95) ** 2))
    height = ridge + 9 * rough + 0.35 * fine
    pink = np.array([0.50, 0.44, 0.80], np.float32)
    albedo = pink * (1 + 0.10 * rough + 0.03 * fine)[..., None]
    albedo[..., :2] *= (1 - 0.10 * np.maximum(rough, 0))[..., None]
    return height.astype(np.float32), albedo.astype(np.float32)


def _add_tooth(height: Map, albedo: Map, x: Map, y: Map, tooth: Sequence[int], rough: Map, fine: Map) -> None:
    """Raise one crown out of the gum, in place."""
    cx, cy, half_w, half_h = tooth
    u, v = (x - cx) / half_w + 0.05 * rough, (y - cy) / half_h + 0.04 * rough
    radius = (np.abs(u) ** 2.7 + np.abs(v) ** 2.7) ** (1 / 2.7)
    crown = 120 * np.sqrt(np.clip(1 - radius**3.2, 0, 1))
    table = np.exp(-((radius / 0.72) ** 6))
    bowl = -30 * np.exp(-((u / 0.5) ** 2 + (v / 0.45) ** 2))
    cusps = sum(30 * np.exp(-(((u - a) / 0.25) ** 2 + ((v - b) / 0.25) ** 2)) for a, b in _cusps(half_w))
    groove = _fissures(u, v, rough)
    crown += table * (bowl + cusps - 11 * groove) + 0.25 * fine
    inside = radius < 1
    np.maximum(height, crown, out=height, where=inside)
    ivory, brown = np.array([0.80, 0.89, 0.92], np.float32), np.array([0.10, 0.20, 0.33], np.float32)
    enamel = ivory * (1 + 0.025 * rough + 0.015 * fine)[..., None]
    yellow = np.clip((radius - 0.55) / 0.45, 0, 1)[..., None]
    enamel *= 1 - yellow * np.array([0.26, 0.11, 0.05], np.float32)
    stain = (0.75 * table * np.clip(groove, 0, 1) ** 2)[..., None]
    enamel += stain * (brown - enamel)
    cover = (inside & (crown >= height - 1e-3)).astype(np.float32)[..., None]
    cover = cv2.GaussianBlur(cover, (0, 0), 1.2)[..., None]
    albedo += cover * (enamel - albedo)


def _cusps(half_w: int) -> tuple[tuple[float, float], ...]:
    """Positions of the cusps of a molar, or of a premolar if narrow, in half widths and heights of the crown."""
    if half_w > 100:
        return ((-0.48, -0.46), (0.46, -0.5), (-0.5, 0.44), (0.02, 0.55), (0.5, 0.42))
    return ((0.0, -0.5), (0.05, 0.48))


def _fissures(u: Map, v: Map, rough: Map) -> Map:
    """Depth 0..1 of the grooves between the cusps."""
    u, v = u + 0.06 * rough, v + 0.06 * np.sin(6 * u) + 0.05 * rough
    along = np.exp(-((v / 0.04) ** 2) - (u / 0.5) ** 8)
    across = np.exp(-(((u - 0.2 * v + 0.05 * np.sin(9 * v)) / 0.035) ** 2) - (v / 0.5) ** 8)
    side = np.exp(-(((u + 0.32 + 0.3 * v) / 0.03) ** 2) - ((v - 0.2) / 0.22) ** 8)
    sharp = np.maximum(np.maximum(along, 0.8 * across), 0.6 * side).astype(np.float32)
    soft: Map = cv2.GaussianBlur(sharp, (0, 0), 1.5)
    return soft


def _light(height: Map, albedo: Map) -> Map:
    """Light the height map from the handpiece's lamp, upper left, with darkened hollows and wet highlights."""
    smooth = cv2.GaussianBlur(height, (0, 0), 1.6)
    normal = np.dstack([-cv2.Sobel(smooth, -1, 1, 0, scale=1 / 8), -cv2.Sobel(smooth, -1, 0, 1, scale=1 / 8)])
    normal = np.dstack([normal * 0.8, np.ones_like(height)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    lamp = np.array([-0.38, -0.46, 0.80], np.float32)
    diffuse = np.clip(normal @ lamp, 0, None)
    between = lamp + np.array([0, 0, 1], np.float32)
    halfway = between / np.linalg.norm(between)
    shine = np.clip(normal @ halfway, 0, None) ** 90
    hollow = np.clip(1 - 0.016 * (cv2.GaussianBlur(height, (0, 0), 22) - height), 0.18, 1.1)
    y, x = np.mgrid[: height.shape[0], : height.shape[1]]
    spot = np.exp(-(((x - 380) / 420) ** 2 + ((y - 290) / 330) ** 2))
    shade = (0.22 + 0.86 * diffuse) * hollow * (0.30 + 0.75 * spot)
    lit: Map = (albedo * shade[..., None] + (0.55 * shine * spot)[..., None]).astype(np.float32)
    return lit


def _tool() -> tuple[Map, Map]:
    """The bur and its handpiece's head in the frame: colour ``(H, W, 3)`` and opacity ``(H, W, 1)``, 0..1."""
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]].astype(np.float32)
    tip, away = np.array(_TIP_XY), np.array([0.72, -0.69])
    along = (x - tip[0]) * away[0] + (y - tip[1]) * away[1]
    off = (x - tip[0]) * away[1] - (y - tip[1]) * away[0]
    half = np.interp(along, _ALONG, _HALF).astype(np.float32)
    opacity = np.clip(half - np.abs(off), 0, 1) * (along > -6)
    around = np.clip(off / np.maximum(half, 1), -1, 1)
    metal = 0.25 + 0.5 * np.sqrt(1 - around**2) + 0.5 * np.exp(-(((around + 0.45) / 0.16) ** 2))
    colour = metal[..., None] * np.array([0.80, 0.78, 0.74], np.float32)
    return colour.astype(np.float32), opacity[..., None].astype(np.float32)


def _clean_frame(world: Map, tool: tuple[Map, Map], time_s: float, phases: npt.NDArray[np.float64]) -> Map:
    """One clean frame: sway of tens of pixels below 1 Hz, vibration of several pixels at 7 and 11 Hz."""
    sway = 26 * np.sin(2 * np.pi * np.array([0.31, 0.43]) * time_s + phases[:2])
    shake = 4.5 * np.sin(2 * np.pi * np.array([7.3, 11.1]) * time_s + phases[2:])
    turn = cv2.getRotationMatrix2D(
        (SIZE_HW[1] / 2 + _MARGIN, SIZE_HW[0] / 2 + _MARGIN), 1.5 * np.sin(1.7 * time_s), 1.0
    )
    turn[:, 2] += sway + shake - _MARGIN
    view: Map = cv2.warpAffine(world, turn, SIZE_HW[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    drift = np.array([[1, 0, 5 * np.sin(2.1 * time_s)], [0, 1, 4 * np.sin(2.9 * time_s + 1)]])
    colour, opacity = (cv2.warpAffine(part, drift, SIZE_HW[::-1], borderMode=cv2.BORDER_REPLICATE) for part in tool)
    shadow = cv2.warpAffine(opacity, np.array([[1, 0, -14], [0, 1, 20]], np.float32), SIZE_HW[::-1])
    view *= 1 - 0.45 * cv2.GaussianBlur(shadow, (0, 0), 7)[..., None]
    view += opacity[..., None] * (colour - view)
    return view


def _degrade(view: Map, time_s: float, rng: np.random.Generator) -> Frame:
    """Add the faults of a wet lens and a small sensor: flicker, a warm yellow cast, blur and noise."""
    view = cv2.GaussianBlur(view, (0, 0), 0.8 + 0.5 * np.sin(2.3 * time_s) ** 2)
    cast = np.array([0.80, 0.97, 1.06], np.float32) * (1 + 0.03 * np.sin(2 * np.pi * 1.3 * time_s))
    noise = rng.normal(0, 0.012, view.shape).astype(np.float32)
    shown = np.clip(view * cast * 1.25, 0, None)
    shown = shown / (1 + np.maximum(shown - 0.75, 0))
    frame: Frame = np.clip(np.rint((shown + noise) * 255), 0, 255).astype(np.uint8)
    return frame


def _noise(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> Map:
    """Smooth noise of unit deviation with grains of ``grain`` pixels."""
    noise: Map = cv2.GaussianBlur(rng.normal(size=shape).astype(np.float32), (0, 0), grain)
    noise /= noise.std()
    return noise


def main() -> None:
    """Write the clip to the given file."""
    parser = CommandParser(description="Write the demo clip.")
    parser.add_argument("output", type=Path, metavar="OUT.mp4")
    path = parser.parse_args().output
    try:
        write_clip(path)
    except MostnetError as error:
        sys.exit(f"make_demo_clip: {error}")
    print(f"{path}: {FRAMES} frames, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
