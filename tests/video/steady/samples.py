"""Outputs of an engine for known camera paths."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from mostnet.engine import Output
from mostnet.video import Correction, Stabiliser
from mostnet.video.steady.similarity import Similarity, centre_of

SIZE_HW = (240, 320)
_Y, _X = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]].astype(np.float32) - np.float32([[[119.5]], [[159.5]]])
GREY = cv2.resize(np.random.default_rng(0).integers(60, 200, (30, 40, 3), np.uint8), SIZE_HW[::-1])
_WORLD_HW = (720, 960)


def flow_of(step: Similarity) -> np.ndarray:
    """Backward flow, float32 ``(2, H, W)``, of a frame whose points ``step`` takes to the previous one."""
    x, y = _moved(step)
    return np.stack([x - _X, y - _Y])


def _moved(step: Similarity) -> tuple[np.ndarray, np.ndarray]:
    a, b = step
    x = np.float32(a.real) * _X - np.float32(a.imag) * _Y + np.float32(b.real)
    return x, np.float32(a.imag) * _X + np.float32(a.real) * _Y + np.float32(b.imag)


@lru_cache(maxsize=1)
def world() -> np.ndarray:
    """A textured plane, uint8 ``(720, 960, 3)``."""
    rng = np.random.default_rng(7)
    parts = [
        amount * cv2.resize(rng.normal(size=(_WORLD_HW[0] // grain, _WORLD_HW[1] // grain)), _WORLD_HW[::-1])
        for grain, amount in ((6, 12), (24, 25), (80, 30))
    ]
    return np.clip(130 + sum(parts)[..., None] * (0.9, 1.0, 1.1), 30, 230).astype(np.uint8)


def picture_at(pose: Similarity, *, noise: float = 1.5, seed: int = 0) -> np.ndarray:
    """What a camera at ``pose`` (frame to world) sees, uint8 ``(240, 320, 3)``, with sensor noise."""
    here, there = centre_of(SIZE_HW), centre_of(_WORLD_HW)
    offset = there + pose.b - pose.a * here
    matrix = np.array([[pose.a.real, -pose.a.imag, offset.real], [pose.a.imag, pose.a.real, offset.imag]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(world(), matrix, SIZE_HW[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
    noisy = seen + noise * np.random.default_rng(seed).standard_normal(seen.shape, np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def ellipse(pose: Similarity, *, half: tuple[float, float] = (70, 45)) -> np.ndarray:
    """Mask of a tooth at the world's centre, turned with the world."""
    x, y = _moved(pose)
    return np.where((x / half[0]) ** 2 + (y / half[1]) ** 2 < 1, 255, 0).astype(np.uint8)


def output_of(
    flow: np.ndarray, mask: np.ndarray, frame_id: int = 0, *, finite: bool = True, picture: np.ndarray = GREY
) -> Output:
    """A result; the frame is its own enhanced picture."""
    return Output(picture, flow, mask, finite, frame_id, None, 1.0)


def outputs_of(
    poses: Sequence[Similarity], *, noise_px: float = 0.0, wrong: float = 0.0, seed: int = 0
) -> list[Output]:
    """Results for a camera at ``poses`` (frame to world), with noise and with a share of wrong 20-pixel blocks."""
    rng = np.random.default_rng(seed)
    found = []
    for k, (before, now) in enumerate(pairwise([poses[0], *poses])):
        flow = flow_of(now.then(before.inverse()))
        if noise_px:
            flow += noise_px * rng.standard_normal(flow.shape, np.float32)
        if wrong:
            bad = rng.normal(0, 15, (12, 16, 2)) * (rng.random((12, 16, 1)) < wrong)
            flow += cv2.resize(bad.astype(np.float32), SIZE_HW[::-1], interpolation=cv2.INTER_NEAREST).transpose(
                2, 0, 1
            )
        found.append(output_of(flow, ellipse(now), k, picture=picture_at(now, seed=k)))
    return found


def steady_poses(stabiliser: Stabiliser, poses: Sequence[Similarity], outputs: Sequence[Output]) -> list[Similarity]:
    """The path of the shown picture."""
    given = [stabiliser.update(output, output.enhanced) for output in outputs]
    corrections = [one for one in given if one is not None] + stabiliser.flush()
    return [view_of(one).then(pose) for one, pose in zip(corrections, poses, strict=True)]


def view_of(correction: Correction) -> Similarity:
    """Points of the steady picture to points of the frame."""
    return Similarity.of_matrix(correction.matrix, SIZE_HW).inverse()


def path(poses: Sequence[Similarity]) -> np.ndarray:
    """``(N, 3)``: x, y, angle."""
    return np.array([(pose.b.real, pose.b.imag, pose.angle) for pose in poses])
