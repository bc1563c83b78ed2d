"""Look at a few moments of a video and of its result, to tell in the report what was found."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from mostnet.contract import FOREGROUND, MASK, Frame, MostnetError
from mostnet.engine import Session
from mostnet.serve.archive.records import Findings, RunOptions
from mostnet.video.fit import FrameFit
from mostnet.video.guards import SceneGuard
from mostnet.video.run import RunSummary

from .before_after import beside
from .excerpts import MOST_SKIPPED, Excerpts
from .steadiness import is_comparable, is_long_enough, jitter_px, jitters_px

#: Most moments at which teeth are looked for, and frames that run before each so that the state has settled.
MOMENTS, WARM_UP = 5, 4
#: The network runs one of so many frames again; those of one moment in any case.
ONE_OF = 10

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


def survey(video: Path, result: Path | None, engine: Session, options: RunOptions, summary: RunSummary) -> Findings:
    """What the report tells of a video; the work does not grow with its length, above 250 frames.

    A figure that cannot be had is None, and a warning says why.

    Args:
        video: the source.
        result: what was written of it, or None.
        engine: an open engine. If it gives the mask, it is reset, and runs frames of a few moments.
        options: what the result was made with.
        summary: what ``run`` returned.
    """
    source = _tried(video, lambda: Excerpts(video, fps=options.fps)) if summary.frames else None
    if source is None:
        return Findings(events=summary.events)
    with source:
        length_s = summary.frames / summary.fps
        seen_s = length_s if source.seeks else min(length_s, MOST_SKIPPED * source.period_s)
        shares = _teeth_shares(source, engine, seen_s) if MASK in engine.outputs else {}
        moment_s = max(shares, key=shares.__getitem__) if any(shares.values()) else seen_s / 2
        before_px, after_px = (
            _jitter(source, result, options, seen_s) if is_long_enough(summary.frames) else (None, None)
        )
        return Findings(
            picture=_tried(video, lambda: _picture(source, result, moment_s)),
            teeth_share=fmean(shares.values()) if shares else None,
            jitter_before_px=before_px,
            jitter_after_px=after_px,
            events=summary.events,
        )


def _tried(video: Path, work: Callable[[], T]) -> T | None:
    try:
        return work()
    except (MostnetError, OSError) as error:
        _LOG.warning("%s: the report lacks a figure of this video: %s", video, error)
        return None


def _teeth_shares(source: Excerpts, engine: Session, length_s: Fraction) -> dict[Fraction, float]:
    """The share of pixels that are tooth, by the moments looked at."""
    count = max(1, min(MOMENTS, int(length_s / source.period_s) // (ONE_OF * (WARM_UP + 1))))
    shares: dict[Fraction, float] = {}
    for k in range(count):
        begin_s = max(Fraction(0), length_s * (2 * k + 1) / (2 * count) - WARM_UP * source.period_s)
        shares |= _tried(source.path, partial(_teeth_share, source, engine, begin_s)) or {}
    return shares


def _teeth_share(source: Excerpts, engine: Session, begin_s: Fraction) -> dict[Fraction, float]:
    """The share after the warm-up that begins at ``begin_s``, by its moment; nothing if there are no frames."""
    found: dict[Fraction, float] = {}
    scenes = SceneGuard()
    engine.reset()
    for time_s, frame in itertools.islice(source.shown_from(begin_s), WARM_UP + 1):
        if scenes.check(frame).resets_engine:
            engine.reset()
        fit = FrameFit((frame.shape[0], frame.shape[1]), engine.metadata.size_hw, source.pixel_aspect)
        output = engine.infer(fit.to_engine(frame)).replace(enhanced=None, flow=None)
        found = {time_s: float((fit.back(output).mask >= FOREGROUND).mean())}
    return found


def _picture(source: Excerpts, result: Path | None, moment_s: Fraction) -> bytes | None:
    """PNG of the moment before, beside that of the result if it can be read."""
    before = next(source.shown_from(moment_s), None)
    if before is None:
        return None
    time_s, frame = before
    after = None if result is None else _tried(source.path, lambda: _shown_at(time_s, result, source.period_s))
    parts = [("before", frame)] if after is None else [("before", frame), ("after", after)]
    return beside(parts, source.pixel_aspect)


def _shown_at(time_s: Fraction, result: Path, period_s: Fraction) -> Frame | None:
    with Excerpts(result) as written:
        for after_s, picture in written.shown_from(time_s):
            return picture if after_s <= time_s + period_s / 2 else None
    return None


def _jitter(
    source: Excerpts, result: Path | None, options: RunOptions, length_s: Fraction
) -> tuple[float | None, float | None]:
    """Jitter before and after; the latter is None if the result is none that can be compared."""
    if result is not None and is_comparable(options.layout):
        both = _tried(source.path, lambda: jitters_px(source, result, length_s))
        if both is not None:
            return both
    return _tried(source.path, lambda: jitter_px(source, length_s)), None
