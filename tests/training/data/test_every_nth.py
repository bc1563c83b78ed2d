"""Every N-th frame: the flow is joined over the frames between, and clips keep their number of frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mostnet.training.data.dataset import LabelledFrame
from mostnet.training.data.every_nth import every_nth, joined_flow
from mostnet.training.synth.sequence import SynthOptions, make_sequence

SIZE = (40, 56)


def constant(dx: float, dy: float) -> np.ndarray:
    return np.stack([np.full(SIZE, dx), np.full(SIZE, dy)]).astype(np.float32)


def test_constant_flows_add_up_where_both_are_known() -> None:
    known = np.ones(SIZE, np.bool_)
    flow, valid = joined_flow(constant(3, -2), known, constant(4, 1), known)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    inside = (x + 3 <= SIZE[1] - 1) & (y - 2 >= 0)
    assert np.array_equal(valid, inside)
    assert (flow[:, valid] == np.array([[7], [-1]])).all() and (flow[:, ~valid] == 0).all()
    hole = known.copy()
    hole[10, 20] = False
    _, valid = joined_flow(constant(3, -2), known, constant(4, 1), hole)
    assert not valid[12, 17] and valid[12, 19]


def test_joined_flow_leads_to_the_same_content() -> None:
    made = make_sequence(4, frames=5, size_hw=(96, 128), options=SynthOptions(readout=(0, 0), tool_share=0))
    parts = (made.input, made.reference, made.mask, made.flow, made.valid)
    frames = [LabelledFrame(*each) for each in zip(*parts, strict=True)]
    kept = every_nth(frames, 2)
    assert [np.array_equal(a.input, frames[2 * k].input) for k, a in enumerate(kept)] == [True] * 3
    last = kept[-1]
    assert last.valid.mean() > 0.3
    y, x = np.nonzero(last.valid)
    to_x, to_y = (np.rint(at).astype(int) for at in (x + last.flow[0, y, x], y + last.flow[1, y, x]))
    moved = made.reference[2][to_y, to_x].astype(float)
    still = made.reference[2][y, x].astype(float)
    now = made.reference[4][y, x].astype(float)
    assert np.abs(now - moved).mean() < 0.5 * np.abs(now - still).mean()


def test_a_step_of_one_changes_nothing_and_missing_flow_stays_missing() -> None:
    frames = [LabelledFrame(np.full((*SIZE, 3), k, np.uint8)) for k in range(5)]
    assert [frame.input for frame in every_nth(frames, 1)] == [frame.input for frame in frames]
    assert [frame.flow for frame in every_nth(frames, 2)] == [None] * 3
    assert [frame.input for frame in every_nth([replace(frames[0])], 3)] == [frames[0].input]
