"""After each change of a clip, warping the previous frame by the flow still gives the current one."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from mostnet.training.data.augment import Clip, flip, forward_flow, jitter, rescale, reverse, stack
from mostnet.training.data.dataset import LabelledFrame
from tests.training.moving_scenes import moving_clip

STEP_PX = (3.0, -2.0)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return moving_clip(4, size_hw=(96, 128), step_px=STEP_PX)


def warp_errors(clip: Clip) -> tuple[float, float]:
    """Mean error in grey levels of the reference against the previous one, warped by the flow and unwarped, on valid
    pixels whose content is in the clip.
    """
    warped, still = [], []
    height, width = clip.input.shape[1:3]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for t in range(1, len(clip.input)):
        at_x, at_y = x + clip.flow[t, 0], y + clip.flow[t, 1]
        inside = (at_x >= 0) & (at_x <= width - 1) & (at_y >= 0) & (at_y <= height - 1) & clip.valid[t]
        assert inside.mean() > 0.6, "most of the picture must be known for the test to say anything"
        previous = np.ascontiguousarray(clip.reference[t - 1])
        expected = cv2.remap(previous, at_x, at_y, cv2.INTER_LINEAR).astype(float)
        warped.append(np.abs(expected - clip.reference[t])[inside].mean())
        still.append(np.abs(previous.astype(float) - clip.reference[t])[inside].mean())
    return float(np.mean(warped)), float(np.mean(still))


CHANGES: dict[str, Callable[[Clip], Clip]] = {
    "nothing": lambda clip: clip,
    "horizontal": lambda clip: flip(clip, horizontal=True),
    "vertical": lambda clip: flip(clip, vertical=True),
    "larger": lambda clip: rescale(clip, (134, 180)),
    "smaller": lambda clip: rescale(clip, (68, 90)),
    "reversed": reverse,
    "colour": lambda clip: jitter(clip, np.random.default_rng(0)),
    "all": lambda clip: jitter(
        reverse(flip(rescale(clip, (80, 112)), horizontal=True, vertical=True)), np.random.default_rng(1)
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_flow_still_explains_the_motion(clip: Clip, name: str) -> None:
    changed = CHANGES[name](clip)
    warped, still = warp_errors(changed)
    assert warped < 1.2 and still > 4 * warped, (warped, still)
    assert not changed.valid[0].any(), "the first frame has no previous one"


@pytest.mark.parametrize("name", CHANGES)
def test_mask_still_covers_the_bright_part(clip: Clip, name: str) -> None:
    """The scene's mask is where the clean frame is bright, so it can be checked against the changed clip."""
    changed = CHANGES[name](clip)
    assert set(np.unique(changed.mask)) == {0, 255}
    levels = changed.reference[..., 1].astype(float)
    on, off = levels[changed.mask == 255], levels[changed.mask == 0]
    assert np.quantile(on, 0.05) > np.quantile(off, 0.95), "interpolation moves the border by part of a pixel"


def test_flow_values_after_each_change(clip: Clip) -> None:
    here = (2, slice(None), 40, 40)
    dx, dy = -STEP_PX[0], -STEP_PX[1]
    assert clip.flow[here].tolist() == [dx, dy]
    assert flip(clip, horizontal=True).flow[here].tolist() == [-dx, dy]
    assert flip(clip, vertical=True).flow[here].tolist() == [dx, -dy]
    assert rescale(clip, (192, 192)).flow[here] == pytest.approx([1.5 * dx, 2 * dy])
    assert reverse(clip).flow[here] == pytest.approx([-dx, -dy])


def test_forward_flow_has_holes_where_things_move_apart() -> None:
    """The right half moved right by 6: the area it uncovered is new, and pixels that left the picture have no flow."""
    flow = np.zeros((2, 8, 40), np.float32)
    flow[0, :, 26:] = -6
    valid = np.ones((8, 40), np.bool_)
    valid[:, 20:26] = False
    forward, known = forward_flow(flow, valid)
    assert known[:, :20].all() and (forward[:, :, :20] == 0).all()
    assert known[:, 20:34].all() and (forward[0, :, 20:34] == 6).all()
    assert not known[:, 34:].any(), "left the picture"


def test_forward_flow_is_unknown_where_different_motions_land() -> None:
    flow = np.zeros((2, 4, 20), np.float32)
    flow[0, :, 10:] = -4  # lands on 6 .. 15, over the still 6 .. 9
    _, known = forward_flow(flow, np.ones((4, 20), np.bool_))
    assert not known[:, 6:10].any() and known[:, :6].all() and known[:, 10:16].all()


def test_unknown_flow_spreads_when_resized(clip: Clip) -> None:
    holed = Clip(clip.input, clip.reference, clip.mask, clip.flow.copy(), clip.valid.copy())
    holed.valid[2, 40:44, 60:64] = False
    holed.flow[2, :, 40:44, 60:64] = 0
    small = rescale(holed, (48, 64))
    assert not small.valid[2, 20:22, 30:32].any() and small.valid[2, 24:30, 36:40].all()
    kept = small.flow[2][:, small.valid[2]]
    assert np.allclose(kept, np.array([[-STEP_PX[0] / 2], [-STEP_PX[1] / 2]])), "no zero of the hole is mixed in"


def test_colour_changes_the_input_more_than_the_reference(clip: Clip) -> None:
    changes = [jitter(clip, np.random.default_rng(seed)) for seed in range(12)]
    of_input = [
        np.abs(c.input.astype(float) / clip.input.mean() - clip.input / clip.input.mean()).mean() for c in changes
    ]
    of_reference = [
        np.abs(c.reference.astype(float) / clip.reference.mean() - clip.reference / clip.reference.mean()).mean()
        for c in changes
    ]
    assert np.mean(of_input) > 1.5 * np.mean(of_reference) > 0
    assert all((c.flow == clip.flow).all() and (c.mask == clip.mask).all() for c in changes)


def test_clips_without_labels_pass_through(clip: Clip) -> None:
    bare = Clip(clip.input, None, None, None, None)
    for name, change in CHANGES.items():
        changed = change(bare)
        assert (changed.reference, changed.mask, changed.flow, changed.valid) == (None,) * 4, name
        assert (changed.input == change(clip).input).all(), name


def test_stack_cuts_a_window_and_drops_what_one_frame_lacks() -> None:
    picture = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    flow, valid = np.ones((2, 6, 8), np.float16), np.ones((6, 8), np.bool_)
    frames = [LabelledFrame(picture, picture, None, flow, valid), LabelledFrame(picture, None, None, flow, valid)]
    clip = stack(frames, (slice(1, 4), slice(2, 8)))
    assert clip.input.shape == (2, 3, 6, 3) and (clip.input[1] == picture[1:4, 2:8]).all()
    assert clip.reference is None and clip.mask is None
    assert clip.flow.shape == (2, 2, 3, 6) and clip.flow.dtype == np.float32
    assert not clip.valid[0].any() and clip.valid[1].all()
    assert valid.all(), "the frames themselves are left alone"
