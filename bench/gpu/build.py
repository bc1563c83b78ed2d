"""Build the plan of a case, as ``mostnet-export`` builds plans: ``python -m mostnet.bench.gpu.build CASES/NAME``.

A Python with TensorRT and numpy suffices. Without ``--target``, a plan is for the GPU of this machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

from mostnet.contract import ExportError
from mostnet.contract.stopping import end_with_parent
from mostnet.contract.terminal import CommandParser, command
from mostnet.engine.cuda.driver import gpu_architecture
from mostnet.engine.tensorrt.library import MODULES
from mostnet.export.plan.flavour import Toolchain, find_toolchain
from mostnet.export.plan.request import PlanRequest
from mostnet.export.plan.writer import write_plan

from .cases import GRAPH, REQUEST, is_built, plan_path


def build(toolchain: Toolchain, folder: Path, *, optimization_level: int | None = None) -> list[str]:
    """Write the plan of a case and its companion files; returns lines on the types in which its convolutions run.

    Args:
        optimization_level: as ``build_plan`` takes it.

    Raises:
        ExportError: the case is not prepared, or TensorRT cannot build its plan.
    """
    path = folder / REQUEST
    if not path.is_file():
        raise ExportError(f"{folder}: not prepared; run python -m mostnet.bench.gpu.prepare {folder.parent}")
    request = PlanRequest.from_json(path.read_text(encoding="utf-8"), source=str(path))
    # Plans of different sizes share many layers, and therefore their measured tactics.
    timing_cache = folder.parent / "timing.cache" if toolchain.flavour == "tensorrt" else None
    name = plan_path(folder, toolchain.flavour).name
    try:
        return write_plan(
            toolchain,
            folder / GRAPH,
            request,
            name=name,
            timing_cache=timing_cache,
            optimization_level=optimization_level,
        )
    except ExportError as error:
        raise ExportError(f"{folder}: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m mostnet.bench.gpu.build", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="CASES/NAME")
    parser.add_argument(
        "--flavour", choices=MODULES, default="tensorrt", help="flavour of TensorRT (default: %(default)s)"
    )
    parser.add_argument("--target", metavar="sm_86", help="build for this GPU instead; TensorRT for RTX only")
    parser.add_argument(
        "--optimization-level",
        type=int,
        choices=range(6),
        metavar="0..5",
        help="0 builds fastest, 5 searches longest for fast kernels (default: TensorRT's, 3)",
    )
    parser.add_argument("--again", action="store_true", help="rebuild plans that exist")
    return parser


@command("mostnet.bench.gpu.build")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    end_with_parent()
    architecture = args.target or gpu_architecture()
    targets = (args.target,) if args.target else None
    toolchain = find_toolchain(args.flavour, targets)
    for folder in args.folders:
        if is_built(folder, args.flavour) and not args.again:
            continue
        begun_s = perf_counter()
        lines = build(toolchain, folder, optimization_level=args.optimization_level)
        took_s, megabytes = perf_counter() - begun_s, plan_path(folder, args.flavour).stat().st_size / 1e6
        lines = [f"{megabytes:.1f} MB for {architecture} by {toolchain.name} in {took_s:.0f} s", *lines]
        print(*(f"{folder}: {line}" for line in lines), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
