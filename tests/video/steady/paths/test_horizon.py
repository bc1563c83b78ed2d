"""The path without a hand's shake, within its crop."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.video.steady.paths.hand import smoothness
from mostnet.video.steady.paths.horizon import HorizonPath
from mostnet.video.steady.room import rate_room, used
from mostnet.video.steady.similarity import Similarity

from .hands import SIZE_HW, hand, jitter_ratio, motions_of, pan, shown_path, views_of


def _path(lookahead: int) -> HorizonPath:
    return HorizonPath(smoothness(lookahead, 1.0), lookahead=lookahead)


@pytest.mark.parametrize(("lookahead", "most"), [(0, 0.4), (5, 0.3), (30, 0.15)])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_shake_of_a_hand_is_removed(lookahead, most, seed):
    motions = hand(300, seed=seed)
    views = views_of(_path(lookahead), motions, lookahead)
    assert len(views) == len(motions)
    assert jitter_ratio(motions, views) < most


@pytest.mark.parametrize("lookahead", [0, 5, 30])
def test_shake_beyond_the_crop_is_followed_softly_and_never_made_worse(lookahead):
    motions = hand(300, px=60.0)
    views = views_of(_path(lookahead), motions, lookahead, crop=0.1)
    assert max(used(view, SIZE_HW, 0.1) for view in views) <= 1 + 1e-9
    assert np.mean([used(view, SIZE_HW, 0.1) for view in views]) > 0.5, "the crop is a limit of this path"
    assert jitter_ratio(motions, views) < 1


@pytest.mark.parametrize(("lookahead", "lag"), [(0, 27), (30, 8)])
def test_a_pan_is_followed_without_overshoot(lookahead, lag):
    """Two pixels a frame over four seconds; it starts and stops over ten frames, because a hand has mass."""
    speed = 2 * np.convolve((np.arange(300) >= 80) & (np.arange(300) < 180), np.hanning(12)[1:-1] / 4.5, "same")
    motions = pan(speed)
    shown = shown_path(motions, views_of(_path(lookahead), motions, lookahead))[:, 0]
    camera = np.cumsum(speed)
    assert abs(camera - shown)[120:170].mean() / 2 < lag
    assert shown.max() < 1.03 * camera[-1], "no overshoot worth seeing"
    assert np.abs(np.diff(shown, n=2)).max() < np.abs(np.diff(camera, n=2)).max(), "no jump"


def test_the_path_of_a_clip_does_not_depend_on_the_one_before():
    first, second = hand(60, seed=1), hand(60, seed=2)
    fresh = views_of(_path(10), second, 10)
    path = _path(10)
    alone = views_of(path, first, 10)
    assert alone == views_of(_path(10), first, 10)
    path.restart()
    assert views_of(path, second, 10) == fresh


def test_numbers_stay_exact_and_memory_bounded_in_a_long_video():
    path, step = _path(3), Similarity(1.0005 * np.exp(0.001j).item(), 1.5 + 0.5j)
    last = None
    for k in range(6_000):  # a zoom of e to the third
        path.push(step)
        if path.waiting > 3:
            last, before = path.commit(SIZE_HW, 0.2), last
        if k == 3_000:
            early = last
    assert np.abs(np.subtract(last, before)).max() < 1e-9
    assert np.abs(np.subtract(last, early)).max() < 1e-9
    assert path.waiting == 3


def test_turn_and_zoom_are_steadied_too():
    rng = np.random.default_rng(0)
    waves = np.sin(2 * np.pi * 0.1 * np.arange(200) + rng.uniform(0, 6, (2, 1)))
    poses = [Similarity(complex(a)) for a in np.exp(0.004 * waves[0] + 0.01j * waves[1])]
    views = views_of(_path(30), motions_of(poses), 30)
    rates = np.log([view.a * pose.a for view, pose in zip(views, poses, strict=True)])[15:-15]
    assert rates.real.std() < 0.05 * 0.004
    assert rates.imag.std() < 0.05 * 0.01


def test_the_newest_view_is_the_committed_one_without_look_ahead():
    path = _path(0)
    for motion in hand(40):
        path.push(motion)
        newest = path.newest(SIZE_HW, 0.2)
        assert path.commit(SIZE_HW, 0.2) == newest


def test_a_camera_that_rolls_by_more_than_half_a_turn_within_the_window_is_followed_without_a_jump():
    views = views_of(_path(60), [Similarity(np.exp(0.15j).item())] * 200, 60, crop=0.1)
    assert max(abs(view.angle) for view in views[60:100]) < 0.2 * rate_room(SIZE_HW, 0.1)[1]


def test_a_view_planned_for_one_crop_is_not_committed_for_another():
    asked, plain = _path(30), _path(30)
    for motion in hand(31, seed=1):
        asked.push(motion)
        plain.push(motion)
    asked.newest(SIZE_HW, 0.05)
    assert asked.commit(SIZE_HW, 0.25) == plain.commit(SIZE_HW, 0.25)
