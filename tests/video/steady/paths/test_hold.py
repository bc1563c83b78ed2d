"""The view that stands still on the tooth."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.video.steady.paths.hand import smoothness
from mostnet.video.steady.paths.hold import HoldPath
from mostnet.video.steady.room import used
from mostnet.video.steady.similarity import Similarity

from .hands import SIZE_HW, hand, pan, shown_path, views_of


def _path(lookahead: int) -> HoldPath:
    return HoldPath(smoothness(lookahead, 1.0), lookahead=lookahead)


@pytest.mark.parametrize("lookahead", [0, 10, 30])
def test_the_tooth_stays_in_its_place_while_the_crop_allows_it(lookahead):
    motions = hand(300, px=8.0)
    views = views_of(_path(lookahead), motions, lookahead)
    tooth, off = Similarity(1 + 0j, 60 - 40j), []
    for motion, view in zip(motions, views, strict=True):
        tooth = tooth.then(motion.inverse())
        off.append(abs(tooth.then(view.inverse()).b - (60 - 40j)))
    assert np.mean(np.array(off) < 0.01 * SIZE_HW[0]) > 0.95
    assert np.abs([motion.b for motion in motions]).sum() > 100, "the hand moved"


@pytest.mark.parametrize(("lookahead", "jerk"), [(0, 4.0), (30, 0.5)])
def test_it_follows_softly_beyond_the_crop_and_stands_still_again(lookahead, jerk):
    speed = 3 * np.convolve((np.arange(400) >= 60) & (np.arange(400) < 120), np.hanning(12)[1:-1] / 4.5, "same")
    motions = pan(speed)
    path = _path(lookahead)
    views = views_of(path, motions, lookahead)
    shown = shown_path(motions, views)[:, 0]
    assert np.abs(np.diff(shown))[:40].max() < 1e-9
    assert np.abs(np.diff(shown))[-100:].max() < 1e-9
    assert path.locked
    assert shown[-1] > 100, "it went with the camera"
    assert np.abs(np.diff(shown, n=2)).max() < jerk
    assert max(used(view, SIZE_HW, 0.2) for view in views) <= 1 + 1e-9


def test_with_look_ahead_it_begins_to_follow_earlier():
    speed = np.where(np.arange(200) >= 80, 2.0, 0.0)
    moves = []
    for lookahead in (0, 30):
        shown = shown_path(pan(speed), views_of(_path(lookahead), pan(speed), lookahead))[:, 0]
        moves.append(int(np.argmax(shown > 0.5)))
    assert moves[1] < moves[0]
