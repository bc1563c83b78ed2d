"""Excerpts are what a reader of the whole video gives at the same times, at bounded work."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.contract import VideoError
from mostnet.serve.archive.reporting import excerpts
from mostnet.serve.archive.reporting.excerpts import Excerpts
from mostnet.video import VideoReader
from mostnet.video.decode import FileSource
from mostnet.video.decoding.deinterlace import Deinterlacer

from ....video.samples import FPS, damage_packet, moving_frames, write_with_av

FRAMES = 40


@pytest.fixture(scope="module", params=["clip.mp4", "clip.mkv", "clip.avi", "turned.mp4", "pauses.mkv", "clip.ts", "p"])
def video(request, tmp_path_factory) -> Path:
    """A video of each kind; those of ``clip.ts`` and ``p`` (pictures) cannot be entered in the middle."""
    path = tmp_path_factory.mktemp("videos") / request.param
    frames = moving_frames(FRAMES)
    if path.suffix:
        pts = [2 * k + (k > 20) for k in range(FRAMES)] if path.stem == "pauses" else None
        return write_with_av(path, frames, pts=pts, rotation=90 if path.stem == "turned" else 0)
    path.mkdir()
    for k, frame in enumerate(frames):
        cv2.imwrite(str(path / f"{k}.png"), frame)
    return path


@pytest.mark.parametrize("begin", [0, 17, FRAMES - 1])
def test_an_excerpt_is_a_part_of_the_video(video: Path, begin: int) -> None:
    with VideoReader(video) as reader:
        whole = list(reader.timed())
    # In AVI, the frames of this codec are stored out of order, and two may have nearly the same time.
    wanted = [one for one in whole if one[0] >= whole[begin][0] - 1 / (2 * FPS)][:6]
    with Excerpts(video) as source:
        assert source.seeks == (video.name not in ("clip.ts", "p"))
        for _ in range(2):  # the second time from behind
            found = list(itertools.islice(source.shown_from(whole[begin][0]), 6))
            assert [time_s for time_s, _ in found] == [time_s for time_s, _ in wanted]
            assert all(np.array_equal(frame, other) for (_, frame), (_, other) in zip(found, wanted, strict=True))


def test_nothing_is_shown_after_the_end(video: Path) -> None:
    with Excerpts(video) as source:
        assert list(source.shown_from(Fraction(100))) == []


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_the_way_to_an_excerpt_is_bounded(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only key frame is at the start, or the video cannot be entered elsewhere."""
    monkeypatch.setattr(excerpts, "MOST_SKIPPED", 10)
    counts = {"decoded": 0, "converted": 0}

    def counted(kind: type, name: str, what: str) -> None:
        original = getattr(kind, name)

        def call(self: object, picture: object) -> object:
            counts[what] += 1
            return original(self, picture)

        monkeypatch.setattr(kind, name, call)

    video = write_with_av(tmp_path / f"clip{suffix}", moving_frames(FRAMES), key_every=1000)
    with Excerpts(video) as source:
        counted(Deinterlacer, "feed", "decoded")
        counted(FileSource, "bgr", "converted")
        assert len(list(itertools.islice(source.shown_from(10 / FPS), 3))) == 3
        assert 13 <= counts["decoded"] <= 13 + 3  # frames that wait in the decoder for their turn
        counts.update(decoded=0, converted=0)
        assert list(source.shown_from(12 / FPS)) == []
        assert 11 <= counts["decoded"] <= 11 + 3
        assert counts["converted"] == (0 if suffix == ".mp4" else 11)


def test_a_damaged_frame_is_left_out(tmp_path: Path) -> None:
    video = write_with_av(tmp_path / "clip.mp4", moving_frames(FRAMES))
    damage_packet(video, 30)
    with Excerpts(video) as source:
        times = [time_s for time_s, _ in source.shown_from(13 / FPS)]
    assert times[:8] == [k / FPS for k in range(13, 21)]
    assert len(times) < FRAMES - 13


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video at all")
    with pytest.raises(VideoError, match="not a video that can be read"):
        Excerpts(tmp_path / "clip.mp4")
