"""Recorded camera paths: ``paths.csv``.

Columns ``path,fps,frame,dx,dy,angle,zoom``: one row for each frame, with the similarity that carries the previous frame
onto this one, about the centre of the picture. ``dx`` and ``dy`` are fractions of the frame's height, ``angle`` is in
radians, ``zoom`` is a factor. Empty cells mean that the motion is unknown, as at a cut.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mostnet.contract import DatasetError

_COLUMNS = ("path", "fps", "frame", "dx", "dy", "angle", "zoom")


@dataclass(frozen=True, eq=False)
class RecordedPath:
    """A run of frames with known motion.

    Attributes:
        name: of the recording.
        fps: frames per second.
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
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DatasetError(f"{path}: has no column {missing[0]}; expected the columns {','.join(_COLUMNS)}")
            rows = list(reader)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not a CSV file in UTF-8 ({error.reason} at byte {error.start})") from error
    runs: list[RecordedPath] = []
    steps: list[tuple[float, ...]] = []
    before: dict[str, str] | None = None
    for line, row in enumerate(rows, start=2):
        step = _step(path, line, row)
        if before is not None and (step is None or before["path"] != row["path"]):
            runs += _run(before, steps)
            steps = []
        if step is not None:
            steps.append(step)
        before = row
    if before is not None:
        runs += _run(before, steps)
    if not runs:
        raise DatasetError(f"{path}: no row has a motion; expected numbers in dx, dy, angle and zoom")
    return runs


def _step(path: Path, line: int, row: dict[str, str]) -> tuple[float, ...] | None:
    """The motion of one row; None for empty cells."""
    cells = [(row[name] or "").strip() for name in ("fps", "dx", "dy", "angle", "zoom")]
    if not any(cells[1:]):
        return None
    try:
        values = tuple(float(cell) for cell in cells)
    except ValueError:
        values = (math.nan,)
    if not all(map(math.isfinite, values)) or values[0] <= 0 or values[-1] <= 0:
        raise DatasetError(
            f"{path}, line {line}: fps, dx, dy, angle and zoom are {', '.join(map(repr, cells))}; expected numbers, "
            "fps and zoom above 0, or four empty cells for an unknown motion"
        )
    return values


def _run(row: dict[str, str], steps: list[tuple[float, ...]]) -> list[RecordedPath]:
    if not steps:
        return []
    fps, dx, dy, angle, zoom = np.array(steps).T
    return [RecordedPath(row["path"], float(fps[0]), dx + 1j * dy, zoom * np.exp(1j * angle))]
