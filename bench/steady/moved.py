"""Photographs moved along known camera paths, with an instrument, light and wear of a real camera.

A photograph is a rigid plane that is mirrored at its border without end. So the frame is always filled, and no edge of
the photograph can move against its content.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame
from mostnet.training.synth.camera_path import random_path
from mostnet.training.synth.degrade import Degrader
from mostnet.training.synth.texture import Canvas, Plane
from mostnet.training.synth.tool import paint_tool
from mostnet.video.steady.similarity import Similarity, centre_of

from .light import Lamp

Mask = npt.NDArray[np.uint8]

#: What an instrument does: it is not there, the camera carries it, or a hand moves it.
INSTRUMENTS = ("none", "fixed", "hand")
#: The photograph is scaled until it covers this many views, so that little of it is mirrored.
_COVER = 1.3
_EXPOSURE = 0.3
_BLUR_STEP_PX = 2.0
_MOST_INSTANTS = 6
_FPS = 25.0


@dataclass(frozen=True)
class Look:
    """What a camera adds to the photograph.

    Attributes:
        wear: strength of defocus, colour, uneven light, mist, noise and compression, 0 (none) to 1.
        lamp: whether there are exposure flicker, flashes and specular spots.
        blur: whether motion blurs the picture, over 0.3 of the frame's time.
        instrument: one of ``INSTRUMENTS``.
    """

    wear: float = 0.6
    lamp: bool = True
    blur: bool = True
    instrument: str = "none"

    def __post_init__(self) -> None:
        if self.instrument not in INSTRUMENTS:
            raise ValueError(f"instrument is {self.instrument!r}; expected one of {', '.join(INSTRUMENTS)}")


CLEAN = Look(wear=0.0, lamp=False, blur=False)


@dataclass(frozen=True, eq=False)
class MovedClip:
    """Frames of known motion.

    Attributes:
        name: name in the table.
        frames: uint8 ``(H, W, 3)`` BGR each.
        masks: tooth in front of the camera, uint8 ``(H, W)`` each, 0 to 255.
        poses: of each frame, from points of the frame to the plane.
        fps: frames per second.
    """

    name: str
    frames: list[Frame]
    masks: list[Mask]
    poses: list[Similarity]
    fps: float = _FPS

    @property
    def motions(self) -> list[Similarity]:
        """For each frame but the first, the map from its points to those of the frame before."""
        return [now.then(before.inverse()) for before, now in pairwise(self.poses)]


def move(
    name: str,
    plane: npt.NDArray[np.uint8],
    poses: Sequence[Similarity],
    *,
    size_hw: tuple[int, int] = (480, 640),
    look: Look = CLEAN,
    fps: float = _FPS,
    seed: int = 0,
) -> MovedClip:
    """Take a picture of ``plane`` at each pose.

    Args:
        name: name in the table.
        plane: BGR and tooth, uint8 ``(h, w, 4)``, as ``mostnet.training.photos.folder.Photo.pixels``.
        poses: from points of the frame to points of the plane, both in pixels of the frame from their centres.
        size_hw: size of the frames.
        look: what the camera adds.
        fps: frames per second.
        seed: of every random choice.
    """
    made = list(_Camera(plane, poses, size_hw, look, seed).shots())
    return MovedClip(name, [frame for frame, _ in made], [mask for _, mask in made], list(poses), fps)


class _Camera:
    """One clip while it is made."""

    def __init__(
        self, plane: Plane, poses: Sequence[Similarity], size_hw: tuple[int, int], look: Look, seed: int
    ) -> None:
        self._poses, self._size_hw, self._look = poses, size_hw, look
        zoom = _COVER * max(size_hw[0] / plane.shape[0], size_hw[1] / plane.shape[1])
        method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
        self._plane = cv2.resize(plane, None, fx=zoom, fy=zoom, interpolation=method)
        wear, lamp, tool = np.random.SeedSequence(seed).spawn(3)
        self._degrader = Degrader(wear, frames=len(poses), size_hw=size_hw, strength=look.wear, drops=False)
        self._lamp = Lamp(np.random.default_rng(lamp), size_hw)
        self._tool = _Tool(np.random.default_rng(tool), size_hw, moves=look.instrument == "hand")

    def shots(self) -> Iterator[tuple[Frame, Mask]]:
        """Frame and mask of each pose."""
        for index, pose in enumerate(self._poses):
            picture = self._exposed(index)
            mask = _seen(self._plane[..., 3], pose, self._size_hw, cv2.INTER_LINEAR)
            if self._look.instrument != "none":
                picture, mask = self._tool.cover(picture, mask, index)
            if self._look.lamp:
                picture = self._lamp.shine(picture, pose)
            yield self._degrader.apply(np.clip(picture, 0, 255), index), mask

    def _exposed(self, index: int) -> Plane:
        """The plane as float32 ``(H, W, 3)``, the mean over the exposure."""
        poses = self._instants(index)
        seen = [_seen(self._plane[..., :3], pose, self._size_hw, cv2.INTER_CUBIC) for pose in poses]
        return np.asarray(np.mean(seen, axis=0, dtype=np.float32) if len(seen) > 1 else seen[0].astype(np.float32))

    def _instants(self, index: int) -> list[Similarity]:
        """Poses during the exposure, symmetrical about the frame's own pose."""
        pose = self._poses[index]
        around = [self._poses[min(max(index + k, 0), len(self._poses) - 1)] for k in (-1, 1)]
        distance = _EXPOSURE * max(abs(other.b - pose.b) for other in around)
        count = min(1 + 2 * round(distance / 2 / _BLUR_STEP_PX), _MOST_INSTANTS - 1)
        if not self._look.blur or count == 1:
            return [pose]
        times = np.linspace(-_EXPOSURE / 2, _EXPOSURE / 2, count)
        return [pose.towards(around[int(time > 0)], abs(float(time))) for time in times]


