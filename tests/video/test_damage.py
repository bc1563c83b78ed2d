"""Damaged, cut and wrong files: every frame that decodes, then an error that says where."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import av
import numpy as np
import pytest

from mostnet.contract import VideoError
from mostnet.video import VideoReader

from .samples import damage_packet, moving_frames, psnr, write_with_av

COUNT = 60


def _read_all(path) -> tuple[list[np.ndarray], str]:
    """The frames that were read, and the text of the error after them."""
    frames = []
    with VideoReader(path) as reader, pytest.raises(VideoError) as caught:
        frames.extend(reader)
    return frames, str(caught.value)


def _place(text: str) -> tuple[int, float]:
    found = re.search(r"frame (\d+) \((\d+\.\d+) s\)", text)
    assert found, text
    return int(found[1]), float(found[2])


def _cut(path, share: float):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize(
    ("name", "codec", "movflags"),
    [
        ("front_index.mp4", "libx264", "faststart"),
        ("fragmented.mp4", "libx264", "frag_keyframe+empty_moov+default_base_moof"),
        ("a.mkv", "libx264", ""),
        ("a.avi", "mpeg4", ""),
    ],
)
def test_half_a_file(tmp_path, name, codec, movflags):
    frames = moving_frames(COUNT)
    path = _cut(write_with_av(tmp_path / name, frames, codec=codec, movflags=movflags), 0.6)
    read, text = _read_all(path)
    assert 10 < len(read) < 50
    assert psnr(read[10], frames[10]) > 30
    place, seconds = _place(text)
    assert seconds == pytest.approx(place / 25, abs=0.005)
    assert abs(place - len(read)) <= 4
    assert f"{name}: " in text
    assert f"{len(read)} of " in text
    assert text.endswith("copy the file again from its source")


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.avi", "mpeg4")]
)
def test_a_hole_in_the_middle(tmp_path, name, codec):
    frames = moving_frames(COUNT)
    path = write_with_av(tmp_path / name, frames, codec=codec)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    path.write_bytes(data)
    read, text = _read_all(path)
    assert len(read) >= COUNT - 14
    assert psnr(read[-1], frames[-1]) > 30, "what follows the damage is read too"
    place, _ = _place(text)
    assert 0.1 * COUNT < place < 0.9 * COUNT
    assert f"damaged at frame {place}" in text
    assert f"{len(read)} of 60 frames could be read" in text


def test_a_loop_that_stops_early_can_ask_for_damage(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(COUNT))
    damage_packet(path, 24)
    with VideoReader(path) as reader:
        frames = iter(reader)
        for _ in range(15):
            next(frames)
        reader.check()
        for _ in range(25):
            next(frames)
        with pytest.raises(VideoError) as caught:
            reader.check()
    place, _ = _place(str(caught.value))
    assert 20 <= place <= 28
    assert "reading stopped after 40 frames; copy the file again from its source" in str(caught.value)


@pytest.mark.parametrize("taken", [0, 1, 24, COUNT])
def test_a_whole_file_has_no_damage(tmp_path, taken):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(COUNT))
    with VideoReader(path) as reader:
        assert len(list(itertools.islice(reader, taken))) == taken
        reader.check()


def test_damage_after_the_last_frame_read_is_not_reported(tmp_path):
    """The decoder reads packets ahead, so it has found this damage already."""
    path = write_with_av(tmp_path / "v.mp4", moving_frames(COUNT))
    damage_packet(path, 24)
    with VideoReader(path) as reader:
        frames = reader.timed()
        met = next(k for k, _ in enumerate(frames) if reader._source._damage is not None)
        place, _ = _place(str(reader._source._damaged("")))
        assert met < place
        reader.check()
        for _ in range(place - met + 3):
            next(frames)
        with pytest.raises(VideoError, match=f"damaged at frame {place} "):
            reader.check()


def test_a_container_without_frames(tmp_path):
    path = tmp_path / "v.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        container.start_encoding()
    with pytest.raises(VideoError, match=r"v\.avi: no frame in it decodes; copy the file again"):
        VideoReader(path)


def test_damage_before_the_first_frame_is_at_frame_0(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(COUNT))
    damage_packet(path, 0)
    read, text = _read_all(path)
    assert 40 < len(read) < COUNT
    assert "damaged at frame 0 (0.00 s)" in text


def test_an_mp4_cut_before_its_index(tmp_path):
    path = _cut(write_with_av(tmp_path / "v.mp4", moving_frames(20)), 0.7)
    with pytest.raises(VideoError, match=r"v\.mp4: an MP4 without its index \(moov\): .* cut off; copy it again"):
        VideoReader(path)


def test_files_that_are_no_video(tmp_path):
    cases = {
        "none.mp4": None,
        "empty.mp4": b"",
        "text.txt": b"hello\nworld\n" * 50,
        "noise.mp4": bytes(range(256)) * 64,
    }
    wanted = {
        "none.mp4": "no such file",
        "empty.mp4": "the file is empty",
        "text.txt": "there is no video in this file",
        "noise.mp4": "not a video that can be read",
    }
    for name, data in cases.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(VideoError) as caught:
            VideoReader(tmp_path / name)
        assert f"{name}: {wanted[name]}" in str(caught.value)
    with pytest.raises(VideoError, match="is a folder; give a video file"):
        VideoReader(tmp_path)


def test_a_hole_that_only_the_container_sees(tmp_path):
    path = write_with_av(tmp_path / "v.ts", moving_frames(COUNT))
    data = path.read_bytes()
    middle = len(data) // 2 // 188 * 188
    path.write_bytes(data[:middle] + data[middle + 188 :])
    _, text = _read_all(path)
    assert "the data is damaged or cut off" in text


def test_a_long_last_frame_is_no_damage(tmp_path):
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.options = 96, 128, "yuv420p", {"bf": "0"}
        packets = []
        for k, frame in enumerate(moving_frames(20)):
            picture = av.VideoFrame.from_ndarray(frame, "bgr24")
            picture.pts = k
            packets += stream.encode(picture)
        packets += stream.encode(None)
        packets[-1].duration = 100
        container.mux(packets)
    with VideoReader(path) as reader:
        assert len(list(reader)) == 20


def test_pictures_that_begin_late_in_an_avi_are_no_damage(tmp_path):
    """AVI counts the empty frames before the first picture."""
    path = tmp_path / "v.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.options = 96, 128, "yuv420p", {"bf": "0"}
        for k, frame in zip([0, *range(6, 25)], moving_frames(20), strict=True):
            picture = av.VideoFrame.from_ndarray(frame, "bgr24")
            picture.pts, picture.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    with VideoReader(path) as reader:
        assert len(list(reader)) == 20


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match=r"sound\.wav: there is no video in this file"):
        VideoReader(path)


def test_sound_longer_than_the_picture_is_no_damage(tmp_path):
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 96, 128, "yuv420p"
        audio = container.add_stream("aac", rate=44100, layout="mono")
        for k, frame in enumerate(moving_frames(20)):
            picture = av.VideoFrame.from_ndarray(frame, "bgr24")
            picture.pts = k
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.rate = 44100
        for k in range(130):
            sound.pts = k * 1024
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    with VideoReader(path) as reader:
        assert len(list(reader)) == 20
