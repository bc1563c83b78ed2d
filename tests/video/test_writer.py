"""Written files play in browsers, have the right colours, and lose no frame."""

from __future__ import annotations

import re
import secrets
import signal
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from mostnet.contract import FrameError, VideoError
from mostnet.video import VideoReader, VideoWriter

from .samples import moving_frames, psnr


def _names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _read(path) -> list[np.ndarray]:
    with VideoReader(path) as reader:
        return list(reader)


def _write(path, frames, fps=25, **options) -> None:
    with VideoWriter(path, fps, frames[0].shape[:2], **options) as writer:
        for frame in frames:
            writer.write(frame)


def test_a_browser_plays_it(tmp_path):
    _write(tmp_path / "v.mp4", moving_frames(30))
    with av.open(str(tmp_path / "v.mp4")) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert "mp4" in container.format.name
        assert (context.name, context.pix_fmt, stream.frames) == ("h264", "yuv420p", 30)
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert stream.start_time == 0
    assert _names(tmp_path) == ["v.mp4"]


def test_frames_come_back(tmp_path):
    frames = moving_frames(30)
    _write(tmp_path / "v.mp4", frames)
    read = _read(tmp_path / "v.mp4")
    assert len(read) == 30
    assert min(psnr(a, b) for a, b in zip(frames, read, strict=True)) > 32


@pytest.mark.parametrize("colour", [(0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255), (0, 0, 0), (60, 110, 190)])
def test_colours_come_back(tmp_path, colour):
    frame = np.full((64, 64, 3), colour, np.uint8)
    _write(tmp_path / "v.mp4", [frame] * 3, crf=5)
    assert np.abs(_read(tmp_path / "v.mp4")[1][20:40, 20:40].astype(int) - colour).max() <= 3


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(15), 12.5])
def test_frame_rate_is_kept_exactly(tmp_path, fps):
    _write(tmp_path / "v.mp4", moving_frames(30), fps)
    with VideoReader(tmp_path / "v.mp4") as reader:
        assert reader.fps == Fraction(fps)


def test_times_are_kept(tmp_path):
    times = [Fraction(0), Fraction(1, 25), Fraction(1, 2), Fraction(2)]
    with VideoWriter(tmp_path / "v.mp4", 25, (96, 128)) as writer:
        for frame, time_s in zip(moving_frames(4), times, strict=True):
            writer.write(frame, time_s=time_s)
    with VideoReader(tmp_path / "v.mp4") as reader:
        assert [float(time) for time, _ in reader.timed()] == pytest.approx([float(t) for t in times], abs=2e-3)


@pytest.mark.parametrize("size_hw", [(97, 128), (96, 129), (97, 129)])
def test_odd_sizes_gain_a_row_or_column(tmp_path, size_hw):
    frames = moving_frames(5, size_hw)
    _write(tmp_path / "v.mp4", frames)
    read = _read(tmp_path / "v.mp4")
    assert read[0].shape == (size_hw[0] + size_hw[0] % 2, size_hw[1] + size_hw[1] % 2, 3)
    assert psnr(read[2][: size_hw[0], : size_hw[1]], frames[2]) > 32


def test_pixel_aspect_is_kept(tmp_path):
    _write(tmp_path / "v.mp4", moving_frames(3), pixel_aspect=Fraction(16, 11))
    with VideoReader(tmp_path / "v.mp4") as reader:
        assert reader.pixel_aspect == Fraction(16, 11)


def test_an_error_half_way_keeps_what_was_written(tmp_path):
    path = tmp_path / "v.mp4"
    frames = moving_frames(20)

    def fail() -> None:
        with VideoWriter(path, 25, (96, 128)) as writer:
            for frame in frames:
                writer.write(frame)
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert len(_read(path)) == 20


