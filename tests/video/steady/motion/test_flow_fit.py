"""The camera's motion from flow: exact for exact flow, and right if half of the flow is wrong."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

from mostnet.video.steady.motion.flow_fit import frame_motion, teeth_motion
from mostnet.video.steady.similarity import Similarity, fit_similarity
from tests.video.steady.samples import SIZE_HW, ellipse, flow_of

TOOTH = ellipse(Similarity())
MOTIONS = [
    Similarity(1 + 0j, 7.25 - 3.5j),
    Similarity(1 + 0j, -0.3 + 0.1j),
    Similarity(cmath.rect(1, math.radians(3.0)), 0j),
    Similarity(cmath.rect(1, math.radians(-0.4)), 2 + 1j),
    Similarity(1.04 + 0j, 0j),
    Similarity(cmath.rect(0.985, math.radians(1.5)), -6 + 9j),
]


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("disturbed", [False, True])
def test_translation_rotation_and_zoom_are_recovered(motion, disturbed):
    flow = flow_of(motion)
    if disturbed:
        rng = np.random.default_rng(1)
        flow += rng.normal(0, 0.25, flow.shape).astype(np.float32)
        wrong = rng.random(SIZE_HW) < 0.3
        flow[:, wrong] = rng.normal(0, 30, (2, int(wrong.sum())))
    found = teeth_motion(flow, TOOTH)
    assert found is not None
    assert abs(found.b - motion.b) < 0.1
    assert abs(math.degrees(found.angle - motion.angle)) < 0.05
    assert abs(found.scale - motion.scale) < 1e-3


def test_an_instrument_that_does_not_move_with_the_tooth_is_ignored():
    motion = Similarity(1 + 0j, 8 + 2j)
    flow = flow_of(motion)
    flow[:, :, 140:190] = 0  # on more than four tenths of the tooth: it moves with the camera
    assert abs(teeth_motion(flow, TOOTH).b - motion.b) < 0.1


def test_cheek_and_water_around_the_tooth_do_not_count_on_the_teeth():
    flow = np.where(TOOTH >= 128, flow_of(Similarity(1 + 0j, 3 + 0j)), flow_of(Similarity(1 + 0j, -20 + 9j)))
    assert abs(teeth_motion(flow, TOOTH).b - 3) < 0.05
    assert abs(frame_motion(flow).b - (-20 + 9j)) < 0.05


@pytest.mark.parametrize("level", [0, 127])
def test_without_teeth_there_is_the_motion_of_the_frame(level):
    flow = flow_of(Similarity(1 + 0j, 4 - 1j))
    assert teeth_motion(flow, np.full(SIZE_HW, level, np.uint8)) is None
    assert abs(frame_motion(flow).b - (4 - 1j)) < 0.05


def _garbage() -> dict[str, np.ndarray]:
    shape = (2, *SIZE_HW)
    return {
        "NaN": np.full(shape, np.nan, np.float32),
        "infinite": np.full(shape, np.inf, np.float32),
        "huge": np.full(shape, 1e30, np.float32),
        "far": np.full(shape, 150, np.float32),
        "spin": flow_of(Similarity(cmath.rect(1, 1.5), 0j)),
        "collapse": flow_of(Similarity(0.01 + 0j, 0j)),
    }


@pytest.mark.parametrize("name", _garbage())
def test_garbage_is_no_motion(name):
    flow = _garbage()[name]
    assert teeth_motion(flow, np.full(SIZE_HW, 255, np.uint8)) is None
    assert frame_motion(flow) is None


def test_some_garbage_in_good_flow_does_no_harm():
    flow = flow_of(Similarity(1 + 0j, 5 + 0j))
    rng = np.random.default_rng(0)
    flow[:, rng.random(SIZE_HW) < 0.4] = np.nan
    flow[:, rng.random(SIZE_HW) < 0.3] = 1e20
    assert abs(teeth_motion(flow, TOOTH).b - 5) < 0.05


def test_the_answer_does_not_depend_on_what_came_before():
    points = np.random.default_rng(2).normal(size=(50, 2)) @ [1, 1j] * 40
    moved = points + np.random.default_rng(3).normal(size=50)
    first = fit_similarity(points, moved, np.ones(50))
    fit_similarity(points, points + 3, np.ones(50))
    assert fit_similarity(points, moved, np.ones(50)) == first


def test_matrices_and_parts():
    one = Similarity(cmath.rect(1.1, 0.2), 5 - 3j)
    assert Similarity.of_matrix(one.matrix(SIZE_HW), SIZE_HW) == pytest.approx(one)
    assert one.then(one.inverse()) == pytest.approx(Similarity())
    pixel = one.matrix(SIZE_HW) @ [159.5, 119.5, 1]
    assert pixel == pytest.approx([164.5, 116.5])
    assert one.part(0) == pytest.approx(Similarity()) and one.part(1) == pytest.approx(one)
    assert one.part(0.5).angle == pytest.approx(0.1)
    assert one.towards(Similarity(), 0.25) == pytest.approx(one.part(0.75))
