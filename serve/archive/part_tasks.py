"""The tasks of a long video: its spans, and their joining."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import reduce
from pathlib import Path
from time import perf_counter
from typing import Any

from mostnet.contract import sha256, staging_folder, write_text
from mostnet.video.run import RunSummary

from .join import join_parts
from .kept_engine import opened
from .records import Place, Span
from .segments import run_span
from .tasks import Made, TaskStoppedError, VideoWork, stop_check

#: Counts of a summary, which add up.
_COUNTS = ("frames", "heals", "resets", "lost", "faded", "toothless", "raw", "dropped", "reconnects")


@dataclass(frozen=True, kw_only=True)
class PartMade:
    """A span is finished: its summary, and the worker that did it."""

    summary: RunSummary
    worker: str


@dataclass(frozen=True, kw_only=True)
class PartTask:
    """Run a span of a video, unless an earlier run finished it.

    The folder of the parts must be there: a late span of a video that is done does not make it again.
    """

    work: VideoWork
    index: int
    span: Span

    @property
    def file(self) -> Path:
        """The part's path."""
        return self.work.folder.parts(self.work.key) / f"{self.index:04}.mp4"

    def run(self, place: Place, worker: str) -> PartMade:
        """Do it.

        Raises:
            TaskStoppedError: the run is to stop.
            MostnetError, OSError: it failed.
        """
        work, record = self.work, self.file.with_suffix(".json")
        if (found := _finished(self.file, record)) is not None:
            return found
        work.check_unchanged()
        with staging_folder(work.folder.staging) as staging, work.pulse(str(self.index)) as pulse:
            staged = staging / "part.mp4"
            engine = opened(work.engine, work.options, place)
            summary = run_span(
                work.video, engine, staged, work.options, self.span, progress=pulse.progress, stop=pulse.stop
            )
            if summary.stopped:
                raise TaskStoppedError
            work.check_unchanged()
            text = json.dumps({"sha256": sha256(staged), "worker": worker, "summary": _values(summary)})
            staged_record = staged.with_suffix(".json")
            write_text(staged_record, text)
            staged.replace(self.file)
            staged_record.replace(record)
        return PartMade(summary=summary, worker=worker)


@dataclass(frozen=True, kw_only=True)
class JoinTask:
    """Join the finished spans of a video to its result."""

    work: VideoWork
    parts: tuple[PartTask, ...]
    made: tuple[PartMade, ...]

    def run(self, place: Place, worker: str) -> Made:
        """Do it.

        Raises:
            TaskStoppedError: the run is to stop.
            MostnetError, OSError: it failed.
        """
        work, begun_s = self.work, perf_counter()
        with staging_folder(work.folder.staging) as staging:
            staged = staging / "result.mp4"
            spans = [part.span for part in self.parts]
            parts = [part.file for part in self.parts]
            join_parts(parts, work.video, staged, spans, between=stop_check(work.folder))
            summary = reduce(_added, (made.summary for made in self.made))
            elapsed_s = summary.elapsed_s + perf_counter() - begun_s
            engine = opened(work.engine, work.options, place)
            return work.finish(staged, engine, summary, [*(part.worker for part in self.made), worker], elapsed_s)


def _finished(file: Path, record: Path) -> PartMade | None:
    """The part of an earlier run, if it is whole."""
    try:
        values = json.loads(record.read_text(encoding="utf-8"))
        if sha256(file) != values["sha256"]:
            return None
        return PartMade(summary=_summary(values["summary"]), worker=values["worker"])
    except (OSError, ValueError, KeyError):  # not finished
        return None


def _values(summary: RunSummary) -> dict[str, Any]:
    values = asdict(summary)
    return {**{name: values[name] for name in _COUNTS}, "fps": str(summary.fps), "elapsed_s": summary.elapsed_s}


def _summary(values: dict[str, Any]) -> RunSummary:
    return RunSummary(**{**values, "fps": Fraction(values["fps"])}, output=None, stopped=False)


def _added(one: RunSummary, other: RunSummary) -> RunSummary:
    """The summary of two parts after each other."""
    values, others = _values(one), _values(other)
    sums = {name: values[name] + others[name] for name in (*_COUNTS, "elapsed_s")}
    return _summary({**sums, "fps": values["fps"]})
