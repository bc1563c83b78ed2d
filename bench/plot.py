"""A plot of the latency: histogram and time line of ``infer``, and the runs of a paced camera."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mostnet.contract import BackendNotInstalledError, write_bytes
from mostnet.contract.terminal import drawn

from .report import BUDGET_MS, BenchReport, PacedPart
from .timings import Timings

_INK, _P50, _P99, _BUDGET = "#4a6fa5", "#2a9d4a", "#d1791e", "#b3202a"

#: The line of the budget is drawn if samples are within these factors of it. Farther away it would squeeze them.
_IN_RANGE = (0.5, 3.0)

#: The same for a camera's frame period, as a factor of the slowest frame.
_PERIOD_IN_RANGE = 1.5


def require_matplotlib() -> None:
    """Raise if no plot can be drawn.

    Raises:
        BackendNotInstalledError: matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        raise BackendNotInstalledError("a plot needs matplotlib: pip install 'mostnet[plot]', or leave --plot out")


def write_plot(report: BenchReport, path: Path) -> None:
    """Draw histogram and time line of ``report.latency``, and the paced runs, into the PNG ``path`` atomically.

    Raises:
        BackendNotInstalledError: matplotlib is missing.
    """
    require_matplotlib()
    from matplotlib.figure import Figure  # pyplot would need a window system and keep state between calls

    panels = 2 if report.paced is None else 3
    figure = Figure(figsize=(9, 3.25 * panels), layout="constrained")
    figure.suptitle(_title(report), fontsize=11)
    histogram, line, *others = figure.subplots(panels, 1)
    _draw_histogram(histogram, report.latency)
    _draw_line(line, report.latency)
    if report.paced is not None:
        _draw_paced(others[0], report.paced)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    write_bytes(path, png.getvalue())


def marks(latency: Timings) -> list[tuple[float, str, str]]:
    """Value in milliseconds, label and colour of each line across the plots."""
    lines = [
        (latency.p50_ms, f"p50 {latency.p50_ms:.2f} ms", _P50),
        (latency.p99_ms, f"p99 {latency.p99_ms:.2f} ms", _P99),
    ]
    low, high = _IN_RANGE
    if low * BUDGET_MS <= latency.max_ms and min(latency.samples_ms) <= high * BUDGET_MS:
        lines.append((BUDGET_MS, f"25 FPS: {BUDGET_MS:g} ms", _BUDGET))
    return lines


def _title(report: BenchReport) -> str:
    processor = report.machine.gpu or report.machine.cpu
    return f"Latency of infer: {drawn(report.engine.file)}, {report.settings['frames']} frames on {processor}"


def _draw_histogram(axes: Any, latency: Timings) -> None:
    axes.hist(latency.samples_ms, bins="auto", color=_INK)
    for value, label, colour in marks(latency):
        axes.axvline(value, color=colour, label=label)
    axes.set(xlabel="latency, ms", ylabel="frames")
    axes.legend()


def _draw_line(axes: Any, latency: Timings) -> None:
    axes.plot(latency.samples_ms, color=_INK, linewidth=0.8)
    for value, _, colour in marks(latency):
        axes.axhline(value, color=colour)
    axes.set(xlabel="frame", ylabel="latency, ms")
    axes.set_ylim(bottom=0)


def _draw_paced(axes: Any, paced: PacedPart) -> None:
    """One box per run: its quartiles, whiskers from p1 to p99, and the frames beyond them as dots."""
    samples = [paced.back_to_back.samples_ms, *(run.latency.samples_ms for run in paced.runs)]
    names = ["back to back", *(run.name for run in paced.runs)]
    dots = {"marker": ".", "markersize": 3, "markeredgecolor": _INK}
    axes.boxplot(samples, whis=(1, 99), widths=0.5, flierprops=dots, medianprops={"color": _P50})
    axes.plot([], color=_P50, label="p50 (box: half of the frames, whiskers: p1 to p99)")
    _draw_periods(axes, paced)
    axes.set_title(f"Paced camera, {paced.runs[0].arrived} frames each", fontsize=11)
    axes.set_xticks(range(1, len(names) + 1), names, rotation=20, ha="right")
    axes.set_ylabel("arrival to result, ms")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)


def _draw_periods(axes: Any, paced: PacedPart) -> None:
    """A line at the frame period of each run, unless it would squeeze the boxes."""
    highest_ms = _PERIOD_IN_RANGE * max(run.latency.max_ms for run in paced.runs)
    label = "one frame period: later is late"
    for place, run in enumerate(paced.runs, start=2):
        if 1e3 / run.fps <= highest_ms:
            axes.hlines(1e3 / run.fps, place - 0.4, place + 0.4, color=_BUDGET, label=label)
            label = ""  # one entry in the legend is enough
