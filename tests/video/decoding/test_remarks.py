"""What is not shown as it is meant is said in one line."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mostnet.video import VideoReader, run

from ..samples import SIZE_HW, FakeEngine, moving_frames, write_with_av


def _write(
    path: Path,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options=None,
    tags=None,
    turn=0,
    streams=1,
    aspect=None,
    opacity=255,
):
    with av.open(str(path), "w") as container:
        made = []
        for _ in range(streams):
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = *SIZE_HW, pixels
            stream.options = options or {}
            stream.metadata.update(tags or {})
            if aspect is not None:
                stream.codec_context.sample_aspect_ratio = aspect
            if turn:
                stream.set_display_rotation(turn)
            made.append(stream)
        for k, frame in enumerate(moving_frames(4)):
            for stream in made:
                bgra = np.dstack([frame, np.full(SIZE_HW, opacity, np.uint8)])
                picture = av.VideoFrame.from_ndarray(bgra, "bgra").reformat(format=pixels)
                picture.pts, picture.time_base = k, Fraction(1, 25)
                container.mux(stream.encode(picture))
        for stream in made:
            container.mux(stream.encode(None))
    return path


def _lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def _read(path: Path) -> int:
    with VideoReader(path) as reader:
        return len(list(reader))


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        (
            "v.mp4",
            {"options": {"x264-params": "frame-packing=3"}},
            "the video is stereoscopic (3D); its pictures are processed as flat ones",
        ),
        (
            "v.mkv",
            {"tags": {"stereo_mode": "left_right"}},
            "the video is stereoscopic (3D); its pictures are processed as flat ones",
        ),
        ("v.mov", {"codec": "qtrle", "pixels": "argb", "opacity": 254}, "the transparency of the video is left out"),
        ("v.mkv", {"codec": "ffv1", "pixels": "yuva420p", "opacity": 0}, "the transparency of the video is left out"),
        (
            "v.webm",
            {"codec": "libvpx-vp9", "pixels": "yuva420p", "opacity": 0},
            "the transparency of the video is left out",
        ),
        (
            "v.mp4",
            {"turn": 30},
            "the file asks for a turn by -30 degrees; only quarter turns are made, so it is slanted",
        ),
        ("v.mkv", {"aspect": Fraction(1, 50)}, "says that its pixels are 1/50 as wide as high; taken as square"),
        ("v.mp4", {"streams": 2}, "has 2 video streams; the first one, 96x128, is read"),
    ],
)
def test_it_is_said_once(tmp_path, caplog, name, options, text):
    path = _write(tmp_path / name, **options)
    assert _read(path) == 4
    assert _lines(caplog) == [f"{path}: {text}"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("v.mp4", {}),
        ("v.mp4", {"turn": 90}),
        ("v.mkv", {"aspect": Fraction(16, 11)}),
        ("v.mp4", {"turn": 180}),
        ("v.mkv", {"codec": "ffv1", "pixels": "yuv422p10le"}),
        ("v.mov", {"codec": "qtrle", "pixels": "rgb24"}),
        ("v.mov", {"codec": "qtrle", "pixels": "argb"}),
        ("v.avi", {"codec": "ffv1", "pixels": "bgra"}),
        ("v.mkv", {"codec": "ffv1", "pixels": "yuva420p"}),
        ("v.mp4", {"options": {"x264-params": "frame-packing=6"}}),
    ],
)
def test_an_ordinary_video_is_read_silently(tmp_path, caplog, name, options):
    assert _read(_write(tmp_path / name, **options)) == 4
    assert _lines(caplog) == []


def _with_subtitles(path: Path, tmp_path: Path) -> Path:
    """The clip with a subtitle track and two chapters."""
    text = tmp_path / "s.srt"
    text.write_text("1\n00:00:00,000 --> 00:00:00,100\nHello\n")
    with av.open(str(path)) as video, av.open(str(text)) as subtitles, av.open(str(tmp_path / "s.mkv"), "w") as out:
        pairs = [(stream, out.add_stream_from_template(stream, opaque=True)) for stream in (video.streams.video[0],)]
        pairs.append((subtitles.streams[0], out.add_stream_from_template(subtitles.streams[0], opaque=True)))
        base = Fraction(1, 1000)
        out.set_chapters(
            [
                {"id": k, "start": 40 * k, "end": 40 * k + 40, "time_base": base, "metadata": {"title": "name"}}
                for k in range(2)
            ]
        )
        for source, stream in pairs:
            for packet in source.container.demux(source):
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
    return tmp_path / "s.mkv"


def test_subtitles_and_chapters_are_said_where_a_file_is_written(tmp_path, caplog):
    path = _with_subtitles(write_with_av(tmp_path / "v.mp4", moving_frames(4)), tmp_path)
    assert _read(path) == 4
    assert _lines(caplog) == []
    run(path, FakeEngine(SIZE_HW), tmp_path / "o.mp4")
    assert _lines(caplog) == [f"{path}: 1 subtitle track and 2 chapters are not written"]


def test_tags_do_not_reach_the_output(tmp_path):
    """A title may hold a patient's name."""
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        container.metadata.update(
            {"title": "A. Patient", "artist": "A. Dentist", "creation_time": "2020-01-01T00:00:00Z"}
        )
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((*SIZE_HW, 3), np.uint8), "bgr24")))
        container.mux(stream.encode(None))
    run(path, FakeEngine(SIZE_HW), tmp_path / "o.mp4")
    data = (tmp_path / "o.mp4").read_bytes()
    assert b"Patient" in path.read_bytes()
    assert b"Patient" not in data and b"Dentist" not in data
