"""The skew of each frame of a clip, against the true displacement of its rows."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.bench.steady.rolling import skew_of
from mostnet.video.steady.shutter.correction import AUTO, OFF, ShutterCorrection
from mostnet.video.steady.shutter.rows import RowSkew
from mostnet.video.steady.similarity import Similarity, least_squares

from .samples import POINTS, SIZE_HW, run, shaking

COUNT, SHARE = 100, 0.6
NONE = np.zeros(0, np.complex128)


def _given(setting: float | str, *, lookahead: int, share: float = SHARE, lost: int | None = None) -> list:
    """The skews of a clip, whose frame ``lost`` has no known motion."""
    correction = ShutterCorrection(setting, lookahead=lookahead)
    found: list[RowSkew | None] = []
    for frame, (motion, matches) in enumerate(run(shaking(), COUNT, share)):
        known = motion if frame != lost else None
        wanted = matches if correction.wants_matches else None
        correction.push(known, size_hw=SIZE_HW, points=POINTS, matches=wanted)
        if frame >= lookahead:
            found.append(correction.next())
    return found + [correction.next() for _ in range(lookahead)]


def _left(skews: list, frames: range) -> float:
    """RMS over points and frames of what is left of the skew, beside the similarity that the path holds."""
    errors = []
    for frame in frames:
        wrong = skew_of(shaking(), float(frame), POINTS, share=SHARE, height=SIZE_HW[0])
        rate, shift = least_squares(POINTS, wrong, np.ones(len(POINTS)))
        wrong = wrong - rate * POINTS - shift
        errors.append(wrong if skews[frame] is None else wrong - skews[frame].displacement(POINTS))
    return float(np.sqrt(np.mean(np.abs(errors) ** 2)))


@pytest.mark.parametrize(("lookahead", "part"), [(1, 0.45), (2, 0.35), (30, 0.25)])
def test_most_of_the_skew_is_undone(lookahead: int, part: float) -> None:
    late = range(60, 90)
    before = _left([None] * COUNT, late)
    assert before > 0.3
    assert _left(_given(SHARE, lookahead=lookahead), late) < part * before
    assert _left(_given(AUTO, lookahead=lookahead), late) < part * before


def test_a_long_look_ahead_corrects_nearly_from_the_start() -> None:
    assert all(skew is not None for skew in _given(AUTO, lookahead=30)[1:-1])
    assert _given(AUTO, lookahead=5)[:10] == [None] * 10


@pytest.mark.parametrize(
    ("setting", "lookahead", "share"),
    [(OFF, 30, SHARE), (AUTO, 0, SHARE), (0.6, 0, SHARE), (0, 30, SHARE), (AUTO, 30, 0)],
)
def test_nothing_is_corrected(setting: float | str, lookahead: int, share: float) -> None:
    assert _given(setting, lookahead=lookahead, share=share) == [None] * COUNT


def test_a_frame_next_to_an_unknown_motion_stays_as_it_is() -> None:
    skews = _given(SHARE, lookahead=5, lost=50)
    assert [frame for frame, skew in enumerate(skews) if skew is None] == [49, 50, COUNT - 1]
    assert _left(skews, range(44, 49)) < 0.7 * _left([None] * COUNT, range(44, 49))


def test_the_readout_in_use_changes_slowly() -> None:
    correction = ShutterCorrection(lookahead=1)
    shares = []
    for frame, (motion, matches) in enumerate(run(shaking(), COUNT, SHARE)):
        correction.push(motion, size_hw=SIZE_HW, points=POINTS, matches=matches)
        if frame:
            correction.next()
        shares.append(correction.share)
    assert np.abs(np.diff(shares)).max() <= 0.05 + 1e-9
    assert shares[0] == 0 and shares[-1] > 0.4


def test_the_reach_is_that_of_the_largest_skew_lately() -> None:
    correction = ShutterCorrection(SHARE, lookahead=1)
    furthest = []
    for frame, (motion, _) in enumerate(run(shaking(), 12, SHARE)):
        correction.push(motion, size_hw=SIZE_HW, points=POINTS)
        if frame:
            furthest.append(correction.next().furthest_px(SIZE_HW))
            assert max(furthest) * 0.85 < correction.reach_px <= max(furthest)
    assert ShutterCorrection(AUTO, lookahead=1).reach_px == 0


def test_matches_are_wanted_only_while_they_help() -> None:
    assert not ShutterCorrection(OFF, lookahead=30).wants_matches
    assert not ShutterCorrection(0.5, lookahead=30).wants_matches
    assert not ShutterCorrection(AUTO, lookahead=0).wants_matches
    assert not ShutterCorrection(AUTO, lookahead=0).active and ShutterCorrection(AUTO, lookahead=1).active
    correction = ShutterCorrection(AUTO, lookahead=30)
    wanted = []
    for motion, matches in run(shaking(), COUNT, SHARE):
        wanted.append(correction.wants_matches)
        correction.push(motion, size_hw=SIZE_HW, points=POINTS, matches=matches if wanted[-1] else None)
    assert all(wanted[:60])
    assert sum(wanted[80:]) == 5


@pytest.mark.parametrize("setting", ["on", 1.5, -2, float("nan")])
def test_unknown_settings_are_refused(setting: float | str) -> None:
    with pytest.raises(ValueError, match="expected 'auto', 'off' or the readout's share, -1 to 1"):
        ShutterCorrection(setting, lookahead=3)


def test_a_still_camera_needs_no_points() -> None:
    correction = ShutterCorrection(0.5, lookahead=1)
    for _ in range(3):
        correction.push(Similarity(), size_hw=SIZE_HW, points=NONE)
    assert correction.next() == RowSkew(0j, 0j, 0j, 0j)
