"""``mostnet-archive``: all videos of an archive through an engine, from the command line."""

from __future__ import annotations

import shlex
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import get_args

from rich.console import Console

from mostnet.contract import MostnetError
from mostnet.contract.stopping import StopRequest
from mostnet.contract.terminal import PLAIN, command, complain, counted
from mostnet.contract.versions import mostnet_version
from mostnet.serve.archive.reporting.report import write_report

from .archive import ArchivePlan, ArchiveRun
from .arguments import NAME, ArchiveArguments, parse
from .engine_files import EngineFiles
from .folder import ArchiveFolder
from .local import LocalWorkers
from .on_ray import RayWorkers
from .progress import ArchiveProgress
from .records import Ending
from .sources import SourceVideo, read_source
from .workers import WorkerOptions, Workers


@command(NAME, extra="ray")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status.

    It is 0, 1 if a video or the run failed, or 128 + the number of the signal that stopped it.
    """
    arguments = parse(argv)
    videos = read_source(arguments.source, arguments.out)
    folder = ArchiveFolder(arguments.out)
    command_line = shlex.join([NAME, *(sys.argv[1:] if argv is None else argv)])
    with folder.held():
        return _run(arguments, videos, folder, command_line)


def _run(arguments: ArchiveArguments, videos: Sequence[SourceVideo], folder: ArchiveFolder, command_line: str) -> int:
    options = WorkerOptions(
        cpu_workers=arguments.workers,
        threads=arguments.threads,
        gpus_per_worker=arguments.gpus_per_worker,
        gpu_only=Path(arguments.engine).suffix == ".plan",
    )
    engines = EngineFiles(arguments.engine, folder, size_hw=arguments.size_hw, say=partial(complain, NAME))
    plan = ArchivePlan(
        folder=folder,
        options=arguments.options,
        segment_s=arguments.segment_s,
        overwrite=arguments.overwrite,
        gpu_only=options.gpu_only,
    )
    begun_s = perf_counter()
    with (
        closing(_workers(arguments.ray, options)) as workers,
        StopRequest(second=signal.default_int_handler) as stop,
        ArchiveProgress(Console(file=sys.stderr, **PLAIN), _sizes(videos)) as progress,
    ):
        run = ArchiveRun(videos, plan, engines.file_for, workers, progress)
        about = _about(arguments, command_line)
        try:
            run.run(stop.__bool__)
        except BaseException:
            with suppress(MostnetError, OSError):  # the first error says why, such as a full disk
                write_report(folder.out, run.entries(), about)
            raise
        write_report(folder.out, run.entries(), about)
    _summarise(run, folder, perf_counter() - begun_s)
    return 128 + stop.signal if stop.signal else int("failed" in run.endings)


def _workers(ray: str | None, options: WorkerOptions) -> Workers:
    return LocalWorkers(options) if ray is None else RayWorkers(ray, options)


def _sizes(videos: Sequence[SourceVideo]) -> dict[int, int]:
    """Bytes of each video; 0 for one that cannot be found, whose task says why."""
    sizes = dict.fromkeys(range(len(videos)), 0)
    for number, video in enumerate(videos):
        with suppress(OSError):
            sizes[number] = video.path.stat().st_size
    return sizes


def _about(arguments: ArchiveArguments, command_line: str) -> dict[str, str]:
    """What the report says about the run."""
    segment = f"{arguments.segment_s / 60:g} minutes" if arguments.segment_s else "none"
    return {
        "command": command_line,
        "source": str(arguments.source),
        "engine": arguments.engine,
        "segments": segment,
        "workers": "this machine" if arguments.ray is None else f"Ray at {arguments.ray}",
        "mostnet": mostnet_version(),
    }


def _summarise(run: ArchiveRun, folder: ArchiveFolder, elapsed_s: float) -> None:
    counts = Counter(run.endings)
    told = ", ".join(f"{counts[ending]} {ending}" for ending in get_args(Ending) if counts[ending])
    print(f"{counted(len(run.endings), 'video')}: {told}; in {elapsed_s:.1f} s")
    print(f"report: {folder.out / 'report.html'}, {folder.out / 'report.json'}")


if __name__ == "__main__":
    sys.exit(main())
