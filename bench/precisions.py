"""The same weights in FP32, FP16 and INT8, side by side."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from time import perf_counter_ns

from mostnet.contract import PRECISIONS
from mostnet.engine import Engine, Session
from mostnet.engine.options import Options
from mostnet.export.plan.report import read_counts

from .frames import Clip
from .measure import Tick, no_collection
from .report import PrecisionTimings, Timings

#: Frames in a row of one engine: a few, so that all see the machine in the same moods.
_BLOCK = 5


def sibling_files(path: Path, precision: str) -> list[Path]:
    """Files that ``mostnet-export`` gave the name of ``path`` with another precision in it, as they lie beside it."""
    base = path.stem.removesuffix(f"-{precision}")
    if base == path.stem:
        return []
    names = [path.with_name(f"{base}-{other}{path.suffix}") for other in PRECISIONS if other != precision]
    return [name for name in names if name.is_file()]


def compare_precisions(
    path: Path, engine: Session, options: Options, clip: Clip, *, frames: int, warmup: int, tick: Tick
) -> tuple[PrecisionTimings, ...]:
    """Time ``engine`` (opened from ``path``) and its siblings of the same checkpoint and size, in alternating blocks.

    Empty where it has none.

    Raises:
        ModelFileError: a sibling cannot be opened, or a ``NAME.layers.json`` is ill-formed.
    """
    with ExitStack() as stack:
        sessions: dict[Path, Session] = {path: engine}
        for other in sibling_files(path, engine.metadata.precision):
            opened = stack.enter_context(
                Engine(other, outputs=options.outputs, threads=options.threads, provider=options.provider)
            )
            same = opened.metadata.checkpoint_sha256 == engine.metadata.checkpoint_sha256
            if same and opened.metadata.size_hw == engine.metadata.size_hw:
                sessions[other] = opened
        if len(sessions) == 1:
            return ()
        counts = {file: read_counts(file) for file in sessions}
        samples = _time(list(sessions.values()), clip, frames, warmup, tick)
        return tuple(
            PrecisionTimings(
                file=file.name,
                precision=session.metadata.precision,
                megabytes=file.stat().st_size / 1e6,
                timings=Timings.of(ms),
                convolutions=counts[file],
            )
            for (file, session), ms in zip(sessions.items(), samples, strict=True)
        )


def _time(sessions: list[Session], clip: Clip, frames: int, warmup: int, tick: Tick) -> list[list[float]]:
    samples: list[list[float]] = [[] for _ in sessions]
    for session in sessions:
        session.reset()
        for i in range(warmup):
            session.infer(clip[i])
    with no_collection():
        for start in range(0, frames, _BLOCK):
            indices = range(start, min(start + _BLOCK, frames))
            for session, ms in zip(sessions, samples, strict=True):
                session.infer(clip[start - 1])
                for i in indices:
                    begun_ns = perf_counter_ns()
                    session.infer(clip[i])
                    ms.append((perf_counter_ns() - begun_ns) / 1e6)
            tick(indices[-1] + 1)
    return samples
