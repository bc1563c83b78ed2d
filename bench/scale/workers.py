"""``python -m mostnet.bench.scale.workers``: do two one-thread workers halve the time of an archive?

The same clips go through ``mostnet-archive`` with one one-thread worker, with two, and with one two-thread worker, in
turns. A time is that of the whole command: starts of processes and the report count. All three must write the same
bytes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from fractions import Fraction
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mostnet.bench.machine import describe_machine
from mostnet.contract import Frame, MeasurementError, sha256, write_text
from mostnet.contract.arguments import positive_int
from mostnet.contract.terminal import PLAIN, CommandParser, command, complain, one_line
from mostnet.contract.versions import installed_versions
from mostnet.video import VideoReader, VideoWriter, demo_clip
from mostnet.video.command.engines import EngineSupply

NAME = "mostnet.bench.scale.workers"
FORMAT_VERSION = 1
#: Workers and threads of each, by the name of the row; the first row is what the others are compared with.
WAYS = {"one worker, one thread": (1, 1), "two workers, one thread each": (2, 1), "one worker, two threads": (1, 2)}
_FIRST, _TWO_WORKERS, _TWO_THREADS = WAYS
#: The most that the two workers may take of the time of one.
GOAL = 0.6


def measure_workers(engine: Path, clips: int, frames: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round, by the names in ``WAYS``; the ways take turns, and each round begins with another one.

    Raises:
        MeasurementError: a run failed, or two runs wrote different bytes.
    """
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        write_clips(source, clips, frames)
        expected: dict[str, str] = {}
        for k in range(rounds):
            names = [*WAYS][k % len(WAYS) :] + [*WAYS][: k % len(WAYS)]
            for name in names:
                out = Path(folder) / f"{k}-{name}"
                seconds[name].append(_run(source, out, engine, *WAYS[name]))
                found = {path.name: sha256(path) for path in out.glob("*.mp4")}
                expected = expected or found
                if found != expected or len(found) != clips:
                    raise MeasurementError(f"{name}: wrote other results than the first run; they must be equal")
    return seconds


def write_clips(folder: Path, clips: int, frames: int) -> None:
    """Cut ``clips`` clips of ``frames`` frames from the demo clip; each begins a frame after the one before."""
    folder.mkdir()
    with VideoReader(demo_clip()) as reader:
        pictures, fps, size_hw = list(islice(reader, clips + frames)), reader.fps, reader.size_hw
    for k in range(clips):
        _write(folder / f"{k:02}.mp4", islice(cycle(pictures), k, k + frames), fps, size_hw)


def _write(path: Path, pictures: Iterator[Frame], fps: Fraction, size_hw: tuple[int, int]) -> None:
    with VideoWriter(path, fps, size_hw) as writer:
        for picture in pictures:
            writer.write(picture)


def _run(source: Path, out: Path, engine: Path, workers: int, threads: int) -> float:
    given = [str(source), "--out", str(out), "--engine", str(engine), "--workers", str(workers)]
    line = [sys.executable, "-m", "mostnet.serve.archive.cli", *given, "--threads", str(threads)]
    begun_s = time.perf_counter()
    done = subprocess.run(line, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        raise MeasurementError(f"mostnet-archive failed with status {done.returncode}: {one_line(done.stderr[-500:])}")
    return time.perf_counter() - begun_s


def ratio(seconds: dict[str, list[float]], name: str, other: str) -> float:
    """Median over the rounds of the time of ``name`` by that of ``other``."""
    return statistics.median(one / base for one, base in zip(seconds[name], seconds[other], strict=True))


def report(seconds: dict[str, list[float]], options: argparse.Namespace, engine: Path) -> dict[str, Any]:
    """The measurement as JSON."""
    two = ratio(seconds, _TWO_WORKERS, _FIRST)
    beside = ratio(seconds, _TWO_WORKERS, _TWO_THREADS)
    return {
        "format_version": FORMAT_VERSION,
        "machine": asdict(describe_machine(gpu=False)),
        "versions": installed_versions(("mostnet", "onnxruntime", "av", "opencv-python")),
        "engine": engine.name,
        "clips": options.clips,
        "frames": options.frames,
        "seconds": seconds,
        "two_workers_to_one": two,
        "two_workers_to_two_threads": beside,
        "reached": two <= GOAL and beside <= 1.0,
    }


def print_report(found: dict[str, Any], console: Console) -> None:
    """Print the table and the two ratios."""
    seconds = found["seconds"]
    table = Table(title=f"{found['clips']} clips of {found['frames']} frames, {len(seconds[_FIRST])} rounds")
    for heading in ("workers", "median s", "least s", "of the first"):
        table.add_column(heading, justify="left" if heading == "workers" else "right")
    for name, times in seconds.items():
        share = ratio(seconds, name, _FIRST)
        table.add_row(name, f"{statistics.median(times):.1f}", f"{min(times):.1f}", f"{share:.2f}")
    console.print(table)
    console.print(
        f"two workers take {found['two_workers_to_one']:.2f} of the time of one (goal: at most {GOAL}), and "
        f"{found['two_workers_to_two_threads']:.2f} of the time of one with two threads (goal: at most 1); every run "
        "wrote the same bytes",
        soft_wrap=True,
    )
    machine = found["machine"]
    console.print(
        f"{machine['cpu']}, {machine['usable_cores']} cores, load average {machine['load_average']} at the end"
    )


@command(NAME)
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table; return 1 if something fails. A missed goal is told, and is no failure."""
    parser = CommandParser(prog=f"python -m {NAME}", description=__doc__)
    parser.add_argument(
        "--engine", default="nano", help="as for mostnet-archive (default: %(default)s)", metavar="FILE|NAME"
    )
    parser.add_argument("--clips", type=positive_int, default=24, help="clips (default: %(default)s)", metavar="N")
    parser.add_argument(
        "--frames", type=positive_int, default=25, help="frames of each (default: %(default)s)", metavar="N"
    )
    parser.add_argument("--rounds", type=positive_int, default=5, help="rounds (default: %(default)s)", metavar="N")
    parser.add_argument("--json", type=Path, help="write the report there", metavar="FILE.json")
    options = parser.parse_args(argv)
    engine = EngineSupply(options.engine, (), say=partial(complain, NAME)).file_for(demo_clip())
    seconds = measure_workers(engine, options.clips, options.frames, options.rounds)
    found = report(seconds, options, engine)
    if options.json is not None:
        write_text(options.json, json.dumps(found, indent=1) + "\n")
    print_report(found, Console(file=sys.stdout, width=100, **PLAIN))
    return 0


if __name__ == "__main__":
    sys.exit(main())
