"""Interlaced pictures come out without combs; all others come out as they are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph

from mostnet.contract import VideoError
from mostnet.video import VideoReader

from ..samples import damage_packet, moving_frames, psnr, write_with_av

SIZE_HW = (96, 128)
MPEG2 = {"flags": "+ildct+ilme", "top": "1"}


def _woven(count: int) -> list[np.ndarray]:
    """A bright bar that moves by 4 pixels from field to field, the two fields of each frame woven together."""
    frames = []
    for k in range(count):
        frame = np.full((*SIZE_HW, 3), 20, np.uint8)
        for field in (0, 1):
            begin = 8 + (8 * k + 4 * field) % 80
            frame[field::2, begin : begin + 24] = 220
        frames.append(frame)
    return frames


def _write(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    matrix: int = 2,
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 6_000_000
        stream.options = {"x264-params": "tff=1", "crf": "6"} if options is None else options
        stream.codec_context.colorspace = matrix
        for k, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, "bgr24")
            picture.pts = k
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def _read(path: Path) -> list[np.ndarray]:
    with VideoReader(path) as reader:
        return list(reader)


def _combs(frame: np.ndarray) -> float:
    """How much each row differs from both its neighbours in the same direction."""
    grey = frame[..., 1].astype(int)
    up, down = grey[1:-1] - grey[:-2], grey[1:-1] - grey[2:]
    return float(np.mean(np.where(up * down > 0, np.minimum(abs(up), abs(down)), 0)))


def _lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize(("name", "codec", "options"), [("v.mp4", "libx264", None), ("v.mpg", "mpeg2video", MPEG2)])
def test_combs_are_gone_and_no_frame_is(tmp_path, caplog, name, codec, options):
    frames = _woven(12)
    path = _write(tmp_path / name, frames, codec=codec, options=options)
    with VideoReader(path) as reader:
        timed = list(reader.timed())
    assert [time for time, _ in timed] == pytest.approx([k / 25 for k in range(12)])
    assert min(_combs(frame) for frame in frames) > 8
    assert max(_combs(frame) for _, frame in timed[1:-1]) < 2
    (line,) = _lines(caplog)
    assert line == f"{path}: the video is interlaced; it is deinterlaced, one frame for each frame"


def test_it_is_what_the_filter_gives(tmp_path):
    path = _write(tmp_path / "v.mp4", _woven(10))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = Graph()
        graph.link_nodes(
            graph.add_buffer(template=stream),
            graph.add("bwdif", "mode=send_frame:deint=interlaced"),
            graph.add("buffersink"),
        ).configure()
        wanted = []
        for picture in [*container.decode(stream), None]:
            graph.push(picture)
            try:
                while True:
                    wanted.append(graph.pull().to_ndarray(format="bgr24"))
            except (av.BlockingIOError, av.EOFError):
                pass
    read = _read(path)
    assert len(read) == len(wanted) == 10
    assert min(psnr(one, other) for one, other in zip(read, wanted, strict=True)) > 40


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_last_frame_comes(tmp_path, count):
    assert len(_read(_write(tmp_path / "v.mp4", _woven(count)))) == count


def test_progressive_video_is_read_as_before(tmp_path, caplog):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(10))
    with av.open(str(path)) as container:
        wanted = [picture.pts for picture in container.decode(video=0)]
    with VideoReader(path) as reader:
        frames = reader._source._frames
        assert len(list(reader)) == len(wanted)
        assert reader._source._deinterlacer._graph is None
        assert next(frames, None) is None
    assert _lines(caplog) == []


def test_a_video_that_is_interlaced_from_the_middle_on(tmp_path, caplog):
    """Two MPEG-2 streams, one after the other; what is not marked comes out bit by bit as it was."""
    progressive = _write(tmp_path / "a.m2v", moving_frames(12), codec="mpeg2video", options={})
    interlaced = _write(tmp_path / "b.m2v", _woven(12), codec="mpeg2video", options=MPEG2)
    joined = tmp_path / "v.m2v"
    joined.write_bytes(progressive.read_bytes() + interlaced.read_bytes())
    read = _read(joined)
    assert len(read) == 24
    for one, other in zip(read[:12], _read(progressive), strict=True):
        assert np.array_equal(one, other)
    assert max(_combs(frame) for frame in read[13:-1]) < 2
    assert sum("interlaced" in line for line in _lines(caplog)) == 1


def test_colours_stay(tmp_path):
    colour = [np.full((720, 128, 3), (40, 60, 200), np.uint8)] * 4
    plain = _write(tmp_path / "p.mp4", colour, options={"crf": "6"}, matrix=1)
    woven = _write(tmp_path / "i.mp4", colour, matrix=1)
    assert abs(_read(plain)[2].astype(int) - _read(woven)[2]).max() <= 2


def test_damage_is_still_found(tmp_path):
    frames = [frame + (np.arange(96)[:, None, None] % 2 * 20).astype(np.uint8) for frame in moving_frames(60)]
    path = _write(tmp_path / "v.mp4", frames, options={"x264-params": "tff=1", "g": "12"})
    damage_packet(path, 24)
    read = []
    with VideoReader(path) as reader, pytest.raises(VideoError, match=r"damaged at frame 2\d"):
        read.extend(reader)
    assert len(read) == reader._source._decoded > 40
