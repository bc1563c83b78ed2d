"""Reading files: every frame, at its time, in its colours, the right way up."""

from __future__ import annotations

import runpy
from enum import IntEnum
from fractions import Fraction

import cv2
import numpy as np
import pytest
from av.video import reformatter

from mostnet.contract import VideoError
from mostnet.video import VideoReader, colour, demo_clip

from .samples import SIZE_HW, moving_frames, psnr, write_with_av, write_yuv


def _rgb_to_bgr_of(yuv, *, kr: float, kb: float, full_range: bool) -> np.ndarray:
    """The textbook conversion, in floating point."""
    y, u, v = (float(value) for value in yuv)
    y, u, v = (
        (y / 255, (u - 128) / 255, (v - 128) / 255)
        if full_range
        else ((y - 16) / 219, (u - 128) / 224, (v - 128) / 224)
    )
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return 255 * np.array([blue, green, red])


@pytest.mark.parametrize(
    ("name", "codec", "movflags"),
    [
        ("a.mp4", "libx264", ""),
        ("b.mp4", "libx264", "frag_keyframe+empty_moov"),
        ("c.mkv", "libx264", ""),
        ("d.avi", "mpeg4", ""),
        ("e.ts", "libx264", ""),
    ],
)
def test_every_frame_comes_in_order_with_its_time(tmp_path, name, codec, movflags):
    frames = moving_frames(30)
    path = write_with_av(tmp_path / name, frames, codec=codec, movflags=movflags)
    with VideoReader(path) as reader:
        assert (reader.fps, reader.size_hw, reader.frame_count) == (25, SIZE_HW, 30)
        pairs = list(reader.timed())
    assert [time for time, _ in pairs] == [Fraction(k, 25) for k in range(30)]
    for k, (_, frame) in enumerate(pairs):
        assert frame.dtype == np.uint8
        assert max(range(30), key=lambda other, frame=frame: psnr(frames[other], frame)) == k
        assert psnr(frames[k], frame) > 30


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frame_rate_is_exact(tmp_path, fps, suffix):
    path = write_with_av(tmp_path / f"v{suffix}", moving_frames(40), fps=fps)
    with VideoReader(path) as reader:
        assert reader.fps == fps
        assert [time for time, _ in reader.timed()] == [k / fps for k in range(40)]


def test_variable_rate_keeps_the_times(tmp_path):
    pts = [0, 1, 2, 7, 8, 30, 31]
    path = write_with_av(tmp_path / "v.mp4", moving_frames(7), pts=pts)
    with VideoReader(path) as reader:
        times = [time for time, _ in reader.timed()]
    assert [float(time) for time in times] == pytest.approx([p / 25 for p in pts], abs=1e-3)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotation_is_applied(tmp_path, degrees):
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[:32, :48], frame[:32, 48:], frame[32:, :48] = (0, 0, 255), (0, 255, 0), (255, 0, 0)
    path = write_with_av(tmp_path / "v.mp4", [frame] * 3, rotation=degrees)
    expected = np.rot90(frame, degrees // 90)
    with VideoReader(path) as reader:
        shown = next(iter(reader))
        assert reader.size_hw == expected.shape[:2]
    assert shown.flags.c_contiguous
    height, width = expected.shape[:2]
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            assert np.abs(shown[y, x].astype(int) - expected[y, x]).max() < 12


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(
    ("matrix", "size_hw", "kr", "kb"),
    [
        (1, (64, 64), 0.2126, 0.0722),
        (5, (64, 64), 0.299, 0.114),
        (6, (64, 64), 0.299, 0.114),
        (9, (64, 64), 0.2627, 0.0593),
        (2, (64, 64), 0.299, 0.114),
        (2, (720, 64), 0.2126, 0.0722),
    ],
)
def test_colour_follows_matrix_and_range(tmp_path, matrix, size_hw, kr, kb, full_range):
    yuv = (110, 100, 170)
    path = write_yuv(tmp_path / "v.mp4", yuv, matrix=matrix, full_range=full_range, size_hw=size_hw)
    with VideoReader(path) as reader:
        shown = next(iter(reader))[20, 20]
    assert shown == pytest.approx(_rgb_to_bgr_of(yuv, kr=kr, kb=kb, full_range=full_range), abs=1.5)


def test_swscale_numbers_need_no_names_of_pyav_18(monkeypatch):
    """Python 3.10 ends at PyAV 17, whose enumerations are shorter."""
    before = {"Colorspace": "ITU709 FCC ITU601 SMPTE240M", "Interpolation": "BILINEAR"}
    for kind, names in before.items():
        whole = getattr(reformatter, kind)
        monkeypatch.setattr(reformatter, kind, IntEnum(kind, {name: int(whole[name]) for name in names.split()}))
    old = runpy.run_path(colour.__file__)
    assert {int(value) for value in old["_MATRICES"].values()} == {1, 4, 5, 7, 9}
    assert (old["_SWS_BT2020"], old["_SCALER"]) == (9, 2 + 8192 + 262144)


@pytest.mark.skipif(not hasattr(reformatter.Colorspace, "BT2020"), reason="this PyAV has no names for them")
def test_swscale_numbers_are_pyav_s():
    flags = reformatter.Interpolation
    assert int(reformatter.Colorspace.BT2020) == colour._SWS_BT2020
    assert int(flags.BILINEAR | flags.ACCURATE_RND | flags.FULL_CHR_H_INT) == colour._SCALER


def test_unknown_colour_matrix_is_refused(tmp_path):
    path = write_yuv(tmp_path / "v.mp4", (110, 100, 170), matrix=8, full_range=False, size_hw=(64, 64))
    with VideoReader(path) as reader, pytest.raises(VideoError, match=r"colour matrix 8 .* not supported"):
        next(iter(reader))


def test_leaving_early_is_no_error(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(12))
    with VideoReader(path) as reader:
        for _ in zip(range(3), reader, strict=False):
            pass
    reader.close()


class _Camera:
    """Three pictures, then nothing: an unplugged cable."""

    def __init__(self, index: int) -> None:
        self.opened, self.left, self.released = index == 0, 3, False

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def read(self):
        self.left -= 1
        return (True, np.full((48, 64, 3), self.left, np.uint8)) if self.left >= 0 else (False, None)

    def get(self, key: int) -> float:
        return 29.97 if key == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        self.released = True


def test_camera(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", _Camera)
    with VideoReader(0) as reader:
        assert reader.fps == Fraction(2997, 100)
        assert (reader.size_hw, reader.frame_count) == ((48, 64), None)
        pairs = []
        with pytest.raises(VideoError, match=r"camera 0: gave no picture after frame 2"):
            pairs.extend(reader.timed())
    assert [frame[0, 0, 0] for _, frame in pairs] == [2, 1, 0]
    times = [time for time, _ in pairs]
    assert times == sorted(times)


def test_camera_that_is_not_there(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", _Camera)
    with pytest.raises(VideoError, match=r"camera 7: cannot be opened; check its number"):
        VideoReader(7)


def test_demo_clip_can_be_read():
    with VideoReader(demo_clip()) as reader:
        assert (reader.fps, reader.size_hw, reader.frame_count) == (25, (480, 640), 100)
