"""Photographs and camera paths of the report: those of files, or drawn ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mostnet.contract import BackendNotInstalledError, DatasetError
from mostnet.training.synth.camera_path import random_path
from mostnet.training.synth.texture import Canvas, fractal
from mostnet.video.steady.similarity import Similarity

from .moved import INSTRUMENTS, Look, MovedClip, move
from .shaken import Shake, compose, intended, jitter, tooth_of_world, world

if TYPE_CHECKING:
    from mostnet.training.photos.recorded import RecordedPath

#: Shortest clip that counts: the 27-frame average leaves the ends out.
LEAST_FRAMES = 40
#: A smaller photograph would be blown up too much.
_LEAST_SIDE = 400
_FPS = 25.0
#: Name of the clip of a bare surface.
BARE = "bare surface"
#: Standard deviation of the bare surface, in levels of 255.
_STAINS = 2.0


@dataclass(frozen=True, eq=False)
class Still:
    """A picture to move: its name, and BGR and tooth, uint8 ``(H, W, 4)``."""

    name: str
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Way:
    """A camera path: its name, the pose of each frame, with lengths in frame heights, and frames per second."""

    name: str
    poses: list[Similarity]
    fps: float = _FPS


def photos_of(folder: Path) -> list[Still]:
    """The photographs of ``DIR/image`` and ``DIR/mask`` whose sides are at least 400 pixels.

    Raises:
        BackendNotInstalledError: PyTorch is missing.
        DatasetError: the folder cannot be used, or its photographs are too small.
    """
    _need_torch("--photos")
    from mostnet.training.photos.folder import photo_files, read_photo

    photos = [read_photo(path) for path in photo_files(folder)]
    large = [Still(photo.name, photo.pixels) for photo in photos if min(photo.pixels.shape[:2]) >= _LEAST_SIDE]
    if not large:
        raise DatasetError(
            f"{folder}: has no photograph whose sides are at least {_LEAST_SIDE} pixels; give larger ones"
        )
    return large


def ways_of(file: Path, *, frames: int) -> list[Way]:
    """For each recording of a ``paths.csv``, the longest run of known motion, up to ``frames`` frames.

    Raises:
        BackendNotInstalledError: PyTorch is missing.
        DatasetError: the file cannot be used, or every run is too short.
    """
    _need_torch("--paths")
    from mostnet.training.photos.recorded import read_paths

    longest: dict[str, RecordedPath] = {}
    for run in read_paths(file):
        if run.name not in longest or len(run.shift) > len(longest[run.name].shift):
            longest[run.name] = run
    runs = [run for run in longest.values() if len(run.shift) + 1 >= LEAST_FRAMES]
    if not runs:
        raise DatasetError(f"{file}: no path has {LEAST_FRAMES} frames of known motion without a gap; give longer ones")
    return [Way(run.name, _poses(run.poses(0, min(frames - 1, len(run.shift)))), run.fps) for run in runs]


def first_ways(file: Path) -> list[Way]:
    """For each recording of a ``paths.csv``, its first run of known motion. The first pose is at rest.

    Raises:
        BackendNotInstalledError: PyTorch is missing.
        DatasetError: the file cannot be used.
    """
    _need_torch("--paths")
    from mostnet.training.photos.recorded import read_paths

    first: dict[str, RecordedPath] = {}
    for run in read_paths(file):
        first.setdefault(run.name, run)
    return [Way(run.name, _added_up(run), run.fps) for run in first.values()]


def drawn_still() -> Still:
    """The drawn plane with one tooth."""
    return Still("drawn", np.dstack([world(np.random.default_rng(3)), tooth_of_world()]))


def drawn_ways(*, frames: int) -> list[Way]:
    """Two drawn paths: a hand, and a hand with the vibration of a handpiece."""
    found = []
    for name, vibration in (("hand", 1e-6), ("hand and handpiece", 0.006)):
        rng = np.random.default_rng(len(name))
        hand, shake = np.array([0.03, 0.03, 0.01, 0.01]), np.array([vibration, vibration, 0.002, 0.001])
        path = random_path(rng, hand=hand, vibration=shake)
        found.append(Way(name, _poses(path.mean(np.arange(frames) / _FPS, 0.0))))
    return found


def moved_clips(
    stills: Sequence[Still], ways: Sequence[Way], *, size_hw: tuple[int, int] = (480, 640)
) -> Iterator[MovedClip]:
    """One clip for each path, then the bare surface. Photographs and instruments take turns."""
    for index, way in enumerate(ways):
        still = stills[index * len(stills) // len(ways)]
        yield moved(still, way, size_hw=size_hw, instrument=INSTRUMENTS[index % len(INSTRUMENTS)], seed=index)
    yield bare_surface(frames=max(len(way.poses) for way in ways), size_hw=size_hw)


def moved(still: Still, way: Way, *, size_hw: tuple[int, int], instrument: str = "none", seed: int = 0) -> MovedClip:
    """A picture moved along a path, with the default wear."""
    poses = [Similarity(pose.a, pose.b * size_hw[0]) for pose in way.poses]
    return move(
        way.name, still.pixels, poses, size_hw=size_hw, look=Look(instrument=instrument), fps=way.fps, seed=seed
    )


def bare_surface(*, frames: int, size_hw: tuple[int, int] = (480, 640), seed: int = 7) -> MovedClip:
    """A white, nearly bare surface, all of it tooth: a texture of 2 levels, under known jitter and a slow sway."""
    rng = np.random.default_rng(seed)
    pixel = size_hw[0] / 480
    base = intended(frames, sway_px=12.0 * pixel)
    poses = compose(base, jitter(frames, rng, Shake(shift_px=4.0 * pixel)))
    plane = np.dstack([_white(rng, size_hw), np.full((2 * size_hw[0], 2 * size_hw[1]), 255, np.uint8)])
    return move(BARE, plane, poses, size_hw=size_hw, look=Look(wear=0.2, lamp=False), seed=seed)


def _white(rng: np.random.Generator, size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A white plane of twice the frame's size with faint stains, uint8 ``(2 H, 2 W, 3)``."""
    canvas = Canvas((2 * size_hw[0], 2 * size_hw[1]), float(size_hw[0]))
    level = 222 + _STAINS * fractal(rng, canvas, cell=0.15)
    return np.clip(level[..., None] + np.array([-8, 0, 4], np.float32), 0, 255).astype(np.uint8)


def _poses(path: npt.NDArray[np.float64]) -> list[Similarity]:
    """Poses from frame to plane of x, y, roll and logarithm of the zoom, ``(4, N)``.

    The camera sees the plane's point ``X`` at ``m (X - c)``, with ``m = exp(zoom + 1j roll)`` and ``c = x + 1j y``.
    """
    x, y, roll, zoom = path
    return [Similarity(complex(a), complex(b)) for a, b in zip(np.exp(-zoom - 1j * roll), x + 1j * y, strict=True)]


def _added_up(run: RecordedPath) -> list[Similarity]:
    """Poses from frame to first frame. A step carries the previous frame onto its own."""
    poses = [Similarity()]
    for turn, shift in zip(run.turn, run.shift, strict=True):
        poses.append(Similarity(complex(turn), complex(shift)).inverse().then(poses[-1]))
    return poses


def _need_torch(option: str) -> None:
    if find_spec("torch") is None:
        raise BackendNotInstalledError(
            f"{option} reads training data, which needs PyTorch: pip install 'mostnet[train]'"
        )
