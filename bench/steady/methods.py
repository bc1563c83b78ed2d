"""Stabilisers to compare: ours, feature tracks with a moving average as in OpenCV tutorials, FFmpeg's ``deshake``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import thread_time

import av
import cv2
import numpy as np

from mostnet.contract import Frame
from mostnet.engine import Output
from mostnet.video.steady.border import warp
from mostnet.video.steady.metrics import path_of, tracked_step
from mostnet.video.steady.options import StabiliserOptions
from mostnet.video.steady.similarity import Similarity
from mostnet.video.steady.stabiliser import Stabiliser
from mostnet.video.steady.state import Correction

#: The crop of every method, and the zoom that hides it.
CROP = 0.1
_ZOOM = Similarity(1 / (1 - CROP) + 0j)

Pairs = Sequence[tuple[Frame, Output]]


@dataclass(frozen=True)
class Method:
    """A way to stabilise a clip.

    Attributes:
        name: name in the table.
        lookahead: future frames that it reads, as text.
        run: makes the steady pictures of a clip, of the same size.
    """

    name: str
    lookahead: str
    run: Callable[[Pairs], list[Frame]]


@dataclass(frozen=True)
class SteadyRun:
    """Our stabiliser on a clip: corrections, pictures, and median processor time of a frame in milliseconds."""

    corrections: list[Correction]
    pictures: list[Frame]
    cost_ms: float


def ours(pairs: Iterable[tuple[Frame, Output]], options: StabiliserOptions) -> SteadyRun:
    """Run our stabiliser over (frame, output) pairs."""
    steady = Stabiliser(options)
    waiting: list[Frame] = []
    corrections: list[Correction] = []
    pictures: list[Frame] = []
    costs = []

    def give(correction: Correction) -> None:
        corrections.append(correction)
        pictures.append(steady.apply(waiting.pop(0), correction))

    for frame, output in pairs:
        waiting.append(frame)
        begun_s = thread_time()  # processor time, because the machine may be busy
        correction = steady.update(output, frame)
        if correction is not None:
            give(correction)
        costs.append(thread_time() - begun_s)
    for correction in steady.flush():
        give(correction)
    return SteadyRun(corrections, pictures, float(np.median(costs)) * 1e3)


def moving_average(frames: Sequence[Frame], *, past: int, future: int) -> list[Frame]:
    """Track features, average their path over ``past + 1 + future`` frames, and take out the difference."""
    greys = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    path = path_of([tracked_step(one, two) for one, two in pairwise(greys)])
    padded = np.pad(path, ((past, future), (0, 0)), mode="edge")
    length = past + 1 + future
    smooth = np.stack([np.convolve(column, np.ones(length) / length, "valid") for column in padded.T], axis=1)
    pictures = []
    for frame, (dx, dy, angle) in zip(frames, smooth - path, strict=True):
        correction = Similarity(complex(np.exp(1j * angle)), complex(dx, dy)).then(_ZOOM)
        pictures.append(warp(frame, correction.matrix((frame.shape[0], frame.shape[1]))))
    return pictures


def deshake(frames: Sequence[Frame]) -> list[Frame]:
    """FFmpeg's ``deshake`` at a lower contrast threshold than its default. PyAV has no ``vidstab``."""
    height, width = frames[0].shape[:2]
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format="yuv420p", time_base="1/25")
    shaken = graph.add("deshake", "rx=16:ry=16:contrast=20")
    sink = graph.add("buffersink")
    source.link_to(shaken)
    shaken.link_to(sink)
    graph.configure()
    pictures = []
    for index, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(frame, "bgr24").reformat(format="yuv420p")
        picture.pts = index
        graph.push(picture)
        pictures.append(_cropped(graph.pull().to_ndarray(format="bgr24")))
    return pictures


def unsteady(frames: Sequence[Frame]) -> list[Frame]:
    """The clip without stabilisation, cropped like the others."""
    return [_cropped(frame) for frame in frames]


def _cropped(frame: Frame) -> Frame:
    return warp(frame, _ZOOM.matrix((frame.shape[0], frame.shape[1])))


def methods() -> list[Method]:
    """All methods in the order of the table. The first leaves the clip as it is."""

    def steady(lookahead: int) -> Callable[[Pairs], list[Frame]]:
        return lambda pairs: ours(pairs, StabiliserOptions("vibration", lookahead=lookahead, crop=CROP)).pictures

    def average(past: int, future: int) -> Callable[[Pairs], list[Frame]]:
        return lambda pairs: moving_average([frame for frame, _ in pairs], past=past, future=future)

    found = [
        Method("none", "-", lambda pairs: unsteady([frame for frame, _ in pairs])),
        Method("mostnet", "0", steady(0)),
        Method("mostnet", "5", steady(5)),
        Method("tracks + moving average 7", "0", average(6, 0)),
        Method("tracks + moving average 15", "0", average(14, 0)),
        Method("tracks + moving average 11", "5", average(5, 5)),
        Method("tracks + moving average 31", "15", average(15, 15)),
    ]
    if "deshake" in av.filter.filters_available:
        found.append(Method("FFmpeg deshake", "0", lambda pairs: deshake([frame for frame, _ in pairs])))
    return found
