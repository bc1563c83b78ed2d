"""Pipes: every frame without seeking, and a wait that can be ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from mostnet.contract import VideoError
from mostnet.video import VideoReader
from mostnet.video.files import pipe

from ..samples import FPS, moving_frames, write_with_av

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="FIFOs")


def _fifo(path: Path, data: bytes, *, hold_s: float = 0.0) -> Path:
    """A FIFO that a thread writes ``data`` into and then holds open for a while."""

    def feed() -> None:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            time.sleep(hold_s)

    os.mkfifo(path)
    threading.Thread(target=feed, daemon=True).start()
    return path


@pytest.mark.parametrize(
    ("name", "codec", "movflags"),
    [
        ("v.mkv", "libx264", ""),
        ("v.ts", "libx264", ""),
        ("v.mpg", "mpeg2video", ""),
        ("v.avi", "mpeg4", ""),
        ("front.mp4", "libx264", "faststart"),
        ("fragments.mp4", "libx264", "frag_keyframe+empty_moov"),
    ],
)
def test_all_frames_come_at_their_times(tmp_path, name, codec, movflags):
    data = write_with_av(tmp_path / name, moving_frames(30), codec=codec, movflags=movflags).read_bytes()
    with VideoReader(_fifo(tmp_path / "pipe", data)) as reader:
        assert [time_s for time_s, _ in reader.timed()] == [k / FPS for k in range(30)]
        assert reader.fps == 25
        assert not reader.stopped


def test_a_process_may_write_slowly(tmp_path):
    data = write_with_av(tmp_path / "v.mkv", moving_frames(30)).read_bytes()
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def feed() -> None:
        with path.open("wb", buffering=0) as file:
            for k in range(0, len(data), len(data) // 4):
                file.write(data[k : k + len(data) // 4])
                time.sleep(0.15)

    threading.Thread(target=feed, daemon=True).start()
    with VideoReader(path) as reader:
        assert len(list(reader)) == 30


def test_an_mp4_with_its_index_at_the_end_says_what_to_do(tmp_path):
    data = write_with_av(tmp_path / "v.mp4", moving_frames(20)).read_bytes()
    with pytest.raises(VideoError, match=r"an MP4 with its index at the end cannot be read from a pipe; .* faststart"):
        VideoReader(_fifo(tmp_path / "pipe", data))


def test_a_cut_pipe_is_damage(tmp_path):
    data = write_with_av(tmp_path / "v.mkv", moving_frames(60)).read_bytes()
    read = []
    with VideoReader(_fifo(tmp_path / "pipe", data[: len(data) // 2])) as reader, pytest.raises(VideoError) as caught:
        read.extend(reader)
    assert 10 < len(read) < 50
    assert f"{len(read)} of 60 frames could be read" in str(caught.value)


@pytest.mark.parametrize(("data", "text"), [(b"", "ended without any data"), (b"hello" * 999, "no video|not a video")])
def test_pipes_without_a_video(tmp_path, data, text):
    with pytest.raises(VideoError, match=text):
        VideoReader(_fifo(tmp_path / "pipe", data))


def test_a_wait_for_a_writer_can_be_stopped_and_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(pipe, "_PATIENCE_S", 0.2)
    os.mkfifo(tmp_path / "pipe")
    begun_s = time.monotonic()
    with pytest.raises(VideoError, match="stopped before the first frame"):
        VideoReader(tmp_path / "pipe", stop=lambda: time.monotonic() - begun_s > 0.6)
    assert caplog.text.count("waiting for more, Ctrl-C ends the run") == 1


def test_a_stalled_pipe_can_be_stopped_and_keeps_its_frames(tmp_path):
    data = write_with_av(tmp_path / "v.mkv", moving_frames(60)).read_bytes()
    path = _fifo(tmp_path / "pipe", data[: len(data) // 2], hold_s=3)
    asked: list[None] = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > 8

    with VideoReader(path, stop=stop) as reader:
        assert 10 < len(list(reader)) < 50
        assert reader.stopped
        reader.check()


def test_ctrl_c_ends_a_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            VideoReader(tmp_path / "pipe")
    finally:
        timer.cancel()


def test_no_file_stays_open(tmp_path):
    before = len(list(Path("/dev/fd").iterdir()))
    data = write_with_av(tmp_path / "v.mkv", moving_frames(10)).read_bytes()
    with VideoReader(_fifo(tmp_path / "good", data)) as reader:
        assert len(list(reader)) == 10
    for k, content in enumerate((b"hello" * 99, b"")):
        with pytest.raises(VideoError):
            VideoReader(_fifo(tmp_path / f"bad{k}", content))
    assert len(list(Path("/dev/fd").iterdir())) == before
