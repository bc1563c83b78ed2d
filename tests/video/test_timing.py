"""Frame rates: the header's if it can be true, otherwise that of the time stamps, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from mostnet.contract import VideoError
from mostnet.video import VideoReader, run
from mostnet.video.timing import choose_rate, measured_rate

from .samples import FakeEngine, moving_frames, write_with_av

MS = Fraction(1, 1000)


def _in_milliseconds(path: Path, stamps: Sequence[int], *, codec: str, rate: int = 1000) -> Path:
    """A file whose header gives ``rate`` and whose stamps are milliseconds, as a browser records."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        stream.codec_context.time_base = MS
        stream.options = {"bf": "0"} if codec == "libx264" else {}
        for frame, stamp in zip(moving_frames(len(stamps)), stamps, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, "bgr24")
            picture.pts, picture.time_base = stamp, MS
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("v.webm", "libvpx", 1000),
        ("v.mkv", "libx264", 1000),
        ("v.mkv", "libx264", 90_000),
        ("v.mkv", "libx264", 1_000_000),
        ("v.mkv", "libx264", 300),
        ("v.avi", "mpeg4", 1000),
        ("v.flv", "libx264", 1000),
        ("v.ts", "libx264", 90_000),
    ],
)
@pytest.mark.parametrize("true", [Fraction(30), Fraction(15), Fraction(30000, 1001)])
def test_a_rate_that_cannot_be_true(tmp_path, caplog, name, codec, rate, true):
    stamps = [round(k * 1000 / true) for k in range(60)]
    path = _in_milliseconds(tmp_path / name, stamps, codec=codec, rate=rate)
    with VideoReader(path) as reader:
        assert float(reader.fps) == pytest.approx(float(true), rel=2e-3)
        assert reader.frame_count is None or abs(reader.frame_count - 60) <= 2
        times = [float(time_s) for time_s, _ in reader.timed()]
    assert times == pytest.approx([k / true for k in range(60)], abs=2e-3)
    if name != "v.ts":  # it stores no rate
        (record,) = caplog.records
        assert "FPS, which its time stamps deny; taken as " in record.getMessage()


def test_a_browser_s_uneven_recording_and_its_result_have_a_true_rate(tmp_path, caplog):
    steps = np.random.default_rng(0).integers(25, 50, 89)
    stamps = [0, *np.cumsum(steps).tolist()]
    path = _in_milliseconds(tmp_path / "v.webm", stamps, codec="libvpx")
    summary = run(path, FakeEngine(), tmp_path / "o.mp4")
    assert 25 < summary.fps < 30
    assert caplog.text.count("taken as ") == 1
    with VideoReader(tmp_path / "o.mp4") as reader:
        assert float(reader.fps) == pytest.approx(float(summary.fps), rel=0.1)
        assert [float(time_s) for time_s, _ in reader.timed()] == pytest.approx([ms / 1000 for ms in stamps], abs=3e-3)


def test_a_single_frame_has_the_rate_of_pictures(tmp_path):
    with VideoReader(_in_milliseconds(tmp_path / "v.mkv", [0], codec="libx264")) as reader:
        assert reader.fps == 25


def test_fps_sets_the_rate_of_a_file_without_a_true_one(tmp_path):
    path = _in_milliseconds(tmp_path / "v.webm", range(0, 1000, 33), codec="libvpx")
    with VideoReader(path, fps=15) as reader:
        assert reader.fps == 15
        assert float([time_s for time_s, _ in reader.timed()][-1]) == pytest.approx(0.99, abs=3e-3), "times stay"


def test_fps_paces_a_file_without_time_stamps(tmp_path):
    path = write_with_av(tmp_path / "v.h264", moving_frames(20))
    with VideoReader(path, fps=50) as reader:
        assert reader.fps == 50
        assert [time_s for time_s, _ in reader.timed()] == [Fraction(k, 50) for k in range(20)]


@pytest.mark.parametrize("fps", [Fraction(240), Fraction(1, 2), Fraction(12)])
def test_unusual_rates_that_are_true_stay(tmp_path, caplog, fps):
    with VideoReader(write_with_av(tmp_path / "v.mp4", moving_frames(30), fps=fps)) as reader:
        assert reader.fps == fps
    assert caplog.text == ""


def test_a_dv_file_has_the_rate_of_its_frames(tmp_path, caplog):
    """FFmpeg gives the clock of the format, 60000 Hz, as its average rate."""
    frames = moving_frames(10, (576, 720))
    with VideoReader(write_with_av(tmp_path / "v.dv", frames, codec="dvvideo")) as reader:
        assert reader.fps == 25
    assert "FPS" not in caplog.text


def _stream(**rates: Fraction | None) -> SimpleNamespace:
    return SimpleNamespace(time_base=MS, **{"average_rate": None, "guessed_rate": None} | rates)


def _packets(stamps: Sequence[int | None]) -> list[SimpleNamespace]:
    return [SimpleNamespace(pts=stamp, dts=stamp, is_keyframe=k == 0) for k, stamp in enumerate(stamps)]


@pytest.mark.parametrize(
    "rate", [Fraction(n) for n in (10, 15, 24, 25, 30, 50, 60)] + [Fraction(n * 1000, 1001) for n in (24, 30)]
)
def test_whole_milliseconds_tell_the_rate(rate):
    assert measured_rate(_packets([round(k * 1000 / rate) for k in range(60)]), _stream()) == rate


def test_a_pause_and_missing_stamps_do_not_count():
    stamps = [*range(0, 1000, 40), None, *range(9000, 10000, 40), None]
    assert measured_rate(_packets(stamps), _stream()) == 25
    assert measured_rate(_packets([None, None]), _stream()) is None


def test_no_rate_at_all():
    with pytest.raises(VideoError, match="v: the file does not give a frame rate; give it with --fps"):
        choose_rate(None, None, None, free=False, name="v")
    assert choose_rate(None, None, Fraction(10), free=False, name="v") == 10
    assert choose_rate(None, Fraction(25), None, free=False, name="v") == 25


def test_fields_are_no_frames():
    """An interlaced H.264 stream has two packets a frame."""
    assert choose_rate(Fraction(25), Fraction(50), None, free=False, name="v") == 25
    assert choose_rate(Fraction(25), Fraction(30), None, free=False, name="v") == 30
