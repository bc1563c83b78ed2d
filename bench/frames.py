"""The frames of a benchmark, in memory before anything is timed."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mostnet.contract import Frame

#: Most bytes of distinct frames in memory; a longer benchmark loops over them.
_MOST_BYTES = 128 << 20
_MIN_FRAMES = 10

#: Circle on which the synthetic texture moves: radius, and step per frame (4.8 px).
_RADIUS_PX = 12
_STEP_RAD = 0.4


@dataclass(frozen=True, eq=False)
class BenchFrames:
    """Frames, uint8 ``(H, W, 3)`` BGR of the engine's size, and the name of their source."""

    frames: tuple[Frame, ...]
    source: str

    def __getitem__(self, index: int) -> Frame:
        """Frame ``index``; the frames repeat in a loop."""
        return self.frames[index % len(self.frames)]


def load_frames(video: Path | None, size_hw: tuple[int, int], *, limit: int, seed: int) -> BenchFrames:
    """At most ``limit`` frames of ``video``, or synthetic ones; fewer if they would exceed ``_MOST_BYTES``.

    Raises:
        VideoError: the video cannot be read, or is damaged or breaks off within these frames.
    """
    count = min(limit, max(_MIN_FRAMES, _MOST_BYTES // (size_hw[0] * size_hw[1] * 3)))
    if video is None:
        return BenchFrames(synthetic_frames(size_hw, count, seed=seed), f"synthetic moving texture, seed {seed}")
    from mostnet.video import VideoReader  # synthetic frames need no PyAV
    from mostnet.video.fit import FrameFit

    with VideoReader(video) as reader:
        fit = FrameFit(reader.size_hw, size_hw, reader.pixel_aspect)
        frames = tuple(fit.to_engine(frame) for frame in itertools.islice(reader, count))
        reader.check()
    return BenchFrames(frames, video.name)


def synthetic_frames(size_hw: tuple[int, int], count: int, *, seed: int) -> tuple[Frame, ...]:
    """A texture of several octaves that moves on a circle, 4.8 px per frame, determined by ``seed``."""
    height, width = (side + 2 * _RADIUS_PX for side in size_hw)
    rng = np.random.default_rng(seed)
    canvas = np.full((height, width, 3), 128, np.float32)
    for octave in range(5):
        cell = 64 >> octave
        noise = rng.standard_normal((height // cell + 2, width // cell + 2, 3), dtype=np.float32)
        canvas += cv2.resize(noise * (50 / 1.5**octave), (width, height), interpolation=cv2.INTER_CUBIC)
    texture = canvas.clip(0, 255).astype(np.uint8)
    return tuple(_window(texture, size_hw, t * _STEP_RAD) for t in range(count))


def _window(texture: Frame, size_hw: tuple[int, int], angle: float) -> Frame:
    y = round(_RADIUS_PX * (1 + math.sin(angle)))
    x = round(_RADIUS_PX * (1 + math.cos(angle)))
    return np.ascontiguousarray(texture[y : y + size_hw[0], x : x + size_hw[1]])
