"""The stabiliser on drawn pictures of a camera that reads its frames row by row."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.bench.steady.clips import measured
from mostnet.bench.steady.rolling import places, vibrating
from mostnet.bench.steady.rolling_report import drawn
from mostnet.bench.steady.shaken import Shake
from mostnet.video import Correction, Stabiliser, StabiliserOptions
from mostnet.video.steady.border import warp
from mostnet.video.steady.metrics import jitter
from mostnet.video.steady.similarity import Similarity

SIZE_HW = (240, 320)
COUNT, LOOKAHEAD = 75, 30
PATH = vibrating(np.random.default_rng(3), Shake(2.5, 0.3, 0.002), highest_hz=8)
_PLACES = places(SIZE_HW)
_GRID = _PLACES[30::45, 30::65].ravel()
_EDGE = _PLACES[[0, -1]][:, [0, 80, 160, 240, -1]].ravel()


@pytest.fixture(scope="module", params=[0.6, 0.0])
def clip(request):
    """(readout, frames, outputs)"""
    frames = drawn(PATH, COUNT, share=request.param, size_hw=SIZE_HW)
    return request.param, frames, [output for _, output in measured(frames)]


def _corrections(clip, **options) -> tuple[Stabiliser, list[Correction]]:
    _, frames, outputs = clip
    steady = Stabiliser(StabiliserOptions(**{"lookahead": LOOKAHEAD, **options}))
    given = [steady.update(output, frame) for output, frame in zip(outputs, frames, strict=True)]
    return steady, [one for one in given if one is not None] + steady.flush()


def _seen(correction: Correction, points: np.ndarray) -> np.ndarray:
    """Places of the frame that points of the steady picture show."""
    view = Similarity.of_matrix(correction.matrix, SIZE_HW).inverse()
    found = view.a * points + view.b
    return found if correction.rows is None else found - correction.rows.displacement(found)


def _local_jitter(clip, corrections: list[Correction]) -> float:
    """RMS jitter of the places of the world that the grid points of the steady picture show."""
    shown = []
    for frame, correction in enumerate(corrections[20:-4], 20):
        at = _seen(correction, _GRID)
        pose = PATH(frame + clip[0] * at.imag / SIZE_HW[0])
        shown.append(pose.a * at + pose.b)
    tracks = np.array(shown).T
    return float(np.sqrt(np.mean([jitter(np.stack([track.real, track.imag], axis=1)) ** 2 for track in tracks])))


def test_the_wobble_goes_and_a_global_shutter_is_left_alone(clip) -> None:
    _, plain = _corrections(clip, shutter="off")
    _, found = _corrections(clip)
    assert all(correction.rows is None for correction in plain)
    if clip[0]:
        assert _local_jitter(clip, found) < 0.5 * _local_jitter(clip, plain)
        assert found[-1].state.readout == pytest.approx(clip[0], rel=0.2)
        _, known = _corrections(clip, shutter=clip[0])
        assert _local_jitter(clip, known) < 0.5 * _local_jitter(clip, plain)
    else:
        for one, other in zip(found, plain, strict=True):
            assert one.rows is None and (one.matrix == other.matrix).all() and one.state.readout == 0


def test_without_look_ahead_nothing_is_corrected(clip) -> None:
    _, corrections = _corrections(clip, lookahead=0, shutter=0.6)
    assert all(correction.rows is None and correction.state.readout == 0 for correction in corrections)


@pytest.mark.parametrize(
    ("border", "crop", "shutter"), [("crop", 0.06, 0.6), ("crop", 0.02, 1.0), ("history", 0.06, 0.6)]
)
def test_apply_undoes_the_skew_inside_the_frame(clip, border: str, crop: float, shutter: float) -> None:
    steady, corrections = _corrections(clip, border=border, shutter=shutter, crop=crop, steady="hold")
    half = np.array([(SIZE_HW[1] - 1) / 2, (SIZE_HW[0] - 1) / 2])
    for index, correction in enumerate(corrections):
        shown = steady.apply(clip[1][index], correction)
        if border == "crop":
            at = _seen(correction, _EDGE)
            assert (np.abs([at.real, at.imag]).max(axis=1) < half + 0.1).all(), index
            assert (shown == warp(clip[1][index], correction.matrix, rows=correction.rows)).all()
        elif correction.rows is not None:
            assert np.abs(shown.astype(int) - warp(clip[1][index], correction.matrix)).max() > 0


@pytest.mark.parametrize("shutter", ["maybe", 2])
def test_options_refuse_an_unknown_shutter(shutter) -> None:
    with pytest.raises(ValueError, match="expected 'auto', 'off' or the readout's share, -1 to 1"):
        StabiliserOptions(shutter=shutter)
