"""The log of a run: CSV files, a picture of the curves, and event files for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mostnet.contract import atomic_path

from .extras import load_extra

TRAIN_COLUMNS = ("step", "minutes", "lr", "loss", "enhance", "flow", "mask", "grad_norm", "skipped")
VAL_COLUMNS = ("step", "minutes", "psnr_db", "epe_px", "iou", "score")

#: Title and unit of each panel of the curves: those of training, then those of validation.
_TRAINING = {
    "loss": ("training: whole loss", "loss"),
    "enhance": ("training: enhancement loss", "loss"),
    "flow": ("training: flow loss", "loss"),
    "mask": ("training: mask loss", "loss"),
    "lr": ("learning rate", "learning rate"),
}
_VALIDATION = {
    "psnr_db": ("validation: PSNR of the picture", "dB"),
    "epe_px": ("validation: end-point error of the flow", "pixels"),
    "iou": ("validation: IoU of the mask", "IoU, 0 to 1"),
}
#: A loss that falls by more than this factor is drawn on a logarithmic axis.
_LOG_FROM = 20.0
#: A curve of fewer values also shows each as a point.
_FEW = 50

#: TensorBoard's names of the columns.
_TAGS = {
    "lr": "learning_rate",
    "loss": "loss/whole",
    "enhance": "loss/enhance",
    "flow": "loss/flow",
    "mask": "loss/mask",
    "grad_norm": "gradient_norm",
    "skipped": "skipped_steps",
    "psnr_db": "validation/psnr_db",
    "epe_px": "validation/epe_px",
    "iou": "validation/iou",
    "score": "validation/score",
}
#: Most pixels of a picture's width in an event file, which keeps every picture.
_MOST_WIDTH = 1792


class CsvLog:
    """Appends rows to a CSV file. A resumed run drops the rows after ``resume_step``, which it will write again."""

    def __init__(self, path: Path, columns: tuple[str, ...], *, resume_step: int = 0) -> None:
        self.path = path
        self._columns = columns
        old = self.rows() if resume_step and path.is_file() else []
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(row for row in old if float(row["step"]) <= resume_step)

    def append(self, values: Mapping[str, float | None]) -> None:
        """Add a row; the cell of a value that is None or missing stays empty."""
        row = {name: "" if values.get(name) is None else f"{values[name]:.6g}" for name in self._columns}
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerow({**row, "step": int(values["step"] or 0)})

    def rows(self) -> list[dict[str, str]]:
        """Every row so far, as text."""
        with self.path.open(newline="", encoding="utf-8-sig") as file:  # a spreadsheet begins it with a mark
            return list(csv.DictReader(file))

    def series(self, column: str) -> tuple[list[float], list[float]]:
        """Steps and values of a column, without the rows that have no value."""
        kept = [row for row in self.rows() if row[column]]
        return [float(row["step"]) for row in kept], [float(row[column]) for row in kept]


class EventLog:
    """Writes the same values and the validation pictures as an event file that TensorBoard reads.

    A resumed run adds a file; TensorBoard then drops the values after ``resume_step``, which the run will write again.
    """

    def __init__(self, folder: Path, *, resume_step: int = 0) -> None:
        """Begin a file in ``folder``.

        Raises:
            TrainingError: the package ``tensorboard`` is not installed.
        """
        self._writer = load_writer()(str(folder), purge_step=resume_step + 1)

    def append(self, values: Mapping[str, float | None]) -> None:
        """Add the values that are not None, under the names that ``_TAGS`` has for their columns."""
        for name, tag in _TAGS.items():
            value = values.get(name)
            if value is not None:
                self._writer.add_scalar(tag, float(value), int(values["step"] or 0))
        self._writer.flush()

    def append_picture(self, step: int, path: Path) -> None:
        """Add the picture in a file, shrunk to a width of 1792 pixels if it is wider."""
        picture: Any = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        height, width = picture.shape[:2]
        if width > _MOST_WIDTH:
            size = (_MOST_WIDTH, max(1, round(height * _MOST_WIDTH / width)))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        self._writer.add_image("validation/samples", picture[..., ::-1].copy(), step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def load_writer() -> Any:
    """The class that writes event files.

    Raises:
        TrainingError: the package ``tensorboard`` is not installed.
    """
    return load_extra("torch.utils.tensorboard", extra="tensorboard").SummaryWriter


def plot_curves(train: CsvLog, val: CsvLog, path: Path) -> None:
    """Draw the losses, the learning rate and the validation figures over the steps, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 7), layout="constrained")
    panels = [(train, name, *text) for name, text in _TRAINING.items()]
    panels += [(val, name, *text) for name, text in _VALIDATION.items()]
    for i, (log, name, title, unit) in enumerate(panels):
        axes = figure.add_subplot(2, 4, i + 1)
        axes.set_title(title, fontsize=11)
        _draw_curve(axes, *log.series(name), unit)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))


def _draw_curve(axes: Any, steps: Sequence[float], values: Sequence[float], unit: str) -> None:
    """One panel with plain numbers on its axes; a loss that falls far gets a logarithmic axis, which its label says."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axes.grid(alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set_xlabel("optimiser step")
    axes.set_ylabel(unit)
    if not values:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", va="center", color="#666666")
        return
    axes.plot(steps, values, linewidth=1.2, marker="." if len(values) < _FEW else None)
    if unit == "loss" and min(values) > 0 and max(values) > _LOG_FROM * min(values):
        axes.set_yscale("log")
        axes.set_ylabel(f"{unit} (logarithmic axis)")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))


def _plain(value: float, _: object = None) -> str:
    """A number without exponent or offset: 0.00001, 2.5, 12,000."""
    text = f"{value:,.8f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
