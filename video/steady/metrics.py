"""Measure how steady a video is, from its pictures alone.

Pyramidal Lucas-Kanade tracks corners from frame to frame, RANSAC fits a similarity to them, and the path is the sum of
its steps. Stability, cropping ratio and distortion follow S. Liu et al., "Bundled Camera Paths for Video Stabilization"
(SIGGRAPH 2013), with one path instead of their grid of paths, and an affine map instead of their homography. ITF is the
mean PSNR between neighbouring frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame, FrameError
from mostnet.video.steady.paths.least_energy import STOP_BAND

from .similarity import Similarity

Path2d = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]

#: Length of the Hann window whose average counts as intended motion, in frames.
HANN_FRAMES = 27
_CORNERS = 300
_MIN_TRACKS = 12
#: Features matched between a video and its reference, their least contrast, and the least share that must agree.
_FEATURES, _FEATURE_CONTRAST, _MIN_AGREE_FEATURES = 800, 7, 0.2
#: Least share of the tracks that agree on one motion from picture to picture, and on an affine map from video to video,
#: which has more freedom. In noise and across a cut, chance agrees on less.
_MIN_AGREE, _MIN_AGREE_AFFINE = 0.08, 0.2


@dataclass(frozen=True)
class Stability:
    """Measured values of one video.

    Attributes:
        frames: frames measured.
        vibration_px: RMS of the path of the picture's centre minus its 27-frame Hann average.
        vibration_deg: the same for the angle.
        jitter_px: RMS of the path of the centre above 0.15 cycles per frame.
        stability: share of the path's energy in its 2nd to 6th lowest frequencies, the least of x, y and angle; 0 to 1.
        itf_db: mean PSNR between neighbouring frames.
        untracked: frames whose motion could not be measured and counts as zero.
        path: ``(N, 3)``: x and y in pixels, angle in radians.
    """

    frames: int
    vibration_px: float
    vibration_deg: float
    jitter_px: float
    stability: float
    itf_db: float
    untracked: int
    path: Path2d


@dataclass(frozen=True)
class Fidelity:
    """Picture content lost and distorted by stabilisation.

    Attributes:
        cropping: share of width and height that is left, the mean over frames; 1 is all.
        distortion: least ratio of the two singular values of the fitted affine map in any frame; 1 is none. The paper
            takes eigenvalues, which are complex for a rotation.
        unmatched: frames that could not be matched and do not count.
    """

    cropping: float
    distortion: float
    unmatched: int


def measure(frames: Iterable[Frame]) -> Stability:
    """Measure at least two uint8 ``(H, W, 3)`` frames.

    Raises:
        ValueError: fewer than two frames.
    """
    steps: list[Similarity | None] = []
    levels: list[float] = []
    last: Grey | None = None
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if last is not None:
            steps.append(tracked_step(last, grey))
            levels.append(_psnr(last, grey))
        last = grey
    if not steps:
        raise ValueError("stability needs at least two frames")
    path = path_of(steps)
    return Stability(
        frames=len(path),
        vibration_px=vibration(path[:, :2]),
        vibration_deg=float(np.degrees(vibration(path[:, 2:]))),
        jitter_px=jitter(path[:, :2]),
        stability=_low_frequency_share(path),
        itf_db=float(np.mean(levels)),
        untracked=sum(step is None for step in steps),
        path=path,
    )


def compare(before: Iterable[Frame], after: Iterable[Frame]) -> Fidelity:
    """Cropping and distortion of ``after`` against ``before``, frame by frame.

    Raises:
        FrameError: the two videos differ in size or length.
        ValueError: no pair of frames could be matched.
    """
    crops, bends, unmatched = [], [], 0
    for one, other in zip_longest(before, after):
        if one is None or other is None:
            raise FrameError("the video and its reference differ in length; compare videos that have the same frames")
        if one.shape != other.shape:
            (high, wide), (height, width) = one.shape[:2], other.shape[:2]
            raise FrameError(
                f"the video has frames of {height}x{width}, its reference has {high}x{wide}; compare videos of one "
                "size, not one that shows several pictures side by side"
            )
        found = _affine_between(*(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (one, other)))
        if found is None:
            unmatched += 1
            continue
        large, small = np.linalg.svd(found[:, :2], compute_uv=False)
        bends.append(float(small / large))
        crops.append(min(1.0, 1 / float(np.sqrt(large * small))))
    if not crops:
        raise ValueError("no frames of the two videos could be matched; give two videos of the same scene")
    return Fidelity(float(np.mean(crops)), min(bends), unmatched)


def tracked_step(before: Grey, now: Grey) -> Similarity | None:
    """The similarity that takes points of the grey picture ``before`` to ``now``; None without tracks that agree."""
    tracks = _tracks(before, now)
    if tracks is None:
        return None
    matrix, agree = cv2.estimateAffinePartial2D(*tracks, method=cv2.RANSAC, ransacReprojThreshold=1.0, maxIters=500)
    if matrix is None or agree.mean() < _MIN_AGREE:
        return None
    return Similarity.of_matrix(matrix, (now.shape[0], now.shape[1]))


def path_of(steps: Sequence[Similarity | None]) -> Path2d:
    """Cumulative motion of the content, ``(N + 1, 3)``: x and y in pixels, angle in radians."""
    known = [step or Similarity() for step in steps]
    moves = np.array([(step.b.real, step.b.imag, step.angle) for step in known]).reshape(-1, 3)
    return np.concatenate([np.zeros((1, 3)), np.cumsum(moves, axis=0)])


def vibration(path: Path2d) -> float:
    """RMS length of ``(N, D)`` minus its 27-frame Hann average, without the ends, where the window is cut."""
    half = HANN_FRAMES // 2
    if len(path) <= 2 * half:
        return float(np.sqrt(((path - path.mean(axis=0)) ** 2).sum(axis=1).mean()))
    window = np.hanning(HANN_FRAMES + 2)[1:-1]
    smooth = np.stack([np.convolve(column, window / window.sum(), "valid") for column in path.T], axis=1)
    return float(np.sqrt(((path[half:-half] - smooth) ** 2).sum(axis=1).mean()))


def jitter(path: Path2d, *, above: float = STOP_BAND) -> float:
    """RMS length of the part of ``(N, D)`` above ``above`` cycles per frame, after removing trend and tapering."""
    ramp = np.linspace(path[0], path[-1], len(path))
    window = np.hanning(len(path) + 2)[1:-1, None]
    spectrum = np.fft.rfft((path - ramp) * window, axis=0)
    spectrum[np.fft.rfftfreq(len(path)) < above] = 0
    fast = np.fft.irfft(spectrum, len(path), axis=0)
    return float(np.sqrt((fast**2).sum() / (window**2).sum()))


def _low_frequency_share(path: Path2d) -> float:
    """Share of frequencies 2 to 6 in the energy; as in the paper, frequency 1, the constant, is left out."""
    shares = []
    for column in path.T:
        energy = np.abs(np.fft.rfft(column))[1:] ** 2
        shares.append(float(energy[:5].sum() / energy.sum()) if energy.sum() > 1e-12 else 1.0)
    return min(shares)


def _psnr(one: Grey, other: Grey) -> float:
    error = float(np.mean((one.astype(np.float32) - other) ** 2))
    return float(10 * np.log10(255**2 / max(error, 1e-2)))


def _tracks(before: Grey, now: Grey) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
    corners = cv2.goodFeaturesToTrack(before, _CORNERS, 0.01, max(6, before.shape[1] // 64))
    if corners is None or len(corners) < _MIN_TRACKS:
        return None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, None, winSize=(21, 21), maxLevel=4)
    good = found.ravel() == 1
    return (corners[good], moved[good]) if good.sum() >= _MIN_TRACKS else None


def _affine_between(before: Grey, after: Grey) -> npt.NDArray[np.float64] | None:
    """The affine map ``(2, 3)`` from ``before`` to ``after``: from matched features, then refined by feature tracks."""
    rough = _by_features(before, after)
    if rough is None:
        return _by_tracks(before, after)
    back = cv2.warpAffine(after, rough, before.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    fine = _by_tracks(before, np.asarray(back, np.uint8))
    return rough if fine is None else (np.vstack([rough, [0, 0, 1]]) @ np.vstack([fine, [0, 0, 1]]))[:2]


def _by_features(before: Grey, after: Grey) -> npt.NDArray[np.float64] | None:
    """From ORB features: they are found again after any shift, and after the zoom of a crop."""
    finder = cv2.ORB.create(nfeatures=_FEATURES, fastThreshold=_FEATURE_CONTRAST)
    (places, marks), (others, other_marks) = (finder.detectAndCompute(picture, None) for picture in (before, after))
    if marks is None or other_marks is None:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(marks, other_marks)
    if len(pairs) < _MIN_TRACKS:
        return None
    start = np.array([places[pair.queryIdx].pt for pair in pairs], np.float32)
    end = np.array([others[pair.trainIdx].pt for pair in pairs], np.float32)
    matrix, agree = cv2.estimateAffine2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=3.0, maxIters=1000)
    enough = matrix is not None and agree.sum() >= max(_MIN_TRACKS, _MIN_AGREE_FEATURES * len(pairs))
    return np.asarray(matrix, np.float64) if enough else None


def _by_tracks(before: Grey, after: Grey) -> npt.NDArray[np.float64] | None:
    tracks = _tracks(before, after)
    if tracks is None:
        return None
    matrix: npt.NDArray[np.float64] | None
    matrix, agree = cv2.estimateAffine2D(*tracks, method=cv2.RANSAC, ransacReprojThreshold=1.5, maxIters=500)
    return None if matrix is None or agree.mean() < _MIN_AGREE_AFFINE else matrix
