"""Recorded camera paths: ``paths.csv``.

Columns ``path,fps,frame,dx,dy,angle,zoom``: one row for each frame, with the similarity that carries the previous frame
onto this one, about the centre of the picture. ``dx`` and ``dy`` are fractions of the frame's height, ``angle`` is in
radians, ``zoom`` is a factor. Empty cells, or a row left out, mean that the motion is unknown, as at a cut.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mostnet.contract import DatasetError

_COLUMNS = ("path", "fps", "frame", "dx", "dy", "angle", "zoom")
_MOTION = ("fps", "dx", "dy", "angle", "zoom")


@dataclass(frozen=True, eq=False)
class RecordedPath:
    """A run of frames with known motion.

    Attributes:
        name: of the recording.
        fps: frames per second of the recording. A clip takes one step per frame, whatever the rate.
        shift: complex ``(N,)``: ``dx + 1j dy`` of each step, in frame heights.
        turn: complex ``(N,)``: ``zoom exp(1j angle)`` of each step.
    """

    name: str
    fps: float
    shift: npt.NDArray[np.complex128]
    turn: npt.NDArray[np.complex128]

    def poses(self, start: int, count: int) -> npt.NDArray[np.float64]:
        """Camera poses ``(4, count + 1)`` over ``count`` steps from ``start``: x, y, roll, logarithm of the zoom.

        The camera sees the world point ``X`` at ``m (X - c)``, with ``m = zoom exp(1j roll)`` and ``c = x + 1j y``. A
        step ``(turn, shift)`` gives ``m' = turn m`` and ``c' = c - shift / m'``. The middle pose is at rest.
        """
        turn, shift = self.turn[start : start + count], self.shift[start : start + count]
        m = np.cumprod(np.concatenate([[1.0 + 0j], turn]))
        c = np.concatenate([[0j], np.cumsum(-shift / m[1:])])
        middle = count // 2
        c = (c - c[middle]) * m[middle]
        m = m / m[middle]
        return np.stack([c.real, c.imag, np.unwrap(np.angle(m)), np.log(np.abs(m))])


def read_paths(path: Path) -> list[RecordedPath]:
    """Read every run of known motion of a file.

    Raises:
        DatasetError: no such file, a column is missing, a cell is no number, or no motion is known.
    """
    runs: list[list[_Step]] = [[]]
    for step in _steps(path):
        if runs[-1] and not (step.moves and step.follows(runs[-1][-1])):
            runs.append([])
        if step.moves:
            runs[-1].append(step)
    found = [_path(run) for run in runs if run]
    if not found:
        raise DatasetError(f"{path}: no row has a motion; expected numbers in dx, dy, angle and zoom")
    return found


class _Step(NamedTuple):
    """One row of the file; ``motion`` is fps, dx, dy, angle and zoom, or empty if the motion is unknown."""

    name: str
    frame: int
    motion: tuple[float, ...]

    @property
    def moves(self) -> bool:
        return bool(self.motion)

    def follows(self, before: _Step) -> bool:
        return (self.name, self.frame) == (before.name, before.frame + 1)


def _steps(path: Path) -> list[_Step]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DatasetError(f"{path}: has no column {missing[0]}; expected the columns {','.join(_COLUMNS)}")
            return [_step(path, reader.line_num, row) for row in reader]
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not a CSV file in UTF-8 ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise DatasetError(f"{path}: not a CSV file ({error}); write it again") from error


def _step(path: Path, line: int, row: dict[str, str | None]) -> _Step:
    name, frame, *cells = ((row[column] or "").strip() for column in ("path", "frame", *_MOTION))
    known = any(cells[1:])
    try:
        number, values = int(frame), tuple(float(cell) for cell in cells if known)
    except ValueError:
        number, values = 0, (math.nan,)
    if not all(map(math.isfinite, values)) or (known and min(values[0], values[-1]) <= 0):
        raise DatasetError(
            f"{path}, line {line}: frame is {frame!r}; fps, dx, dy, angle and zoom are {', '.join(map(repr, cells))}; "
            "expected a whole number, then five numbers with fps and zoom above 0, or empty dx, dy, angle and zoom"
        )
    return _Step(name, number, values)


def _path(run: list[_Step]) -> RecordedPath:
    fps, dx, dy, angle, zoom = np.array([step.motion for step in run]).T
    return RecordedPath(run[0].name, float(fps[0]), dx + 1j * dy, zoom * np.exp(1j * angle))
