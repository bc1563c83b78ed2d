"""The clips of the report: synthetic ones of known camera path, and video files with known jitter added."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame
from mostnet.engine import Output
from mostnet.video import VideoReader
from mostnet.video.steady.border import warp
from mostnet.video.steady.similarity import Similarity

from .shaken import SIZE_HW, FlowFaults, Shake, compose, intended, jitter, outputs, world

#: Share of a video file's picture that is cropped before it is shaken, so that its edge stays out of view.
_ROOM = 0.12


@dataclass(frozen=True)
class KnownClip:
    """Frames with outputs of an engine, and the camera path as far as it is known.

    Attributes:
        name: name in the table.
        pairs: frame and output, in order.
        base: the intended path as poses from frame to world; None if unknown.
        poses: the path with jitter, or for a video file the added jitter alone; None if nothing was added.
    """

    name: str
    pairs: list[tuple[Frame, Output]]
    base: list[Similarity] | None = None
    poses: list[Similarity] | None = None


def synthetic(name: str, *, count: int, pan_px: float = 0.0, seed: int = 5, dark: range = range(0)) -> KnownClip:
    """A textured plane with a tooth and a bur. The exact flow gets noise of 0.5 px, and 15 % of its blocks are wrong.

    The frames in ``dark`` are black, with zero flow and mask.
    """
    rng = np.random.default_rng(seed)
    base = intended(count, pan_px=pan_px, sway_px=12.0 if not dark else 3.0)
    poses = compose(base, jitter(count, rng, Shake()))
    pairs = list(outputs(poses, world(rng), faults=FlowFaults()))
    for k in dark:
        black = np.zeros_like(pairs[k][0])
        output = pairs[k][1]
        pairs[k] = (black, Output(black, output.flow * 0, output.mask * 0, True, k, None, 0.0))
    return KnownClip(name, pairs, base, poses)


def of_video(path: Path, *, name: str, count: int, shake: Shake | None, seed: int = 5) -> KnownClip:
    """Frames of a file, shaken by known jitter, with flow by OpenCV's DIS. The mask is empty: the whole frame counts.

    ``shake`` holds for a width of 640 pixels and scales with the width.

    Raises:
        VideoError: the file cannot be read.
    """
    with VideoReader(path) as reader:
        frames = list(itertools.islice(reader, count))
    if shake is not None:
        size_hw = (frames[0].shape[0], frames[0].shape[1])
        zoom = Similarity(1 / (1 - _ROOM) + 0j)
        shake = replace(shake, shift_px=shake.shift_px * size_hw[1] / SIZE_HW[1])
        shakes = jitter(len(frames), np.random.default_rng(seed), shake)
        frames = [
            warp(frame, zoom.then(pose.inverse()).matrix(size_hw)) for frame, pose in zip(frames, shakes, strict=True)
        ]
        return KnownClip(name, measured(frames), poses=shakes)
    return KnownClip(name, measured(frames))


def measured(
    frames: Sequence[Frame], *, masks: Sequence[npt.NDArray[np.uint8]] | None = None
) -> list[tuple[Frame, Output]]:
    """Frames with backward flow by OpenCV's dense inverse search (DIS), and their masks; by default empty ones."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    pairs = []
    last: npt.NDArray[np.uint8] | None = None
    for k, frame in enumerate(frames):
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        flow = np.zeros((2, *grey.shape), np.float32)
        if last is not None:
            flow = np.ascontiguousarray(search.calc(grey, last, None).transpose(2, 0, 1))
        mask = np.zeros_like(grey) if masks is None else masks[k]
        pairs.append((frame, Output(frame, flow, mask, True, k, None, 0.0)))
        last = grey
    return pairs
