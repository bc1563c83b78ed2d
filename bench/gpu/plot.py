"""A GPU report as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from .agenda import PLAN_PARTS
from .render import DELAYS, camera_name, method_name, title
from .rows import Document, find_row

#: Bars of the plot, top to bottom, and their colours.
_BARS = (
    *(
        (part, method, colour)
        for part in PLAN_PARTS
        for method, colour in (("stream", "#1f4e8c"), ("enqueue", "#9db8d9"))
    ),
    ("ort", "stream", "#2a9d4a"),
    ("torch", "compile-cuda-graph", "#d1791e"),
    ("torch", "compile-reduce-overhead", "#e9b072"),
    ("torch", "eager-fp16", "#b3202a"),
    ("torch", "eager-tf32", "#d98a90"),
    ("torch", "eager-fp32", "#6b6b6b"),
)


def draw(document: Document) -> bytes | None:
    """PNG of the throughput of every case, and of the delays at the rate of a camera; None if nothing is measured."""
    from matplotlib.figure import Figure  # without pyplot: no window system, no state kept between calls

    cases = document["cases"]
    panels = [(name, bars) for name, record in cases.items() if (bars := _bars(record))]
    panels += [
        (f"{name}: delay of a camera's frames", record["paced"]) for name, record in cases.items() if record["paced"]
    ]
    if not panels:
        return None
    heights = [0.5 + 0.22 * len(rows) for _, rows in panels]
    figure = Figure(figsize=(10, 0.8 + sum(heights)), layout="constrained")
    figure.suptitle(title(document), fontsize=12)
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for axes, (heading, rows) in zip(grid[:, 0], panels, strict=True):
        axes.set_title(heading, fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
        draw_rows = _draw_delays if isinstance(rows[0], dict) else _draw_bars
        draw_rows(axes, rows)
        axes.invert_yaxis()
    if document.get("rehearsal"):
        figure.text(
            0.5, 0.5, "REHEARSAL", fontsize=70, color="#b3202a", alpha=0.25, rotation=25, ha="center", va="center"
        )
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return png.getvalue()


def _draw_bars(axes: Any, bars: list[tuple[str, float, str]]) -> None:
    names, values, colours = zip(*bars, strict=True)
    drawn = axes.barh(names, values, color=colours)
    axes.bar_label(drawn, labels=[f"{value:.4g}" for value in values], padding=3, fontsize=8)
    axes.margins(x=0.12)
    axes.set_xlabel("frames per second", fontsize=7, loc="right")


def _draw_delays(axes: Any, runs: list[dict[str, Any]]) -> None:
    names = [camera_name(run) for run in runs]
    for number, run in enumerate(runs):
        axes.plot([run["p50_ms"], run["max_ms"]], [number, number], color="#9db8d9", linewidth=2, zorder=1)
    marks = zip(DELAYS.items(), ("#1f4e8c", "#2a9d4a", "#d1791e", "#b3202a", "#6b6b6b"), strict=True)
    for (key, label), colour in marks:
        points = [(run[key], number) for number, run in enumerate(runs) if run[key] is not None]
        if points:
            axes.scatter(*zip(*points, strict=True), color=colour, label=label, s=22, zorder=2)
    axes.set_yticks(range(len(runs)), names)
    axes.set_xlim(left=0)
    axes.margins(y=0.3)
    axes.set_xlabel("milliseconds from arrival to result", fontsize=7, loc="right")
    axes.legend(fontsize=7, ncols=5, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)


def _bars(record: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    found = ((find_row(record, part, method), method_name(part, method), colour) for part, method, colour in _BARS)
    return [(label, float(row["fps"]), colour) for row, label, colour in found if row is not None]
