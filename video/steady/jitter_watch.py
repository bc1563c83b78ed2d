"""Check on the pictures that the correction makes the video steadier, and take it back where it does not.

The path of the shown picture is nearly linear in the share of the correction that is shown. So the share that would
have left the least jitter over the last frames follows by least squares. A wrong correction gets 0, one that goes twice
too far gets 0.5.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from .phase import PhaseCorrelator, Spectrum
from .similarity import Similarity

#: Size of the picture that the watch looks at. A frame costs about 0.5 ms of one core, and its small picture 0.3 ms.
SMALL_HW = (96, 128)
#: Frames that count. Motion slower than about one period in this time counts as intended.
WINDOW = 32
#: Fewest frames for a verdict.
LEAST = 16
#: Jitter of this many small pixels more is no harm: phase correlation is not exact.
FLOOR_PX = 0.06
#: The correction is harmful above this multiple of the jitter that there was, and welcome again below that share of it.
#: At 1, a path that lags behind a hand would count as harmful at times.
HARM, WELCOME = 1.05, 0.8
#: A path may be this many frames late, as a live one is: the corners of a pan stay longer in the window of the steady
#: path than in that of the camera's.
_LATE = 20
#: Frames in a row that it takes to find it harmful, and to find it welcome again.
_HARM_FRAMES, _WELCOME_FRAMES = 10, 20
#: Change of the gain per frame, out and in.
FADE_OUT, FADE_IN = 1 / 16, 1 / 32


class JitterWatch:
    """Gain of the correction, 0 to 1, from the jitter of the camera's picture and of the corrected one.

    It measures both by phase correlation on small pictures, and uses nothing of the stabiliser's own estimate. It goes
    on measuring the corrected picture while that is not shown, so that it can let the correction back in.

    ::

        watch = JitterWatch(size_hw)
        gain = watch.update(small_picture(frame), view)
        shown = view.part(gain)

    Attributes:
        gain: 1 normally; while the correction does harm, it moves to the share that would have left the least jitter.
        before_px: jitter of the camera's picture over the window, in pixels of the frame; NaN before the first verdict.
        after_px: the same for the picture with the whole correction, in the same pixels.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        """``size_hw``: size of the frames that the views belong to."""
        self._scale = SMALL_HW[1] / size_hw[1]
        self._correlator = PhaseCorrelator(SMALL_HW)
        self._steps: deque[tuple[complex, complex]] = deque(maxlen=WINDOW)
        self.reset()

    def reset(self) -> None:
        """Start anew, as at a cut: with the whole correction, and without a verdict."""
        self.gain = 1.0
        self.before_px = self.after_px = float("nan")
        self._steps.clear()
        self._recent: deque[float] = deque(maxlen=_LATE)
        self._last: tuple[Spectrum, Spectrum] | None = None
        self._harmful = False
        self._wanted = 1.0
        self._streak = 0

    def update(self, small: npt.NDArray[np.uint8], view: Similarity) -> float:
        """Add a frame; return the share of its correction to show.

        Args:
            small: the camera's frame as ``small_picture`` gives it, uint8 ``(96, 128)``.
            view: the whole correction: from points of the steady picture to points of the frame, in its pixels.
        """
        shown = Similarity(view.a, view.b * self._scale)
        matrix = shown.inverse().matrix(SMALL_HW)
        corrected = cv2.warpAffine(small, matrix, SMALL_HW[::-1], borderMode=cv2.BORDER_REPLICATE)
        now = self._correlator.spectrum(small), self._correlator.spectrum(corrected)
        last, self._last = self._last, now
        if last is not None:
            before, after = (self._correlator.shift(*pair) for pair in zip(last, now, strict=True))
            # If one of the two is unknown, so is the comparison.
            known = before is not None and after is not None
            self._steps.append((before or 0j, view.scale * (after or 0j)) if known else (0j, 0j))
        if len(self._steps) >= LEAST:
            self._judge()
        self.gain = min(max(self._wanted, self.gain - FADE_OUT), self.gain + FADE_IN)
        return self.gain

    def _judge(self) -> None:
        """Compare the two paths over the window, and change the verdict after some frames that agree."""
        left = _without_parabola(np.cumsum(np.array(self._steps), axis=0))
        before, after = np.sqrt((np.abs(left) ** 2).mean(axis=0)).tolist()
        self.before_px, self.after_px = before / self._scale, after / self._scale
        self._recent.append(before)
        if self._harmful:
            against = after < max(WELCOME * before, FLOOR_PX)
        else:
            against = after > HARM * max(self._recent) + FLOOR_PX
        self._streak = self._streak + 1 if against else 0
        if self._streak >= (_WELCOME_FRAMES if self._harmful else _HARM_FRAMES):
            self._harmful, self._streak = not self._harmful, 0
        self._wanted = _best_share(left) if self._harmful else 1.0


def small_picture(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A frame, uint8 ``(H, W, 3)`` BGR or ``(H, W)``, as the watch takes it: grey, uint8 ``(96, 128)``."""
    grey = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, SMALL_HW[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _without_parabola(paths: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Paths ``(N, 2)`` without their intended motion."""
    return np.asarray(paths - _parabolas(len(paths)) @ paths)


def _best_share(left: npt.NDArray[np.complex128]) -> float:
    """The share of the correction that leaves the least jitter; ``left`` are the paths before and after, ``(N, 2)``."""
    before, change = left[:, 0], left[:, 1] - left[:, 0]
    power = float(np.vdot(change, change).real)
    return float(np.clip(-np.vdot(change, before).real / power, 0, 1)) if power > 0 else 0.0


@lru_cache(maxsize=WINDOW)
def _parabolas(count: int) -> npt.NDArray[np.float64]:
    """The projection ``(N, N)`` of a path onto parabolas."""
    basis, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, count), 3))
    projection: npt.NDArray[np.float64] = basis @ basis.T
    projection.setflags(write=False)
    return projection
