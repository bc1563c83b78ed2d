"""Times of a file's frames by its packets alone, or None where they are not sure."""

from __future__ import annotations

import os
from fractions import Fraction

import av
import cv2
import pytest

from mostnet.contract import VideoError
from mostnet.video.spans.packets import frame_times

from ..samples import SIZE_HW, damage_packet, moving_frames, write_with_av
from .samples import write_special


def _interlaced(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "yuv420p"
        stream.options = {"x264-params": "tff=1"}
        for k, frame in enumerate(moving_frames(20)):
            picture = av.VideoFrame.from_ndarray(frame, "bgr24").reformat(format="yuv420p")
            picture.pts = k
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _joined(path):
    path.write_bytes(write_with_av(path, moving_frames(30)).read_bytes() * 2)


def _cut(path):
    data = write_with_av(path, moving_frames(60), movflags="faststart").read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])


def _holed(path):
    data = write_with_av(path, moving_frames(60)).read_bytes()
    middle = len(data) // 2 // 188 * 188
    path.write_bytes(data[:middle] + data[middle + 188 :])


def _begins_in_an_open_group(path):
    """Pictures that need a key frame which is gone are shown before the first one that decodes."""
    whole = write_special(path.with_name("whole.mkv"), x264="keyint=12:bframes=3:open-gop=1")
    with av.open(str(whole)) as before, av.open(str(path), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        packets = [packet for packet in before.demux(video=0) if packet.size]
        second = [k for k, packet in enumerate(packets) if packet.is_keyframe][1]
        first = min(packet.pts for packet in packets[second:])
        for packet in packets[second:]:
            packet.stream, packet.pts, packet.dts = stream, packet.pts - first, packet.dts - first
            after.mux(packet)


def _first_gone(path):
    damage_packet(write_with_av(path, moving_frames(60)), 0)


ODD = {
    "interlaced": ("v.mp4", _interlaced),
    "joined": ("v.ts", _joined),
    "joined matroska": ("v.mkv", _joined),
    "no stamps": ("v.h264", lambda path: write_with_av(path, moving_frames(20))),
    "a codec whose packets may hold two frames": (
        "v.mp4",
        lambda path: write_with_av(path, moving_frames(20), codec="mpeg4"),
    ),
    "cut off": ("v.mp4", _cut),
    "cut off matroska": ("v.mkv", _cut),
    "begins in an open group": ("v.mkv", _begins_in_an_open_group),
    "equal times": ("v.mkv", lambda path: write_with_av(path, moving_frames(20), fps=Fraction(3000))),
    "a hole in the container": ("v.ts", _holed),
    "the first frame does not decode": ("v.mp4", _first_gone),
    "a picture": ("v.jpg", lambda path: cv2.imwrite(str(path), moving_frames(1)[0])),
    "a folder": ("v", lambda path: path.mkdir()),
    "a pipe": ("v", os.mkfifo if hasattr(os, "mkfifo") else None),
    "nothing": ("v.mp4", lambda path: None),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_files_tell_no_times(tmp_path, kind):
    name, make = ODD[kind]
    if make is None:
        pytest.skip("this system has no pipes with a name")
    make(tmp_path / name)
    assert frame_times(tmp_path / name) is None


def test_a_file_that_is_no_video(tmp_path):
    (tmp_path / "v.mp4").write_bytes(bytes(range(256)) * 64)
    with pytest.raises(VideoError, match="not a video that can be read"):
        frame_times(tmp_path / "v.mp4")
