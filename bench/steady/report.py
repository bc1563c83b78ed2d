"""``python -m mostnet.bench.steady.report [--video FILE...] [--plot FILE.png]``: measure the stabiliser."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import process_time

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from mostnet.bench.machine import describe_machine
from mostnet.contract import MostnetError, write_bytes
from mostnet.contract.stopping import exit_status, signals_interrupt
from mostnet.engine import Engine
from mostnet.video import demo_clip
from mostnet.video.steady.metrics import Path2d, measure
from mostnet.video.steady.plot import plot_paths

from .checks import (
    START,
    Check,
    lag_frames,
    outside_px,
    path_array,
    steady_path,
    tooth_off_px,
    vibration_ratio,
)
from .clips import KnownClip, of_video, synthetic
from .methods import methods
from .shaken import Shake

#: Dark frames of the blackout clip.
DARK = range(60, 75)
#: The pan lasts up to the hundredth frame.
_LEAST_FRAMES = 110
#: Largest ratio of vibration after to before, by look-ahead.
_BOUNDS = {0: 0.25, 5: 0.15}

#: One method on one clip, by column of the table.
Figures = dict[str, str | float]


def known_path_checks(*, count: int) -> tuple[list[Check], dict[str, Path2d]]:
    """Checks on clips of known path, and the paths of the swaying clip for a plot."""
    sway = synthetic("sway", count=count)
    pan = synthetic("pan", count=count, pan_px=3.0)
    blackout = synthetic("blackout", count=DARK.stop + 30, dark=DARK)
    assert sway.poses and sway.base and pan.base
    checks, paths = [], {"camera": path_array(sway.poses), "intended": path_array(sway.base)}
    for lookahead, bound in _BOUNDS.items():
        path, corrections, cost_ms = steady_path(sway, lookahead)
        paths[f"steady, look-ahead {lookahead}"] = path
        shift, turn = vibration_ratio(paths["camera"], path)
        what = f"look-ahead {lookahead}"
        checks += [
            Check(f"vibration after / before, shift, {what}", shift, bound),
            Check(f"vibration after / before, angle, {what}", turn, bound),
            Check(f"picture beyond the frame, {what}", outside_px(corrections), 0.0, "px"),
        ]
        panned, panned_corrections, _ = steady_path(pan, lookahead)
        lag = lag_frames(path_array(pan.base)[:, 0], panned[:, 0])
        off = tooth_off_px(blackout, steady_path(blackout, lookahead)[1], DARK)
        checks += [
            Check(f"lag behind a pan of 3 px per frame, {what}", lag, 5.0, "frames"),
            Check(f"picture beyond the frame, panning, {what}", outside_px(panned_corrections), 0.0, "px"),
            Check(f"tooth off its place 10 frames after 15 dark ones, {what}", off, 4.0, "px"),
            Check(f"cost per frame, {what}", cost_ms, 3.0, "ms"),
        ]
    return checks, paths


def added_jitter_checks(clip: KnownClip, unshaken: KnownClip) -> list[Check]:
    """Ratio of vibration after stabilising to before, for known jitter added to a video file.

    The steady path of the unshaken file is subtracted, because it is the motion of the file itself.
    """
    assert clip.poses is not None
    checks = []
    for lookahead, bound in _BOUNDS.items():
        left = steady_path(clip, lookahead)[0] - steady_path(unshaken, lookahead)[0]
        what = f"vibration after / before, added jitter, {clip.name}, look-ahead {lookahead}"
        checks.append(Check(what, vibration_ratio(path_array(clip.poses), left)[0], bound))
    return checks


def compare(clip: KnownClip) -> list[Figures]:
    """Every method on one clip, measured on its pictures. The lag is NaN if the intended path is unknown."""
    rows: list[Figures] = []
    before = None
    for method in methods():
        found = measure(picture for picture in method.run(clip.pairs)[START:])
        before = before or found
        lag = float("nan")
        if clip.base is not None and method.name != "none":
            # Content moves against the camera. Both paths lack the first frames.
            intended = -path_array(clip.base)[START:, 0]
            lag = lag_frames(intended, found.path[:, 0])
        rows.append(
            {
                "clip": clip.name,
                "method": method.name,
                "look-ahead": method.lookahead,
                "vibration px": found.vibration_px,
                "ratio": found.vibration_px / before.vibration_px,
                "jitter ratio": found.jitter_px / before.jitter_px,
                "angle ratio": found.vibration_deg / before.vibration_deg,
                "ITF dB": found.itf_db,
                "ITF gain dB": found.itf_db - before.itf_db,
                "lag": lag,
            }
        )
    return rows


def engine_ms(path: Path) -> float:
    """Median processor time of one frame of an engine on one thread, in milliseconds."""
    with Engine(path, threads=1) as engine:
        frame = np.zeros((*engine.metadata.size_hw, 3), np.uint8)
        times = []
        for _ in range(12):
            begun_s = process_time()
            engine.infer(frame)
            times.append(process_time() - begun_s)
    return float(np.median(times[2:])) * 1e3


@signals_interrupt()
def main(argv: Sequence[str] | None = None) -> int:
    """Print both tables; returns 1 if a bound is broken or something fails."""
    options = _parser().parse_args(argv)
    cv2.setNumThreads(1)
    try:
        checks, paths = known_path_checks(count=options.frames)
        clips = _clips(options)
        for path, clip in zip(options.video, clips[-len(options.video) :], strict=False):
            still = of_video(path, name="still", count=options.frames, shake=Shake(0.0, 0.0, 0.0))
            checks += added_jitter_checks(clip, still)
        rows = [row for clip in clips for row in compare(clip)]
        checks += _picture_checks(rows)
        engine_cost_ms = None if options.engine is None else engine_ms(options.engine)
        _print(checks, rows, engine_cost_ms)
        if options.plot is not None:
            plot_paths(paths, options.plot, title="known camera path, and the path after stabilising")
        if options.json is not None:
            write_bytes(options.json, _json(checks, rows, engine_cost_ms))
    except (MostnetError, OSError) as error:
        print(f"mostnet.bench.steady.report: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        return exit_status(stop)
    return 0 if all(check.passed for check in checks) else 1


def _frame_count(text: str) -> int:
    """Number of frames of a clip, from a command line."""
    if int(text) < _LEAST_FRAMES:
        raise argparse.ArgumentTypeError(f"{text} frames are too few; expected at least {_LEAST_FRAMES}")
    return int(text)


def _clips(options: argparse.Namespace) -> list[KnownClip]:
    clips = [
        synthetic("sway", count=options.frames),
        synthetic("pan 3 px", count=options.frames, pan_px=3.0),
        of_video(demo_clip(), name="demo", count=options.frames, shake=None),
    ]
    clips += [
        of_video(path, name=path.stem, count=options.frames, shake=Shake(options.shake_px)) for path in options.video
    ]
    return clips


def _picture_checks(rows: Sequence[Figures]) -> list[Check]:
    checks = []
    for row in rows:
        if row["method"] == "mostnet" and row["clip"] != "pan 3 px":
            what, bound = f"{row['clip']}, look-ahead {row['look-ahead']}", _BOUNDS[int(row["look-ahead"])]
            # A video's vibration includes objects that move by themselves, but not above 0.15 cycles per frame.
            name = "ratio" if row["clip"] == "sway" else "jitter ratio"
            measured = "vibration" if name == "ratio" else "jitter above 0.15 cycles/frame"
            checks.append(Check(f"{measured} after / before by tracks, {what}", float(row[name]), bound))
            checks.append(Check(f"gain of ITF, {what}", float(row["ITF gain dB"]), 3.0, "dB", at_least=True))
    return checks


def _print(checks: Sequence[Check], rows: Sequence[Figures], engine: float | None) -> None:
    console = Console(width=120)
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


def _json(checks: Sequence[Check], rows: Sequence[Figures], engine: float | None) -> bytes:
    report = {
        "machine": asdict(describe_machine(gpu=False)),
        "checks": [{**asdict(check), "passed": check.passed} for check in checks],
        "comparison": [{name: None if value != value else value for name, value in row.items()} for row in rows],
        "engine_ms": engine,
    }
    return json.dumps(report, indent=1).encode()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mostnet.bench.steady.report",
        description="Measure the stabiliser on clips of known camera path, side by side with other methods.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--video", type=Path, nargs="*", default=[], help="video files to shake", metavar="FILE")
    parser.add_argument(
        "--shake-px",
        type=float,
        default=6.0,
        metavar="PX",
        help="jitter added to video files: RMS of each axis, in pixels at a width of 640",
    )
    parser.add_argument("--frames", type=_frame_count, default=160, help="frames of each clip", metavar="N")
    parser.add_argument("--engine", type=Path, help="also time this engine, for the ratio of costs", metavar="FILE")
    parser.add_argument("--plot", type=Path, help="plot of the known path and the steady ones", metavar="FILE.png")
    parser.add_argument("--json", type=Path, help="all figures, as JSON", metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
