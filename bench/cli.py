"""``mostnet-bench``: the command line of ``mostnet.bench.benchmark``."""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import partial
from pathlib import Path

from rich.console import Console

from mostnet.contract import MostnetError, staging_folder
from mostnet.contract.shipped import checkpoint_path
from mostnet.contract.terminal import PLAIN, CommandParser, command, complain
from mostnet.engine.options import PROVIDERS
from mostnet.video.command.engines import EngineSupply, is_exported
from mostnet.video.files.opening import STDIN
from mostnet.video.reader import named_clip
from mostnet.video.threads import limit_opencv_threads

from .options import DEFAULT_MINUTES, MIN_FRAMES, BenchOptions
from .plot import require_matplotlib, write_plot
from .progress import PartProgress
from .report import BenchReport
from .runner import benchmark
from .table import print_report

#: Value of ``--compare`` without a file.
_ENGINE_FOLDER = object()


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mostnet-bench",
        description="Measure an engine on this machine: latency, throughput, overhead, memory.",
        epilog="Exit status: 0 measured, 1 failed or the engine's outputs are wrong, 2 wrong arguments.",
    )
    add = parser.add_argument
    add(
        "--engine",
        required=True,
        metavar="FILE|NAME",
        help="the .onnx or .plan to measure; or a checkpoint, as mostnet-run takes it, which is exported once for the "
        "CPU: in the shape of --video, else for 480x640",
    )
    add(
        "--video",
        type=named_clip,
        metavar="FILE",
        help="frames to measure on; demo is the clip of mostnet (default: a synthetic moving texture)",
    )
    add(
        "--frames",
        type=int,
        default=200,
        metavar="N",
        help=f"timed frames of each part, at least {MIN_FRAMES} (default: %(default)s)",
    )
    add("--warmup", type=int, default=20, metavar="N", help="untimed frames before each part (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write all figures and samples as JSON")
    add(
        "--plot",
        type=_png,
        metavar="FILE.png",
        help="draw the latency: histogram, time line and paced runs",
    )
    add(
        "--compare",
        nargs="?",
        const=_ENGINE_FOLDER,
        metavar="CKPT.pt",
        help="time the same weights in PyTorch side by side; a checkpoint, or the name of one that ships, such as nano "
        "(without a value: the one of --engine NAME, or the checkpoint in the engine's folder)",
    )
    add(
        "--paced",
        type=_rates,
        default=(),
        metavar="FPS,...",
        help="also measure with frames that arrive at these rates, for example 25,30,60",
    )
    add(
        "--minutes",
        type=float,
        metavar="M",
        help=f"time for all rates of --paced together (default: {DEFAULT_MINUTES:g})",
    )
    add("--threads", type=int, metavar="N", help="CPU threads of engine and PyTorch (default: every usable core)")
    add("--provider", choices=PROVIDERS, default="auto", help="device that runs an .onnx (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the synthetic frames (default: %(default)s)")
    return parser


def _png(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png, the only format of plots")
    return path


def _rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(rate) for rate in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of rates; expected frames per second with commas between, for example 25,30,60"
        ) from None


def _compared(args: argparse.Namespace) -> Path | None:
    if args.compare is None:
        return None
    if args.compare is not _ENGINE_FOLDER:
        return checkpoint_path(args.compare)
    return Path(args.engine).parent if is_exported(args.engine) else checkpoint_path(args.engine)


def _engine_file(args: argparse.Namespace) -> Path:
    supply = EngineSupply(args.engine, (), say=partial(complain, "mostnet-bench"))
    return supply.file_for(STDIN if args.video is None else args.video)


def _options(args: argparse.Namespace) -> BenchOptions:
    return BenchOptions(
        frames=args.frames,
        warmup=args.warmup,
        video=args.video,
        compare=_compared(args),
        threads=args.threads,
        provider=args.provider,
        seed=args.seed,
        paced=args.paced,
        minutes=args.minutes,
    )


@command("mostnet-bench", interrupted="interrupted; nothing was written")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        options = _options(args)
    except ValueError as error:
        parser.error(str(error))
    limit_opencv_threads()
    for path in (args.json, args.plot):
        if path is not None:
            _require_writable(path)
    if args.plot is not None:
        require_matplotlib()
    engine = _engine_file(args)
    with PartProgress(Console(file=sys.stderr, **PLAIN)) as progress:
        line = shlex.join(["mostnet-bench", *argv])
        report = benchmark(engine, options, progress=progress.update, command=line)
    _write(report, args)
    return 0


def _require_writable(path: Path) -> None:
    """Check that ``path`` can be written, before minutes of measuring. Its folder need not exist yet.

    Raises:
        MostnetError: ``path`` is a folder.
        OSError: nothing can be written there.
    """
    if path.is_dir():
        raise MostnetError(f"{path}: is a folder; give the name of a file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    with staging_folder(folder) as trial:
        (trial / path.name).touch()


def _write(report: BenchReport, args: argparse.Namespace) -> None:
    console = Console(file=sys.stdout, **PLAIN)
    print_report(report, console)
    if args.json is not None:
        report.write_json(args.json)
    if args.plot is not None:
        write_plot(report, args.plot)
    for path in (args.json, args.plot):
        if path is not None:
            console.print(f"{path}  {path.stat().st_size / 1e3:.0f} kB", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
