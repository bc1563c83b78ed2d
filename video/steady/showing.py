"""From the view that a frame should have to the correction that is shown."""

from __future__ import annotations

from mostnet.video.steady.shutter.correction import ShutterCorrection
from mostnet.video.steady.shutter.rows import RowSkew

from .border import SOFT_KNEE, limited, zoomed
from .fade import Fade
from .jitter_watch import JitterWatch
from .options import StabiliserOptions
from .room import margin_px
from .similarity import Similarity
from .state import Correction, Matrix, SteadyState, WaitingFrame
from .tracking import Tracking


class Showing:
    """Keeps views inside the frame, and fades them where they are unknown or do harm."""

    def __init__(self, options: StabiliserOptions, size_hw: tuple[int, int]) -> None:
        self._options = options
        self._size_hw = size_hw
        self._fade = Fade()
        self._watch = JitterWatch(size_hw)
        self._shown: Similarity | None = None

    def correction(self, frame: WaitingFrame, shutter: ShutterCorrection) -> Correction:
        """The correction of the next frame, in order; its view and crop are fixed."""
        assert frame.view is not None and frame.crop is not None
        rows = self._within_crop(shutter.next(), frame.crop)
        view = self._shown_view(frame, frame.view, inner_crop(frame.crop, shutter, self._size_hw))
        shown = zoomed(view, self._options.border, frame.crop)
        drift = self._drift(shown, frame.motion)
        self._shown = shown
        state = SteadyState(
            tracking=frame.tracking,
            source=frame.step.source,
            candidate=frame.step.candidate,
            inliers=frame.step.inliers,
            residual=frame.step.residual,
            gain=self._fade.gain,
            frame_id=frame.frame_id,
            drift=drift,
            crop=frame.crop,
            worse=self._watch.gain < 1,
            readout=shutter.share,
            teeth=frame.teeth,
        )
        return Correction(shown.inverse().matrix(self._size_hw), state, rows)

    def _shown_view(self, frame: WaitingFrame, view: Similarity, crop: float) -> Similarity:
        """The view inside the crop, less what the watch takes back, and faded while tracking is lost."""
        if frame.starts:
            self._fade = Fade()
        if frame.starts or (self._fade.lost and frame.tracking is not Tracking.LOST):
            self._watch.reset()  # after a loss the view jumps, and only the fade hides it
        knee = SOFT_KNEE if self._options.steady == "vibration" else 1.0
        wanted = limited(view, self._size_hw, crop, knee=knee)
        wanted = wanted.part(self._watch.update(frame.small, wanted))
        return limited(self._fade.view(wanted, frame.tracking), self._size_hw, crop)

    def _within_crop(self, rows: RowSkew | None, crop: float) -> RowSkew | None:
        """The part of a skew that needs no more than the half of the crop that ``inner_crop`` keeps for it."""
        if rows is None or self._options.border != "crop":
            return rows
        furthest_px, most_px = rows.furthest_px(self._size_hw), margin_px(self._size_hw, crop) / 2
        return rows if furthest_px <= most_px else rows.part(most_px / furthest_px)

    def _drift(self, shown: Similarity, motion: Similarity | None) -> Matrix | None:
        """From the steady picture shown last to this one; None if the motion between them is unknown."""
        if self._shown is None or motion is None:
            return None
        return self._shown.then(motion.inverse()).then(shown.inverse()).matrix(self._size_hw)


def inner_crop(crop: float, shutter: ShutterCorrection, size_hw: tuple[int, int]) -> float:
    """The crop less the reach of the skew of the rows, so that all that is shown lies inside the frame."""
    return max(crop - 2 * shutter.reach_px / min(size_hw), crop / 2)