def test_an_old_file_stays_until_there_is_a_frame(tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(b"old")
    VideoWriter(path, 25, (96, 128)).close()
    assert path.read_bytes() == b"old"
    writer = VideoWriter(path, 25, (96, 128))
    writer.write(moving_frames(1)[0])
    assert path.read_bytes() == b"old"
    writer.close()
    writer.close()
    assert len(_read(path)) == 1
    assert _names(tmp_path) == ["v.mp4"]


def test_a_part_takes_an_unused_name(tmp_path, monkeypatch):
    tokens = iter(["taken", "taken", "fresh"])
    monkeypatch.setattr(secrets, "token_hex", lambda size: next(tokens))
    taken = tmp_path / "v.part-taken.mp4"
    taken.write_bytes(b"old")
    writer = VideoWriter(tmp_path / "v.mp4", 25, (96, 128))
    assert _names(tmp_path) == ["v.part-fresh.mp4", "v.part-taken.mp4"]
    writer.close()
    assert taken.read_bytes() == b"old"
    assert _names(tmp_path) == ["v.part-taken.mp4"]


def test_a_writer_that_does_not_open_leaves_no_part(tmp_path, monkeypatch):
    def refuse(self, crf, pixel_aspect):
        raise RuntimeError("no encoder")

    monkeypatch.setattr(VideoWriter, "_add_stream", refuse)
    with pytest.raises(RuntimeError, match="no encoder"):
        VideoWriter(tmp_path / "v.mp4", 25, (96, 128))
    assert _names(tmp_path) == []


def test_arguments_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    cases = [
        (tmp_path / "v.avi", 25, (64, 64), "give a name that ends in .mp4"),
        (tmp_path / "none" / "v.mp4", 25, (64, 64), "there is no folder"),
        (tmp_path / "folder.mp4", 25, (64, 64), "is a folder"),
        (tmp_path / "v.mp4", 0, (64, 64), "at 0 FPS"),
        (tmp_path / "v.mp4", 25, (1, 64), "(1, 64)"),
    ]
    for path, fps, size_hw, text in cases:
        with pytest.raises(VideoError) as caught:
            VideoWriter(path, fps, size_hw)
        assert text in str(caught.value)
    assert _names(tmp_path) == ["folder.mp4"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a folder that nobody can write in")
def test_a_folder_that_cannot_be_written_in():
    with pytest.raises(VideoError, match=r"/proc/v\.mp4: cannot write in /proc"):
        VideoWriter("/proc/v.mp4", 25, (64, 64))


def test_wrong_frames_and_a_closed_writer(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", 25, (96, 128)) as writer:
        with pytest.raises(FrameError, match="shape"):
            writer.write(np.zeros((96, 127, 3), np.uint8))
        with pytest.raises(FrameError, match="float32"):
            writer.write(np.zeros((96, 128, 3), np.float32))
    with pytest.raises(VideoError, match="the writer is closed"):
        writer.write(np.zeros((96, 128, 3), np.uint8))


_KILLED = """
import os, sys, numpy as np
from mostnet.video import VideoWriter
rng = np.random.default_rng(0)
writer = VideoWriter(sys.argv[1], 25, (64, 64))
for k in range(100):
    writer.write(np.full((64, 64, 3), 2 * k, np.uint8))
os.kill(os.getpid(), 9)
"""

_DISK_FULL = """
import resource, sys, numpy as np
from mostnet.contract import VideoError
from mostnet.video import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
rng = np.random.default_rng(0)
try:
    with VideoWriter(sys.argv[1], 25, (64, 64)) as writer:
        for k in range(400):
            writer.write(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
except VideoError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")
def test_a_killed_process_leaves_a_playable_part(tmp_path):
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "v.mp4")], check=False)
    assert done.returncode == -signal.SIGKILL
    (part,) = tmp_path.iterdir()
    assert re.fullmatch(r"v\.part-[0-9a-f]{8}\.mp4", part.name)
    read = _read(part)
    assert 60 < len(read) <= 100
    assert abs(int(read[50][9, 9, 0]) - 100) <= 3


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")
def test_a_full_disk_is_reported_once(tmp_path):
    path = tmp_path / "v.mp4"
    done = subprocess.run([sys.executable, "-c", _DISK_FULL, str(path)], check=True, capture_output=True, text=True)
    assert "cannot write frame" in done.stdout
    assert "the frames before it are in" in done.stdout
    (part,) = tmp_path.iterdir()
    assert str(part) in done.stdout
    with VideoReader(part) as reader:
        assert next(iter(reader)).shape == (64, 64, 3)


_NO_SPACE = """
import resource, sys, numpy as np
from mostnet.contract import VideoError
from mostnet.video import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    with VideoWriter(sys.argv[1], 25, (64, 64)) as writer:
        for k in range(int(sys.argv[2])):
            writer.write(np.full((64, 64, 3), k, np.uint8))
except VideoError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
@pytest.mark.parametrize("count", [1, 100])
def test_a_disk_that_is_full_from_the_start_leaves_no_empty_file(tmp_path, count):
    command = [sys.executable, "-c", _NO_SPACE, str(tmp_path / "v.mp4"), str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "nothing was written" in done.stdout
    assert _names(tmp_path) == []
