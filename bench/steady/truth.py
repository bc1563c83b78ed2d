"""Our corrections of a moved picture against its known path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mostnet.video.steady.metrics import vibration
from mostnet.video.steady.room import margin_px
from mostnet.video.steady.similarity import Similarity, centre_of
from mostnet.video.steady.state import Correction

from .checks import START, shown_views
from .moved import MovedClip

#: The tooth is in its place within this share of the frame's height ...
_HELD_SHARE = 0.01
#: ... of its median place over this many frames, ...
_HELD_FRAMES = 51
#: ... if the camera's own motion over these frames takes up no more than this share of the crop.
_HELD_ROOM = 0.8


@dataclass(frozen=True)
class Truth:
    """What the known path says of a run.

    Attributes:
        ratio: jitter after over before, of the place that the picture's centre shows.
        error_px: RMS error of each known motion at the frame's corners, in pixels.
        lost: share of the frames whose motion is unknown to the stabiliser.
        held: share of the frames that show the tooth within 1 % of the frame's height of its median place over 51
            frames. Frames about which the camera moves further than the crop allows do not count; NaN if none counts.
        crop: share of height and width that the view gives up, mean over frames.
        faded: share of the frames whose correction is faded because the picture would shake more with it.
    """

    ratio: float
    error_px: tuple[float, ...]
    lost: float
    held: float
    crop: float
    faded: float


def against_truth(clip: MovedClip, corrections: Sequence[Correction]) -> Truth:
    """Compare corrections of a clip with its path."""
    size_hw = (clip.frames[0].shape[0], clip.frames[0].shape[1])
    views = shown_views(corrections, size_hw)
    shown = [view.then(pose) for view, pose in zip(views, clip.poses, strict=True)]
    believed = believed_motions(corrections, size_hw)
    crops = [correction.state.crop for correction in corrections]
    return Truth(
        ratio=true_jitter_px(shown) / true_jitter_px(clip.poses),
        error_px=tuple(corner_errors_px(believed, clip.motions, size_hw)),
        lost=sum(motion is None for motion in believed) / len(believed),
        held=held_share(shown, clip.poses, _tooth(clip), size_hw, crops=crops),
        crop=float(np.mean(crops)),
        faded=float(np.mean([correction.state.worse for correction in corrections])),
    )


def corner_errors_px(
    found: Sequence[Similarity | None], true: Sequence[Similarity], size_hw: tuple[int, int]
) -> list[float]:
    """RMS error of each motion that was found, over the frame's corners, in pixels."""
    half_h, half_w = (size_hw[0] - 1) / 2, (size_hw[1] - 1) / 2
    corners = np.array([complex(x, y) for x in (-half_w, half_w) for y in (-half_h, half_h)])
    pairs = [(one, other) for one, other in zip(found, true, strict=True) if one is not None]
    offs = [(one.a - other.a) * corners + one.b - other.b for one, other in pairs]
    return [float(np.sqrt(np.mean(np.abs(off) ** 2))) for off in offs]


def believed_motions(corrections: Sequence[Correction], size_hw: tuple[int, int]) -> list[Similarity | None]:
    """The motion of each frame but the first, as the stabiliser took it; None where it knew none.

    ``drift`` leads from the steady picture before to this one. With the two corrections, the motion follows from it.
    """
    views = shown_views(corrections, size_hw)
    found: list[Similarity | None] = []
    for before, now, correction in zip(views, views[1:], corrections[1:], strict=False):
        drift = correction.state.drift
        back = None if drift is None else before.inverse().then(Similarity.of_matrix(drift, size_hw)).then(now)
        found.append(None if back is None else back.inverse())
    return found


def true_jitter_px(poses: Sequence[Similarity]) -> float:
    """RMS of the path of the picture's content minus its 27-frame Hann average, in pixels of the picture."""
    steps = [before.then(now.inverse()).b for before, now in pairwise(poses)]
    path = np.concatenate([[0j], np.cumsum(steps)])
    return vibration(np.stack([path.real, path.imag], axis=1))


def held_share(
    shown: Sequence[Similarity],
    poses: Sequence[Similarity],
    tooth: complex,
    size_hw: tuple[int, int],
    *,
    crops: Sequence[float],
) -> float:
    """``Truth.held`` of a point of the plane, from poses of shown pictures and camera, and the crop of each frame."""
    seen, steady = _places(poses, tooth), _places(shown, tooth)
    half = _HELD_FRAMES // 2
    held = []
    for middle in range(START + half, len(poses) - half):
        around = slice(middle - half, middle + half + 1)
        room_px = _HELD_ROOM * 2 * margin_px(size_hw, min(crops[around]))
        if max(np.ptp(seen[around].real), np.ptp(seen[around].imag)) <= room_px:
            place = complex(np.median(steady[around].real), np.median(steady[around].imag))
            held.append(abs(steady[middle] - place) <= _HELD_SHARE * size_hw[0])
    return float(np.mean(held)) if held else float("nan")


def _places(poses: Sequence[Similarity], point: complex) -> npt.NDArray[np.complex128]:
    """Where cameras at these poses see a point of the plane, in pixels from the centre."""
    return np.array([(point - pose.b) / pose.a for pose in poses])


def _tooth(clip: MovedClip) -> complex:
    """The place on the plane of the first mask's centroid, or of the picture's centre if the mask is empty."""
    ys, xs = np.nonzero(clip.masks[0] >= 128)
    here = complex(xs.mean(), ys.mean()) - centre_of(clip.masks[0].shape) if len(xs) else 0j
    return clip.poses[0].a * here + clip.poses[0].b
