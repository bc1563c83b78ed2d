"""The table on moved photographs: jitter after over jitter before, for every method on every clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mostnet.contract import Frame
from mostnet.engine import Engine, Output
from mostnet.video.steady.options import STEADY, StabiliserOptions
from mostnet.video.steady.picture_path import PictureSteps, jitter_ratio, picture_steps

from .clips import measured
from .ffmpeg import missing_vidstab, vidstab
from .methods import deshake, moving_average, ours
from .moved import MovedClip
from .truth import Truth, against_truth

Progress = Callable[[str, int, int], None]
Pairs = list[tuple[Frame, Output]]

#: Look-ahead of our rows, in frames.
_LOOKAHEADS = (0, 30)
#: Smoothing of vid.stab, in frames on either side.
_SMOOTHINGS = (10, 30)
#: Frames on either side of the centred average.
_AVERAGE = 15


@dataclass(frozen=True)
class Score:
    """One method on one clip.

    Attributes:
        clip, method: names.
        ratio: jitter of the pictures after over before, by phase correlation; NaN if it could not be measured.
        truth: what the known path says; None for a method that gives pictures only.
        missing: why the method was not run; None if it was.
    """

    clip: str
    method: str
    ratio: float
    truth: Truth | None = None
    missing: str | None = None


class Rival(NamedTuple):
    """Another method: its name, what makes its pictures, and why it cannot be run here (None: it can)."""

    name: str
    run: Callable[[Sequence[Frame]], list[Frame]]
    missing: str | None


def scores(
    clips: Iterable[MovedClip], *, engine: Path | None = None, progress: Progress = lambda part, done, of: None
) -> Iterator[Score]:
    """Run every method on every clip. Flow and mask are those of ``engine``, or DIS flow and the true mask.

    Raises:
        MostnetError: the engine cannot be opened, or ffmpeg fails.
    """
    if engine is None:
        for clip in clips:
            yield from _on_clip(clip, measured(clip.frames, masks=clip.masks), progress)
        return
    with Engine(engine) as opened:
        for clip in clips:
            opened.reset()
            yield from _on_clip(clip, _inferred(opened, clip, progress), progress)


def _on_clip(clip: MovedClip, pairs: Pairs, progress: Progress) -> Iterator[Score]:
    before = picture_steps(clip.frames)
    own, others = variants(fps=clip.fps), rivals()
    for done, (name, options) in enumerate(own):
        progress(clip.name, done, len(own) + len(others))
        yield _our_score(name, clip, pairs, options, before)
    for done, rival in enumerate(others, len(own)):
        progress(clip.name, done, len(own) + len(others))
        if rival.missing is not None:
            yield Score(clip.name, rival.name, float("nan"), missing=rival.missing)
        else:
            yield Score(clip.name, rival.name, jitter_ratio(before, picture_steps(rival.run(clip.frames))))
    progress(clip.name, len(own) + len(others), len(own) + len(others))


def variants(*, fps: float = 25.0) -> list[tuple[str, StabiliserOptions]]:
    """Our rows of the table: name and options. The crop is chosen from the path, as ``mostnet-run`` does."""
    return [
        (f"mostnet {steady}, look-ahead {lookahead}", StabiliserOptions(steady, lookahead=lookahead, fps=fps))
        for steady in STEADY
        for lookahead in _LOOKAHEADS
    ]


def rivals() -> list[Rival]:
    """Other methods: name, function, and why it cannot be run here."""
    found = [
        Rival("FFmpeg deshake", deshake, None),
        Rival(f"tracks, centred average {2 * _AVERAGE + 1}", _centred_average, None),
    ]
    missing = missing_vidstab()
    for smoothing in _SMOOTHINGS:
        run = partial(vidstab, smoothing=smoothing)
        found.append(Rival(f"vid.stab {smoothing}, two passes", run, missing))
    return found


def _centred_average(frames: Sequence[Frame]) -> list[Frame]:
    return moving_average(frames, past=_AVERAGE, future=_AVERAGE)


def _our_score(name: str, clip: MovedClip, pairs: Pairs, options: StabiliserOptions, before: PictureSteps) -> Score:
    run = ours(pairs, options)
    truth = against_truth(clip, run.corrections)
    return Score(clip.name, name, jitter_ratio(before, picture_steps(run.pictures)), truth=truth)


def _inferred(engine: Engine, clip: MovedClip, progress: Progress) -> Pairs:
    """The engine's outputs for a clip."""
    pairs = []
    for index, output in enumerate(engine.stream(clip.frames)):
        progress(f"{clip.name}: engine", index + 1, len(clip.frames))
        pairs.append((clip.frames[index], output))
    return pairs
