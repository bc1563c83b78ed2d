"""Synthetic clips of known camera path, with the outputs that an engine would give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame
from mostnet.engine import Output
from mostnet.video.steady.similarity import Similarity, centre_of

SIZE_HW = (480, 640)
_WORLD_HW = (1100, 1500)
#: Centre of the tooth relative to the world's centre, and its half axes, in pixels.
TOOTH = 0j
_TOOTH_HALF = (150, 105)
_BUR = ((430, 0), (640, 0), (640, 150), (345, 215))

#: Lowest and highest frequency of the added jitter, in cycles per frame.
JITTER_BAND = (0.16, 0.48)


@dataclass(frozen=True)
class Shake:
    """Strength of the jitter, RMS: shift in pixels per axis, turn in degrees, zoom as a share."""

    shift_px: float = 3.0
    turn_deg: float = 0.4
    zoom: float = 0.003


@dataclass(frozen=True)
class FlowFaults:
    """Errors of a network's flow: noise of each vector, share of wrong blocks, and noise of these blocks, in pixels."""

    noise_px: float = 0.5
    wrong: float = 0.15
    wrong_px: float = 12.0


def jitter(count: int, rng: np.random.Generator, shake: Shake) -> list[Similarity]:
    """``count`` poses of zero-mean vibration in ``JITTER_BAND``."""
    waves = np.stack([_band_noise(count, rng) for _ in range(4)])
    shifts = shake.shift_px * (waves[0] + 1j * waves[1])
    rates = np.exp(shake.zoom * waves[2] + 1j * np.radians(shake.turn_deg) * waves[3])
    return [Similarity(complex(a), complex(b)) for a, b in zip(rates, shifts, strict=True)]


def intended(count: int, *, sway_px: float = 12.0, pan_px: float = 0.0, pan_at: int = 60) -> list[Similarity]:
    """Poses of a hand's slow sway, and of a pan by ``pan_px`` per frame over 40 frames from ``pan_at`` on."""
    frame = np.arange(count)
    sway = sway_px * (np.sin(2 * np.pi * frame / 110) + 0.6j * np.sin(2 * np.pi * frame / 83 + 1))
    # The pan starts and stops over ten frames, because a hand has mass.
    speed = pan_px * np.convolve((frame >= pan_at) & (frame < pan_at + 40), np.hanning(12)[1:-1] / 4.5, "same")
    return [Similarity(1 + 0j, complex(b)) for b in sway + np.cumsum(speed)]


def compose(base: Sequence[Similarity], shaken: Sequence[Similarity]) -> list[Similarity]:
    """Poses of a camera that shakes about its base, from frame to world, each relative to its centre."""
    return [shake.then(pose) for pose, shake in zip(base, shaken, strict=True)]


def world(rng: np.random.Generator) -> Frame:
    """A textured plane with one bright tooth, uint8 ``(1100, 1500, 3)``."""
    height, width = _WORLD_HW
    texture = sum(
        amount * cv2.GaussianBlur(rng.normal(size=_WORLD_HW).astype(np.float32), (0, 0), grain) * grain
        for grain, amount in ((2.0, 14.0), (7.0, 28.0), (25.0, 40.0))
    )
    y, x = np.mgrid[:height, :width].astype(np.float32)
    inside = _tooth_level(x - (width - 1) / 2, y - (height - 1) / 2)[..., None]
    gum, ivory = np.array([95, 90, 150], np.float32), np.array([170, 190, 200], np.float32)
    ground = gum + inside * (ivory - gum)
    scene: Frame = np.clip(ground + np.asarray(texture)[..., None], 25, 250).astype(np.uint8)
    return scene


def tooth_of_world() -> npt.NDArray[np.uint8]:
    """Mask of the tooth of ``world``, uint8 ``(1100, 1500)``."""
    y, x = np.mgrid[: _WORLD_HW[0], : _WORLD_HW[1]].astype(np.float32)
    centre = centre_of(_WORLD_HW)
    return np.asarray(255 * _tooth_level(x - centre.real, y - centre.imag)).astype(np.uint8)


