"""A span through an engine: warm-up frames run, and are not written, shown or counted."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from mostnet.video import IncompleteVideoError, StabiliserOptions, VideoReader, VideoWriter, run
from mostnet.video.spans.span import Span

from ..camera.fakes import Screen
from ..samples import FakeEngine, damage_packet, moving_frames, psnr, write_with_av
from .samples import COUNT, UNEVEN

#: Frames 30 to 49, after six to warm up.
SPAN = Span(begin_s=Fraction(30, 25), end_s=Fraction(50, 25), frames=20, warm_up=6)


class Recording(FakeEngine):
    """Notes the frames that it gets and where it is reset."""

    def __init__(self, *args, **options):
        super().__init__((96, 128), *args, **options)
        self.frames: list[np.ndarray] = []
        self.reset_at: list[int] = []

    def reset(self):
        super().reset()
        self.reset_at.append(len(self.frames))

    def _output(self, k, frame, timestamp):
        self.frames.append(frame)
        return super()._output(k, frame, timestamp)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_with_av(tmp_path_factory.mktemp("clip") / "clip.mp4", moving_frames(COUNT))


def _pairs(path):
    with VideoReader(path) as reader:
        return list(reader.timed())


def _first_pts(path):
    with av.open(str(path)) as container:
        return next(container.demux(video=0)).pts


def test_the_engine_gets_the_warm_up_frames_and_the_file_the_others(clip, tmp_path):
    engine, calls = Recording(heal=(2, 10)), []
    summary = run(clip, engine, tmp_path / "o.mp4", span=SPAN, progress=lambda done, total: calls.append((done, total)))
    whole = [frame for _, frame in _pairs(clip)]
    assert len(engine.frames) == 26
    assert all(np.array_equal(one, other) for one, other in zip(engine.frames, whole[24:50], strict=True))
    assert (summary.frames, summary.heals, summary.resets) == (20, 1, 0), "frame 2 is a warm-up frame"
    assert calls == [(k, 20) for k in range(1, 21)]
    written = _pairs(tmp_path / "o.mp4")
    assert [time_s for time_s, _ in written] == [Fraction(k, 25) for k in range(20)]
    assert _first_pts(tmp_path / "o.mp4") == 0
    assert all(psnr(picture, 255 - other) > 30 for (_, picture), other in zip(written, whole[30:50], strict=True))


def test_the_window_shows_no_warm_up(clip):
    screen = Screen()
    summary = run(clip, FakeEngine(), None, window=screen, span=SPAN)
    assert summary.frames == len(screen.pictures) == 20


def test_a_stop_counts_written_frames(clip, tmp_path):
    done = []
    summary = run(
        clip,
        FakeEngine(),
        tmp_path / "o.mp4",
        span=SPAN,
        progress=lambda n, _: done.append(n),
        stop=lambda: len(done) >= 7,
    )
    assert (summary.frames, summary.stopped) == (7, True)


def test_the_writer_counts_ticks_from_the_begin(tmp_path):
    begin_s = Fraction(1001, 30)
    with VideoWriter(tmp_path / "o.mp4", 25, (32, 48), begin_s=begin_s) as writer:
        assert [writer._next_pts(begin_s + Fraction(k, 25)) for k in (0, 2)] == [0, 800]


def test_uneven_times_are_kept_to_the_tick(tmp_path):
    path = write_with_av(tmp_path / "v.mkv", moving_frames(COUNT), pts=UNEVEN)
    run(path, FakeEngine(), tmp_path / "whole.mp4")
    times = [time_s for time_s, _ in _pairs(path)]
    span = Span(begin_s=times[35], end_s=times[50], frames=15, warm_up=4)
    run(path, FakeEngine(), tmp_path / "part.mp4", span=span)
    whole, part = ([time_s for time_s, _ in _pairs(tmp_path / f"{name}.mp4")] for name in ("whole", "part"))
    assert part == [time_s - whole[35] for time_s in whole[35:50]]


@pytest.mark.parametrize(
    ("cut", "resets", "reset_at"), [(30, 1, [0, 6]), (27, 0, [0, 3]), (29, 0, [0, 5]), (40, 1, [0, 16])]
)
def test_cuts_are_those_of_the_whole_run(tmp_path, cut, resets, reset_at):
    """A cut at the first frame of the span too; the part before reports one in the warm-up."""
    frames = moving_frames(COUNT)
    path = write_with_av(tmp_path / "v.mp4", [*frames[:cut], *(frame[::-1, ::-1] for frame in frames[cut:])])
    engine = Recording()
    summary = run(path, engine, tmp_path / "o.mp4", span=SPAN)
    assert engine.reset_at == reset_at
    assert summary.resets == resets


def test_the_end_of_darkness_at_the_begin(tmp_path):
    frames = moving_frames(COUNT)
    path = write_with_av(
        tmp_path / "v.mp4", [frame if k < 20 or k >= 30 else frame * 0 for k, frame in enumerate(frames)]
    )
    engine = Recording()
    assert run(path, engine, tmp_path / "o.mp4", span=SPAN).resets == 1
    assert engine.reset_at == [0, 6]


def test_damage_has_the_place_in_the_whole_video(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(COUNT))
    damage_packet(path, 36)
    with pytest.raises(IncompleteVideoError, match=r"damaged at frame 3\d \(1\.4\d s\): .* frames are in .*o\.mp4"):
        run(path, FakeEngine(), tmp_path / "o.mp4", span=SPAN)
    later = Span(begin_s=Fraction(50, 25), end_s=None, frames=22, warm_up=20)
    assert run(path, FakeEngine(), tmp_path / "o.mp4", span=later).frames == 22


@pytest.mark.parametrize(
    "other", [{"frames": 5}, {"still": 3}, {"stabilise": StabiliserOptions()}], ids=lambda other: next(iter(other))
)
def test_what_does_not_go_with_a_span(clip, tmp_path, other):
    with pytest.raises(ValueError, match="expected None for a camera, and with stabilise, frames or still"):
        run(clip, FakeEngine(), tmp_path / "o.mp4", span=SPAN, **other)
    with pytest.raises(ValueError, match="span is"):
        run(0, FakeEngine(), tmp_path / "o.mp4", span=SPAN)
    assert list(tmp_path.iterdir()) == []
