"""Published sequences as clips: their matrices are the truth of the stabiliser."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mostnet.bench.steady.photographs import scores
from mostnet.bench.steady.published import published_clips
from mostnet.contract import DatasetError
from mostnet.training.data.matrix_direction import Direction
from mostnet.video.steady.similarity import centre_of
from tests.training.vident_tree import backward_matrices, write_tree

SIZE, FRAMES = (96, 128), 8


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vident")
    write_tree(root, sequences={"test": 1}, frames=FRAMES, size_hw=SIZE, direction=Direction.FROM_COMMON, flow=False)
    return root


def test_the_motion_of_a_clip_is_that_of_the_drawn_teeth(tree: Path) -> None:
    from mostnet.training.synth.sequence import make_sequence
    from tests.training.vident_tree import CLEAR_MOTION

    (clip,) = published_clips(tree, "test", frames=FRAMES - 1)
    true = backward_matrices(make_sequence(1, frames=FRAMES, size_hw=SIZE, options=CLEAR_MOTION))
    assert len(clip.frames) == len(clip.masks) == len(clip.poses) == FRAMES - 1 and clip.masks[0].any()
    corner = complex(-30, 20)
    centre = centre_of(SIZE)
    for motion, matrix in zip(clip.motions, true[1:], strict=False):
        at = corner + centre
        wanted = matrix[:2] @ np.array([at.real, at.imag, 1.0])
        assert abs(motion.a * corner + motion.b + centre - complex(*wanted)) < 1e-6
    assert max(abs(now.b - before.b) for before, now in pairwise(clip.poses)) > 2


def test_every_method_of_ours_is_held_against_it(tree: Path) -> None:
    found = list(scores(published_clips(tree, "test", frames=FRAMES)))
    ours = [score for score in found if score.method.startswith("mostnet")]
    assert ours and all(score.truth is not None and len(score.truth.error_px) > 0 for score in ours)
    assert all(np.median(score.truth.error_px) < 3 for score in ours), "DIS follows the drawn teeth"


def test_without_a_known_motion_there_is_no_truth(tree: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tree, tmp_path / "copy"))
    for path in copy.rglob("homo_4df.pkl"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"test: no sequence tells its motion; copy/test: layout of Vident-real"):
        list(published_clips(copy, "test", frames=4))
