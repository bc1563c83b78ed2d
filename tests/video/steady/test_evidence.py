"""Whether the mask is believed to show teeth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mostnet.video import Stabiliser, Tracking
from mostnet.video.steady.evidence import TeethEvidence
from mostnet.video.steady.similarity import Similarity

from .samples import SIZE_HW, ellipse, output_of, outputs_of

_POSES = [Similarity(1 + 0j, complex(3 * (k % 3), 2 * (k % 2))) for k in range(40)]
_STEPS = [now.then(before.inverse()) for before, now in zip([_POSES[0], *_POSES], _POSES, strict=False)]


def _unsure(mask: np.ndarray) -> np.ndarray:
    """The mask of a guess: 0.6 where it says tooth, and grey around it."""
    return cv2.GaussianBlur(mask, (0, 0), 12) // 8 * 5


def _jumping(k: int) -> np.ndarray:
    """A sure mask that does not move with the picture."""
    return ellipse(Similarity(1 + 0j, complex(*np.random.default_rng(k).uniform(-60, 60, 2))))


MASKS = {
    "teeth": lambda k: ellipse(_POSES[k]),
    "a guess": lambda k: _unsure(ellipse(_POSES[k])),
    "jumping": _jumping,
    "tiny": lambda k: ellipse(_POSES[k], half=(30, 20)),
    "everything": lambda k: np.full(SIZE_HW, 255, np.uint8),
    "nothing": lambda k: np.zeros(SIZE_HW, np.uint8),
}


@pytest.mark.parametrize("kind", MASKS)
def test_only_a_sure_mask_of_plausible_size_that_moves_with_the_picture_is_teeth(kind):
    evidence = TeethEvidence()
    seen = [evidence.update(MASKS[kind](k), _STEPS[k]) for k in range(len(_POSES))]
    assert seen == [False] + [kind == "teeth"] * (len(_POSES) - 1)


@pytest.fixture(scope="module")
def outputs():
    return outputs_of(_POSES)


@pytest.mark.parametrize(("kind", "state"), [("teeth", Tracking.TRACKING), ("a guess", Tracking.NO_TEETH)])
def test_the_state_says_whether_teeth_are_seen(outputs, kind, state):
    steady = Stabiliser()
    states = [
        steady.update(output_of(one.flow, MASKS[kind](k), k, picture=one.enhanced), one.enhanced).state
        for k, one in enumerate(outputs)
    ]
    assert {one.tracking for one in states[3:]} == {state}
    assert {one.teeth for one in states[3:]} == {state is Tracking.TRACKING}


def test_the_evidence_does_not_change_the_motion_or_the_view(outputs):
    """A mask that is sure and one that hardly is have the same pixels above the threshold."""
    shown = []
    for level in (255, 150):
        steady = Stabiliser()
        masks = [np.where(one.mask > 0, level, 0).astype(np.uint8) for one in outputs]
        found = [
            steady.update(output_of(one.flow, mask, k, picture=one.enhanced), one.enhanced)
            for k, (one, mask) in enumerate(zip(outputs, masks, strict=True))
        ]
        shown.append(np.array([one.matrix for one in found]))
        assert found[-1].state.teeth == (level == 255)
    assert shown[0] == pytest.approx(shown[1], abs=0.1)


def test_a_verdict_outlives_a_few_bad_masks_and_an_unknown_motion_changes_nothing():
    evidence = TeethEvidence()
    for k in range(20):
        evidence.update(MASKS["teeth"](k), _STEPS[k])
    assert evidence.update(MASKS["nothing"](20), None)
    assert evidence.update(MASKS["teeth"](21), None)
    assert evidence.update(_unsure(MASKS["teeth"](22)), _STEPS[22])
    seen = [evidence.update(MASKS["nothing"](k), _STEPS[k]) for k in range(23, 33)]
    assert not seen[-1]
