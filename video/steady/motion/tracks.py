"""Motion from the pictures alone: feature tracks, and dense flow of a small picture."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.video.steady.similarity import Points, Similarity, centre_of, fit_similarity

from .pyramid import Pyramid

#: Corners that are tracked, their least distance in pixels of the small picture, and the window of the tracker.
_CORNERS, _APART, _WINDOW = 100, 5, 11
#: A track that does not return to within this of its start is wrong, in pixels of the small picture.
_RETURN_PX = 0.7
_LEAST = 8
#: Least shorter side of a picture for DIS. On smaller ones, such as 31x80, it reads beyond its buffers and may crash.
_LEAST_SIDE = 32
#: Dense flow is read at every fourth pixel of the small picture.
_STRIDE = 4


class Tracks(NamedTuple):
    """Matched points of two frames, complex ``(N,)`` in pixels from the centre: ``points`` now, ``moved`` before."""

    points: Points
    moved: Points


def feature_tracks(before: Pyramid, now: Pyramid) -> Tracks | None:
    """Corners of ``now`` in ``before`` by pyramidal Lucas-Kanade with a forward-backward check; None with too few."""
    corners = cv2.goodFeaturesToTrack(now.tracked, _CORNERS, 0.01, _APART)
    if corners is None or len(corners) < _LEAST:
        return None
    window = (_WINDOW, _WINDOW)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(now.tracked, before.tracked, corners, None, winSize=window, maxLevel=3)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(before.tracked, now.tracked, moved, None, winSize=window, maxLevel=3)
    gap = np.linalg.norm((back - corners).reshape(-1, 2), axis=1)
    good = (found.ravel() == 1) & (returned.ravel() == 1) & (gap < _RETURN_PX)
    if good.sum() < _LEAST:
        return None
    return Tracks(*(_in_frame(places.reshape(-1, 2)[good], now) for places in (corners, moved)))


def dense_tracks(before: Pyramid, now: Pyramid) -> Tracks | None:
    """Grid points of ``now`` in ``before`` by OpenCV's DIS (T. Kroeger et al., "Fast Optical Flow using Dense Inverse
    Search", ECCV 2016); None if the frame is too small for it."""
    if min(now.tracked.shape) < _LEAST_SIDE:
        return None
    # Its buffers are not safe to share between threads, and a new one costs 0.02 ms.
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    flow = search.calc(now.tracked, before.tracked, None)
    y, x = np.mgrid[_STRIDE // 2 : flow.shape[0] : _STRIDE, _STRIDE // 2 : flow.shape[1] : _STRIDE]
    places = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    vectors = flow[y.ravel(), x.ravel()]
    return Tracks(_in_frame(places, now), _in_frame(places + vectors, now))


def fitted(tracks: Tracks | None) -> Similarity | None:
    """The similarity that most tracks agree on; None without tracks."""
    return None if tracks is None else fit_similarity(*tracks, np.ones(len(tracks.points)))


def _in_frame(places: npt.NDArray[np.float32], now: Pyramid) -> Points:
    """Pixels ``(N, 2)`` of the small picture as points of the frame."""
    (height, width), (small_height, small_width) = now.frame_hw, now.tracked.shape
    x = (places[:, 0].astype(np.float64) + 0.5) * (width / small_width) - 0.5
    y = (places[:, 1].astype(np.float64) + 0.5) * (height / small_height) - 0.5
    points: Points = x + 1j * y - centre_of(now.frame_hw)
    return points
