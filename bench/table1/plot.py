"""A plot of quality over speed, one panel for each task."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from mostnet.contract import write_bytes
from mostnet.contract.terminal import drawn

from .rows import COMBINATION, NO_METHOD, is_ours
from .speed import ONNX, PLAN, PYTORCH
from .table import MeasuredTable, TableRow

#: Figure of ``Quality``, its label, and whether more is better.
_PANELS = (("psnr_db", "PSNR, dB", True), ("epe_px", "EPE, px", False), ("iou", "IoU, mean over frames", True))
_OURS, _OTHERS, _NONE = "#1f6f4a", "#4a6fa5", "#999999"
_MARKS = {PYTORCH: "o", ONNX: "s", PLAN: "^"}


def write_plot(table: MeasuredTable, path: Path) -> None:
    """Draw the table as a PNG, atomically; better is up and to the right."""
    from matplotlib.figure import Figure  # pyplot would need a window system and keep state between calls

    figure = Figure(figsize=(13, 4.6), layout="constrained")
    for axes, (name, label, more) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        _draw_panel(axes, table, name, label, more)
    figure.suptitle(f"Quality over speed: {table.facts['title']}", fontsize=10)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    write_bytes(path, png.getvalue())


def _draw_panel(axes: Any, table: MeasuredTable, name: str, label: str, more: bool) -> None:
    for row in table.rows:
        value = None if row.quality is None else getattr(row.quality, name)
        if value is None:
            continue
        if row.name == NO_METHOD:
            axes.axhline(value, color=_NONE, linestyle=":", label="no method")
        else:
            _draw_row(axes, row, value)
    axes.set_xscale("log")
    axes.set_xlabel("frames per second")
    axes.set_ylabel(label)
    axes.margins(0.25, 0.15)
    if not more:
        axes.invert_yaxis()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)


def _draw_row(axes: Any, row: TableRow, value: float) -> None:
    colour = _OURS if is_ours(row.name) else _OTHERS
    speeds = [(way, fps) for way in _MARKS if (fps := row.fps(way)) is not None]
    if len(speeds) > 1:
        axes.plot([fps for _, fps in speeds], [value] * len(speeds), color=colour, linewidth=0.8)
    known = {line.get_label() for line in axes.get_lines()}
    for way, fps in speeds:
        label = f"{way}" if way not in known else None
        axes.plot(fps, value, marker=_MARKS[way], color=colour, linestyle="", label=label)
    if speeds:
        # The combination has the figures of its parts, beside which its name stands.
        place = (4, -11) if row.name == COMBINATION else (4, 5)
        axes.annotate(drawn(row.name), (speeds[0][1], value), xytext=place, textcoords="offset points", fontsize=8)
