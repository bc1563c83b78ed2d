"""The table on moved photographs: jitter after over jitter before, for every method on every clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mostnet.contract import Frame
from mostnet.engine import Engine, Output
from mostnet.video.steady.metrics import vibration
from mostnet.video.steady.picture_path import PictureSteps, jitter_ratio, picture_steps
from mostnet.video.steady.similarity import Similarity
from mostnet.video.steady.stabiliser import Correction, StabiliserOptions

from .checks import path_array, shown_views
from .clips import measured
from .ffmpeg import missing_vidstab, vidstab
from .methods import CROP, deshake, moving_average, ours
from .moved import MovedClip

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
        true_ratio: the same by the known path of the camera; None for a method that gives pictures only.
        error_px: RMS error of each known motion at the frame's corners, in pixels; empty for other methods than ours.
        lost: share of frames whose motion is unknown to us; None for other methods.
        missing: why the method was not run; None if it was.
    """

    clip: str
    method: str
    ratio: float
    true_ratio: float | None = None
    error_px: tuple[float, ...] = ()
    lost: float | None = None
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


def corner_errors_px(
    found: Sequence[Similarity | None], true: Sequence[Similarity], size_hw: tuple[int, int]
) -> list[float]:
    """RMS error of each motion that was found, over the frame's corners, in pixels."""
    half_h, half_w = (size_hw[0] - 1) / 2, (size_hw[1] - 1) / 2
    corners = np.array([complex(x, y) for x in (-half_w, half_w) for y in (-half_h, half_h)])
    pairs = [(one, other) for one, other in zip(found, true, strict=True) if one is not None]
    offs = [(one.a - other.a) * corners + one.b - other.b for one, other in pairs]
    return [float(np.sqrt(np.mean(np.abs(off) ** 2))) for off in offs]


def believed_motions(corrections: Sequence[Correction], size_hw: tuple[int, int]) -> list[Similarity | None]:
    """The motion of each frame but the first, as the stabiliser took it; None where it knew none.

    ``drift`` leads from the steady picture before to this one. With the two corrections, the motion follows from it.
    """
    views = shown_views(corrections, size_hw)
    found: list[Similarity | None] = []
    for before, now, correction in zip(views, views[1:], corrections[1:], strict=False):
        drift = correction.state.drift
        back = None if drift is None else before.inverse().then(Similarity.of_matrix(drift, size_hw)).then(now)
        found.append(None if back is None else back.inverse())
    return found


def _on_clip(clip: MovedClip, pairs: Pairs, progress: Progress) -> Iterator[Score]:
    before = picture_steps(clip.frames)
    own, others = variants(), rivals()
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


def variants() -> list[tuple[str, StabiliserOptions]]:
    """Our rows of the table: name and options."""
    return [
        (f"mostnet, look-ahead {lookahead}", StabiliserOptions(lookahead=lookahead, crop=CROP))
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
    size_hw = (clip.frames[0].shape[0], clip.frames[0].shape[1])
    views = shown_views(run.corrections, size_hw)
    shown = [view.then(pose) for view, pose in zip(views, clip.poses, strict=True)]
    believed = believed_motions(run.corrections, size_hw)
    return Score(
        clip.name,
        name,
        jitter_ratio(before, picture_steps(run.pictures)),
        true_ratio=true_jitter_px(shown) / true_jitter_px(clip.poses),
        error_px=tuple(corner_errors_px(believed, clip.motions, size_hw)),
        lost=sum(motion is None for motion in believed) / len(believed),
    )


def true_jitter_px(poses: Sequence[Similarity]) -> float:
    """RMS of the path of the picture's content minus its 27-frame Hann average, in pixels of the picture."""
    steps = [now.inverse() for now in MovedClip("", [], [], list(poses)).motions]
    path = np.concatenate([[0j], np.cumsum([step.b for step in steps])])
    return vibration(path_array([Similarity(1 + 0j, complex(place)) for place in path])[:, :2])


def _inferred(engine: Engine, clip: MovedClip, progress: Progress) -> Pairs:
    """The engine's outputs for a clip."""
    pairs = []
    for index, output in enumerate(engine.stream(clip.frames)):
        progress(f"{clip.name}: engine", index + 1, len(clip.frames))
        pairs.append((clip.frames[index], output))
    return pairs
