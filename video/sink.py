"""Stabilise, draw, label, write and show the results of a run."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol, cast

import numpy as np

from mostnet.contract import ENHANCED, FLOW, FRAME, OUTPUTS, Frame
from mostnet.engine import Output
from mostnet.video.files.writing import PictureWriter
from mostnet.video.steady.stabiliser import Stabiliser
from mostnet.video.steady.state import Correction, SteadyState
from mostnet.video.steady.tracking import Tracking

from .fit import FrameFit
from .flow_colour import FlowScale
from .guards import SceneEvent
from .layouts import Layout
from .resize import resize_picture
from .status import RateMeter, draw_status, draw_warning, status_line
from .writer import VideoWriter


@dataclass(frozen=True, eq=False)
class Original:
    """A frame of the video; the engine carries it as the frame's timestamp.

    Attributes:
        time_s: when it is shown, in seconds since the first frame.
        frame: uint8 ``(H, W, 3)`` BGR.
        event: how the frame differs from the one before.
    """

    time_s: Fraction
    frame: Frame
    event: SceneEvent


@dataclass(frozen=True, eq=False)
class _Shown:
    """The part of a frame and its result that the layout draws, small enough to wait for later frames.

    Attributes:
        time_s: when it is shown, in seconds since the first frame.
        frame: uint8 ``(H, W, 3)`` BGR; None if the layout does not show it.
        output: the outputs that the layout draws, at the engine's size, and without the object in ``timestamp``.
    """

    time_s: Fraction
    frame: Frame | None
    output: Output


class Viewer(Protocol):
    """A place to show pictures, for instance a ``Window``."""

    closed: bool

    def show(self, picture: Frame) -> None:
        """Show uint8 ``(H, W, 3)`` BGR."""

    def close(self) -> None:
        """Stop showing pictures."""


@dataclass
class Counts:
    """Numbers of pictures.

    Attributes:
        frames: shown or written.
        heals: of frames that the graph healed.
        raw: shown unprocessed and labelled.
        lost: shown while tracking was lost.
        faded: shown with a faded correction, because it would have added shake.
        toothless: shown while the stabiliser saw no teeth.
    """

    frames: int = 0
    heals: int = 0
    raw: int = 0
    lost: int = 0
    faded: int = 0
    toothless: int = 0


class Sink:
    """Takes results in order and sends their pictures to a file or files, a window or both."""

    def __init__(
        self,
        layout: Layout,
        scale: FlowScale,
        fit: FrameFit,
        *,
        writer: VideoWriter | PictureWriter | None,
        window: Viewer | None,
        stabiliser: Stabiliser | None,
        status: bool,
        live: bool = False,
    ) -> None:
        self._layout = layout
        self._scale = scale
        self._fit = fit
        self._frame_hw = fit.frame_hw
        self._writer = writer
        self._window = window
        self._stabiliser = stabiliser
        self._status = status
        self._rate = RateMeter() if live else None  # a file is not drawn at the pace at which it is seen
        self._waiting: deque[_Shown] = deque()
        self.counts = Counts()

    @property
    def frames(self) -> int:
        """Pictures shown or written."""
        return self.counts.frames

    @property
    def taken(self) -> int:
        """Pictures shown or written, and those that wait for later frames."""
        return self.counts.frames + len(self._waiting)

    @property
    def is_done(self) -> bool:
        """Whether the only picture that is wanted is written."""
        return isinstance(self._writer, PictureWriter) and self._writer.is_done

    @property
    def closed_by_user(self) -> bool:
        """Whether the user closed the window."""
        return self._window is not None and self._window.closed

    def show(self, output: Output) -> None:
        """Show the result of the next frame; with a look-ahead, the picture comes some frames later."""
        self.counts.heals += not output.finite
        shown = self._shown(output)
        if self._stabiliser is None:
            self._draw(shown, self._fit.back(shown.output), None)
            return
        self._waiting.append(shown)
        self._steady(self._update(self._stabiliser, output))

    def follow(self, output: Output) -> None:
        """Give the stabiliser the motion of a frame whose result came too late to be shown."""
        if self._stabiliser is not None:
            self.flush()
            self._update(self._stabiliser, output)
            self._stabiliser.flush()

    def show_raw(self, time_s: Fraction, frame: Frame, reason: str) -> None:
        """Show an unprocessed frame, uint8 ``(H, W, 3)``, with the reason on it; the look-ahead does not delay it."""
        self.flush()
        tiles = np.tile(resize_picture(frame, self._frame_hw), (*self._layout.tiles, 1))
        picture = resize_picture(tiles, self._layout.size_hw(self._frame_hw))
        self.counts.raw += 1
        self._put(draw_warning(picture, reason), time_s)

    def restart(self) -> None:
        """Begin a new clip, whose motion is independent of the frames before."""
        self.flush()
        if self._stabiliser is not None:
            self._stabiliser.reset()

    def flush(self) -> None:
        """Show the pictures that wait for later frames, unless a closed window is their only place, or all is done."""
        if self._stabiliser is not None and not self.is_done:
            for correction in self._stabiliser.flush():
                self._steady(correction)

    def close(self) -> None:
        """Finish the file and close the window; call ``flush`` before."""
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            if self._window is not None:
                self._window.close()

    def _shown(self, output: Output) -> _Shown:
        original = cast(Original, output.timestamp)
        needed = set(self._layout.needs) & set(output.names)
        # Copies of borrowed arrays, which are read-only: the engine overwrites them.
        kept = {
            name: np.require(getattr(output, name), requirements="W") if name in needed else None for name in OUTPUTS
        }
        output = output.replace(**kept, timestamp=None)
        frame = resize_picture(original.frame, self._frame_hw) if self._layout.shows_input else None
        return _Shown(original.time_s, frame, output)

    def _update(self, stabiliser: Stabiliser, output: Output) -> Correction | None:
        """Add the motion of the next frame, and return the correction that is due."""
        original = cast(Original, output.timestamp)
        frame = resize_picture(original.frame, self._frame_hw)
        return stabiliser.update(self._fit.back(output.replace(enhanced=None)), frame, event=original.event)

    def _steady(self, correction: Correction | None) -> None:
        if correction is None:
            return
        assert self._stabiliser is not None
        shown = self._waiting.popleft()
        assert shown.output.frame_id == correction.state.frame_id, "corrections come in the order of the frames"
        if self._writer is None and self.closed_by_user:
            return
        self.counts.lost += correction.state.tracking is Tracking.LOST
        self.counts.faded += correction.state.worse
        self.counts.toothless += not correction.state.teeth
        output = self._fit.back(shown.output)
        if self._layout.moved_picture == ENHANCED:
            output = output.replace(enhanced=self._stabiliser.apply(output.enhanced, correction))
        elif self._layout.moved_picture == FRAME:
            assert shown.frame is not None
            shown = replace(shown, frame=self._stabiliser.apply(shown.frame, correction))
        self._draw(shown, output, correction.state)

    def _draw(self, shown: _Shown, output: Output, state: SteadyState | None) -> None:
        if FLOW in output.names:
            self._scale.follow(output.flow)
        steadied = self._stabiliser is not None
        picture = self._layout.draw(shown.frame, output, flow_max_px=self._scale.max_px, steadied=steadied)
        if self._status:
            fps = 0.0 if self._rate is None else self._rate.tick()
            picture = draw_status(picture, *status_line(state, fps))
        self._put(picture, shown.time_s)

    def _put(self, picture: Frame, time_s: Fraction) -> None:
        if self._writer is not None:
            self._writer.write(picture, time_s=time_s)
        if self._window is not None:
            self._window.show(picture)
        self.counts.frames += 1
