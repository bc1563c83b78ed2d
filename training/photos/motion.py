"""Camera poses of clips, sampled densely in time, and the exact flow that follows from them.

A pose is x and y of the camera in view heights, roll in radians, and the logarithm of the zoom. Every row of a frame
has its own time (rolling shutter), and a pose of its own: the mean over its exposure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mostnet.training.synth.camera_path import random_path
from mostnet.training.synth.labels import margin_rows

from .recorded import RecordedPath

Array = npt.NDArray[np.float64]

#: Samples of a path per frame; vibration of 120 Hz at 25 FPS has five periods per frame.
_SAMPLES = 48
#: Frames that a path is known before the first frame and after the last.
_BEFORE = 1
#: Columns between which flow is interpolated: along a row it is a smooth function.
_STEP = 8
_ITERATIONS = 10
_SOLVED_PX = 0.02
#: Rounding must not put the edge of a still frame outside of it.
_EDGE_PX = 1e-3
_FPS = 25.0
#: Share of the moving paths that are recorded ones, if there are any.
_RECORDED = 0.4
#: Greatest motion of a recorded path from frame to frame, in view heights: a faster one leaves nothing to follow.
_FASTEST = 0.15
#: Greatest speed of the picture down the frame, relative to the shutter's. At 1 the shutter would see places twice.
_WOBBLE = 0.3


@dataclass(frozen=True)
class Shutter:
    """The shutters of N clips, as fractions of the frame period.

    Attributes:
        readout: time from the first row to the last, ``(N,)``.
        exposure: exposure of a row, ``(N,)``.
        instants: number of instants that stand for the exposure.
    """

    readout: Tensor
    exposure: Tensor
    instants: int

    def times(self, frames: int, height: int) -> Tensor:
        """Times of every instant and row, margins included, in frames: ``(N, frames, instants, height + 2 margin)``."""
        device, margin = self.readout.device, margin_rows(height)
        rows = torch.arange(-margin, height + margin, device=device) / (height - 1) - 0.5
        moments = (torch.arange(self.instants, device=device) + 0.5) / self.instants - 0.5
        late = rows * self.readout[:, None]
        within = moments * self.exposure[:, None]
        frame = torch.arange(frames, device=device).view(1, -1, 1, 1)
        return frame + within[:, None, :, None] + late[:, None, None, :]


def steps_needed(frames: int) -> int:
    """Frames of known motion that a recorded path must have for a clip of ``frames`` frames."""
    return frames + 2 * _BEFORE


class PathSource:
    """Draws camera paths: still, straight, of a hand, or recorded.

    Args:
        recorded: recorded paths; without any, all moving paths are drawn.
        calm: fraction of clips that stand still, and fraction that move straight.
    """

    def __init__(self, recorded: Sequence[RecordedPath] = (), *, calm: tuple[float, float] = (0.08, 0.1)) -> None:
        self._recorded = tuple(recorded)
        self._calm = calm

    def draw(self, rng: np.random.Generator, frames: int) -> Array:
        """Poses ``(4, samples)`` of one clip, for ``sample``."""
        time = np.arange((frames + 2 * _BEFORE) * _SAMPLES + 1) / _SAMPLES - _BEFORE
        kind = rng.random()
        still, straight = self._calm
        if kind < still:
            return np.zeros((4, len(time)))
        if kind < still + straight:
            speed = np.exp(rng.uniform(np.log(0.002), np.log(0.08))) * np.exp(1j * rng.uniform(0, 2 * np.pi))
            velocity = np.array([speed.real, speed.imag, 0, 0])
            return velocity[:, None] * (time - frames / 2)
        pose = self._record(rng, time, frames) if rng.random() < _RECORDED else None
        return _hand(rng, time) if pose is None else pose

    def _record(self, rng: np.random.Generator, time: Array, frames: int) -> Array | None:
        """A window of a recorded path, its motion made smaller or larger, mirrored or reversed at random.

        None if there is none that is long enough.
        """
        count = steps_needed(frames)
        fitting = [path for path in self._recorded if len(path.shift) >= count]
        if not fitting:
            return None
        path = fitting[int(rng.integers(len(fitting)))]
        poses = path.poses(int(rng.integers(len(path.shift) - count + 1)), count)
        fastest = float(np.hypot(*np.diff(poses[:2], axis=1)).max())
        poses = poses * min(np.exp(rng.uniform(np.log(0.6), np.log(2.5))), _FASTEST / max(fastest, 1e-9))
        if rng.random() < 0.5:
            poses = poses * np.array([-1, 1, -1, 1])[:, None]  # mirrored left and right
        if rng.random() < 0.5:
            poses = poses[:, ::-1]
        at = np.arange(count + 1) - _BEFORE
        return np.stack([np.interp(time, at, row) for row in poses])


def _hand(rng: np.random.Generator, time: Array) -> Array:
    """A hand's motion, slow to violent, and in most clips the vibration of a handpiece."""
    hand = np.exp(rng.uniform(np.log(5 / 240), np.log(90 / 240)))
    shake = np.exp(rng.uniform(np.log(0.1 / 240), np.log(3 / 240))) * (rng.random() < 0.7)
    hands = [hand, hand * rng.uniform(0.5, 1), hand * rng.uniform(0.1, 0.8), hand * rng.uniform(0.1, 0.8)]
    shakes = [shake * rng.uniform(0.5, 1), shake, shake * rng.uniform(0.1, 0.6), shake * rng.uniform(0.1, 0.6)]
    path = random_path(rng, hand=np.array(hands), vibration=np.array(shakes))
    start = rng.uniform(0, 10)
    pose = path.mean(time / _FPS + start, 0.0)
    return np.asarray(pose - pose[:, len(time) // 2, None])


def sample(table: Tensor, time: Tensor) -> Tensor:
    """Poses ``(N, 4, ...)`` at times ``(N, ...)`` in frames, from tables ``(N, 4, samples)``."""
    at = ((time + _BEFORE) * _SAMPLES).clamp(0, table.shape[2] - 1.001)
    below = at.floor()
    share = (at - below).flatten(1)[:, None]
    index = below.long().flatten(1)[:, None].expand(-1, 4, -1)
    found = table.gather(2, index) * (1 - share) + table.gather(2, index + 1) * share
    return found.view(len(table), 4, *time.shape[1:])


def calm_readout(table: Array, readout: float) -> float:
    """``readout`` in frames, shortened so that the camera's shift never outruns 0.3 of the shutter's speed."""
    speed = float(np.abs(np.diff(table[1])).max()) * _SAMPLES  # view heights per frame
    return min(readout, _WOBBLE / max(speed, 1e-9))


def moved(pose: Tensor, parallax: Tensor) -> Tensor:
    """``(x, y, a, b)`` of poses ``(N, 4, ...)``: X is seen at ``[[a, -b], [b, a]] (X - (x, y))`` from the centre.

    ``parallax`` ``(N,)`` scales shift and zoom; it is below 1 for a sheet that is further away.
    """
    shape = (-1, *[1] * (pose.dim() - 2))
    x, y, roll, zoom = pose.unbind(1)
    share = parallax.view(shape)
    scale = torch.exp(share * zoom)
    return torch.stack([share * x, share * y, scale * torch.cos(roll), scale * torch.sin(roll)], dim=1)


def world_points(rows: Tensor, columns: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """World points ``(N, 2, ..., H, C)`` in view heights, seen at columns ``(C,)`` of rows ``(N, 4, ..., H)``."""
    height, width = size_hw
    x, y, a, b = rows[..., None].unbind(1)
    norm = a * a + b * b
    dx = (columns - (width - 1) / 2) / height
    dy = ((torch.arange(height, device=rows.device) - (height - 1) / 2) / height)[:, None]
    return torch.stack([x + (a * dx + b * dy) / norm, y + (a * dy - b * dx) / norm], dim=1)


def backward_flow(rows: Tensor, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Backward flow ``(N, T, 2, H, W)`` in pixels of a sheet, and where it is solved, bool ``(N, T, H, W)``.

    The first frame has no previous frame: its flow is zero and not solved. If the picture moves down as fast as the
    shutter, the previous frame shows a point never or many times. Such pixels are not solved.

    Args:
        rows: ``moved`` values of every row and of the margins, ``(N, 4, T, H + 2 margin)``.
        size_hw: of the frame.
    """
    height, width = size_hw
    margin = margin_rows(height)
    columns = torch.linspace(0, width - 1, width // _STEP + 1, device=rows.device)
    world = world_points(rows[:, :, 1:, margin : margin + height], columns, size_hw)
    found, error = _follow(world, rows[:, :, :-1], size_hw)
    y, x = torch.meshgrid(torch.arange(height, device=rows.device).float(), columns, indexing="ij")
    flow = (found - torch.stack([x, y])[:, None]).transpose(1, 2)
    fine = torch.arange(width, device=rows.device) / (width - 1) * (len(columns) - 1)
    weights = (1 - (fine - torch.arange(len(columns), device=rows.device)[:, None]).abs()).clamp_min(0)
    solved = (error > _SOLVED_PX).float() @ weights == 0
    none = rows.new_zeros(len(rows), 1, 2, height, width)
    return torch.cat([none, flow @ weights], 1), torch.cat([none[:, :, 0] > 0, solved], 1)


def _follow(world: Tensor, rows: Tensor, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixels ``(N, 2, T, H, C)`` where the previous frame shows world points, and their error in pixels.

    By iteration: the row of a point sets the pose, and the pose sets the row.
    """
    height, width = size_hw
    margin = margin_rows(height)
    n, _, count, _, columns = world.shape
    y = torch.arange(height, device=world.device)[:, None].expand(n, count, height, columns).float()
    for _ in range(_ITERATIONS):
        at = (y + margin).clamp(0, rows.shape[3] - 1.001)
        below = at.floor()
        share = (at - below)[:, None]
        index = below.long().flatten(2)[:, None].expand(-1, 4, -1, -1)
        low, high = (rows.gather(3, index + k).view(n, 4, count, height, columns) for k in range(2))
        x0, y0, a, b = (low * (1 - share) + high * share).unbind(1)
        dx, dy = world[:, 0] - x0, world[:, 1] - y0
        found = torch.stack([a * dx - b * dy, b * dx + a * dy], 1) * height
        found = found + found.new_tensor([(width - 1) / 2, (height - 1) / 2]).view(1, 2, 1, 1, 1)
        error = (found[:, 1] - y).abs()
        y = found[:, 1]
    return found, error


def known(flow: Tensor, solved: Tensor, surface: Tensor) -> Tensor:
    """Bool ``(N, T, H, W)``: the pixel is inside the previous frame, which shows the same surface there.

    Args:
        flow: ``(N, T, 2, H, W)`` in pixels.
        solved: bool ``(N, T, H, W)``.
        surface: index of the surface in front, uint8 ``(N, T, H, W)``.
    """
    height, width = surface.shape[2:]
    x = flow[:, :, 0] + torch.arange(width, device=flow.device)
    y = flow[:, :, 1] + torch.arange(height, device=flow.device)[:, None]
    inside = (x > -_EDGE_PX) & (x < width - 1 + _EDGE_PX) & (y > -_EDGE_PX) & (y < height - 1 + _EDGE_PX)
    place = y.round().clamp(0, height - 1).long() * width + x.round().clamp(0, width - 1).long()
    before = torch.cat([surface[:, :1], surface[:, :-1]], 1).flatten(2)
    seen = before.gather(2, place.flatten(2)).view_as(surface)
    result = solved & inside & (seen == surface)
    result[:, 0] = False
    return result
