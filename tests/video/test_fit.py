"""The picture keeps its shape in an engine of another shape, and the results come back in place."""

from __future__ import annotations

import logging
from fractions import Fraction

import cv2
import numpy as np
import pytest

from mostnet.engine import Output
from mostnet.video import VideoReader, run
from mostnet.video.fit import FrameFit
from mostnet.video.resize import resize_picture

from .samples import FakeEngine, moving_frames, psnr, write_with_av


def _circle(size_hw: tuple[int, int], pixel_aspect: Fraction = Fraction(1)) -> np.ndarray:
    """A disc that is round where the pixels are ``pixel_aspect`` times as wide as high."""
    height, width = size_hw
    y, x = np.mgrid[:height, :width] - np.array([height - 1, width - 1]).reshape(2, 1, 1) / 2
    inside = np.hypot(x * float(pixel_aspect), y) < 0.3 * min(height, width * pixel_aspect)
    return np.where(inside[..., None], 255, 40).astype(np.uint8).repeat(3, axis=2)


def _extent(picture: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero(picture[..., 0] > 150)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


@pytest.mark.parametrize(
    ("frame_hw", "pixel_aspect"),
    [
        ((1080, 1920), Fraction(1)),
        ((1920, 1080), Fraction(1)),
        ((576, 720), Fraction(64, 45)),
        ((240, 320), Fraction(1)),
        ((100, 900), Fraction(1)),
    ],
)
def test_a_circle_stays_a_circle(frame_hw, pixel_aspect):
    fit = FrameFit(frame_hw, (480, 640), pixel_aspect)
    framed = fit.to_engine(_circle(frame_hw, pixel_aspect))
    assert framed.shape == (480, 640, 3)
    assert framed.flags.c_contiguous
    top, left = ((480 - fit.content_hw[0]) // 2, (640 - fit.content_hw[1]) // 2)
    height, width = _extent(framed[top : top + fit.content_hw[0], left : left + fit.content_hw[1]])
    assert height == pytest.approx(width, abs=2)


@pytest.mark.parametrize("frame_hw", [(240, 320), (960, 1280), (480, 640), (478, 640), (484, 640)])
def test_a_video_of_the_engine_s_shape_is_only_resized(frame_hw):
    frame = moving_frames(1, frame_hw)[0]
    fit = FrameFit(frame_hw, (480, 640))
    assert not fit.has_margins
    assert np.array_equal(fit.to_engine(frame), resize_picture(frame, (480, 640)))
    output = Output(resize_picture(frame, (480, 640)), None, None, True, 0, None, 1.0)
    assert np.array_equal(fit.back(output).enhanced, resize_picture(output.enhanced, frame_hw))


def test_the_picture_is_centred_between_its_mirror_images():
    frame = moving_frames(1, (100, 50))[0]
    fit = FrameFit((100, 50), (80, 120))
    framed = fit.to_engine(frame)
    assert fit.content_hw == (80, 40)
    assert np.array_equal(framed[:, 40:80], resize_picture(frame, (80, 40)))
    assert np.array_equal(framed[:, 39:1:-1], framed[:, 41:79])
    assert np.array_equal(framed[:, 80:118], framed[:, 78:40:-1])


def test_results_come_back_in_place():
    """Only the middle of the engine's frame comes back, and flow in pixels of the video."""
    fit = FrameFit((160, 80), (80, 120))
    mask = np.zeros((80, 120), np.uint8)
    mask[:40, 40:80] = 255
    flow = np.zeros((2, 80, 120), np.float32)
    flow[:, :, 40:80] = np.array([3, -1], np.float32).reshape(2, 1, 1)
    output = fit.back(Output(None, flow, mask, True, 0, None, 1.0))
    assert output.flow.shape == (2, 160, 80)
    assert output.flow[0] == pytest.approx(6)
    assert output.flow[1] == pytest.approx(-2)
    assert output.mask.shape == (160, 80)
    assert (output.mask[:78] == 255).all() and not output.mask[82:].any()


def test_flow_of_a_moving_pattern_is_right_after_it_comes_back():
    """Flow that DIS measures in the engine's frame, between margins, is the motion of the video's own frames."""
    before, after = (frame[:, :180] for frame in moving_frames(9, (320, 300))[::8])
    fit = FrameFit((320, 180), (480, 640))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(fit.to_engine(np.ascontiguousarray(frame)), cv2.COLOR_BGR2GRAY) for frame in (after, before)]
    flow = np.ascontiguousarray(search.calc(*grey, None).transpose(2, 0, 1))
    inner = fit.back(Output(None, flow, None, True, 0, None, 1.0)).flow[:, 40:-40, 40:-40]
    assert np.median(inner[0]) == pytest.approx(16, abs=0.3)
    assert np.median(inner[1]) == pytest.approx(8, abs=0.3)


@pytest.mark.parametrize(
    ("fit", "texts"),
    [
        (FrameFit((480, 640), (480, 640)), []),
        (FrameFit((240, 320), (480, 640)), []),
        (
            FrameFit((1920, 1080), (480, 640)),
            [
                "frames of 1920x1080 do not have the shape of the engine's 480x640: the picture keeps its shape and "
                "uses 42% of it; an engine of --size h736xw416 is used whole",
                "frames of 1920x1080 go through an engine of 480x640 at 480x270 and come back softer; an "
                "engine of --size h1920xw1080 keeps the detail, at more time per frame",
            ],
        ),
        (
            FrameFit((240, 320), (480, 640), Fraction(3, 2)),
            [
                "frames of 240x320 (pixels 3/2 as wide as high) do not have the shape of the engine's 480x640: the "
                "picture keeps its shape and uses 67% of it; an engine of --size 240x480 is used whole"
            ],
        ),
    ],
)
def test_what_a_person_would_see_is_said(fit, texts):
    assert fit.remarks() == texts


def _lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_portrait_clip_through_a_landscape_engine(tmp_path, caplog):
    frames = [_circle((128, 72))] * 4
    path = write_with_av(tmp_path / "v.mp4", frames)
    run(path, FakeEngine((96, 128)), tmp_path / "o.mp4")
    with VideoReader(tmp_path / "o.mp4") as reader:
        assert psnr(next(iter(reader)), 255 - frames[0]) > 18
    assert [line for line in _lines(caplog) if "keeps its shape" in line] == _lines(caplog)[:1]
    assert str(path) in _lines(caplog)[0]


def test_a_shrunk_output_is_said(tmp_path, caplog):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(1, (64, 2048)))
    run(path, FakeEngine((64, 2048)), tmp_path / "o.mp4", layout="side-by-side")
    (line,) = _lines(caplog)
    assert "the picture of 64x4096 is shrunk to 60x3840, because many players stop at a side of 3840 pixels" in line
