"""Sound of joined recordings and of pipes."""

from __future__ import annotations

import logging
import os
import sys
import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from mostnet.video import run

from ..samples import SIZE_HW, FakeEngine
from .samples import EVERY_S, flash_times, onsets, write_clip

#: Frames of one part: a flash and a click begin it, and the part after it goes on in step.
PART = 60


def _run(path: Path, tmp_path: Path) -> Path:
    run(path, FakeEngine(SIZE_HW), tmp_path / "out.mp4")
    return tmp_path / "out.mp4"


def _assert_in_sync(path: Path, count: int) -> None:
    heard, seen = onsets(path), flash_times(path)
    assert len(seen) == count
    assert [min(heard, key=lambda click: abs(click - flash)) for flash in seen] == pytest.approx(seen, abs=0.06)
    assert len(heard) == count


@pytest.mark.parametrize(
    ("name", "codec", "video"),
    [
        ("v.ts", "aac", "libx264"),
        ("v.ts", "ac3", "libx264"),
        ("v.ts", "mp2", "mpeg2video"),
        ("v.mpg", "ac3", "mpeg2video"),
        ("v.mpg", "mp2", "mpeg2video"),
        ("v.mkv", "aac", "libx264"),
        ("v.avi", "pcm_s16le", "mpeg4"),
        ("v.avi", "libmp3lame", "mpeg4"),
    ],
)
@pytest.mark.parametrize("parts", [2, 3])
def test_joined_recordings_stay_in_sync(tmp_path, caplog, name, codec, video, parts):
    if (name, parts) == ("v.mkv", 3):
        pytest.skip("FFmpeg reads no third part")
    path = tmp_path / name
    path.write_bytes(write_clip(tmp_path / f"part-{name}", PART, codecs=[codec], video=video).read_bytes() * parts)
    out = _run(path, tmp_path)
    _assert_in_sync(out, parts * round(PART / 25 / EVERY_S))
    assert not any("left out" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("sound_s", [(0.0, 2.0), (0.5, 2.4), (0.0, 2.9)])
def test_parts_whose_sound_is_shorter_or_longer_than_their_pictures(tmp_path, sound_s):
    path = tmp_path / "v.ts"
    path.write_bytes(write_clip(tmp_path / "part.ts", PART, sound_s=sound_s).read_bytes() * 2)
    out = _run(path, tmp_path)
    heard = onsets(out)
    with av.open(str(out)) as container:
        stream = container.streams.audio[0]
        stamps = [packet.pts for packet in container.demux(stream) if packet.size]
        assert min(b - a for a, b in pairwise(stamps)) * stream.time_base > Fraction(512, 48_000), "none is squeezed in"
    wanted = [part + k * EVERY_S for part in (0, PART / 25) for k in range(3) if k * EVERY_S >= sound_s[0]]
    assert [min(heard, key=lambda click: abs(click - time)) for time in wanted] == pytest.approx(wanted, abs=0.06)


def test_parts_with_and_without_sound(tmp_path):
    path = tmp_path / "v.ts"
    one = write_clip(tmp_path / "a.ts", PART).read_bytes()
    silent = write_clip(tmp_path / "b.ts", PART, codecs=[]).read_bytes()
    path.write_bytes(one + silent + one)
    heard = onsets(_run(path, tmp_path))
    assert [time for time in heard if 2.5 < time < 4.7] == []
    wanted = [part * PART / 25 + k * EVERY_S for part in (0, 2) for k in range(3)]
    assert [min(heard, key=lambda click: abs(click - time)) for time in wanted] == pytest.approx(wanted, abs=0.06)


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs")
@pytest.mark.parametrize(("name", "codec"), [("v.ts", "aac"), ("v.mkv", "libopus"), ("v.mkv", "pcm_s16le")])
def test_sound_comes_through_a_pipe(tmp_path, caplog, name, codec):
    data = write_clip(tmp_path / name, 75, codecs=[codec]).read_bytes()
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True).start()
    _assert_in_sync(_run(tmp_path / "pipe", tmp_path), 4)
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) == (codec == "pcm_s16le")
