"""Joined recordings: the times go on from part to part, and one damaged stamp delays nothing."""

from __future__ import annotations

import logging
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mostnet.contract import VideoError
from mostnet.video import VideoReader, run
from mostnet.video.files.parts import JoinedParts

from ..samples import FakeEngine, moving_frames, write_with_av

#: Seconds after which the 33-bit clock of MPEG-TS begins anew.
WRAP_S = 2**33 // 90_000


def _part(
    folder: Path, name: str, *, count: int = 50, fps: int = 25, start_s: int = 0, codec: str = "libx264"
) -> bytes:
    path = folder / name
    pts = range(start_s * fps, start_s * fps + count)
    return write_with_av(path, moving_frames(count), codec=codec, fps=Fraction(fps), pts=pts).read_bytes()


def _times(path: Path) -> list[float]:
    with VideoReader(path) as reader:
        return [float(time_s) for time_s, _ in reader.timed()]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("v.ts", "libx264"),
        ("v.ts", "mpeg2video"),
        ("v.mpg", "mpeg2video"),
        ("v.avi", "mpeg4"),
    ],
)
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_follow_each_other(tmp_path, name, codec, parts):
    path = tmp_path / name
    path.write_bytes(_part(tmp_path, f"part-{name}", codec=codec) * parts)
    assert _times(path) == pytest.approx([k / 25 for k in range(50 * parts)], abs=2e-3)


@pytest.mark.parametrize("codec", ["libx264", "libvpx"])
def test_two_parts_of_matroska(tmp_path, codec):
    """FFmpeg reads no third part."""
    path = tmp_path / "v.mkv"
    path.write_bytes(_part(tmp_path, "part.mkv", codec=codec) * 2)
    assert _times(path) == pytest.approx([k / 25 for k in range(100)], abs=2e-3)


@pytest.mark.parametrize(("first", "second"), [(25, 30), (30, 25), (25, 50)])
@pytest.mark.parametrize(("suffix", "codec"), [("ts", "libx264"), ("mpg", "mpeg2video")])
def test_each_part_keeps_its_own_spacing(tmp_path, suffix, codec, first, second):
    path = tmp_path / f"v.{suffix}"
    one, other = (_part(tmp_path, f"{fps}.{suffix}", fps=fps, codec=codec) for fps in (first, second))
    path.write_bytes(one + other)
    with VideoReader(path) as reader:
        assert reader.fps == first
    times = _times(path)
    assert len(times) == 100
    assert np.diff(times[:50]) == pytest.approx(1 / first, abs=1e-3)
    assert np.diff(times[51:]) == pytest.approx(1 / second, abs=2.1e-3), "close to the first part's grid is on it"
    assert times[50] - times[49] == pytest.approx(1 / first, abs=2.1e-3)


@pytest.mark.parametrize("starts_s", [(0, 1000), (1000, 0), (5000, 1000, 0), (WRAP_S - 1, 0), (WRAP_S - 1, 40), (0, 0)])
def test_a_part_may_begin_at_any_time(tmp_path, starts_s):
    path = tmp_path / "v.ts"
    path.write_bytes(b"".join(_part(tmp_path, f"{start}.ts", start_s=start) for start in starts_s))
    assert _times(path) == pytest.approx([k / 25 for k in range(50 * len(starts_s))], abs=2e-3)


def test_parts_of_few_frames(tmp_path):
    path = tmp_path / "v.ts"
    path.write_bytes(_part(tmp_path, "a.ts", count=3) * 3 + _part(tmp_path, "b.ts", count=30))
    assert _times(path) == pytest.approx([k / 25 for k in range(39)], abs=2e-3)


def test_a_clock_that_wraps_is_no_join(tmp_path, caplog):
    path = tmp_path / "v.ts"
    path.write_bytes(_part(tmp_path, "a.ts", count=100, start_s=WRAP_S - 2))
    assert _times(path) == pytest.approx([k / 25 for k in range(100)], abs=2e-3)
    assert caplog.text == ""


def test_a_join_is_said_in_one_line(tmp_path, caplog):
    path = tmp_path / "v.ts"
    path.write_bytes(_part(tmp_path, "a.ts") * 3)
    _times(path)
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "mostnet.video.files.parts")
    assert record.getMessage().endswith(
        "v.ts: its clock jumps at 2.00 s, as in joined recordings; the times go on from there"
    )


def test_another_size_is_said(tmp_path, caplog):
    path = tmp_path / "v.ts"
    small = write_with_av(tmp_path / "small.ts", moving_frames(30, (64, 96))).read_bytes()
    path.write_bytes(_part(tmp_path, "a.ts") + small)
    with VideoReader(path) as reader:
        assert {frame.shape for frame in reader} == {(96, 128, 3)}
    assert "the picture is 64x96 from frame 50 (2.00 s) on, scaled to the first frame's 96x128" in caplog.text


