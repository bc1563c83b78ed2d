"""Synthetic intra-oral sequences with exact labels.

Picture, mask and flow come from one description: sheets of teeth, gum and instrument, seen through a camera whose pose
is known at every instant. Each row of a frame has its own time (rolling shutter) and its own exposure. The degraded
input is the mean over that exposure; the reference is sharp, and drawn at the *mean pose* of the exposure, so that the
blur is centred on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mostnet.contract import DatasetError, FrameError, check_size

from .camera_path import Array, CameraPath, random_path
from .degrade import Degrader
from .labels import layer_flow, margin_rows, tooth_similarity, validity
from .render import TOOL, TOOTH, Renderer, View
from .scene import Scene, build_scene

#: Greatest root mean square speed of the picture down the frame, relative to the shutter's. Near 1 the shutter sees
#: some places twice and others never; such places have no flow label.
_WOBBLE = 0.18


@dataclass(frozen=True, kw_only=True)
class SynthOptions:
    """Options of synthetic sequences. Lengths are in pixels of a view 240 rows high and scale with the frame.

    Attributes:
        fps: frames per second.
        hand_px: least and greatest standard deviation of the hand's slow motion, per axis.
        vibration_px: least and greatest standard deviation of the handpiece's vibration, per axis.
        readout: least and greatest time from the first row to the last, as a fraction of the frame period; (0, 0)
            is a global shutter.
        exposure_s: shortest and longest exposure of a row, in seconds.
        degradation: strength of everything but motion blur; 0 is none.
        tool_share: fraction of sequences with an instrument.
        drops_share: fraction of sequences with drops on the lens.
        path: camera path to use instead of a random one, in pixels of the frame.
    """

    fps: float = 25.0
    hand_px: tuple[float, float] = (20.0, 58.0)
    vibration_px: tuple[float, float] = (1.0, 4.0)
    readout: tuple[float, float] = (0.3, 0.9)
    exposure_s: tuple[float, float] = (1 / 1000, 1 / 120)
    degradation: float = 1.0
    tool_share: float = 0.5
    drops_share: float = 0.35
    path: CameraPath | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            DatasetError: a range is not in order, or starts too low (above zero if its logarithm is drawn), or ``fps``
                or ``degradation`` is out of range.
        """
        for name, least in (("hand_px", 1e-6), ("vibration_px", 1e-6), ("exposure_s", 1e-6), ("readout", 0.0)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise DatasetError(f"{name} is ({low}, {high}); expected (least, greatest), both at least {least:g}")
        if not (self.fps > 0 and self.degradation >= 0):
            raise DatasetError(
                f"fps is {self.fps}, degradation {self.degradation}; expected fps above 0 and degradation 0 or more"
            )


@dataclass(frozen=True)
class SynthSequence:
    """One clip of T frames with its labels.

    Attributes:
        input: uint8 ``(T, H, W, 3)`` BGR, degraded.
        reference: uint8 ``(T, H, W, 3)`` BGR, clean.
        mask: uint8 ``(T, H, W)``, 255 on visible tooth, else 0.
        flow: float32 ``(T, 2, H, W)``, backward flow in pixels as ``mostnet.contract`` defines it; zeros for frame 0.
        valid: bool ``(T, H, W)``, false where the content was hidden or outside the previous frame, and in frame 0.
        similarity: float64 ``(T, 2, 3)``: matrix that takes a tooth pixel ``(x, y, 1)`` to its place in the previous
            frame, by least squares over the visible tooth; the identity for frame 0.
    """

    input: npt.NDArray[np.uint8]
    reference: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    flow: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    similarity: Array


def make_sequence(
    seed: int, *, frames: int, size_hw: tuple[int, int], options: SynthOptions | None = None
) -> SynthSequence:
    """Make the sequence of a seed. It depends only on the arguments and the versions of mostnet, NumPy and OpenCV.

    Raises:
        FrameError: the size is too small for the network, or there is no frame to make.
    """
    check_size(size_hw)
    if frames < 1:
        raise FrameError(f"frames is {frames}; expected at least 1")
    made = list(_Recording(seed, frames, size_hw, options or SynthOptions()).frames())
    return SynthSequence(*(np.stack(part) for part in zip(*made, strict=True)))


@dataclass(frozen=True)
class _Shot:
    """The poses of one frame, of the camera and of the instrument: ``(4, H + 2 margin)`` each."""

    camera: Array
    tool: Array


class _Recording:
    """One sequence while it is made."""

    def __init__(self, seed: int, frames: int, size_hw: tuple[int, int], options: SynthOptions) -> None:
        world, moves, shutter, wear = np.random.SeedSequence(seed).spawn(4)
        self._frames, self._size_hw, self._options = frames, size_hw, options
        self._scene: Scene = build_scene(world, size_hw, tool_share=options.tool_share)
        self._renderer = Renderer(self._scene, size_hw)
        rng = np.random.default_rng(shutter)
        self._exposure_s = float(np.exp(rng.uniform(*np.log(options.exposure_s))))
        self._readout_s = float(rng.uniform(*options.readout)) / options.fps
        self._camera, self._tool = self._paths(moves)
        drops = bool(rng.random() < options.drops_share)
        self._degrader = Degrader(wear, frames=frames, size_hw=size_hw, strength=options.degradation, drops=drops)

    def frames(self) -> Iterator[tuple[npt.NDArray[np.generic], ...]]:
        """The fields of ``SynthSequence``, frame after frame."""
        shot_before: _Shot | None = None
        surface_before: npt.NDArray[np.uint8] | None = None
        for index in range(self._frames):
            shot = self._shoot(self._row_times(index), self._exposure_s)
            view = self._draw(shot)
            taken = self._degrader.apply(self._blurred(index), index)
            mask = np.where(view.surface == TOOTH, 255, 0).astype(np.uint8)
            flow, valid, similarity = self._labels(shot, view, shot_before, surface_before)
            yield taken, view.picture.round().astype(np.uint8), mask, flow, valid, similarity
            shot_before, surface_before = shot, view.surface

    def _row_times(self, index: int) -> Array:
        """Middle of the exposure of each row, and of the rows beyond the edges, in seconds."""
        height = self._size_hw[0]
        rows = np.arange(-margin_rows(height), height + margin_rows(height)) / (height - 1) - 0.5
        return np.asarray(index / self._options.fps + rows * self._readout_s)

    def _shoot(self, time_s: Array, exposure_s: float) -> _Shot:
        return _Shot(self._camera.mean(time_s, exposure_s), self._tool.mean(time_s, exposure_s))

    def _draw(self, shot: _Shot) -> View:
        margin = margin_rows(self._size_hw[0])
        inner = slice(margin, margin + self._size_hw[0])
        return self._renderer.draw(shot.camera[:, inner], shot.tool[:, inner])

    def _blurred(self, index: int) -> npt.NDArray[np.float32]:
        """Mean picture over the exposure, float32 ``(H, W, 3)``."""
        times = self._row_times(index)
        count = self._samples(index)
        total = np.zeros((*self._size_hw, 3), np.float32)
        for k in range(count):
            moment = times + ((k + 0.5) / count - 0.5) * self._exposure_s
            total += self._draw(self._shoot(moment, 0.0)).picture
        return total / np.float32(count)

    def _samples(self, index: int) -> int:
        """Number of instants that a frame's blur averages: one for each 2.5 pixels of motion at 240 rows, 3 to 10."""
        time_s = index / self._options.fps + np.linspace(-0.5, 0.5, 33) * self._exposure_s
        steps = np.diff(self._camera.mean(time_s, 0.0)[:2], axis=1)
        distance = float(np.hypot(*steps).sum()) * 240 / self._size_hw[0]
        return int(np.clip(np.ceil(distance / 2.5), 3, 10))

    def _labels(
        self, shot: _Shot, view: View, before: _Shot | None, surface_before: npt.NDArray[np.uint8] | None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], Array]:
        height, width = self._size_hw
        if before is None or surface_before is None:
            return np.zeros((2, height, width), np.float32), np.zeros((height, width), bool), np.eye(2, 3)
        margin = margin_rows(height)
        now = slice(margin, margin + height)
        flow, solved = layer_flow(shot.camera[:, now], before.camera, self._scene.gum.parallax, self._size_hw)
        teeth, teeth_solved = layer_flow(shot.camera[:, now], before.camera, self._scene.teeth.parallax, self._size_hw)
        np.copyto(flow, teeth, where=view.surface == TOOTH)
        np.copyto(solved, teeth_solved, where=view.surface == TOOTH)
        if self._scene.tool is not None:
            tool, tool_solved = layer_flow(shot.tool[:, now], before.tool, self._scene.tool.parallax, self._size_hw)
            np.copyto(flow, tool, where=view.surface == TOOL)
            np.copyto(solved, tool_solved, where=view.surface == TOOL)
        return flow, solved & validity(flow, view.surface, surface_before), tooth_similarity(teeth, view.surface)

    def _paths(self, seed: np.random.SeedSequence) -> tuple[CameraPath, CameraPath]:
        """Paths of the camera and of the instrument."""
        camera, tool = (np.random.default_rng(child) for child in seed.spawn(2))
        pixel, options = self._size_hw[0] / 240, self._options
        hand_px = pixel * np.exp(camera.uniform(*np.log(options.hand_px)))
        shake_px = pixel * np.exp(camera.uniform(*np.log(options.vibration_px)))
        hand = [hand_px, hand_px * camera.uniform(0.5, 1), camera.uniform(0.02, 0.09), camera.uniform(0.03, 0.1)]
        shake = [shake_px * camera.uniform(0.5, 1), shake_px, camera.uniform(0.001, 0.008), 0.006]
        state = camera.bit_generator.state
        path = random_path(camera, hand=np.array(hand), vibration=np.array(shake))
        wobble = path.speed(self._exposure_s)[1] * self._readout_s / self._size_hw[0]
        if wobble > _WOBBLE:
            camera.bit_generator.state = state
            path = random_path(camera, hand=np.array(hand), vibration=np.array(shake) * _WOBBLE / wobble)
        tool_hand = np.array([*pixel * tool.uniform(2, 10, 2), 0.03, 0.02])
        tool_shake = np.array([*pixel * tool.uniform(0.1, 1.0, 2), 0.001, 0.001])
        return options.path or path, random_path(tool, hand=tool_hand, vibration=tool_shake)
