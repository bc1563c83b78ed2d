"""``mostnet-run`` as a process: pipes into it, and signals."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from mostnet.video import VideoReader, cli
from mostnet.video.command import single

from .samples import moving_frames, write_with_av


def _names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _count(path) -> int:
    with VideoReader(path) as reader:
        return len(list(reader))


_COMMAND = [sys.executable, "-m", "mostnet.video.cli"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
@pytest.mark.parametrize("kind", ["matroska", "mpegts"])
def test_ffmpeg_may_read_an_address_for_it(files, tmp_path, kind):
    """The way round that the error names, with a file in place of the address."""
    out = tmp_path / "o.mp4"
    source = ["ffmpeg", "-v", "error", "-nostdin", "-i", files[1], "-c", "copy", "-f", kind, "-"]
    with subprocess.Popen(source, stdout=subprocess.PIPE) as feeder:
        command = [*_COMMAND, "-", "--engine", files[0], "--output", str(out)]
        subprocess.run(command, stdin=feeder.stdout, check=True, timeout=60)
    assert _count(out) == 20


@pytest.mark.skipif(sys.platform == "win32", reason="no /dev/stdin")
def test_what_is_said_names_standard_input(files, tmp_path):
    with Path(files[1]).open("rb") as video:
        command = [*_COMMAND, "-", "--engine", files[0], "--output", str(tmp_path / "o.mp4")]
        done = subprocess.run(command, stdin=video, check=True, timeout=60, stderr=subprocess.PIPE, text=True)
    assert "come back softer" in done.stderr
    assert all(line.startswith("mostnet-run: standard input: ") for line in done.stderr.splitlines())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("begun", [False, True])
def test_a_signal_ends_the_wait_for_a_pipe(files, tmp_path, number, status, begun):
    video = write_with_av(tmp_path / "v.mkv", moving_frames(60)).read_bytes()
    out = tmp_path / "o.mp4"
    command = [*_COMMAND, "-", "--engine", files[0], "--output", str(out)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        process.stdin.write(video[: len(video) // 2] if begun else b"")
        process.stdin.flush()
        limit = time.monotonic() + 30
        while (not list(tmp_path.glob("o.part-*.mp4")) if begun else not _waits(process)) and time.monotonic() < limit:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(number)
        assert process.wait(timeout=10) == status
        complaint = process.stderr.read()
    assert b"Traceback" not in complaint
    assert out.exists() == begun
    assert _names(tmp_path) == (["o.mp4", "v.mkv"] if begun else ["v.mkv"])
    if not begun:
        assert complaint == b"mostnet-run: standard input: stopped before the first frame\n"


def _waits(process: subprocess.Popen[bytes]) -> bool:
    """Whether the command handles SIGTERM, which it does from just before it opens the video."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


_PACED = """
import sys, time
from mostnet.video import cli
from mostnet.video.decode import FileSource
whole = FileSource.pictures
def paced(self):
    for pair in whole(self):
        time.sleep(0.03)
        yield pair
FileSource.pictures = paced
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_playable_file(files, tmp_path, number, status):
    video = write_with_av(tmp_path / "long.mp4", moving_frames(400))
    out = tmp_path / "o.mp4"
    command = [sys.executable, "-c", _PACED, str(video), "--engine", files[0], "--output", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        limit = time.monotonic() + 30
        while not _grown(tmp_path.glob("o.part-*.mp4")) and time.monotonic() < limit:
            time.sleep(0.02)
        process.send_signal(number)
        printed, complaint = process.communicate(timeout=30)
    assert process.returncode == status, complaint
    assert "Traceback" not in complaint
    count = _count(out)
    assert 1 <= count < 399
    assert f"{count} frames" in printed
    assert "stopped early" in printed
    assert _names(tmp_path) == ["long.mp4", "o.mp4"]


def _grown(parts: Iterable[Path]) -> bool:
    return any(part.stat().st_size > 2000 for part in parts)


@pytest.fixture
def sigterm() -> Iterator[Callable[..., None]]:
    """A handler of SIGTERM that fails the test."""

    def handler(*args: object) -> None:
        pytest.fail("the signal reached the handler from before the run")

    before = signal.signal(signal.SIGTERM, handler)
    yield handler
    signal.signal(signal.SIGTERM, before)


def test_the_second_signal_interrupts_and_handlers_are_put_back(files, tmp_path, monkeypatch, sigterm):
    def run(*args, **kwargs):
        signal.raise_signal(signal.SIGTERM)
        assert kwargs["stop"]()
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(single, "run", run)
    assert cli.main([files[1], "--engine", files[0], "--output", str(tmp_path / "o.mp4")]) == 130
    assert signal.getsignal(signal.SIGTERM) is sigterm
