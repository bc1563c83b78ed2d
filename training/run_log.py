"""The log of a run: CSV files, and a picture of the curves."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from mostnet.contract import atomic_path

TRAIN_COLUMNS = ("step", "minutes", "lr", "loss", "enhance", "flow", "mask", "grad_norm", "skipped")
VAL_COLUMNS = ("step", "minutes", "psnr_db", "epe_px", "iou", "score")


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


def plot_curves(train: CsvLog, val: CsvLog, path: Path) -> None:
    """Draw the losses, the learning rate and the validation figures over the steps, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [(train, name) for name in ("loss", "enhance", "flow", "mask", "lr")]
    panels += [(val, name) for name in ("psnr_db", "epe_px", "iou")]
    figure = Figure(figsize=(14, 6), layout="constrained")
    for i, (log, name) in enumerate(panels):
        axes = figure.add_subplot(2, 4, i + 1)
        steps, values = log.series(name)
        axes.plot(steps, values, linewidth=1, marker="." if log is val else None)
        if name in ("loss", "enhance", "flow", "mask") and any(value > 0 for value in values):
            axes.set_yscale("log")
        axes.set_title(f"{'validation' if log is val else 'training'} {name}", fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