def test_damage_in_a_later_part_has_its_time(tmp_path):
    part = _part(tmp_path, "a.ts")
    path = tmp_path / "v.ts"
    data = bytearray(part * 2)
    middle = len(part) * 3 // 2
    data[middle : middle + 1000] = bytes(1000)
    path.write_bytes(data)
    with VideoReader(path) as reader, pytest.raises(Exception, match=r"damaged at frame (6\d|7\d|8\d) \(") as caught:
        list(reader)
    assert "earlier than its header says" not in str(caught.value)


def test_a_pause_stays_a_pause(tmp_path):
    for name in ("v.mp4", "v.mkv"):
        path = write_with_av(tmp_path / name, moving_frames(20), pts=[*range(10), *range(1010, 1020)])
        assert _times(path)[10] == pytest.approx(1010 / 25, abs=2e-3)
    path = write_with_av(tmp_path / "v.ts", moving_frames(20), pts=[*range(10), *range(110, 120)])
    assert _times(path)[10] == pytest.approx(110 / 25, abs=2e-3), "4 s are no jump of the clock"


class _Packet:
    def __init__(self, stamp: int, *, key: bool) -> None:
        self.pts = self.dts = stamp
        self.is_keyframe = key
        self.is_corrupt = False


def _mended(tmp_path, stamps: list[int], *, every: int = 10, leaps: bool = True) -> list[int]:
    """Stamps at 25 ticks a second after ``JoinedParts``; every tenth packet is a key frame."""
    with av.open(str(write_with_av(tmp_path / "v.avi", moving_frames(2), codec="mpeg4"))) as container:
        stream = container.streams.video[0]
        assert stream.time_base == Fraction(1, 25)
        parts = JoinedParts(stream, Fraction(1, 25), "v", leaps=leaps)
        packets = [_Packet(stamp, key=k % every == 0) for k, stamp in enumerate(stamps)]
        return [packet.pts for packet in parts.mend(packets)]


@pytest.mark.parametrize("wrong", [20, 9999, -5])
@pytest.mark.parametrize("every", [10, 1])
def test_one_damaged_stamp_delays_nothing(tmp_path, wrong, every, caplog):
    """Back to the start, far ahead, or below zero, at frame 60."""
    stamps = [*range(60), wrong, *range(61, 100)]
    mended = _mended(tmp_path, stamps, every=every)
    assert mended[:60] == stamps[:60]
    assert mended[60] == 60
    assert mended[61:] == stamps[61:]
    assert caplog.text == ""


def test_stamps_out_of_order_are_no_jump(tmp_path):
    stamps = [0, 4, 2, 1, 3, 8, 6, 5, 7, 9, 10, 14, 12, 11, 13]
    assert _mended(tmp_path, stamps) == stamps


def test_a_repeated_stamp_is_left_to_the_clock(tmp_path):
    stamps = [*range(10), 9, 9, 12, 13, 14]
    assert _mended(tmp_path, stamps) == stamps


def test_progress_gives_no_total_after_it(tmp_path):
    path = tmp_path / "v.ts"
    path.write_bytes(_part(tmp_path, "part.ts") * 3)
    seen = []
    run(path, FakeEngine(), tmp_path / "o.mp4", progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, 151))
    assert all(total is None or done <= total for done, total in seen)


def test_a_damaged_part_is_not_counted_against_the_first(tmp_path):
    part = _part(tmp_path, "part.ts")
    middle = len(part) // 2
    path = tmp_path / "v.ts"
    path.write_bytes(part + part[:middle] + bytes(4000) + part[middle + 4000 :])
    with pytest.raises(VideoError, match=r"; \d+ frames could be read; "):
        _times(path)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
def test_the_headers_of_a_second_theora_are_no_damage(tmp_path):
    clip = write_with_av(tmp_path / "clip.mp4", moving_frames(50))
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", clip, "-c:v", "libtheora", tmp_path / "one.ogv"]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this ffmpeg cannot encode Theora")
    path = tmp_path / "v.ogv"
    path.write_bytes((tmp_path / "one.ogv").read_bytes() * 2)
    assert _times(path) == pytest.approx([k / 25 for k in range(100)], abs=2e-3)


@pytest.mark.parametrize(
    ("name", "movflags", "text"),
    [
        ("v.mp4", "", "a second MP4 follows the first one in this file and is left out"),
        ("v.mp4", "frag_keyframe+empty_moov", "a second MP4 follows"),
        ("v.flv", "", "the end of the file is not read"),
        ("v.wmv", "", "the end of the file is not read"),
    ],
)
def test_parts_that_ffmpeg_does_not_read_are_said(tmp_path, caplog, name, movflags, text):
    path = write_with_av(tmp_path / name, moving_frames(50), movflags=movflags)
    _times(path)
    assert caplog.text == ""
    path.write_bytes(path.read_bytes() * 2)
    assert 50 <= len(_times(path)) < 100
    assert text in caplog.text