class _Tool:
    """An instrument in front of the plane, at rest before the camera or moved by a hand."""

    def __init__(self, rng: np.random.Generator, size_hw: tuple[int, int], *, moves: bool) -> None:
        self._size_hw = size_hw
        self._layer = paint_tool(rng, Canvas((2 * size_hw[0], 2 * size_hw[1]), float(size_hw[0]))).colour
        hand = np.array([0.04, 0.04, 0.06, 0.02]) if moves else np.full(4, 1e-9)
        shake = np.array([0.003, 0.003, 0.002, 0.001]) if moves else np.full(4, 1e-9)
        self._path = random_path(rng, hand=hand, vibration=shake)

    def cover(self, picture: Plane, mask: Mask, index: int) -> tuple[Plane, Mask]:
        """Put the instrument into frame ``index``: picture and mask behind it."""
        x, y, roll, zoom = self._path.mean(np.array(index / _FPS), 0.0)
        pose = Similarity(complex(np.exp(zoom + 1j * roll)), complex(x, y) * self._size_hw[0])
        matrix = _pixel_matrix(pose, self._size_hw, self._layer.shape[:2])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(self._layer, matrix, self._size_hw[::-1], flags=flags).astype(np.float32)
        behind = 1 - seen[..., 3:] / 255
        return picture * behind + seen[..., :3], (mask * behind[..., 0]).astype(np.uint8)


def _seen(plane: Plane, pose: Similarity, size_hw: tuple[int, int], method: int) -> Plane:
    """The part of the plane that a camera at ``pose`` sees, mirrored at the plane's border."""
    matrix = _pixel_matrix(pose, size_hw, plane.shape[:2])
    flags = method | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(plane, matrix, size_hw[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT_101))


def _pixel_matrix(pose: Similarity, frame_hw: tuple[int, int], plane_hw: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """``(2, 3)`` from pixels of the frame to pixels of the plane."""
    here, there = centre_of(frame_hw), centre_of((plane_hw[0], plane_hw[1]))
    offset = there + pose.b - pose.a * here
    return np.array([[pose.a.real, -pose.a.imag, offset.real], [pose.a.imag, pose.a.real, offset.imag]])
