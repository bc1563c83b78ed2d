"""Which videos are split, and what a run of a span gives."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from mostnet.contract import VideoError
from mostnet.serve.archive.records import RunOptions, Span
from mostnet.serve.archive.segments import WARM_UP, run_span, spans_of
from mostnet.video import StabiliserOptions, VideoReader

from ...video.samples import FakeEngine, moving_frames, write_with_av

COUNT = 101  # more than three seconds, so that the last span is warmed up in full


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_with_av(tmp_path_factory.mktemp("v") / "v.mp4", moving_frames(COUNT, (32, 48)))


def test_spans_follow_each_other_and_are_of_one_length(clip):
    spans = spans_of(clip, RunOptions(), segment_s=1)
    assert spans == (
        Span(begin_s=Fraction(0), end_s=Fraction(1), frames=25, warm_up=0),
        Span(begin_s=Fraction(1), end_s=Fraction(2), frames=25, warm_up=25),
        Span(begin_s=Fraction(2), end_s=Fraction(3), frames=25, warm_up=50),
        Span(begin_s=Fraction(3), end_s=None, frames=26, warm_up=WARM_UP),
    )


@pytest.mark.parametrize(
    ("segment_s", "count"), [(2.7, 0), (2.69, 2), (1.7, 2), (1.6, 3), (0.5, 8), (1e-3, COUNT), (1e9, 0)]
)
def test_the_number_of_spans(clip, segment_s, count):
    spans = spans_of(clip, RunOptions(), segment_s=segment_s)
    assert len(spans) == count
    assert sum(span.frames for span in spans) == (COUNT if count else 0)
    assert max((span.frames for span in spans), default=0) - min((span.frames for span in spans), default=0) <= 1


@pytest.mark.parametrize(
    ("options", "is_split"),
    [
        ({"stabilise": StabiliserOptions()}, False),
        ({"layout": "flow"}, False),
        ({"layout": "grid"}, False),
        ({"layout": "grid", "flow_max_px": 9.0}, True),
        ({"layout": "mask"}, True),
        ({"layout": "no such"}, True),
        ({"frames": COUNT - 1}, False),
        ({"frames": COUNT}, True),
    ],
)
def test_options_whose_frames_depend_on_the_whole_video(clip, options, is_split):
    assert bool(spans_of(clip, replace(RunOptions(), **options), segment_s=1)) is is_split


def test_odd_videos_stay_whole(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"no video")
    assert spans_of(tmp_path / "v.mp4", RunOptions(), segment_s=1) == ()
    assert spans_of(tmp_path / "none.mp4", RunOptions(), segment_s=1) == ()
    part = write_with_av(tmp_path / "v.ts", moving_frames(50, (32, 48))).read_bytes()
    assert len(spans_of(tmp_path / "v.ts", RunOptions(), segment_s=1)) == 2
    (tmp_path / "v.ts").write_bytes(part * 2)
    assert spans_of(tmp_path / "v.ts", RunOptions(), segment_s=1) == ()


@pytest.mark.parametrize("segment_s", [0, -1, float("nan")])
def test_a_length_above_zero_is_needed(clip, segment_s):
    with pytest.raises(ValueError, match="expected a length above 0 s"):
        spans_of(clip, RunOptions(), segment_s=segment_s)


def test_a_span_runs_with_the_options(clip, tmp_path):
    spans = spans_of(clip, RunOptions(layout="side-by-side"), segment_s=1)
    summary = run_span(clip, FakeEngine(), tmp_path / "o.mp4", RunOptions(layout="side-by-side"), spans[2])
    assert summary.frames == 25
    with VideoReader(tmp_path / "o.mp4") as reader:
        assert (reader.size_hw, reader.frame_count) == ((32, 96), 25)


def test_a_span_with_another_number_of_frames_fails(clip, tmp_path):
    span = replace(spans_of(clip, RunOptions(), segment_s=1)[1], frames=24)
    with pytest.raises(VideoError, match=r"25 frames from 1\.00 s on, expected 24; run the whole video"):
        run_span(clip, FakeEngine(), tmp_path / "o.mp4", RunOptions(), span)
    assert run_span(clip, FakeEngine(), tmp_path / "o.mp4", RunOptions(), span, stop=lambda: True).stopped
