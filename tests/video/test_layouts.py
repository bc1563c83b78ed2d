"""Layouts, the colour wheel of flow, and resizing."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.contract import VideoError
from mostnet.engine import Output
from mostnet.video import LAYOUTS, FlowScale, flow_picture
from mostnet.video.fit import FrameFit
from mostnet.video.layouts import MAX_SIDE, caption
from mostnet.video.resize import resize_flow, resize_picture

H, W = 60, 90


def _names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _output(h: int = H, w: int = W, **changes) -> Output:
    mask = np.zeros((h, w), np.uint8)
    mask[:, : w // 2] = 200
    values = {
        "enhanced": np.full((h, w, 3), 200, np.uint8),
        "flow": np.zeros((2, h, w), np.float32),
        "mask": mask,
        "finite": True,
        "frame_id": 0,
        "timestamp": None,
        "latency_ms": 1.0,
    }
    return Output(**{**values, **changes})


def _frame(h: int = H, w: int = W) -> np.ndarray:
    return np.full((h, w, 3), 90, np.uint8)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("enhanced", (H, W)),
        ("original", (H, W)),
        ("side-by-side", (H, 2 * W)),
        ("flow", (H, W)),
        ("mask", (H, W)),
        ("grid", (2 * H, 2 * W)),
    ],
)
def test_shape_dtype_and_untouched_inputs(name, shape):
    frame, output = _frame(), _output()
    picture = LAYOUTS[name].draw(frame, output, flow_max_px=5)
    assert picture.shape == (*shape, 3)
    assert picture.dtype == np.uint8
    assert LAYOUTS[name].size_hw((H, W)) == shape
    assert (frame == 90).all()
    assert (output.enhanced == 200).all()


def test_the_list_is_the_documented_one():
    assert list(LAYOUTS) == ["enhanced", "original", "side-by-side", "flow", "mask", "grid"]


def test_enhanced_is_the_engine_s_picture():
    output = _output()
    assert np.array_equal(LAYOUTS["enhanced"].draw(_frame(), output, flow_max_px=5), output.enhanced)


def test_original_is_the_frame_and_needs_no_output():
    frame = _frame()
    output = _output(enhanced=None, flow=None, mask=None)
    assert np.array_equal(LAYOUTS["original"].draw(frame, output, flow_max_px=5), frame)


@pytest.mark.parametrize("name", ["enhanced", "flow"])
def test_a_layout_without_the_input_needs_no_frame(name):
    layout = LAYOUTS[name]
    assert not layout.shows_input
    with_frame, without = (layout.draw(frame, _output(), flow_max_px=5) for frame in (_frame(), None))
    assert np.array_equal(with_frame, without)


def test_side_by_side_has_input_left():
    picture = LAYOUTS["side-by-side"].draw(_frame(), _output(), flow_max_px=5)
    assert (picture[-20:, :W] == 90).all()
    assert (picture[-20:, W:] == 200).all()


def test_mask_tints_teeth_and_leaves_the_rest():
    picture = LAYOUTS["mask"].draw(_frame(), _output(), flow_max_px=5)
    assert (picture[:, W // 2 + 3 :] == 90).all()
    tooth = picture[H // 2, W // 4].astype(int)
    assert tooth == pytest.approx([0.65 * 90 + 0.35 * c for c in (200, 220, 40)], abs=1.5)
    assert (picture[:, W // 2 - 1] == (200, 220, 40)).all()


def test_mask_threshold_is_the_contract_s():
    faint, tooth = (_output(mask=np.full((H, W), level, np.uint8)) for level in (127, 128))
    assert (LAYOUTS["mask"].draw(_frame(), faint, flow_max_px=5) == 90).all()
    assert (LAYOUTS["mask"].draw(_frame(), tooth, flow_max_px=5)[H // 2, W // 2] != 90).any()


def test_grid_tiles():
    picture = LAYOUTS["grid"].draw(_frame(), _output(), flow_max_px=5)
    assert (picture[H - 10 : H, :W] == 90).all()
    assert (picture[H - 10 : H, W:] == 200).all()
    assert (picture[2 * H - 10 :, :W] == 255).all()
    assert (picture[2 * H - 10 :, W + W // 2 + 3 :] == 90).all()


def test_a_missing_output_is_named():
    with pytest.raises(
        VideoError, match=r"this layout draws flow; open the Engine with outputs=\('enhanced', 'flow', 'mask'\)"
    ):
        LAYOUTS["grid"].draw(_frame(), _output(flow=None), flow_max_px=5)


def test_large_pictures_are_shrunk_to_what_decoders_take():
    frame = np.zeros((400, 2500, 3), np.uint8)
    picture = LAYOUTS["side-by-side"].draw(frame, _output(400, 2500), flow_max_px=5)
    assert picture.shape[:2] == LAYOUTS["side-by-side"].size_hw((400, 2500)) == (307, MAX_SIDE)


def test_caption_writes_on_a_copy():
    frame = _frame()
    written = caption(frame, "teeth")
    assert (frame == 90).all()
    assert (written[:30] > 180).any()
    assert (written[:30] < 40).any()
    assert (written[30:] == 90).all()


def _one(dx: float, dy: float, max_px: float = 4.0) -> np.ndarray:
    flow = np.empty((2, 2, 3), np.float32)
    flow[0], flow[1] = dx, dy
    picture = flow_picture(flow, max_px=max_px)
    assert (picture == picture[0, 0]).all()
    return picture[0, 0]


@pytest.mark.parametrize(
    ("dx", "dy", "bgr"),
    [
        (0, 0, (255, 255, 255)),
        (4, 0, (0, 0, 255)),
        (0, 4, (0, 255, 255 * (1 - (55 / 4 - 15) / 6) if 55 / 4 > 15 else 255 * (55 / 4) / 15)),
        (2, 0, (127, 127, 255)),
        (8, 0, (0, 0, 191)),
    ],
)
def test_wheel(dx, dy, bgr):
    if (dx, dy) == (0, 4):
        bgr = (0, round(255 * (55 / 4) / 15), 255)
    assert _one(dx, dy) == pytest.approx(bgr, abs=2)


def test_wheel_turns_through_cyan_on_the_left_and_blue_above():
    left, up = _one(-4, 0), _one(0, -4)
    assert left[2] < 30
    assert left[1] > 180
    assert left[0] > 200
    assert up[0] > 240
    assert up[1] < 30


def test_full_colour_stops_at_the_stated_length_and_longer_is_darker():
    at, beyond = _one(4, 0), _one(4.1, 0)
    assert at[2] == 255
    assert beyond[2] == 191


def test_flow_that_is_not_finite_is_black():
    flow = np.zeros((2, 1, 3), np.float32)
    flow[0, 0, 1], flow[1, 0, 2] = np.nan, np.inf
    assert flow_picture(flow, max_px=1).tolist() == [[[255, 255, 255], [0, 0, 0], [0, 0, 0]]]


@pytest.mark.parametrize("bad", [0, -1, float("nan")])
def test_a_scale_must_be_positive(bad):
    with pytest.raises(ValueError, match="above 0 pixels"):
        flow_picture(np.zeros((2, 1, 1), np.float32), max_px=bad)
    with pytest.raises(ValueError, match="above 0 pixels"):
        FlowScale(bad)


def _even_flow(px: float) -> np.ndarray:
    return np.stack([np.full((H, W), px, np.float32), np.zeros((H, W), np.float32)])


def test_scale_rises_at_once_falls_slowly_and_has_a_floor():
    scale = FlowScale()
    assert scale.follow(_even_flow(0.1)) == FlowScale.FLOOR_PX
    assert scale.follow(_even_flow(10)) == pytest.approx(10)
    after = scale.follow(_even_flow(0))
    assert 9 < after < 10
    for _ in range(300):
        after = scale.follow(_even_flow(0))
    assert after == FlowScale.FLOOR_PX
    assert scale.follow(_even_flow(np.nan)) == FlowScale.FLOOR_PX


def test_fixed_scale_stays():
    scale = FlowScale(7.0)
    assert scale.follow(_even_flow(50)) == 7.0


def test_resized_flow_is_in_pixels_of_the_new_size():
    flow = np.stack([np.full((10, 20), 3, np.float32), np.full((10, 20), -2, np.float32)])
    larger = resize_flow(flow, (40, 30))
    assert larger.shape == (2, 40, 30)
    assert larger[0] == pytest.approx(4.5)
    assert larger[1] == pytest.approx(-8)


def test_resized_output_keeps_none_and_names():
    output = _output(flow=None, frame_id=9)
    sized = FrameFit((120, 180), (H, W)).back(output)
    assert sized.enhanced.shape == (120, 180, 3)
    assert sized.mask.shape == (120, 180)
    assert "flow" not in sized.names
    assert sized.frame_id == 9


def test_a_picture_that_fits_is_not_copied():
    frame = _frame()
    assert resize_picture(frame, (H, W)) is frame
