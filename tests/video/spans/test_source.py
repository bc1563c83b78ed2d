"""A span holds exactly the frames and times that the whole file has there."""

from __future__ import annotations

import os
from fractions import Fraction

import cv2
import numpy as np
import pytest

from mostnet.contract import VideoError
from mostnet.video import VideoReader
from mostnet.video.spans import source
from mostnet.video.spans.packets import frame_times
from mostnet.video.spans.span import Span

from ..samples import damage_packet, moving_frames, write_with_av
from .samples import COUNT, VIDEOS, nearest, write_special


@pytest.fixture(scope="module", params=VIDEOS)
def video(request, tmp_path_factory):
    """(file, times, frames, its kind)."""
    path = VIDEOS[request.param](tmp_path_factory.mktemp("v"))
    with VideoReader(path) as reader:
        pairs = list(reader.timed())
    return path, [time_s for time_s, _ in pairs], [frame for _, frame in pairs], request.param


def _read(path, span):
    with VideoReader(path, span=span) as reader:
        pairs = list(reader.timed())
        reader.check()
    return [time_s for time_s, _ in pairs], [frame for _, frame in pairs]


def _span(times, begin, end, warm_up):
    return Span(
        begin_s=times[begin],
        end_s=times[end] if end < len(times) else None,
        frames=min(end, len(times)) - begin,
        warm_up=warm_up,
    )


@pytest.mark.parametrize(
    ("begin", "end", "warm_up"),
    [(0, 5, 0), (1, 3, 1), (12, 24, 0), (13, 20, 5), (24, 25, 7), (41, 44, 45), (41, 99, 4), (55, 57, 1), (50, 99, 60)],
)
def test_a_span_has_the_frames_and_times_of_the_whole(video, begin, end, warm_up):
    path, times, frames, _ = video
    end = min(end, len(times))
    found_times, found = _read(path, _span(times, begin, end, warm_up))
    first = max(begin - warm_up, 0)
    assert found_times == times[first:end]
    for one, other in zip(found, frames[first:end], strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("warm_up", [9, 40])
def test_decoding_begins_again_until_it_gives_enough(video, monkeypatch, warm_up):
    """It begins 0.1 frame before the span, then 0.4 and so on, at last at the start of the file."""
    monkeypatch.setattr(source, "_MARGIN", Fraction(1, 10) - warm_up)
    path, times, frames, _ = video
    found_times, found = _read(path, _span(times, 41, 44, warm_up))
    assert found_times == times[41 - warm_up : 44]
    assert all(np.array_equal(one, other) for one, other in zip(found, frames[41 - warm_up :], strict=False))


@pytest.mark.parametrize("kind", ["mp4", "mpeg-ts", "interlaced in mpeg-ts"])
def test_little_is_decoded_before_a_late_span(tmp_path, kind):
    path = VIDEOS[kind](tmp_path)
    with VideoReader(path, span=Span(begin_s=Fraction(70, 25), end_s=None, frames=2, warm_up=20)) as reader:
        decoded = []
        timed = reader._source._timed
        reader._source._timed = lambda frames: (decoded.append(pair) or pair for pair in timed(frames))
        assert len(list(reader)) == 22
        assert 22 <= len(decoded) <= 50
        assert len(reader._source._ahead) < 30


def test_a_key_frame_after_the_begin_is_too_late(tmp_path):
    path = VIDEOS["mp4"](tmp_path)
    with VideoReader(path, span=Span(begin_s=Fraction(35, 25), end_s=None, frames=2, warm_up=0)) as reader:
        assert reader._source._from(Fraction(38, 25)) is None
        assert next(reader._source._from(Fraction(34, 25)))[0] == Fraction(35, 25)


def test_a_file_that_does_not_go_back_to_its_beginning(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "_MARGIN", Fraction(1, 10) - 40)
    monkeypatch.setattr(source, "_BEFORE_S", -2)
    times = [Fraction(k, 25) for k in range(COUNT)]
    with pytest.raises(VideoError, match="cannot be read again from its beginning; run the whole video"):
        _read(VIDEOS["mp4"](tmp_path), _span(times, 41, 44, 40))


def test_the_whole_has_the_frames_that_were_written(video):
    """Or else the test above compares like with like."""
    _, times, frames, kind = video
    skipped = 14 if kind == "edit list" else 0
    assert len(times) == COUNT - skipped
    written = moving_frames(COUNT)
    assert [nearest(frames[k], written) for k in (0, 13, 40)] == [skipped, skipped + 13, skipped + 40]


def test_packets_tell_the_times(video):
    path, times, _, kind = video
    assert frame_times(path) == (None if kind in ("mpeg-ps", "interlaced", "interlaced in mpeg-ts") else tuple(times))


def test_a_begin_between_two_frames(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(30))
    span = Span(begin_s=Fraction(101, 250), end_s=Fraction(21, 25), frames=10, warm_up=2)
    assert _read(path, span)[0] == [Fraction(k, 25) for k in range(9, 21)]


def test_the_shape_is_that_of_the_first_frame(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(30), rotation=90)
    with VideoReader(path, span=Span(begin_s=Fraction(20, 25), end_s=None, frames=10, warm_up=2)) as reader:
        assert (reader.size_hw, reader.frame_count) == ((128, 96), 10)
        assert next(iter(reader)).shape == (128, 96, 3)


@pytest.mark.parametrize("name", ["v.mp4", "v.ts"])
def test_damage_is_reported_by_its_own_span(tmp_path, name):
    path = write_with_av(tmp_path / name, moving_frames(COUNT))
    times = [Fraction(k, 25) for k in range(COUNT)]
    damage_packet(path, 24)
    for begin, end in ((0, 20), (40, COUNT)):
        assert len(_read(path, _span(times, begin, end, 12))[0]) == end - max(begin - 12, 0)
    with pytest.raises(VideoError, match=r"damaged at frame 2\d \(0\.[89]\d s\).*; (reading stopped after )?\d+ "):
        _read(path, _span(times, 20, 40, 4))


def test_damage_at_the_end_of_a_span(tmp_path):
    path = write_special(tmp_path / "v.mp4", x264="keyint=12:bframes=0")
    damage_packet(path, 29)
    times = [Fraction(k, 25) for k in range(COUNT)]
    with pytest.raises(VideoError, match=r"damaged at frame 29 .*; reading stopped after 9 frames"):
        _read(path, _span(times, 20, 30, 4))
    assert len(_read(path, _span(times, 20, 29, 0))[0]) == 9


def test_damage_at_the_start_of_the_file_is_not_reported_by_a_later_span(tmp_path):
    path = write_special(tmp_path / "v.mp4", x264="keyint=12:bframes=0")
    damage_packet(path, 0)
    span = Span(begin_s=Fraction(24, 25), end_s=None, frames=COUNT - 24 - 12, warm_up=4)
    assert _read(path, span)[0][0] == Fraction(20, 25)


def test_damage_counts_the_frames_of_the_span(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(COUNT))
    damage_packet(path, 70)
    with pytest.raises(VideoError, match=r"damaged at frame (69|7\d) .*; (29|30|31) of 32 frames could be read"):
        _read(path, _span([Fraction(k, 25) for k in range(COUNT)], 40, COUNT, 12))


def test_a_file_that_ends_before_or_in_the_span(tmp_path):
    path = write_with_av(tmp_path / "v.mkv", moving_frames(COUNT))
    with pytest.raises(VideoError, match=r"ends at frame 90 \(3\.60 s\) or earlier, where a part of it should begin"):
        _read(path, Span(begin_s=Fraction(90, 25), end_s=None, frames=10, warm_up=4))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match=r"(ends|damaged) at frame [34]\d .* of 52 frames could be read"):
        _read(path, Span(begin_s=Fraction(20, 25), end_s=None, frames=52, warm_up=4))


