"""Smooth the camera's path: remove vibration, keep intended motion.

The kernel is a finite impulse response. It passes a still camera unchanged, and a steady pan with a chosen lag. Of all
such kernels it has the least energy above 0.15 cycles per frame (a quadratic programme with two equations, solved
once). ``docs/steadiness.md`` compares it with exponential, alpha-beta (Kalman) and one-euro filters: at the same lag it
lets a tenth of their vibration through.

The path is kept as poses relative to the newest frame, so memory does not grow with the length of a video.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mostnet.video.steady.room import margin_px, used
from mostnet.video.steady.similarity import Similarity

#: Motion above this frequency counts as vibration, in cycles per frame: 3.75 Hz at 25 frames per second.
STOP_BAND = 0.15
#: Frames that the kernel reads: the shown one and those before it.
TAPS = 16
#: Lag behind a slow pan, in frames. Less lag overshoots more when a pan starts or stops.
LAG = 3.0
#: Regularisation, so that the kernel does not amplify the noise of the flow.
_RIDGE = 1e-2
_FREQUENCIES = 200
#: Share of the crop that the lag behind a pan may use; the rest is for vibration.
_LAG_SHARE = 0.5

Kernel = npt.NDArray[np.float64]


@lru_cache(maxsize=256)
def kernel(taps: int, lookahead: int, lag: float, stop: float = STOP_BAND) -> Kernel:
    """Weights ``(taps,)`` of the frames, newest first; the newest is ``lookahead`` frames after the shown one.

    Minimises ``w' Q w`` subject to ``sum w = 1`` and ``sum w offset = -lag``, with Q the energy of the response above
    ``stop`` cycles per frame.
    """
    offsets = lookahead - np.arange(taps, dtype=np.float64)
    if taps < 3:
        raise ValueError(f"a kernel of {taps} taps cannot keep position and lag; expected at least 3")
    waves = np.exp(2j * np.pi * np.linspace(stop, 0.5, _FREQUENCIES)[:, None] * offsets)
    energy = (waves.conj().T @ waves).real / _FREQUENCIES + _RIDGE * np.eye(taps)
    moments = np.stack([np.ones(taps), -offsets])
    system = np.block([[energy, moments.T], [moments, np.zeros((2, 2))]])
    solved: Kernel = np.linalg.solve(system, np.concatenate([np.zeros(taps), [1.0, lag]]))[:taps]
    solved.setflags(write=False)
    return solved


def default_lag(lookahead: int) -> float:
    """Lag in frames for a ``lookahead``; it shrinks as more of the future is known."""
    return max(0.0, LAG - 0.6 * lookahead)


class PathFilter:
    """Keeps the poses of the last frames, and gives the view that a steady camera would have had.

    Attributes:
        waiting: frames whose view is not committed yet.
    """

    def __init__(self, *, lookahead: int = 0) -> None:
        """``lookahead``: most frames between the shown frame and the newest one."""
        self._keep = TAPS + 2 * lookahead
        self.restart()

    def restart(self) -> None:
        """Forget the path; the next frame starts a new one."""
        self.waiting = 0
        self._rates = np.zeros(0, np.complex128)
        self._shifts = np.zeros(0, np.complex128)

    def push(self, motion: Similarity) -> None:
        """Add a frame; ``motion`` takes its points to the previous frame."""
        self.waiting += 1
        back = motion.inverse()
        self._rates = np.concatenate([[1], back.a * self._rates])[: self._keep]
        self._shifts = np.concatenate([[0], back.a * self._shifts + back.b])[: self._keep]

    def continue_from(self, view: Similarity) -> None:
        """Do nothing: the path depends on the camera's motion alone."""

    def newest(self, size_hw: tuple[int, int], crop: float) -> Similarity:
        """The view of the newest frame without the future."""
        return self.view(0, _LAG_SHARE * margin_px(size_hw, crop))

    def commit(self, size_hw: tuple[int, int], crop: float) -> Similarity:
        """The view of the oldest waiting frame."""
        self.waiting -= 1
        return self.view(self.waiting, _LAG_SHARE * margin_px(size_hw, crop))

    def use(self, size_hw: tuple[int, int], crop: float) -> float:
        """Largest share of the room that the waiting frames would use with a crop."""
        room_px = _LAG_SHARE * margin_px(size_hw, crop)
        return max(used(self.view(behind, room_px), size_hw, crop) for behind in range(self.waiting))

    @property
    def frames(self) -> int:
        """Number of frames remembered."""
        return len(self._rates)

    def view(self, behind: int, room_px: float) -> Similarity:
        """The steady view of the frame ``behind`` frames before the newest one.

        It takes points of the steady picture to points of that frame. If a fast pan would need more than ``room_px`` of
        shift for the usual lag, the lag shrinks.

        Args:
            behind: 0 to the look-ahead, and less than ``frames``.
            room_px: most shift to spend on lag.
        """
        origin = Similarity(complex(self._rates[behind]), complex(self._shifts[behind])).inverse()
        taps = TAPS + behind
        missing = max(taps - self.frames, 0)
        rates, shifts = origin.a * self._rates[:taps], origin.a * self._shifts[:taps] + origin.b
        logs, shifts = (np.pad(part, (0, missing), mode="edge") for part in (_logs(rates, behind), shifts))
        prompt = kernel(taps, behind, 0.0)
        later = kernel(taps, behind, 1.0) - prompt  # the kernel is affine in the lag; this part measures the speed
        speed = float(abs(later @ shifts))
        lag = min(default_lag(behind), room_px / max(speed, 1e-9))
        weights = prompt + lag * later
        return Similarity(complex(np.exp(weights @ logs)), complex(weights @ shifts))


def _logs(rates: npt.NDArray[np.complex128], zero: int) -> npt.NDArray[np.complex128]:
    """Logarithms whose angles do not jump at half a turn; that of index ``zero``, whose rate is 1, is 0."""
    logs = np.log(rates)
    logs.imag = np.unwrap(logs.imag)
    return np.asarray(logs - 1j * logs.imag[zero])
