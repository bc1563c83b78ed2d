"""The sound of a video comes through a run, in sync."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from mostnet.video import IncompleteVideoError, StabiliserOptions, VideoReader, run
from mostnet.video.sound import source as source_module

from ..samples import SIZE_HW, FakeEngine, damage_packet, moving_frames, write_with_av
from .samples import EVERY_S, clicks, flash_times, onsets, sound_of, write_clip

COUNT = 75


def _run(path: Path, tmp_path: Path, **options) -> Path:
    run(path, FakeEngine(SIZE_HW), tmp_path / "out.mp4", **options)
    return tmp_path / "out.mp4"


def _warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def _packets(path: Path, track: int = 0) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[track]) if packet.size]


def _assert_in_sync(path: Path, track: int = 0, *, at_least: int = 3) -> None:
    heard = onsets(path, track)
    seen = [time for time in flash_times(path) if time > 0]  # some codecs lose their first packet
    assert len(seen) >= at_least - 1
    pairs = [(min(heard, key=lambda click: abs(click - flash)), flash) for flash in seen]
    assert max(abs(click - flash) for click, flash in pairs) < 0.03, pairs


@pytest.mark.parametrize(
    ("name", "codec", "video"),
    [
        ("v.mp4", "aac", "libx264"),
        ("v.mkv", "aac", "libx264"),
        ("v.ts", "aac", "libx264"),
        ("v.flv", "aac", "libx264"),
        ("v.mp4", "libmp3lame", "libx264"),
        ("v.avi", "libmp3lame", "mpeg4"),
        ("v.mkv", "ac3", "libx264"),
        ("v.ts", "eac3", "libx264"),
        ("v.webm", "libopus", "libvpx"),
        ("v.mkv", "flac", "libx264"),
        ("v.mov", "alac", "libx264"),
        ("v.mkv", "alac", "libx264"),  # its packets have no duration
    ],
)
def test_sound_that_mp4_holds_is_copied(tmp_path, caplog, name, codec, video):
    path = write_clip(tmp_path / name, COUNT, codecs=[codec], video=video)
    out = _run(path, tmp_path)
    _assert_in_sync(out)
    assert _warnings(caplog) == []
    with av.open(str(path)) as before, av.open(str(out)) as after:
        one, other = before.streams.audio[0], after.streams.audio[0]
        assert one.codec.canonical_name == other.codec.canonical_name
        assert after.streams.video[0].start_time == 0
    written, read = _packets(out), _packets(path)
    header = 7 if name in ("v.ts",) and codec == "aac" else 0
    assert written == [packet[header:] for packet in read]
    assert len(written) == len(read)


@pytest.mark.parametrize(
    ("name", "codec", "video"),
    [
        ("v.avi", "pcm_s16le", "mpeg4"),
        ("v.mov", "pcm_s16be", "libx264"),
        ("v.mkv", "pcm_f32le", "libx264"),
        ("v.mkv", "vorbis", "libx264"),
        ("v.ts", "mp2", "libx264"),
        ("v.wmv", "wmav2", "wmv2"),
        ("v.mov", "adpcm_ima_qt", "libx264"),
    ],
)
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (44_100, 2)])
def test_other_sound_is_encoded_as_aac_which_is_said(tmp_path, caplog, name, codec, video, rate, channels):
    channels = max(channels, 2 if codec == "vorbis" else 1)
    path = write_clip(tmp_path / name, COUNT, codecs=[codec], video=video, rate=rate, channels=channels)
    out = _run(path, tmp_path)
    _assert_in_sync(out)
    (line,) = _warnings(caplog)
    assert "is encoded again, as AAC: few players play this codec from an MP4" in line
    assert line.startswith(f"{path}: the sound (")
    with av.open(str(out)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec.canonical_name, stream.rate, stream.codec_context.channels) == ("aac", rate, channels)


@pytest.mark.parametrize(
    ("rate", "channels", "expected"), [(96_000, 2, 48_000), (8_000, 1, 8_000), (48_000, 6, 48_000)]
)
def test_pcm_of_any_rate_and_number_of_channels(tmp_path, rate, channels, expected):
    path = write_clip(tmp_path / "v.mkv", COUNT, codecs=["pcm_s24le"], rate=rate, channels=channels)
    out = _run(path, tmp_path)
    with av.open(str(out)) as container:
        stream = container.streams.audio[0]
        assert (stream.rate, stream.codec_context.channels) == (expected, channels)
    _assert_in_sync(out)


def test_all_tracks_and_their_languages_are_kept(tmp_path):
    codecs, languages = ["aac", "ac3", "pcm_s16le"], ["deu", "eng", "fra"]
    path = write_clip(tmp_path / "v.mkv", COUNT, codecs=codecs, languages=languages)
    out = _run(path, tmp_path)
    with av.open(str(out)) as container:
        assert [stream.language for stream in container.streams.audio] == languages
        assert [stream.codec.canonical_name for stream in container.streams.audio] == ["aac", "ac3", "aac"]
    for track in range(3):
        _assert_in_sync(out, track)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le", "ac3"])
@pytest.mark.parametrize("begin_s", [-1.3, -0.7, 0.31, 2.0])
def test_sound_that_begins_before_or_after_the_pictures(tmp_path, codec, begin_s):
    path = write_clip(tmp_path / "v.mkv", COUNT, codecs=[codec], sound_s=(begin_s, 3.0))
    out = _run(path, tmp_path)
    heard = onsets(out)
    wanted = [k * EVERY_S for k in range(4) if k * EVERY_S >= begin_s]
    assert [min(heard, key=lambda click: abs(click - time)) for time in wanted] == pytest.approx(wanted, abs=0.03)
    assert len(heard) == len(wanted) or begin_s > 0
    with VideoReader(out) as reader:
        assert next(reader.timed())[0] == 0
    with av.open(str(out)) as container:
        assert container.streams.video[0].start_time == 0


def test_sound_that_ends_before_the_pictures_begin(tmp_path):
    path = write_clip(tmp_path / "v.mkv", COUNT, sound_s=(-1.2, -0.4))
    out = _run(path, tmp_path)
    assert onsets(out) == []
    with av.open(str(out)) as container:
        assert container.streams.video[0].frames == COUNT


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_a_run_that_stops_early_ends_its_sound_with_its_pictures(tmp_path, codec):
    path = write_clip(tmp_path / "v.mkv", COUNT, codecs=[codec])
    out = _run(path, tmp_path, frames=40)
    _assert_in_sync(out, at_least=2)
    assert sound_of(out)[2] == pytest.approx(40 / 25, abs=0.05)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_a_stop_ends_the_sound_with_the_pictures(tmp_path, codec):
    path = write_clip(tmp_path / "v.mkv", COUNT, codecs=[codec])
    done = []
    out = _run(path, tmp_path, progress=lambda n, _: done.append(n), stop=lambda: len(done) >= COUNT - 20)
    assert sound_of(out)[2] == pytest.approx((COUNT - 20) / 25, abs=0.05)


def test_sound_longer_than_the_pictures_is_kept_whole(tmp_path):
    path = write_clip(tmp_path / "v.mkv", COUNT, sound_s=(0, 5))
    assert sound_of(_run(path, tmp_path))[2] == pytest.approx(5, abs=0.05)


def test_sound_shorter_than_the_pictures(tmp_path):
    path = write_clip(tmp_path / "v.mkv", COUNT, sound_s=(0, 1))
    out = _run(path, tmp_path)
    assert sound_of(out)[2] == pytest.approx(1, abs=0.05)
    with av.open(str(out)) as container:
        assert container.streams.video[0].frames == COUNT


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_a_pause_of_the_pictures_keeps_the_sound_in_sync(tmp_path, codec):
    path = write_clip(tmp_path / "v.mkv", 100, codecs=[codec], drop=range(25, 58))
    out = _run(path, tmp_path)
    _assert_in_sync(out)
    assert len(onsets(out)) == 5


def test_a_look_ahead_does_not_shift_the_sound(tmp_path):
    path = write_clip(tmp_path / "v.mp4", COUNT)
    plain = _run(path, tmp_path)
    before = onsets(plain), _times(plain)
    out = _run(path, tmp_path, stabilise=StabiliserOptions(lookahead=10), status=False)
    assert (onsets(out), _times(out)) == before


def _times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def test_a_damaged_video_keeps_its_sound(tmp_path):
    path = write_clip(tmp_path / "v.mp4", COUNT)
    damage_packet(path, 30)
    with pytest.raises(IncompleteVideoError):
        _run(path, tmp_path)
    assert onsets(tmp_path / "out.mp4") == pytest.approx([0, 0.8, 1.6, 2.4], abs=0.03)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("v.mp4", "aac"),
        ("v.mp4", "ac3"),
        ("v.mov", "pcm_s16le"),
        ("v.mp4", "libmp3lame"),
        ("v.mov", "alac"),
        ("v.mov", "mp2"),
        ("v.mp4", "vorbis"),
        ("v.mov", "eac3"),
    ],
)
@pytest.mark.parametrize("begin_s", [0, 1.4])  # late sound is decoded
def test_damaged_sound_never_ends_the_video(tmp_path, caplog, name, codec, begin_s):
    path = write_clip(tmp_path / name, COUNT, codecs=[codec], channels=2, sound_s=(begin_s, COUNT / 25))
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(0)
    for place, size in places[::4]:
        data[place : place + size] = noise.bytes(size)
    path.write_bytes(data)
    out = _run(path, tmp_path)
    with av.open(str(out)) as container:
        assert container.streams.video[0].frames == COUNT
    assert sum("is damaged" in line for line in _warnings(caplog)) <= 1


def test_sound_that_changes_from_mono_to_stereo(tmp_path, caplog):
    """As broadcasts do between programmes."""
    one = write_clip(tmp_path / "a.ts", 60, codecs=["mp2"], channels=1).read_bytes()
    other = write_clip(tmp_path / "b.ts", 60, codecs=["mp2"], channels=2).read_bytes()
    (tmp_path / "v.ts").write_bytes(one + other)
    out = _run(tmp_path / "v.ts", tmp_path)
    assert onsets(out) == pytest.approx([k * EVERY_S for k in range(6)], abs=0.06)


def test_one_frame_with_sound(tmp_path):
    path = write_clip(tmp_path / "v.mkv", COUNT, codecs=["pcm_s16le", "aac"])
    out = _run(path, tmp_path, frames=1)
    with av.open(str(out)) as container:
        assert [len(container.streams.video), len(container.streams.audio)] == [1, 2]
    assert max(sound_of(out, track)[2] for track in (0, 1)) < 0.1


def test_a_track_without_sound(tmp_path, caplog):
    path = write_clip(tmp_path / "v.mkv", COUNT, codecs=["aac", "aac"])
    with av.open(str(path)) as before, av.open(str(tmp_path / "e.mkv"), "w") as after:
        streams = {stream.index: after.add_stream_from_template(stream, opaque=True) for stream in before.streams}
        for packet in before.demux():
            if packet.size and packet.stream_index != 2:
                packet.stream = streams[packet.stream_index]
                after.mux(packet)
    out = _run(tmp_path / "e.mkv", tmp_path)
    _assert_in_sync(out)
    with av.open(str(out)) as container:
        assert container.streams.video[0].frames == COUNT
    assert any("sound track 2 (aac)" in line for line in _warnings(caplog))


def test_a_window_alone_says_nothing_of_sound(tmp_path, caplog):
    class Screen:
        closed = False

        def show(self, picture):
            pass

        def close(self):
            pass

    run(
        write_clip(tmp_path / "v.avi", 10, codecs=["pcm_s16le"], video="mpeg4"),
        FakeEngine(SIZE_HW),
        None,
        window=Screen(),
    )
    assert _warnings(caplog) == []


def test_a_video_without_sound_is_written_as_before(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(5))
    with av.open(str(_run(path, tmp_path))) as container:
        assert len(container.streams) == 1


def test_sound_far_from_its_pictures_is_left_out_which_is_said(tmp_path, caplog, monkeypatch):
    """All sound comes after all pictures, more of it than may wait."""
    monkeypatch.setattr(source_module, "_MOST_BYTES", 2_000)
    path = write_clip(tmp_path / "v.mkv", COUNT, sound_s=(0, 9))
    out = _run(path, tmp_path)
    with av.open(str(out)) as container:
        assert container.streams.video[0].frames == COUNT
    assert sum("left out from" in line and "too far from its pictures" in line for line in _warnings(caplog)) == 1


_KILLED = """
import os, sys
sys.path.insert(0, sys.argv[3])
from tests.video.samples import FakeEngine, SIZE_HW
from mostnet.video import run
run(sys.argv[1], FakeEngine(SIZE_HW), sys.argv[2], progress=lambda n, _: n < 180 or os.kill(os.getpid(), 9))
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("codec", ["aac", "ac3", "pcm_s16le"])
@pytest.mark.parametrize("begin_s", [0.0, 0.31, 4.0])
def test_a_killed_process_leaves_pictures_and_sound(tmp_path, codec, begin_s):
    path = write_clip(
        tmp_path / "v.ts" if codec == "ac3" else tmp_path / "v.mkv", 200, codecs=[codec], sound_s=(begin_s, 8)
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run([sys.executable, "-c", _KILLED, str(path), str(tmp_path / "o.mp4"), root], check=False)
    assert done.returncode == -signal.SIGKILL
    (part,) = tmp_path.glob("o.part-*.mp4")
    with VideoReader(part) as reader:
        times = [time for time, _ in zip(reader.timed(), range(120), strict=False)]
    assert len(times) == 120
    heard = [time for time in onsets(part) if time < 4.7]
    wanted = [k * EVERY_S for k in range(6) if k * EVERY_S >= begin_s]
    assert [min(heard, key=lambda click: abs(click - time)) for time in wanted] == pytest.approx(wanted, abs=0.06)


def test_the_samples_click():
    line = clicks(2, 8000)[0]
    places = np.flatnonzero(np.abs(line) > 0.25) / 8000
    assert [a for a, b in pairwise([-1, *places]) if b - a > 0.3][1:] == pytest.approx([0.04, 0.84], abs=0.01)
