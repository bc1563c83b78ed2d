"""Measure the runtime on the GPU of this machine: ``python -m mostnet.bench.gpu.report OUT --minutes M``.

A case is a network at a frame size in a precision. The report orders its work by worth: correctness first, then the
figures of most goals. It skips what does not fit into the time left, and says so. Each part (a flavour of TensorRT, its
stand-in, ONNX Runtime, PyTorch) runs in the Python that has its libraries. The JSON is written after every round, the
Markdown after every piece of work, and the plot at the end, also when the run is interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any

from mostnet.bench.machine import gpu_state
from mostnet.contract import MeasurementError, NoGpuError, write_bytes, write_text
from mostnet.contract.arguments import positive_float, positive_int
from mostnet.contract.stopping import StopRequest, exit_status
from mostnet.contract.terminal import CommandParser, command, complain
from mostnet.engine.cuda.driver import require_gpu

from .agenda import KINDS, MEASURED, REHEARSED, ReportOptions
from .cases import ALL_CASES, PART_NAMES, PARTS, parse_cases
from .measure import Measurement, start_worker
from .parts import find_parts
from .plot import draw
from .render import markdown
from .rows import FILE, Document, load
from .schedule import Schedule
from .targets import evaluate
from .workers.serve import LEAST_FRAMES

#: Seconds of ``--minutes`` that remain to end the workers and draw the plot.
_ENDING_S = 6.0

_NAME = "mostnet.bench.gpu.report"
#: The state of the GPU in a rehearsal.
_MINIATURE = {"name": "miniature GPU"}

_DEFAULTS = {"rounds": 5, "frames": 300, "seconds": 1.0, "paced_seconds": 20.0}
_REHEARSAL = {"rounds": 2, "frames": 10, "seconds": 0.2, "paced_seconds": 0.5}


def write_markdown(document: Document, out: Path) -> Path:
    """Write ``gpu_report.md``."""
    path = out / "gpu_report.md"
    write_text(path, markdown(document))
    return path


def write_plot(document: Document, out: Path) -> list[Path]:
    """Write ``gpu_report.png`` if something was measured; without matplotlib, say how to draw it elsewhere."""
    if find_spec("matplotlib") is None:
        print(f"no plot: matplotlib is not installed; --render {FILE} draws one on a machine that has it")
        return []
    picture = draw(document)
    if picture is None:
        return []
    path = out / "gpu_report.png"
    write_bytes(path, picture)
    return [path]


def _python(text: str) -> tuple[str, str]:
    part, equals, python = text.partition("=")
    if not equals or part not in PARTS or not python:
        raise argparse.ArgumentTypeError(f"{text!r} is not PART=PYTHON with PART one of {', '.join(PARTS)}")
    return part, python


def _some_of(what: str, known: tuple[str, ...], text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(text.split(",")))
    if unknown := sorted(set(chosen) - set(known)):
        raise argparse.ArgumentTypeError(f"unknown {what} {unknown}; expected some of {', '.join(known)}")
    return chosen


def _duration(text: str) -> float:
    value = positive_float(text)
    if value == inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def _frames(text: str) -> int:
    value = positive_int(text)
    if value < LEAST_FRAMES:
        raise argparse.ArgumentTypeError(f"{text!r} is too few; a round has at least {LEAST_FRAMES} frames")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mostnet.bench.gpu.report",
        description="Measure the runtime on this machine's GPU, the most valuable figures first.",
        epilog="Exit status: 0 all measured, 1 something failed, was skipped or interrupted (the report says what), 2 "
        "wrong arguments. A missed goal is a result, not a failure.",
    )
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="folder for JSON, Markdown, plot and log")
    add("--minutes", type=_duration, metavar="M", help="end within this time (default: when all is done)")
    add("--cases", type=Path, metavar="DIR", help="folder of the cases, made if missing (default: OUT/cases)")
    add("--only", type=parse_cases, metavar="dw-480x640,...", help="measure only these cases (default: all twelve)")
    add(
        "--kinds",
        type=partial(_some_of, "kinds", KINDS),
        default=KINDS,
        metavar="KIND,...",
        help=f"do only this work, of {', '.join(KINDS)} (default: all)",
    )
    add("--resume", action="store_true", help="continue the report in OUT")
    add(
        "--parts",
        type=partial(_some_of, "parts", PARTS),
        metavar="PART,...",
        help=f"of {', '.join(PARTS)} (default: all that are usable here, standin only if no TensorRT works)",
    )
    add(
        "--python",
        type=_python,
        action="append",
        default=[],
        metavar="PART=PATH",
        help="Python for a part whose libraries are not in this one; repeatable",
    )
    add("--opset", type=int, default=17, choices=(17, 18, 19), help="opset of new graphs (default: %(default)s)")
    add("--rounds", type=positive_int, metavar="N", help="rounds of each method (default: 5)")
    add("--frames", type=_frames, metavar="N", help="most frames of a round (default: 300)")
    add("--seconds", type=_duration, metavar="S", help="longest duration of a round (default: 1)")
    add("--paced-seconds", type=_duration, metavar="S", help="duration of a run at a camera's rate (default: 20)")
    add("--rehearse", action="store_true", help="run everything, tiny, on a simulated GPU; no figure means anything")
    add("--render", type=Path, metavar="JSON", help="measure nothing; write Markdown and plot of this report to OUT")
    return parser


def _options(args: argparse.Namespace, pythons: dict[str, str]) -> ReportOptions:
    roles = REHEARSED if args.rehearse else MEASURED
    lengths: dict[str, Any] = dict(_REHEARSAL if args.rehearse else _DEFAULTS)
    lengths.update({name: value for name in lengths if (value := getattr(args, name)) is not None})
    return ReportOptions(
        out=args.out,
        cases=args.cases or args.out / "cases",
        only=args.only or ((roles.main,) if args.rehearse else ALL_CASES),
        kinds=args.kinds,
        roles=roles,
        pythons=pythons,
        spare_standin=args.parts is None,
        rehearse=args.rehearse,
        opset=args.opset,
        reference_frames=12 if args.rehearse else None,
        soak_frames=50 if args.rehearse else 2000,
        resume=args.resume,
        minutes=args.minutes,
        **lengths,
    )


def _usable_parts(args: argparse.Namespace) -> tuple[dict[str, str], dict[str, str]]:
    """The Python of each usable part, and what the other parts lack.

    Raises:
        MeasurementError: no part is usable.
    """
    pythons = dict(args.python)
    lacking = find_parts(args.parts or PARTS, pythons, rehearse=args.rehearse)
    left_out = {part: reason for part, reason in lacking.items() if reason}
    for part, reason in left_out.items():
        print(f"{PART_NAMES[part]}: left out: {reason}", flush=True)
    usable = {part: pythons.get(part, sys.executable) for part in lacking if part not in left_out}
    if not usable:
        reasons = "; ".join(f"{PART_NAMES[part]}: {reason}" for part, reason in left_out.items())
        raise MeasurementError(f"nothing to measure; mend one part, or name its Python with --python. {reasons}")
    return usable, left_out


def _measure(args: argparse.Namespace) -> tuple[Document, bool]:
    schedule = Schedule(None if args.minutes is None else max(1.0, 60 * args.minutes - _ENDING_S))
    if not args.rehearse:
        try:
            require_gpu()
        except NoGpuError as error:
            raise NoGpuError(
                f"{error}; the report needs an NVIDIA GPU with its driver; --rehearse runs it on a simulated GPU"
            ) from None
    with StopRequest() as stop:
        pythons, left_out = _usable_parts(args)
        measurement = Measurement(
            _options(args, pythons),
            left_out=left_out,
            schedule=schedule,
            start=partial(start_worker, rehearse=args.rehearse, stop=stop.__bool__),
            gpu=(lambda: dict(_MINIATURE)) if args.rehearse else gpu_state,
            stop=stop.__bool__,
            publish=partial(write_markdown, out=args.out),
        )
        complete = measurement.run()
        if stop:
            complain(_NAME, "stopped by a signal before all was measured")
        return measurement.document, complete and not (args.parts and left_out)


def _make_folder(out: Path) -> str:
    """Make the folder if it is missing; says what is wrong if nothing can be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"cannot be made: {error.strerror}"
    return "" if os.access(out, os.W_OK | os.X_OK) else "is not writable"


@command(_NAME)
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    if problem := _make_folder(args.out):
        complain(_NAME, f"OUT {args.out}: {problem}; name another folder")
        return 2
    try:
        document, complete = (load(args.render), True) if args.render is not None else _measure(args)
        for result in evaluate(document):
            print(f"{result.verdict:12s} {result.goal}: {result.found}")
        for path in [write_markdown(document, args.out), *write_plot(document, args.out)]:
            print(path)
    except KeyboardInterrupt as stop:
        complain(_NAME, f"interrupted; {args.out / FILE} has the results so far")
        return exit_status(stop)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
