"""Drawn scenes as a camera with a rolling shutter sees them: each row of a frame has its own time and pose."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import DatasetError, Frame
from mostnet.video.steady.similarity import Points, Similarity, centre_of

from .shaken import SIZE_HW, Shake

_COLUMNS = {"path", "dx", "dy", "angle", "zoom"}

Times = npt.NDArray[np.float64]


class Poses(NamedTuple):
    """Poses of a camera at several times, from frame to world: ``z -> a z + b``, complex arrays of one shape."""

    a: Points
    b: Points


#: A camera's path in continuous time: times in frames, of any shape, to poses.
CameraPath = Callable[[Times], Poses]


def vibrating(
    rng: np.random.Generator, shake: Shake, *, lowest_hz: float = 4.0, highest_hz: float = 12.0, fps: float = 25.0
) -> CameraPath:
    """A hand that vibrates: nine sines between two frequencies for each of shift, turn and zoom, over a slow sway."""
    omega = 2 * np.pi / fps * rng.uniform(lowest_hz, highest_hz, (4, 9))
    phase = rng.uniform(0, 2 * np.pi, (4, 9))

    def path(times: Times) -> Poses:
        waves = np.sin(times[..., None, None] * omega + phase).sum(axis=-1) * np.sqrt(2 / 9)
        sway = 12 * np.sin(2 * np.pi * times / 110) + 7j * np.sin(2 * np.pi * times / 83 + 1)
        rate = np.exp(shake.zoom * waves[..., 2] + 1j * np.radians(shake.turn_deg) * waves[..., 3])
        return Poses(rate, sway + shake.shift_px * (waves[..., 0] + 1j * waves[..., 1]))

    return path


def through(poses: Sequence[Similarity]) -> CameraPath:
    """The smooth path through poses at whole frames: natural cubic splines of log-scale, angle and shift."""
    knots = np.array([(np.log(pose.a), pose.b) for pose in poses])
    knots.imag[:, 0] = np.unwrap(knots.imag[:, 0])
    bends = _bends(knots)

    def path(times: Times) -> Poses:
        first = np.clip(np.floor(times).astype(int), 0, len(knots) - 2)
        right = (times - first)[..., None]
        left = 1 - right
        value = left * knots[first] + right * knots[first + 1]
        value += ((left**3 - left) * bends[first] + (right**3 - right) * bends[first + 1]) / 6
        return Poses(np.exp(value[..., 0]), value[..., 1])

    return path


def recorded(file: Path, name: str, *, height_px: int = SIZE_HW[0]) -> list[Similarity]:
    """Poses of the camera path ``name`` of a CSV file, up to its first gap of unknown motion.

    Columns: ``path, dx, dy, angle, zoom``. A row carries the previous frame onto this one, with shifts as shares of the
    frame's height.

    Raises:
        OSError: the file cannot be read.
        DatasetError: it has other columns.
    """
    poses = [Similarity()]
    with file.open(newline="", encoding="utf-8") as text:
        rows = csv.DictReader(text)
        if missing := _COLUMNS - set(rows.fieldnames or ()):
            raise DatasetError(f"{file}: has no column {min(missing)}; expected {', '.join(sorted(_COLUMNS))}")
        for row in rows:
            if row["path"] != name:
                continue
            if not row["dx"]:
                break
            turn = complex(float(row["zoom"]) * np.exp(1j * float(row["angle"])))
            onto = Similarity(turn, height_px * complex(float(row["dx"]), float(row["dy"])))
            poses.append(onto.inverse().then(poses[-1]))
    return poses


def row_poses(path: CameraPath, frame: float, share: float, height: int) -> Poses:
    """The pose of each row of a frame, ``(H, 1)``; the middle row is exposed at the time ``frame``."""
    rows = (np.arange(height)[:, None] - (height - 1) / 2) / height
    return path(frame + share * rows)


def places(size_hw: tuple[int, int]) -> Points:
    """Every pixel of a frame as a point from its centre, complex ``(H, W)``."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    found: Points = x + 1j * y - centre_of(size_hw)
    return found


def render_rows(
    scene: Frame, path: CameraPath, frame: float, *, share: float, size_hw: tuple[int, int] = SIZE_HW
) -> Frame:
    """The picture of the world, uint8 ``(H, W, 3)``, with the readout taking ``share`` of the frame period."""
    pose = row_poses(path, frame, share, size_hw[0])
    seen = pose.a * places(size_hw) + pose.b + centre_of((scene.shape[0], scene.shape[1]))
    x, y = seen.real.astype(np.float32), seen.imag.astype(np.float32)
    picture: Frame = cv2.remap(scene, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return picture


def skew_of(path: CameraPath, frame: float, points: Points, *, share: float, height: int) -> Points:
    """Displacement of each point of a frame to its place in the picture that the middle row's time would give."""
    middle, own = path(np.asarray(frame)), path(frame + share * points.imag / height)
    moved: Points = (own.a * points + own.b - middle.b) / middle.a - points
    return moved


def _bends(knots: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Second derivatives of the natural cubic spline at its knots, which are one frame apart."""
    inner = len(knots) - 2
    system = 4 * np.eye(inner) + np.eye(inner, k=1) + np.eye(inner, k=-1)
    return np.pad(np.linalg.solve(system, 6 * np.diff(knots, 2, axis=0)), ((1, 1), (0, 0)))
