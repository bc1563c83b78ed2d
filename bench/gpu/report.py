"""Measure the runtime on the GPU of this machine: ``python -m mostnet.bench.gpu.report OUT``.

A case is a network at a frame size in a precision. For each case, the report makes the graph, its reference and its
plan if they are missing, and checks the plan's results against float32 PyTorch. Then it measures the engine, the bare
enqueue loop, PyTorch and ONNX Runtime in turn, round by round. Each part runs in the Python that has its libraries. The
JSON is written after every round, Markdown and a plot at the end.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

from mostnet.contract import MostnetError, write_bytes
from mostnet.engine.tensorrt.library import MODULES

from .cases import ALL_CASES, PARTS, ReportOptions, parse_cases
from .measure import Measurement
from .render import draw, markdown
from .rows import FILE, Document, load
from .targets import evaluate


def render(document: Document, out: Path) -> list[Path]:
    """Write ``gpu_report.md``, and ``gpu_report.png`` if matplotlib is installed and something was measured."""
    written = [out / "gpu_report.md"]
    write_bytes(written[0], markdown(document).encode())
    picture = draw(document) if find_spec("matplotlib") is not None else None
    if picture is not None:
        written.append(out / "gpu_report.png")
        write_bytes(written[1], picture)
    return written


def _python(text: str) -> tuple[str, str]:
    part, equals, python = text.partition("=")
    if not equals or part not in PARTS or not python:
        raise argparse.ArgumentTypeError(f"{text!r} is not PART=PYTHON with PART one of {', '.join(PARTS)}")
    return part, python


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mostnet.bench.gpu.report",
        description="Measure the runtime on this machine's GPU.",
        epilog="Exit status: 0 all measured, 1 something failed or time ran out (the report says what), 2 wrong "
        "arguments. A missed goal is a result, not a failure.",
    )
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="folder for JSON, Markdown, plot and log")
    add("--cases", type=Path, metavar="DIR", help="folder of the cases, made if missing (default: OUT/cases)")
    add(
        "--only",
        type=parse_cases,
        default=ALL_CASES,
        metavar="dw-480x640,...",
        help="cases, in this order (default: all nine)",
    )
    add("--resume", action="store_true", help="keep the complete cases of OUT")
    add("--parts", default=",".join(PARTS), help="parts to measure (default: %(default)s)")
    add(
        "--python",
        type=_python,
        action="append",
        default=[],
        metavar="PART=PATH",
        help="Python for a part whose libraries are not in this one; repeatable",
    )
    add("--flavour", choices=MODULES, default="tensorrt", help="flavour of TensorRT (default: %(default)s)")
    add("--opset", type=int, default=17, choices=(17, 18, 19), help="opset of new graphs (default: %(default)s)")
    add("--rounds", type=int, default=5, metavar="N", help="rounds of each method (default: %(default)s)")
    add("--frames", type=int, default=300, metavar="N", help="most frames of a round (default: %(default)s)")
    add("--seconds", type=float, default=1.0, metavar="S", help="longest duration of a round (default: %(default)s)")
    add("--minutes", type=float, metavar="M", help="begin no round after this time")
    add("--render", type=Path, metavar="JSON", help="measure nothing; write Markdown and plot of this report to OUT")
    return parser


def _options(args: argparse.Namespace) -> ReportOptions:
    pythons = dict.fromkeys(args.parts.split(","), sys.executable)
    pythons.update((part, python) for part, python in args.python if part in pythons)
    return ReportOptions(
        out=args.out,
        cases=args.cases or args.out / "cases",
        only=args.only,
        pythons=pythons,
        flavour=args.flavour,
        opset=args.opset,
        rounds=args.rounds,
        frames=args.frames,
        seconds=args.seconds,
        minutes=args.minutes,
        resume=args.resume,
    )


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        if args.render is not None:
            document, complete = load(args.render), True
        else:
            options = _options(args)
            limit_s = None if options.minutes is None else monotonic() + 60 * options.minutes
            measurement = Measurement(options, deadline_s=limit_s)
            complete = measurement.run()
            document = measurement.document
        for result in evaluate(document):
            print(f"{result.verdict:12s} {result.goal}: {result.found}")
        for path in render(document, args.out):
            print(path)
    except (MostnetError, OSError) as error:
        print(f"mostnet.bench.gpu.report: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"mostnet.bench.gpu.report: interrupted; {args.out / FILE} has the results so far", file=sys.stderr)
        return 130
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
