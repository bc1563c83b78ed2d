"""Parts of a video joined into the file of a whole run."""

from __future__ import annotations

import errno
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mostnet.contract import ArchiveError
from mostnet.serve.archive.join import join_parts
from mostnet.serve.archive.records import RunOptions
from mostnet.serve.archive.segments import run_span, spans_of
from mostnet.video import VideoReader, VideoWriter, run
from mostnet.video.spans.copying import PacketWriter

from ...video.samples import SIZE_HW, FakeEngine, moving_frames, psnr, write_with_av
from ...video.sound.samples import onsets, write_clip

COUNT = 120


def _parts(video: Path, folder: Path, *, segment_s: float = 1.6):
    spans = spans_of(video, RunOptions(), segment_s=segment_s)
    parts = [folder / f"part-{k}.mp4" for k in range(len(spans))]
    for part, span in zip(parts, spans, strict=True):
        run_span(video, FakeEngine(SIZE_HW), part, RunOptions(), span)
    return parts, spans


def _whole_and_joined(video: Path, folder: Path) -> tuple[Path, Path]:
    parts, spans = _parts(video, folder)
    assert len(spans) == 3
    run(video, FakeEngine(SIZE_HW), folder / "whole.mp4")
    join_parts(parts, video, folder / "joined.mp4", spans)
    assert not list(folder.glob(".mostnet*"))
    return folder / "whole.mp4", folder / "joined.mp4"


def test_the_join_can_be_ended(tmp_path):
    video = write_with_av(tmp_path / "v.mp4", moving_frames(COUNT, SIZE_HW))
    parts, spans = _parts(video, tmp_path)
    calls = []

    def end():
        calls.append(None)
        if len(calls) == 3:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        join_parts(parts, video, tmp_path / "joined.mp4", spans, between=end)
    assert not (tmp_path / "joined.mp4").exists() and not list(tmp_path.glob(".mostnet*"))


def _pictures(path: Path) -> list[object]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        found = [stream.time_base, stream.average_rate, stream.guessed_rate, stream.frames, stream.duration]
        found += [stream.start_time, stream.sample_aspect_ratio, context.sample_aspect_ratio, context.extradata]
        found += [context.colorspace, context.color_range, context.color_primaries, context.color_trc, context.pix_fmt]
        found += [container.duration, container.metadata, stream.metadata]
        return found + [(packet.pts, packet.dts, packet.duration) for packet in container.demux(stream)]


def _sound(path: Path) -> list[object]:
    with av.open(str(path)) as container:
        found = [(stream.codec.name, stream.rate, stream.metadata) for stream in container.streams.audio]
        packets = container.demux(*container.streams.audio)
        return found + [(p.stream_index, p.pts, p.duration, bytes(p)) for p in packets if p.size]


@pytest.mark.parametrize(
    ("name", "codecs", "options"),
    [
        ("v.mp4", ["aac"], {}),
        ("v.mkv", ["pcm_s16le", "ac3"], {"languages": ["deu", "eng"]}),
        ("v.mkv", ["aac"], {"sound_s": (-0.7, 9.0)}),
        ("v.mkv", ["aac"], {"sound_s": (1.5, 4.0)}),
        ("v.ts", ["mp2"], {"drop": range(50, 70)}),
    ],
)
def test_times_flags_and_sound_are_those_of_the_whole_run(tmp_path, name, codecs, options):
    video = write_clip(tmp_path / name, COUNT, codecs=codecs, **options)
    whole, joined = _whole_and_joined(video, tmp_path)
    assert _pictures(joined) == _pictures(whole)
    assert _sound(joined) == _sound(whole)
    assert onsets(joined) == onsets(whole)
    assert len(onsets(joined)) >= 3


def test_pictures_are_those_of_the_whole_run(tmp_path):
    """As far as the encoder lets them: it begins anew at each part."""
    video = write_with_av(tmp_path / "v.mp4", moving_frames(COUNT))
    whole, joined = _whole_and_joined(video, tmp_path)
    with VideoReader(whole) as one, VideoReader(joined) as other:
        found = [psnr(first, second) for first, second in zip(one, other, strict=True)]
    assert len(found) == COUNT
    assert min(found) > 34
    with VideoReader(whole) as one:
        first, second = list(one)[40:42]
    assert psnr(first, second) < 30, "or the bound above could not tell a frame from the next"


def test_uneven_times_and_wide_pixels_are_those_of_the_whole_run(tmp_path):
    times_ms = np.cumsum(np.random.default_rng(0).integers(21, 130, COUNT)).tolist()
    video = tmp_path / "v.mp4"
    with VideoWriter(video, Fraction(2977, 100), SIZE_HW, pixel_aspect=Fraction(4, 3)) as writer:
        for frame, time_ms in zip(moving_frames(COUNT), times_ms, strict=True):
            writer.write(frame, time_s=Fraction(time_ms, 1000))
    spans = spans_of(video, RunOptions(), segment_s=3.2)
    parts = [tmp_path / f"{k}.mp4" for k in range(len(spans))]
    for part, span in zip(parts, spans, strict=True):
        run_span(video, FakeEngine(SIZE_HW), part, RunOptions(), span)
    run(video, FakeEngine(SIZE_HW), tmp_path / "whole.mp4")
    join_parts(parts, video, tmp_path / "joined.mp4", spans)
    assert _pictures(tmp_path / "joined.mp4") == _pictures(tmp_path / "whole.mp4")
    assert Fraction(4, 3) in _pictures(tmp_path / "joined.mp4")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder, video, parts, spans)."""
    folder = tmp_path_factory.mktemp("parts")
    video = write_with_av(folder / "v.mp4", moving_frames(COUNT))
    return folder, video, *_parts(video, folder)


def _refused(made, tmp_path, parts, spans, match):
    output = tmp_path / "o.mp4"
    output.write_bytes(b"older")
    with pytest.raises(ArchiveError, match=match):
        join_parts(parts, made[1], output, spans)
    assert output.read_bytes() == b"older"
    assert list(tmp_path.glob("*o.mp4*")) + list(tmp_path.glob(".mostnet*")) == [output]


def test_a_part_of_other_settings_is_refused(made, tmp_path):
    _, video, parts, spans = made
    run(video, FakeEngine(SIZE_HW), tmp_path / "p.mp4", span=spans[1], crf=30)
    _refused(
        made, tmp_path, [parts[0], tmp_path / "p.mp4", parts[2]], spans, r"p\.mp4: was encoded with other settings"
    )


def test_parts_that_are_not_those_of_the_spans(made, tmp_path):
    _, _, parts, spans = made
    _refused(made, tmp_path, parts[:2], spans, "found 2 parts, expected one for each of 3 spans")
    _refused(made, tmp_path, [], [], "found 0 parts")
    longer = [spans[0], replace(spans[1], frames=41), spans[2]]
    _refused(made, tmp_path, parts, longer, r"part-1\.mp4: has 40 frames, expected 41; run the video again")


def test_a_part_that_cannot_be_read(made, tmp_path):
    _, _, parts, spans = made
    data = parts[1].read_bytes()
    (tmp_path / "p.mp4").write_bytes(data[: len(data) // 2])
    for part in (tmp_path / "p.mp4", tmp_path / "none.mp4"):
        _refused(made, tmp_path, [parts[0], part, parts[2]], spans, rf"{part.name}: .*; run the video again")


def test_a_full_disk(made, tmp_path, monkeypatch):
    _, _, parts, spans = made

    def full(self, packets, *, is_end=False):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PacketWriter, "_put", full)
    _refused(made, tmp_path, parts, spans, r"o\.mp4: cannot be written \(No space left on device\); free some space")
