"""The cost of ``infer`` over the backend's bare call. Both run on one opened model, in turn on each frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame, VerificationError
from mostnet.engine import Session
from mostnet.engine.open_model import open_model
from mostnet.engine.options import Options

from .frames import BenchFrames
from .measure import Loop, split_between, time_alternately, time_ms
from .raw_call import RawCall
from .report import Overhead, Split
from .timings import Timings

#: Tolerances between two runs of one graph on the same frames: only the order of rounding may differ.
_SAME_LEVELS = 0.5
_SAME_PX = 0.05
_SAME_FRAMES = 3


def measure_overhead(path: Path, options: Options, frames: BenchFrames, loop: Loop) -> Overhead:
    """Time ``infer`` and the bare call in turn on the same frames, each with its own carried state.

    Raises:
        VerificationError: their results differ, so that their times cannot be compared.
    """
    with (
        closing(open_model(path, options)) as model,
        closing(RawCall(model, options.outputs)) as raw,
        Session(model, options) as session,
        raw.active(),
    ):
        _check_same_work(session, raw, frames)
        return _time_pairs(session, raw, frames, loop)


def _check_same_work(session: Session, raw: RawCall, frames: BenchFrames) -> None:
    for i in range(_SAME_FRAMES):
        output = session.infer(frames[i])
        raw.load(frames[i])
        raw()
        result = raw.result()
        assert result.enhanced is not None and result.flow is not None
        levels = _difference(output.enhanced, result.enhanced)
        pixels = _difference(output.flow, result.flow)
        if not (levels <= _SAME_LEVELS and pixels <= _SAME_PX):
            raise VerificationError(
                f"infer and the backend's bare call differ in frame {i}: pictures by {levels:.2f} grey levels (at most "
                f"{_SAME_LEVELS:g}), flows by {pixels:.4f} px (at most {_SAME_PX:g}); their times cannot be compared"
            )


def _difference(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Mean absolute difference."""
    return float(np.mean(np.abs(a.astype(np.float32) - b.astype(np.float32))))


def _time_pairs(session: Session, raw: RawCall, frames: BenchFrames, loop: Loop) -> Overhead:
    splits: list[Split] = []

    def bare(frame: Frame) -> None:
        raw()

    def time_call(call: Callable[[Frame], object], frame: Frame) -> float:
        if call is bare:
            return time_ms(call, frame)
        before = session.stats  # read here, so that both orders find it in the same caches
        elapsed_ms = time_ms(call, frame)
        splits.append(split_between(before, session.stats))
        return elapsed_ms

    engine_ms, raw_ms = time_alternately(
        (session.infer, bare), frames, loop, block=1, prepare=raw.load, time_call=time_call
    )
    return summarise_pairs(engine_ms, raw_ms, splits)


def summarise_pairs(engine_ms: Sequence[float], raw_ms: Sequence[float], splits: Sequence[Split]) -> Overhead:
    """Summarise times of the same frames in ``infer`` and the bare call; see ``Overhead`` for each figure."""
    engine, raw = np.array(engine_ms), np.array(raw_ms)
    copies = np.array([split.copy_in_ms + split.copy_out_ms for split in splits])
    compute = np.array([split.compute_ms for split in splits])
    beyond = engine - raw - copies
    return Overhead(
        engine=Timings.of(engine_ms),
        raw=Timings.of(raw_ms),
        copies_ms=tuple(copies.tolist()),
        difference_ms=float(np.median(engine - raw)),
        ratio=float(np.median(engine / raw)),
        copy_in_ms=float(np.median([split.copy_in_ms for split in splits])),
        copy_out_ms=float(np.median([split.copy_out_ms for split in splits])),
        beyond_copies_ms=float(np.median(beyond)),
        beyond_copies_95_ms=median_interval(beyond.tolist()),
        own_ms=float(np.median(engine - compute - copies)),
    )


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the median, from order statistics (normal approximation of the binomial)."""
    ordered = sorted(samples)
    reach = 0.98 * len(ordered) ** 0.5
    low = max(0, int(len(ordered) / 2 - reach))
    high = min(len(ordered) - 1, int(len(ordered) / 2 + reach))
    return ordered[low], ordered[high]