@pytest.mark.parametrize(("begin", "reorder"), [(20, 17), (60, 17), (60, -99)])
def test_joined_recordings_have_the_times_of_the_whole(tmp_path, monkeypatch, begin, reorder):
    """Frame 60 is stored as the 30th of a part, whose clock has a time for frame 60 too.

    With the last ``reorder``, decoding begins too late, and then again at the start of the file.
    """
    monkeypatch.setattr(source, "_REORDER", reorder)
    parts = [write_with_av(tmp_path / "p.ts", moving_frames(count)).read_bytes() for count in (30, 70)]
    (tmp_path / "v.ts").write_bytes(b"".join(parts))
    with VideoReader(tmp_path / "v.ts") as reader:
        whole = list(reader.timed())
    found_times, found = _read(tmp_path / "v.ts", _span([time_s for time_s, _ in whole], begin, 80, 15))
    assert found_times == [time_s for time_s, _ in whole[begin - 15 : 80]]
    assert all(np.array_equal(one, other) for one, (_, other) in zip(found, whole[begin - 15 :], strict=False))


def test_joined_recordings_are_refused_where_the_file_seeks(tmp_path):
    part = write_with_av(tmp_path / "p.mkv", moving_frames(50)).read_bytes()
    (tmp_path / "v.mkv").write_bytes(part * 2)
    with pytest.raises(VideoError, match="its clock jumps, as in joined recordings; run the whole video"):
        _read(tmp_path / "v.mkv", Span(begin_s=Fraction(30, 25), end_s=None, frames=70, warm_up=4))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name")
def test_pipes_are_refused_without_a_wait(tmp_path):
    os.mkfifo(tmp_path / "p")
    for name in (tmp_path / "p", "-"):
        with pytest.raises(VideoError, match="a part of a pipe cannot be read; give a video file"):
            VideoReader(name, span=Span(begin_s=Fraction(0), end_s=None, frames=1, warm_up=0))


def test_packets_without_times_are_refused(tmp_path):
    path = write_with_av(tmp_path / "v.h264", moving_frames(50))
    with (
        pytest.raises(VideoError, match=r"ha(s|ve) no times?, so no part of it is found; run the whole video"),
        VideoReader(path, fps=50, span=Span(begin_s=Fraction(1, 2), end_s=None, frames=25, warm_up=4)) as reader,
    ):
        list(reader)


def test_only_files_have_spans(tmp_path):
    span = Span(begin_s=Fraction(0), end_s=None, frames=1, warm_up=0)
    (tmp_path / "p").mkdir()
    cv2.imwrite(str(tmp_path / "p" / "1.png"), moving_frames(1)[0])
    with pytest.raises(VideoError, match="these are pictures; give a video file"):
        VideoReader(tmp_path / "p", span=span)
    with pytest.raises(ValueError, match="leave out with_sound"):
        VideoReader(tmp_path / "p", span=span, with_sound=True)


@pytest.mark.parametrize("bad", [{"begin_s": Fraction(-1)}, {"end_s": Fraction(1)}, {"frames": 0}, {"warm_up": -1}])
def test_spans_are_checked(bad):
    good = {"begin_s": Fraction(1), "end_s": None, "frames": 5, "warm_up": 0}
    Span(**good)
    with pytest.raises(ValueError, match="the span "):
        Span(**good | bad)
