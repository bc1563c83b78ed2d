"""Cuts, darkness, covered lenses and frozen cameras."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mostnet.video import FreezeGuard, SceneEvent, SceneGuard, VideoReader, demo_clip

from .samples import moving_frames

SAME, CUT, DARK, BACK = SceneEvent.SAME, SceneEvent.CUT, SceneEvent.DARK, SceneEvent.BACK


def _scene(seed: int) -> np.ndarray:
    """A scene for each seed, 240 x 320."""
    grains = np.random.default_rng(seed).integers(30, 220, (12, 16, 3), np.uint8)
    return np.kron(grains, np.ones((20, 20, 1), np.uint8))


def _events(frames) -> list[SceneEvent]:
    guard = SceneGuard()
    return [guard.check(frame) for frame in frames]


def test_a_cut_is_found_at_its_frame():
    rng = np.random.default_rng(0)
    noisy = [np.clip(_scene(k // 10) + rng.normal(0, 8, (240, 320, 3)), 0, 255).astype(np.uint8) for k in range(30)]
    assert [k for k, event in enumerate(_events(noisy)) if event is CUT] == [10, 20]
    assert CUT.resets_engine and CUT.breaks_tracking


def test_darkness_and_the_way_back():
    scene = _scene(1)
    events = _events([scene, scene, scene // 40, scene * 0, scene, scene])
    assert events == [SAME, SAME, DARK, DARK, BACK, SAME]
    assert BACK.resets_engine and not DARK.resets_engine and DARK.breaks_tracking


def test_a_covered_lens_is_dark_although_it_is_bright():
    covered = np.full((240, 320, 3), 150, np.uint8) + np.random.default_rng(0).integers(0, 4, (240, 320, 3), np.uint8)
    assert _events([_scene(1), covered, _scene(1)]) == [SAME, DARK, BACK]


@pytest.mark.parametrize("factor", [0.5, 1.3])
def test_a_change_of_light_is_no_cut(factor):
    scene = _scene(2)
    other = np.clip(scene * factor, 0, 255).astype(np.uint8)
    assert _events([scene] * 5 + [other] * 5) == [SAME] * 10


def test_shaking_is_no_cut():
    rng = np.random.default_rng(0)
    large = np.pad(_scene(3), ((40, 40), (40, 40), (0, 0)), mode="reflect")
    places = rng.integers(25, 56, (40, 2))
    assert _events([large[y : y + 240, x : x + 320] for y, x in places]) == [SAME] * 40


def test_the_demo_clip_has_no_event():
    with VideoReader(demo_clip()) as reader:
        assert set(_events(itertools.islice(reader, 40))) == {SAME}


def test_a_picture_without_change_is_frozen_after_the_limit():
    guard = FreezeGuard(limit_s=0.2)
    frame = _scene(0)
    assert [guard.check(frame.copy(), now_s=t) for t in (0.0, 0.1, 0.19, 0.25, 0.5)] == [
        False,
        False,
        False,
        True,
        True,
    ]
    frame[0, 0, 0] ^= 1
    assert not guard.check(frame, now_s=0.6)


def test_a_live_picture_is_never_frozen():
    guard = FreezeGuard()
    assert not any(guard.check(frame, now_s=k * 1.0) for k, frame in enumerate(moving_frames(10)))
