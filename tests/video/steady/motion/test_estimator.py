"""The motion that the pictures confirm, whatever the engine's flow says."""

from __future__ import annotations

import cmath
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np
import pytest

from mostnet.video.steady.motion.alignment import agreement
from mostnet.video.steady.motion.estimator import MotionEstimator
from mostnet.video.steady.motion.pyramid import Pyramid
from mostnet.video.steady.motion.step import CANDIDATES, UNKNOWN, Step
from mostnet.video.steady.motion.tracks import dense_tracks, feature_tracks, fitted
from mostnet.video.steady.similarity import Similarity, centre_of
from tests.video.steady.samples import SIZE_HW, ellipse, flow_of, picture_at, world

TOOTH = ellipse(Similarity())
NO_TOOTH = np.zeros(SIZE_HW, np.uint8)
CORNERS = np.array([complex(x, y) for x in (-120, 120) for y in (-90, 90)])
POSES = [
    Similarity(),
    Similarity(cmath.rect(1.004, 0.006), 4 - 2.5j),
    Similarity(cmath.rect(0.997, -0.01), -1.4 + 3.2j),
    Similarity(cmath.rect(1.0, 0.0), 9 + 8j),
    Similarity(cmath.rect(1.01, 0.02), 14 + 2j),
]


def _apart_px(one: Similarity, other: Similarity) -> float:
    """RMS distance of the places to which two motions take the corners."""
    gaps = (one.a - other.a) * CORNERS + one.b - other.b
    return float(np.sqrt(np.mean(np.abs(gaps) ** 2)))


def _steps(frames: list[np.ndarray], flows: list[np.ndarray | None], mask: np.ndarray) -> list[Step]:
    estimator = MotionEstimator()
    return [estimator.step(frame, flow, mask) for frame, flow in zip(frames, flows, strict=True)]


def _true(poses: list[Similarity]) -> list[Similarity]:
    return [now.then(before.inverse()) for before, now in pairwise(poses)]


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return [picture_at(pose, seed=k) for k, pose in enumerate(POSES)]


def _flows(kind: str) -> list[np.ndarray | None]:
    exact = [flow_of(Similarity()), *map(flow_of, _true(POSES))]
    rng = np.random.default_rng(0)
    return {
        "exact": exact,
        "off by 12 px": [flow + np.float32(12) for flow in exact],
        "of another motion": [flow_of(Similarity(1 + 0j, 11 - 9j))] * len(exact),
        "noise": [rng.normal(0, 60, flow.shape).astype(np.float32) for flow in exact],
        "NaN": [flow * np.nan for flow in exact],
        "none": [None] * len(exact),
    }[kind]


@pytest.mark.parametrize("mask", [TOOTH, NO_TOOTH], ids=["teeth", "no teeth"])
@pytest.mark.parametrize("kind", ["exact", "off by 12 px", "of another motion", "noise", "NaN", "none"])
def test_the_motion_is_right_whatever_the_flow(frames, kind, mask):
    steps = _steps(frames, _flows(kind), mask)
    assert steps[0] is UNKNOWN
    for step, true in zip(steps[1:], _true(POSES), strict=True):
        assert _apart_px(step.motion, true) < 0.3
        assert step.inliers > 0.8
        assert step.candidate in CANDIDATES
        assert step.source == ("teeth" if mask is TOOTH else "frame")


