"""Compare the engine with float32 PyTorch, and with engines of the same weights in other precisions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch

from mostnet.contract import PRECISIONS
from mostnet.engine import Engine, Session
from mostnet.engine.options import Options
from mostnet.export.accuracy import worst
from mostnet.export.plan.report import read_counts
from mostnet.export.verification import verify
from mostnet.model.table1 import load_either, network_stream

from .checks import CHECKED_FRAMES
from .frames import BenchFrames
from .measure import Loop, time_alternately
from .report import Comparison, PrecisionTimings
from .timings import Timings

#: PyTorch's threads keep spinning for some milliseconds after their last work and would occupy the cores.
_SETTLE_S = 0.02


def compare_pytorch(session: Session, checkpoint: Path, frames: BenchFrames, loop: Loop, *, threads: int) -> Comparison:
    """Check the engine's outputs against PyTorch, then time both with the same number of threads.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        VerificationError: the engine's outputs do not match the checkpoint's.
    """
    loaded = load_either(checkpoint)
    device = "cuda" if session.provider == "cuda" and torch.cuda.is_available() else "cpu"
    with _torch_threads(threads):
        session.reset()
        first = [frames[i] for i in range(CHECKED_FRAMES)]
        accuracy = verify(loaded, session, first, precision=session.metadata.precision, name="the engine")
        accuracy.check()
        eager = network_stream(loaded.model, device=device)
        session.reset()
        eager_ms, engine_ms = time_alternately((eager.infer, session.infer), frames, loop, settle_s=_SETTLE_S)
    found = worst(accuracy.frames)
    engine, pytorch = Timings.of(engine_ms), Timings.of(eager_ms)
    return Comparison(
        checkpoint=checkpoint.name,
        device=device,
        threads=threads,
        psnr_db=found.psnr_db if np.isfinite(found.psnr_db) else None,
        epe_px=found.epe_px,
        iou=found.iou,
        checked_frames=len(accuracy.frames),
        trivial=accuracy.trivial,
        engine=engine,
        pytorch=pytorch,
        speed_ratio=pytorch.p50_ms / engine.p50_ms,
    )


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sibling_files(path: Path, precision: str) -> list[Path]:
    """Existing files beside ``path`` whose names, as given by ``mostnet-export``, differ only in the precision."""
    base = path.stem.removesuffix(f"-{precision}")
    if base == path.stem:
        return []
    names = [path.with_name(f"{base}-{other}{path.suffix}") for other in PRECISIONS if other != precision]
    return [name for name in names if name.is_file()]


def compare_precisions(
    path: Path, engine: Session, options: Options, frames: BenchFrames, loop: Loop
) -> tuple[PrecisionTimings, ...]:
    """Time ``engine`` (opened from ``path``) and its siblings of the same checkpoint and size.

    Returns an empty tuple if it has no siblings.

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
        for session in sessions.values():
            session.reset()
        samples = time_alternately([session.infer for session in sessions.values()], frames, loop, swap=False)
        return tuple(
            PrecisionTimings(
                file=file.name,
                precision=session.metadata.precision,
                megabytes=file.stat().st_size / 1e6,
                timings=Timings.of(latencies),
                convolutions=counts[file],
            )
            for (file, session), latencies in zip(sessions.items(), samples, strict=True)
        )
