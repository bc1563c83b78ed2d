"""Pictures as a video."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mostnet.contract import VideoError
from mostnet.video import IncompleteVideoError, VideoReader, run

from ..samples import FakeEngine, moving_frames, psnr, write_with_av


@pytest.fixture
def folder(tmp_path) -> Path:
    """Twelve frames as 1.png to 12.png."""
    place = tmp_path / "frames"
    place.mkdir()
    for k, frame in enumerate(moving_frames(12), start=1):
        cv2.imwrite(str(place / f"{k}.png"), frame)
    return place


@pytest.mark.parametrize("fps", [None, 10, 12.5, Fraction(30000, 1001)])
def test_every_picture_is_a_frame(folder, fps):
    with VideoReader(folder, fps=fps) as reader:
        rate = Fraction(fps or 25)
        assert (reader.fps, reader.size_hw, reader.frame_count, reader.pixel_aspect) == (rate, (96, 128), 12, 1)
        pairs = list(reader.timed())
        reader.check()
    assert [time_s for time_s, _ in pairs] == [k / rate for k in range(12)]
    assert all(np.array_equal(frame, wanted) for (_, frame), wanted in zip(pairs, moving_frames(12), strict=True))


def test_a_run_writes_them(folder, tmp_path):
    summary = run(f"{folder}/%d.png", FakeEngine(), tmp_path / "o.mp4", fps=10)
    assert (summary.frames, summary.fps) == (12, 10)
    with VideoReader(tmp_path / "o.mp4") as reader:
        assert reader.fps == 10
        assert [time_s for time_s, _ in reader.timed()] == [Fraction(k, 10) for k in range(12)]


def test_one_picture_is_a_video_of_one_frame(folder):
    with VideoReader(folder / "3.png") as reader:
        assert [time_s for time_s, _ in reader.timed()] == [0]


def _png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises more than its data."""
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(99))),
        (b"IEND", b""),
    )
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("data", [b"", b"text", None, _png_of(100_000, 100_000), _png_of(30_000, 30_000)])
def test_a_bad_picture_is_named_after_the_others(folder, tmp_path, capfd, data):
    bad = folder / "5.png"
    bad.write_bytes(bad.read_bytes()[:2000] if data is None else data)
    times = []
    with VideoReader(folder) as reader, pytest.raises(VideoError) as caught:
        times.extend(time_s for time_s, _ in reader.timed())
    assert times == [Fraction(k, 25) for k in range(12) if k != 4], "a pause in its place"
    assert str(caught.value).startswith(f"{bad}: not a picture, or a damaged one")
    assert str(caught.value).endswith("11 of 12 pictures could be read")
    with pytest.raises(IncompleteVideoError, match=r"5\.png: not a picture") as incomplete:
        run(folder, FakeEngine(), tmp_path / "o.mp4")
    assert incomplete.value.summary.frames == 11
    if data is None:
        assert capfd.readouterr().err == ""


def test_a_bad_picture_counts_once_it_was_passed(folder):
    (folder / "5.png").write_bytes(b"")
    with VideoReader(folder) as reader:
        frames = iter(reader)
        for _ in range(4):
            next(frames)
        reader.check()
        next(frames)
        with pytest.raises(VideoError, match=r"5\.png: not a picture"):
            reader.check()


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs and devices")
def test_what_is_no_file_is_named(folder):
    (folder / "5.png").unlink()
    os.mkfifo(folder / "5.png")
    (folder / "6.png").unlink()
    (folder / "6.png").symlink_to("/dev/zero")
    with VideoReader(folder) as reader, pytest.raises(VideoError, match=r"5\.png: not a file; .* 10 of 12 pictures"):
        list(reader)


def test_a_folder_of_bad_pictures(tmp_path):
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(VideoError, match=r"no picture in it can be read; .*1\.png: not a picture"):
        VideoReader(tmp_path)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_a_cut_jpeg_is_not_half_a_picture(folder, share):
    cv2.imwrite(str(folder / "x.jpg"), moving_frames(1)[0])
    data = (folder / "x.jpg").read_bytes()
    (folder / "x.jpg").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(VideoError, match=r"x\.jpg: not a picture, or a damaged one"):
        VideoReader(folder / "x.jpg")


def test_other_sizes_are_scaled_and_said_once(folder, caplog):
    for k in (7, 8):
        cv2.imwrite(str(folder / f"{k}.png"), np.full((48, 64, 3), 90, np.uint8))
    with VideoReader(folder) as reader:
        frames = list(reader)
    assert {frame.shape for frame in frames} == {(96, 128, 3)}
    assert caplog.text.count("7.png: is 48x64, scaled to the first picture's 96x128") == 1
    assert "8.png" not in caplog.text


def test_kinds_of_pictures(tmp_path):
    frame = moving_frames(1)[0]
    alpha = np.dstack([frame, np.full(frame.shape[:2], 7, np.uint8)])
    kinds = {"a.png": frame, "deep.png": frame.astype(np.uint16) * 257, "alpha.png": alpha}
    kinds |= {"a.bmp": frame, "a.tif": frame, "a.jpg": frame, "a.webp": frame, "a.ppm": frame}
    for name, picture in kinds.items():
        cv2.imwrite(str(tmp_path / name), picture)
        with VideoReader(tmp_path / name) as reader:
            (read,) = reader
        assert psnr(read, frame) > 30, name
    cv2.imwrite(str(tmp_path / "grey.png"), frame[..., 1])
    with VideoReader(tmp_path / "grey.png") as reader:
        (read,) = reader
    assert np.array_equal(read, np.repeat(frame[..., 1:2], 3, axis=2))


def test_exif_orientation_is_applied(tmp_path):
    frame = moving_frames(1)[0]
    good, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 98])
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    marked = data.tobytes()[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data.tobytes()[2:]
    (tmp_path / "a.jpg").write_bytes(marked)
    with VideoReader(tmp_path / "a.jpg") as reader:
        (read,) = reader
    assert good
    assert psnr(read, np.rot90(frame, -1)) > 30


def test_an_animated_png_is_a_video(tmp_path):
    path = tmp_path / "a.apng"
    with av.open(str(path), "w", format="apng") as container:
        stream = container.add_stream("apng", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "rgb24"
        for frame in moving_frames(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "bgr24").reformat(format="rgb24")))
        container.mux(stream.encode(None))
    path.rename(tmp_path / "a.png")
    with VideoReader(tmp_path / "a.png") as reader:
        assert len(list(reader)) == 6


def test_a_rate_for_a_video_that_has_one_is_refused(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(4))
    with pytest.raises(VideoError, match=r"has a frame rate of its own, 25 FPS; leave out the rate \(30\)"):
        VideoReader(path, fps=30)
    with VideoReader(path, fps=25) as reader:
        assert reader.fps == 25
    with pytest.raises(VideoError, match=r"camera 0: sets its own frame rate"):
        VideoReader(0, fps=25)
    for fps in (0, -1, 1e-9, 1e9, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=r"expected a frame rate from 0\.001 to 100000"):
            VideoReader(path, fps=fps)
