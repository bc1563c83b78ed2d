"""``python -m mostnet.bench.scale.draw CAMERAS.json ... -o FILE.png``: draw reports of the command ``cameras``."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mostnet.contract import write_bytes
from mostnet.contract.terminal import CommandParser, command

from .compare import FORMAT_VERSION
from .reports import load_report

_COLOURS = ("#4a6fa5", "#d1791e", "#2a9d4a", "#8d4bbb", "#b3202a")


def draw_reports(reports: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw latency and served rate against the number of cameras into the PNG ``path`` atomically.

    Args:
        reports: the JSON of at least one.

    Raises:
        ModuleNotFoundError: matplotlib is missing; the command names the extra ``scale``.
    """
    from matplotlib.figure import Figure  # pyplot would need a window system and keep state between calls

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    latency, rate = figure.subplots(1, 2)
    for report, colour in zip(reports, _COLOURS * len(reports), strict=False):
        name = f"{report['settings']['server']}, {report['settings']['size']}"
        cameras = [trial["cameras"] for trial in report["trials"]]
        for kind, style in (("measured", {"marker": "o", "linestyle": "-"}), ("simulated", {"linestyle": "--"})):
            label = f"{name}, {kind}"
            found = [trial[kind] for trial in report["trials"]]
            latency.plot(cameras, [each["p95_ms"] for each in found], color=colour, label=label, **style)
            rate.plot(cameras, [each["served_fps"] for each in found], color=colour, label=label, **style)
    period_ms = 1e3 / reports[0]["settings"]["fps"]
    latency.axhline(period_ms, color="#999999", linewidth=0.8, label=f"a frame period, {period_ms:g} ms")
    latency.set(xlabel="cameras", ylabel="p95, capture to result, ms", ylim=(0, None))
    rate.set(xlabel="cameras", ylabel="frames served per second and camera", ylim=(0, None))
    latency.legend(fontsize=8)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    write_bytes(path, png.getvalue())


@command("mostnet.bench.scale.draw", extra="scale")
def main(argv: Sequence[str] | None = None) -> int:
    """Draw the reports."""
    options = _parser().parse_args(argv)
    draw_reports([load_report(path, FORMAT_VERSION, "trials") for path in options.reports], options.output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mostnet.bench.scale.draw",
        description="Draw latency and served rate against the number of cameras, measured and simulated.",
    )
    parser.add_argument("reports", type=Path, nargs="+", help="of mostnet.bench.scale.cameras", metavar="CAMERAS.json")
    parser.add_argument("-o", "--output", type=Path, required=True, help="PNG to write", metavar="FILE.png")
    return parser


if __name__ == "__main__":
    sys.exit(main())