def render(scene: Frame, pose: Similarity, *, size_hw: tuple[int, int] = SIZE_HW) -> Frame:
    """The camera's picture of the world at ``pose``, with a bur fixed to the camera."""
    matrix = _pixel_matrix(pose, size_hw, scene.shape[:2])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    frame: Frame = cv2.warpAffine(scene, matrix, size_hw[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
    cv2.fillPoly(frame, [_bur(size_hw)], (150, 150, 145), cv2.LINE_AA)
    return frame


def tooth_mask(pose: Similarity, *, size_hw: tuple[int, int] = SIZE_HW) -> npt.NDArray[np.uint8]:
    """The true tooth mask at ``pose``, uint8 ``(H, W)``, without the bur."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    places = pose.a * (x + 1j * y - centre_of(size_hw)) + pose.b - TOOTH
    mask = (255 * _tooth_level(places.real, places.imag)).astype(np.uint8)
    cv2.fillPoly(mask, [_bur(size_hw)], 0)
    return mask


def true_flow(before: Similarity, now: Similarity, *, size_hw: tuple[int, int] = SIZE_HW) -> npt.NDArray[np.float32]:
    """Backward flow between two poses, float32 ``(2, H, W)`` in pixels; zero on the bur."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    here = x + 1j * y - centre_of(size_hw)
    step = now.then(before.inverse())
    moved = step.a * here + step.b - here
    flow = np.stack([moved.real, moved.imag]).astype(np.float32)
    hidden = np.zeros(size_hw, np.uint8)
    cv2.fillPoly(hidden, [_bur(size_hw)], 1)
    flow[:, hidden == 1] = 0
    return flow


def faulty(flow: npt.NDArray[np.float32], faults: FlowFaults, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Flow with noise, and with random vectors in some blocks."""
    _, height, width = flow.shape
    small = rng.normal(0, faults.noise_px, (height // 8 + 1, width // 8 + 1, 2)).astype(np.float32)
    noise = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    wrong = rng.random((height // 40 + 1, width // 40 + 1)) < faults.wrong
    blocks = rng.normal(0, faults.wrong_px, (*wrong.shape, 2)) * wrong[..., None]
    bad = cv2.resize(blocks.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(flow + (noise + bad).transpose(2, 0, 1), np.float32)


def outputs(
    poses: Sequence[Similarity], scene: Frame, *, faults: FlowFaults, seed: int = 1
) -> Iterator[tuple[Frame, Output]]:
    """Frame and engine output of each pose: exact flow with ``faults``, the true mask, the frame as ``enhanced``."""
    rng = np.random.default_rng(seed)
    for k, (before, now) in enumerate(pairwise([poses[0], *poses])):
        frame = render(scene, now)
        flow = faulty(true_flow(before, now), faults, rng) if k else np.zeros((2, *SIZE_HW), np.float32)
        yield frame, Output(frame, flow, tooth_mask(now), True, k, None, 0.0)


def _tooth_level(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    radius = np.sqrt((x / _TOOTH_HALF[0]) ** 2 + (y / _TOOTH_HALF[1]) ** 2)
    return np.clip((1 - radius) * 30 + 0.5, 0, 1).astype(np.float32)


def _band_noise(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Noise of unit RMS with frequencies in ``JITTER_BAND``."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    frequency = np.fft.rfftfreq(count)
    spectrum[(frequency < JITTER_BAND[0]) | (frequency > JITTER_BAND[1])] = 0
    noise: npt.NDArray[np.float64] = np.fft.irfft(spectrum, count)
    noise /= noise.std()
    return noise


def _bur(size_hw: tuple[int, int]) -> npt.NDArray[np.int32]:
    return np.rint(np.array(_BUR) * (size_hw[1] / SIZE_HW[1], size_hw[0] / SIZE_HW[0])).astype(np.int32)


def _pixel_matrix(pose: Similarity, frame_hw: tuple[int, int], world_hw: Sequence[int]) -> npt.NDArray[np.float64]:
    """``(2, 3)`` from pixels of the frame to pixels of the world."""
    here, there = centre_of(frame_hw), centre_of((world_hw[0], world_hw[1]))
    offset = there + pose.b - pose.a * here
    return np.array([[pose.a.real, -pose.a.imag, offset.real], [pose.a.imag, pose.a.real, offset.imag]])
