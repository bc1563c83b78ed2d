"""The tables of the report, and its JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from rich.console import Console
from rich.table import Table

from .checks import Check
from .known import Figures
from .photographs import Score
from .recordings import BARE
from .truth import Truth


def print_known(console: Console, checks: Sequence[Check], rows: Sequence[Figures], engine: float | None) -> None:
    """Print the bounds and the comparison on clips of known path; ``engine`` is its cost in milliseconds."""
    table = Table(title="Bounds", title_justify="left")
    for column in ("", "found", "bound", ""):
        table.add_column(column)
    for check in checks:
        sign = ">=" if check.at_least else "<="
        verdict = "ok" if check.passed else "BROKEN"
        table.add_row(check.name, f"{check.value:.3f} {check.unit}", f"{sign} {check.bound:g}", verdict)
    console.print(table)
    if engine is not None:
        costs = ", ".join(f"{check.value / engine:.3f}" for check in checks if check.name.startswith("cost"))
        console.print(f"engine on one thread: {engine:.1f} ms per frame; cost of stabilising over it: {costs}")
    table = Table(title="Side by side, measured on the pictures by feature tracks", title_justify="left")
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else value for value in row.values()))
    console.print(table)


def known_json(checks: Sequence[Check], rows: Sequence[Figures], engine: float | None) -> dict[str, object]:
    """Figures of the clips of known path."""
    return {
        "checks": [{**asdict(check), "passed": check.passed} for check in checks],
        "comparison": [{name: _finite(value) for name, value in row.items()} for row in rows],
        "engine_ms": engine,
    }


def print_scores(console: Console, found: Sequence[Score]) -> None:
    """Print the ratio of jitter of each method on each clip, then the error of our motion."""
    clips = list(dict.fromkeys(score.clip for score in found))
    table = Table(title="Jitter of the pictures after / before, by phase correlation", title_justify="left")
    for column in ("", *clips, "median", "made worse"):
        table.add_column(column, justify="left" if column == "" else "right")
    for method in dict.fromkeys(score.method for score in found):
        row = [score for score in found if score.method == method]
        table.add_row(method, *_ratios(row, [score.ratio for score in row]))
        true = [score.truth.ratio for score in row if score.truth is not None]
        if true:
            table.add_row("  by the known path", *_ratios(row, true))
    console.print(table)
    console.print(f"The median and the count leave out the {BARE}, whose jitter is drawn.")
    table = Table(title="Ours against the known path; errors: RMS over the frame's corners, px", title_justify="left")
    for column in ("clip", "", "median error", "95 %", "worst", "lost", "faded", "crop", "held"):
        table.add_column(column, justify="left" if column in ("clip", "") else "right")
    for score in found:
        if score.truth is not None:
            table.add_row(score.clip, score.method, *_truth(score.truth))
    console.print(table)
    console.print("lost: frames without a known motion; faded: frames with a part of the correction; held: frames that")
    console.print("show the tooth within 1 % of the height of its place, of those in which the crop allows it.")


def scores_json(found: Sequence[Score]) -> list[dict[str, object]]:
    """Figures of the moved pictures."""
    return [{name: _finite(value) for name, value in asdict(score).items()} for score in found]


def _ratios(row: Sequence[Score], values: Sequence[float]) -> list[str]:
    """Cells of one method: the ratio of each clip, their median, and how many are above 1."""
    if row[0].missing is not None:
        return [*("-" for _ in row), "-", f"not run: {row[0].missing}"]
    clips = [value for score, value in zip(row, values, strict=True) if score.clip != BARE and not math.isnan(value)]
    median = f"{np.median(clips):.2f}" if clips else "unknown"
    cells = ["unknown" if math.isnan(value) else f"{value:.2f}" for value in values]
    return [*cells, median, f"{sum(value > 1 for value in clips)} of {len(clips)}"]


def _truth(truth: Truth) -> list[str]:
    errors = np.percentile(truth.error_px or [math.nan], [50, 95, 100])
    held = "-" if math.isnan(truth.held) else _percent(truth.held)
    return [
        *(f"{value:.2f}" for value in errors),
        _percent(truth.lost),
        _percent(truth.faded),
        f"{truth.crop:.3f}",
        held,
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _finite(value: object) -> object:
    """The value as JSON has it: None for NaN, also inside."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
