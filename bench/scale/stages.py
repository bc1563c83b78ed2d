"""``python -m mostnet.bench.scale.stages --engine FILE``: what a frame of an archive costs, stage by stage.

It runs a video through an engine on one core, as ``mostnet-run`` does, and each stage of that alone. A time is that of
the processor, of all threads of this process, so that it adds up to cores whatever runs beside whatever.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mostnet.bench.machine import describe_machine
from mostnet.contract import Frame, write_text
from mostnet.contract.terminal import PLAIN, CommandParser, command
from mostnet.contract.versions import installed_versions
from mostnet.engine import Engine
from mostnet.video import VideoReader, VideoWriter, run
from mostnet.video.fit import FrameFit
from mostnet.video.guards import SceneGuard
from mostnet.video.reader import named_clip

FORMAT_VERSION = 1
STAGES = ("decode", "guard and fit", "network", "encode")
_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """Processor time of one frame in milliseconds: each stage alone, and a whole run.

    Attributes:
        stages_ms: by the names in ``STAGES``, each the median of the rounds.
        whole_ms: of ``mostnet.video.run``, the median of the rounds.
        bytes_in, bytes_out: of the files, for each frame.
        frames: of the video.
    """

    stages_ms: dict[str, float]
    whole_ms: float
    bytes_in: float
    bytes_out: float
    frames: int

    @property
    def rest_ms(self) -> float:
        """The whole without the stages: drawing, threads, opening and closing the files."""
        return self.whole_ms - sum(self.stages_ms.values())


def measure_stages(path: Path, video: Path) -> StageTimes:
    """Run ``video`` through the engine of ``path`` in turns: each stage alone, then all of it.

    Raises:
        MostnetError: the engine or the video cannot be opened.
    """
    with Engine(path, threads=1, provider="cpu", outputs=("enhanced",)) as engine, tempfile.TemporaryDirectory() as out:
        target = Path(out) / "out.mp4"
        rounds = [_round(engine, video, target) for _ in range(_ROUNDS)]
        with VideoReader(video) as reader:
            frames = sum(1 for _ in reader)
        bytes_out = target.stat().st_size
    medians = {name: statistics.median(each[name] for each in rounds) * 1e3 / frames for name in (*STAGES, "whole")}
    return StageTimes(
        stages_ms={name: medians[name] for name in STAGES},
        whole_ms=medians["whole"],
        bytes_in=video.stat().st_size / frames,
        bytes_out=bytes_out / frames,
        frames=frames,
    )


def _round(engine: Engine, video: Path, target: Path) -> dict[str, float]:
    """Processor time in seconds of each stage for the whole video, and of the run."""
    with VideoReader(video) as reader:
        size_hw, fps, aspect = reader.size_hw, reader.fps, reader.pixel_aspect
        frames: list[Frame] = []
        spent = {"decode": _spent_s(lambda: frames.extend(reader))}
    fit, guard = FrameFit(size_hw, engine.size_hw, aspect), SceneGuard()
    fitted: list[Frame] = []
    spent["guard and fit"] = _spent_s(lambda: fitted.extend(_prepared(frame, fit, guard) for frame in frames))
    enhanced: list[Frame] = []
    engine.reset()
    spent["network"] = _spent_s(lambda: enhanced.extend(engine.infer(frame).enhanced for frame in fitted))
    with closing(VideoWriter(target, fps, engine.size_hw)) as writer:
        spent["encode"] = _spent_s(lambda: _write(writer, enhanced)) + _spent_s(writer.close)
    spent["whole"] = _spent_s(lambda: run(video, engine, target))
    return spent


def _prepared(frame: Frame, fit: FrameFit, guard: SceneGuard) -> Frame:
    guard.check(frame)
    return fit.to_engine(frame)


def _write(writer: VideoWriter, pictures: Iterable[Frame]) -> None:
    for picture in pictures:
        writer.write(picture)


def _spent_s(work: Callable[[], object]) -> float:
    before_s = time.process_time()
    work()
    return time.process_time() - before_s


def stage_table(times: StageTimes) -> Table:
    """One row for each stage, the rest and the whole."""
    table = Table("stage", title=f"{times.frames} frames on one core", title_justify="left")
    for column in ("ms a frame", "share"):
        table.add_column(column, justify="right")
    for name, spent_ms in {**times.stages_ms, "rest": times.rest_ms, "whole": times.whole_ms}.items():
        table.add_row(name, f"{spent_ms:.1f}", f"{100 * spent_ms / times.whole_ms:.0f} %")
    return table


@command("mostnet.bench.scale.stages", interrupted="interrupted; nothing was written")
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write the JSON."""
    argv = sys.argv[1:] if argv is None else list(argv)
    options = _parser().parse_args(argv)
    times = measure_stages(options.engine, options.video)
    Console(file=sys.stdout, **PLAIN).print(stage_table(times))
    print(f"{times.bytes_in / 1e3:.1f} kB a frame read, {times.bytes_out / 1e3:.1f} kB written")
    if options.json is not None:
        write_text(options.json, json.dumps(_to_json(times, options, argv), indent=1) + "\n")
    return 0


def _to_json(times: StageTimes, options: argparse.Namespace, argv: Sequence[str]) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "command": shlex.join(["python", "-m", "mostnet.bench.scale.stages", *argv]),
        "engine": options.engine.name,
        "video": options.video.name,
        "machine": vars(describe_machine(gpu=False)),
        "versions": installed_versions(("mostnet", "onnxruntime", "numpy", "opencv-python", "av")),
        "rest_ms": times.rest_ms,
        **vars(times),
    }


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mostnet.bench.scale.stages",
        description="Measure what a frame of a video costs in processor time, stage by stage: decode, network, encode.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--engine", type=Path, required=True, help="exported model", metavar="FILE.onnx")
    add(
        "--video",
        type=named_clip,
        default=named_clip("demo"),
        help="video; demo is the clip of mostnet",
        metavar="FILE",
    )
    add("--json", type=Path, help="write all figures", metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