def test_a_bare_surface_is_followed_though_it_has_no_corners():
    """White, with texture of one grey level, and sensor noise above it."""
    rng = np.random.default_rng(1)
    plane = 215 + 18 * cv2.GaussianBlur(rng.normal(size=(400, 520)), (0, 0), 5)
    poses = [Similarity(1 + 0j, complex(6 * np.cos(k), 5 * np.sin(2 * k))) for k in range(6)]
    frames = []
    for k, pose in enumerate(poses):
        shift = np.array([[1, 0, 100 + pose.b.real], [0, 1, 80 + pose.b.imag]])
        seen = cv2.warpAffine(plane, shift, SIZE_HW[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        noisy = seen + np.random.default_rng(k).normal(0, 1.5, SIZE_HW)
        frames.append(np.repeat(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    wrong = [flow_of(Similarity(1 + 0j, -13 + 12j))] * len(frames)
    for step, true in zip(_steps(frames, wrong, np.full(SIZE_HW, 255, np.uint8))[1:], _true(poses), strict=True):
        assert _apart_px(step.motion, true) < 0.6


def test_teeth_count_more_than_what_moves_around_them():
    """The plane behind moves on its own; the tooth covers two fifths of the frame."""
    tooth = ellipse(Similarity(), half=(115, 85))
    there, here = Similarity(1 + 0j, 3 + 1j), Similarity(1 + 0j, -4 + 5j)
    behind, before = picture_at(Similarity()), picture_at(Similarity(1 + 0j, 60 + 40j))
    now_behind, now_before = picture_at(here), picture_at(Similarity(1 + 0j, 60 + 40j).then(there))
    moved = cv2.warpAffine(tooth, there.inverse().matrix(SIZE_HW), SIZE_HW[::-1])
    first = np.where(tooth[..., None] > 0, before, behind)
    second = np.where(moved[..., None] > 0, now_before, now_behind)
    estimator = MotionEstimator()
    estimator.step(first, None, tooth)
    step = estimator.step(second, None, moved)
    assert _apart_px(step.motion, there) < 0.7
    assert step.source == "teeth"


def test_an_instrument_held_still_in_the_frame_does_not_count():
    frames = [picture_at(pose, seed=k) for k, pose in enumerate(POSES)]
    for frame in frames:
        cv2.fillPoly(frame, [np.array([[200, 40], [319, 0], [319, 110], [180, 90]])], (150, 150, 145), cv2.LINE_AA)
    for step, true in zip(_steps(frames, [None] * 5, NO_TOOTH)[1:], _true(POSES), strict=True):
        assert _apart_px(step.motion, true) < 0.4


def test_pictures_that_have_nothing_in_common_have_no_motion(frames):
    rng = np.random.default_rng(0)
    other = cv2.resize(rng.integers(40, 220, (24, 32, 3), np.uint8), SIZE_HW[::-1], interpolation=cv2.INTER_CUBIC)
    estimator = MotionEstimator()
    estimator.step(frames[0], None, TOOTH)
    assert estimator.step(other, flow_of(Similarity()), TOOTH) is UNKNOWN


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_featureless_picture_has_no_motion(level):
    estimator = MotionEstimator()
    flat = np.full((*SIZE_HW, 3), level, np.uint8)
    estimator.step(flat, None, TOOTH)
    assert estimator.step(flat, flow_of(Similarity(1 + 0j, 5 + 0j)), TOOTH) is UNKNOWN


def test_the_black_mask_of_an_endoscope_does_not_hold_the_estimate():
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] - np.array(SIZE_HW).reshape(2, 1, 1) / 2
    inside = (np.hypot(x, y) < 95)[..., None]
    poses = [Similarity(1 + 0j, complex(0.5 * k, 0.9 * np.sin(k))) for k in range(8)]
    frames = [np.where(inside, picture_at(pose, seed=k), 0) for k, pose in enumerate(poses)]
    for step, true in zip(_steps(frames, [None] * 8, NO_TOOTH)[1:], _true(poses), strict=True):
        assert _apart_px(step.motion, true) < 0.5


def test_exposure_and_light_that_moves_with_the_camera_do_not_count(frames):
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] / np.array(SIZE_HW).reshape(2, 1, 1) - 0.5
    light = (1 - 1.2 * (x**2 + y**2))[..., None]
    lit = [np.clip(frame * light * (1, 0.8, 1.1, 0.9, 1)[k], 0, 255).astype(np.uint8) for k, frame in enumerate(frames)]
    for step, true in zip(_steps(lit, [None] * 5, NO_TOOTH)[1:], _true(POSES), strict=True):
        assert _apart_px(step.motion, true) < 0.4


def test_a_new_clip_has_no_frame_before_its_first(frames):
    estimator = MotionEstimator()
    estimator.step(frames[0], None, TOOTH)
    estimator.forget()
    assert estimator.step(frames[1], None, TOOTH) is UNKNOWN
    assert estimator.step(frames[1][:200], None, TOOTH[:200]) is UNKNOWN, "another size is another clip"


@pytest.mark.parametrize("size_hw", [(64, 64), (97, 131), (144, 176), (480, 853), (1080, 1920), (16, 24)])
def test_any_size(size_hw):
    scene = cv2.resize(world(), None, fx=size_hw[1] / 640, fy=size_hw[0] / 480, interpolation=cv2.INTER_LINEAR)
    shift = size_hw[1] / 100
    crop = [scene[10 : 10 + size_hw[0], at : at + size_hw[1]] for at in (10, 10 + round(shift))]
    found = _steps(list(crop), [None, None], np.zeros(size_hw, np.uint8))[1]
    assert abs(found.motion.b - round(shift)) < max(0.2, 0.002 * size_hw[1])


def test_tracks_and_dense_flow_find_the_motion(frames):
    before, now = (Pyramid(frame) for frame in frames[:2])
    true = _true(POSES)[0]
    tracks = feature_tracks(before, now)
    assert tracks is not None and len(tracks.points) >= 20
    assert _apart_px(fitted(tracks), true) < 0.7
    assert _apart_px(fitted(dense_tracks(before, now)), true) < 1.5
    flat = Pyramid(np.full((*SIZE_HW, 3), 90, np.uint8))
    assert feature_tracks(flat, flat) is None
    assert fitted(None) is None


def test_agreement_tells_right_from_wrong(frames):
    before, now = (Pyramid(frame).coarse for frame in frames[:2])
    true, weights = _true(POSES)[0], np.ones(now.grid.size_hw, np.float32)
    assert agreement(before, now, true, weights) > 0.9
    for turn in range(8):
        wrong = Similarity(true.a, true.b + cmath.rect(14, turn))
        assert agreement(before, now, wrong, weights) < 0.35


def test_a_level_is_where_it_says(frames):
    """The picture moved by a whole number of samples is the picture itself, shifted."""
    level = Pyramid(np.ascontiguousarray(frames[0])).coarse
    step_y, step_x = level.grid.step_yx
    moved = level.moved(Similarity(1 + 0j, complex(3 * step_x, 2 * step_y)))
    assert np.abs(moved[:-2, :-3] - level.samples[2:, 3:]).max() < 0.05
    assert (moved[-1] > 1000).all() and (moved[:, -1] > 1000).all()
    (first_y, first_x), (height, width) = level.grid.first_yx, level.grid.size_hw
    middle = complex(first_x + step_x * (width - 1) / 2, first_y + step_y * (height - 1) / 2)
    assert middle == pytest.approx(centre_of(SIZE_HW))


def _drift_px(poses: list[Similarity], steps: list[Step]) -> float:
    """Largest error of the places of the corners on the path that the steps add up to."""
    pose, worst = poses[0], 0.0
    for step, true in zip(steps[1:], poses[1:], strict=True):
        pose = step.motion.then(pose)
        worst = max(worst, _apart_px(pose, true))
    return worst


def test_errors_do_not_add_up_while_the_camera_stays_on_one_view(monkeypatch):
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.normal(0, 1.2, (80, 2)), axis=0) @ [1, 1j]
    poses = [Similarity(cmath.rect(1, 0.01 * np.sin(k / 5)), complex(at)) for k, at in enumerate(walk - walk[0])]
    frames = [picture_at(pose, noise=20, seed=k) for k, pose in enumerate(poses)]
    with_keyframes = _drift_px(poses, _steps(frames, [None] * 80, NO_TOOTH))
    monkeypatch.setattr("mostnet.video.steady.motion.estimator.Keyframe.covers", lambda self, motion: False)
    without = _drift_px(poses, _steps(frames, [None] * 80, NO_TOOTH))
    assert with_keyframes < 0.6
    assert with_keyframes < 0.8 * without


def test_a_long_pan_leaves_keyframes_behind():
    poses = [Similarity(1 + 0j, complex(3 * k - 150)) for k in range(100)]
    steps = _steps([picture_at(pose, seed=k) for k, pose in enumerate(poses)], [None] * 100, NO_TOOTH)
    assert all(step.inliers > 0.8 for step in steps[1:])
    assert _drift_px(poses, steps) < 2.5


def test_tracks_and_support_are_those_of_the_newest_frame(frames):
    estimator = MotionEstimator()
    estimator.step(frames[0], None, TOOTH)
    assert estimator.tracks() is None and len(estimator.support()[0]) == 0
    motion = estimator.step(frames[3], None, TOOTH).motion
    points, moved = estimator.tracks()
    assert np.median(np.abs(motion.a * points + motion.b - moved)) < 0.5
    points, weights = estimator.support()
    assert points.shape == weights.shape and (weights >= 0).all()
    places = np.rint(points + centre_of(SIZE_HW))
    tooth = TOOTH[places.imag.astype(int), places.real.astype(int)] > 127
    assert weights[tooth].mean() > 1.5 * weights[~tooth].mean()
    estimator.forget()
    assert estimator.tracks() is None and len(estimator.support()[0]) == 0


def test_a_smear_on_the_lens_is_learnt(monkeypatch):
    """It is as strong as the texture of the surface, and stays where it is while the surface moves."""
    rng = np.random.default_rng(5)
    surface, smear = (2.5 * cv2.GaussianBlur(rng.normal(size=(480, 640)), (0, 0), 9) * 30 for _ in range(2))
    poses = [Similarity(1 + 0j, complex(*rng.normal(0, 7, 2))) for _ in range(60)]
    frames = []
    for pose in poses:
        shift = np.array([[1, 0, 160 + pose.b.real], [0, 1, 120 + pose.b.imag]])
        seen = cv2.warpAffine(surface, shift, SIZE_HW[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        frames.append(np.repeat(np.rint(128 + seen + 0.7 * smear[:240, :320]).astype(np.uint8)[..., None], 3, axis=2))

    def error_px() -> float:
        steps = _steps(frames, [None] * 60, NO_TOOTH)[31:]
        return float(
            np.median([_apart_px(step.motion, true) for step, true in zip(steps, _true(poses)[30:], strict=True)])
        )

    learnt = error_px()
    monkeypatch.setattr("mostnet.video.steady.motion.lens_pattern._RATE", 0.0)
    assert learnt < 0.6 * error_px()


@pytest.mark.parametrize("size_hw", [(1, 1), (2, 2), (11, 11), (16, 16), (31, 80), (8, 400), (400, 8)])
def test_pictures_too_small_for_dense_flow_are_no_error(size_hw):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (*size_hw, 3), np.uint8) for _ in range(3)]
    assert _steps(noise, [None] * 3, np.zeros(size_hw, np.uint8))[0] == UNKNOWN


def test_stabilisers_in_several_threads_do_not_disturb_one_another(frames):
    """Pictures of two sizes, because shared buffers would be of one size."""
    large = [Pyramid(frame) for frame in frames[:2]]
    pairs = [large, [Pyramid(cv2.resize(frame, (160, 120))) for frame in frames[:2]]]
    alone = [dense_tracks(*pair) for pair in pairs]

    def differing(index: int) -> int:
        found = (dense_tracks(*pairs[index]) for _ in range(300))
        return sum(not np.array_equal(tracks.moved, alone[index].moved) for tracks in found)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(differing, (0, 1))) == [0, 0]
