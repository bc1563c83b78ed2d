"""``python -m mostnet.bench.scale.plan CAMERAS.json ... --stages STAGES.json``: what many cameras and videos need.

It only computes, from what the commands ``cameras`` and ``stages`` measured, and from committed GPU reports. Money is
left out: multiply the hours by the price of yours.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mostnet.contract import ENHANCED, OUTPUTS
from mostnet.contract.arguments import positive_float, positive_int, size_hw, size_text
from mostnet.contract.terminal import PLAIN, CommandParser, command, counted

from . import compare, stages
from .capacity import Archive, FrameTraffic, most_at_full_load, most_in_time
from .gpu_figures import GPU_FIGURES
from .reports import load_report, server_of
from .simulate import ServerModel

_RATES = (10.0, 15.0, 25.0, 30.0, 60.0)
_LINKS = (1.0, 10.0, 25.0, 100.0)
_CORES = (1, 8, 64, 512)
_SIZES = ((240, 320), (480, 640), (720, 1280), (1080, 1920))


@command("mostnet.bench.scale.plan", extra="scale")
def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables."""
    options = _parser().parse_args(argv)
    reports = [load_report(path, compare.FORMAT_VERSION, "trials") for path in options.reports]
    work = None if options.stages is None else load_report(options.stages, stages.FORMAT_VERSION, "stages_ms")
    tables = [camera_table(reports, options.fps, factor=options.factor)] if reports else []
    tables += [gpu_table(options.fps, factor=options.factor), traffic_table()]
    if reports:
        tables.append(needs_table(reports, cameras=options.cameras, factor=options.factor))
    if work is not None:
        tables.append(archive_table(work, Archive(videos=options.videos, minutes=options.minutes)))
    console = Console(file=sys.stdout, width=140, **PLAIN)
    for table in tables:
        console.print(table)
    return 0


def camera_table(reports: Sequence[Mapping[str, Any]], rates: Sequence[float], *, factor: float) -> Table:
    """Cameras of the measured servers by size and rate."""
    title = f"Cameras per server here: p95 within {factor:g} frame periods (at full load), simulated"
    table = _table(title, "server", *(f"{fps:g} FPS" for fps in rates))
    for report in reports:
        settings, server = report["settings"], server_of(report)
        place = f"{server.places} x {counted(settings['threads'], 'thread')}"
        table.add_row(f"{settings['server']}, {settings['size']}, {place}", *_cells(server, rates, factor))
    return table


def gpu_table(rates: Sequence[float], *, factor: float) -> Table:
    """Cameras of one H200 by committed figures."""
    title = (
        f"Cameras per H200 at 480x640, derived: p95 within {factor:g} frame periods (at full load); others not measured"
    )
    table = _table(title, "network", "runtime", "FPS", *(f"{fps:g} FPS" for fps in rates), "worth")
    for figure in GPU_FIGURES:
        cells = _cells(figure.server, rates, factor)
        table.add_row(figure.network, figure.runtime, f"{figure.fps:g}", *cells, figure.worth)
    return table


def traffic_table() -> Table:
    """Bytes of frames, and cameras that fill a link."""
    links = [f"{gigabits:g} Gbit/s" for gigabits in _LINKS]
    table = _table(
        "Uncompressed frames at 25 FPS, and cameras that fill a link",
        "size",
        "outputs",
        "MB in",
        "MB out",
        "Mbit/s",
        *links,
    )
    for size in _SIZES:
        for outputs in ((ENHANCED,), OUTPUTS):
            traffic = FrameTraffic.of(size, outputs)
            busier = max(traffic.bytes_in, traffic.bytes_out) * 25 * 8 / 1e6
            most = [str(traffic.most_cameras(gigabits, fps=25)) for gigabits in _LINKS]
            ends = (f"{traffic.bytes_in / 1e6:.2f}", f"{traffic.bytes_out / 1e6:.2f}", f"{busier:.0f}")
            table.add_row(size_text(size), "enhanced" if len(outputs) == 1 else "all", *ends, *most)
    return table


def needs_table(reports: Sequence[Mapping[str, Any]], *, cameras: int, factor: float) -> Table:
    """Servers and cores like those here for a number of cameras at the rate of each report."""
    columns = (
        "cameras per server",
        "servers",
        "cores",
        "core-hours a day of 8 h",
        "state MB",
        "session MB",
        "Gbit/s each way",
    )
    table = _table(f"{cameras} cameras on servers like the one here", "size", *columns)
    for report in reports:
        server, settings = server_of(report), report["settings"]
        each = most_in_time(server, fps=settings["fps"], factor=factor)
        servers = math.ceil(cameras / each) if each else None
        cores = None if servers is None else servers * server.places * settings["threads"]
        traffic = FrameTraffic.of(size_hw("480x640")(settings["size"]), settings["outputs"])
        gigabits = max(traffic.bytes_in, traffic.bytes_out) * settings["fps"] * cameras * 8 / 1e9
        memory = report["memory"]
        table.add_row(
            f"{settings['size']} at {settings['fps']:g} FPS",
            str(each) if each else "0: a frame takes too long",
            _or_dash(servers),
            _or_dash(cores),
            _or_dash(None if cores is None else cores * 8),
            f"{memory['state_bytes'] * cameras / 1e6:.0f}",
            _or_dash(memory["session_mib"] and round(memory["session_mib"] * cameras * 1.048576)),
            f"{gigabits:.2f}",
        )
    return table


def archive_table(found: Mapping[str, Any], archive: Archive) -> Table:
    """Time and traffic of an archive on some numbers of cores."""
    frame_ms, frame_bytes = found["whole_ms"], found["bytes_in"] + found["bytes_out"]
    hours = archive.core_hours(frame_ms)
    title = (
        f"{archive.videos} videos of {archive.minutes:g} min at {archive.fps:g} FPS, {frame_ms:.1f} ms a frame: "
        f"{hours:.0f} core-hours, {archive.frames * frame_bytes / 1e9:.0f} GB read and written"
    )
    table = _table(title, "cores", "hours", "days", "frames a second", "MB a second")
    for cores in _CORES:
        took = archive.hours(frame_ms, cores=cores)
        rate = archive.megabytes_a_second(frame_ms, frame_bytes, cores=cores)
        table.add_row(str(cores), f"{took:.1f}", f"{took / 24:.1f}", f"{cores * 1e3 / frame_ms:.0f}", f"{rate:.2f}")
    return table


def _cells(server: ServerModel, rates: Sequence[float], factor: float) -> list[str]:
    return [f"{most_in_time(server, fps=fps, factor=factor)} ({most_at_full_load(server, fps=fps)})" for fps in rates]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k == 0 or column in ("runtime", "worth", "outputs") else "right")
    return table


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mostnet.bench.scale.plan",
        description="Compute what many cameras and many videos need, from measured service times.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("reports", type=Path, nargs="*", help="reports of mostnet.bench.scale.cameras", metavar="CAMERAS.json")
    add("--stages", type=Path, help="report of mostnet.bench.scale.stages", metavar="STAGES.json")
    add("--fps", type=_rates, default=_RATES, help="rates of the tables", metavar="F,...")
    add("--factor", type=positive_float, default=1.0, help="frame periods that the p95 may take", metavar="X")
    add("--cameras", type=positive_int, default=100, help="cameras to plan for", metavar="N")
    add("--videos", type=positive_int, default=10_000, help="videos to plan for", metavar="N")
    add("--minutes", type=positive_float, default=10.0, help="length of a video", metavar="M")
    return parser


def _rates(text: str) -> tuple[float, ...]:
    return tuple(positive_float(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
