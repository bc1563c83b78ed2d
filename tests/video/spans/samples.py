"""Videos whose frames are hard to find from the middle: B-frames, odd times, few key frames, edit lists."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..samples import SIZE_HW, moving_frames, write_with_av

COUNT = 72
#: Frame numbers of a clock that runs unevenly, and pauses for two seconds before frame 40.
UNEVEN = [k + k // 3 + 50 * (k >= 40) for k in range(COUNT)]


def write_special(
    path: Path, codec: str = "libx264", *, pix_fmt: str = "yuv420p", x264: str = "", b_frames: int = 0, first: int = 0
) -> Path:
    """``COUNT`` frames with options of x264; a negative ``first`` is the number of the first frame."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE_HW, pix_fmt
        stream.options = {"crf": "10", "x264-params": x264} if x264 else {}
        for index, frame in enumerate(moving_frames(COUNT)):
            picture = av.VideoFrame.from_ndarray(frame, "bgr24")
            picture.pts, picture.time_base = first + index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def _special(name: str, **options: Any) -> Callable[[Path], Path]:
    return lambda folder: write_special(folder / name, **options)


def _plain(name: str, codec: str, movflags: str = "") -> Callable[[Path], Path]:
    return lambda folder: write_with_av(folder / name, moving_frames(COUNT), codec=codec, movflags=movflags)


def _timed(name: str, pts: list[int]) -> Callable[[Path], Path]:
    return lambda folder: write_with_av(folder / name, moving_frames(COUNT), pts=pts)


#: Maker of each video, by what is special in it; x264 makes B-frames and a key frame every 12 frames.
VIDEOS: dict[str, Callable[[Path], Path]] = {
    "mp4": _plain("v.mp4", "libx264"),
    "fragmented mp4": _plain("v.mp4", "libx264", "frag_keyframe+empty_moov"),
    "matroska": _plain("v.mkv", "libx264"),
    "mpeg-ts": _plain("v.ts", "libx264"),
    "mpeg-ts of mpeg-2": _plain("v.ts", "mpeg2video"),
    "mpeg-ps": _special("v.mpg", codec="mpeg2video", b_frames=2),
    "motion jpeg in avi": _special("v.avi", codec="mjpeg", pix_fmt="yuvj420p"),
    "webm": _plain("v.webm", "libvpx-vp9"),
    "uneven times": _timed("v.mp4", UNEVEN),
    "uneven times in matroska": _timed("v.mkv", UNEVEN),
    "uneven times in mpeg-ts": _timed("v.ts", UNEVEN),
    "late start": _timed("v.mp4", [50 + k for k in range(COUNT)]),
    "late start in mpeg-ts": _timed("v.ts", [500 + k for k in range(COUNT)]),
    "edit list": _special("v.mp4", x264="keyint=12:bframes=3", first=-14),
    "open groups": _special("v.mp4", x264="keyint=12:bframes=3:open-gop=1"),
    "open groups in mpeg-ts": _special("v.ts", x264="keyint=12:bframes=3:open-gop=1"),
    "intra refresh": _special("v.mp4", x264="keyint=12:intra-refresh=1:bframes=0"),
    "interlaced": _special("v.mkv", x264="keyint=12:bframes=2:tff=1"),
    "interlaced in mpeg-ts": _special("v.ts", x264="keyint=12:bframes=2:tff=1"),
    "one key frame": _special("v.mp4", x264="keyint=infinite:bframes=3:scenecut=0"),
    "one key frame in avi": _special("v.avi", x264="keyint=infinite:bframes=0:scenecut=0"),
    "one key frame in mpeg-ts": _special("v.ts", x264="keyint=infinite:bframes=3:scenecut=0"),
}


def nearest(frame: np.ndarray, frames: list[np.ndarray]) -> int:
    """Index of the one of ``frames`` that is most like ``frame``."""
    return int(np.argmin([np.abs(frame.astype(int) - other).mean() for other in frames]))
