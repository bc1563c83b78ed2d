"""Cameras that send frames to a real server at their own rate, each from a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, zip_longest
from multiprocessing import get_context
from typing import Any, Literal, Protocol, TypeAlias

from mostnet.bench.paced import PacedCamera, TimeSource
from mostnet.contract import Frame, ServerBusyError

from .figures import CameraFigures

#: Frames that each camera sends before anything is timed.
_WARM_UPS = 3
#: Time for all processes to open their cameras.
_OPENING_S = 5.0


class CameraStats(Protocol):
    """The count that a camera reads at its end."""

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced."""


class DrivenSession(Protocol):
    """The part of a session that a camera needs; ``Engine``, its sessions and ``TritonSession`` have it."""

    @property
    def stats(self) -> CameraStats:
        """Counts since the session was opened."""

    def infer(self, frame: Frame) -> Any:
        """Run one frame."""

    def stream(self, source: Iterator[tuple[Frame, float]], *, drop: Literal["oldest"] | None = None) -> Iterator[Any]:
        """Run frames as they come; each result has the ``timestamp`` of its frame."""

    def close(self) -> None:
        """End the session."""


#: Opens the session of one more camera. ``drive`` sends it to other processes, if there are any.
Opener: TypeAlias = Callable[[], DrivenSession]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Rate of the cameras in frames per second, and the time for which they capture."""

    fps: float
    seconds: float

    @property
    def count(self) -> int:
        """Frames of each camera."""
        return max(1, round(self.fps * self.seconds))


def drive(
    opener: Opener, frames: Sequence[Frame], pace: Pace, phases_ms: Sequence[float], *, processes: int = 1
) -> tuple[CameraFigures, ...]:
    """Run one camera for each entry of ``phases_ms``, and return their figures in that order.

    Args:
        opener: opens a session; a ServerBusyError from it, or from the first frame, refuses the camera.
        frames: uint8 ``(H, W, 3)`` BGR, shown in a loop.
        processes: processes that share the cameras, so that one interpreter is not the limit.

    Raises:
        MostnetError: a session fails.
    """
    if processes < 2:
        return _drive_here(opener, frames, pace, phases_ms, None)
    begin_s = time.perf_counter() + _OPENING_S  # the clock of the machine: it is the same in all processes
    parts = [phases_ms[k::processes] for k in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_drive_here, opener, frames, pace, part, begin_s) for part in parts if part]
        found = [job.result() for job in jobs]
    return interleaved(found)


def interleaved(parts: Sequence[Sequence[CameraFigures]]) -> tuple[CameraFigures, ...]:
    """The first of each part, then the second of each, and so on."""
    rows = zip_longest(*parts)
    return tuple(figures for row in rows for figures in row if figures is not None)


def _drive_here(
    opener: Opener, frames: Sequence[Frame], pace: Pace, phases_ms: Sequence[float], begin_s: float | None
) -> tuple[CameraFigures, ...]:
    with ExitStack() as stack:
        sessions = [_opened(opener, frames[0], stack) for _ in phases_ms]
        begin_s = time.perf_counter() if begin_s is None else begin_s
        starts_s = [begin_s + phase_ms / 1e3 for phase_ms in phases_ms]
        with ThreadPoolExecutor(len(sessions), thread_name_prefix="camera") as pool:
            jobs = [pool.submit(_run, *each, frames, pace) for each in zip(sessions, starts_s, strict=True)]
            return tuple(job.result() for job in jobs)


def _opened(opener: Opener, frame: Frame, stack: ExitStack) -> DrivenSession | None:
    """A session that has warmed up; None if the server is full."""
    try:
        session = stack.enter_context(closing(opener()))
        for _ in range(_WARM_UPS):
            session.infer(frame)
    except ServerBusyError:
        return None
    return session


def _run(session: DrivenSession | None, start_s: float, frames: Sequence[Frame], pace: Pace) -> CameraFigures:
    if session is None:
        return CameraFigures(refused=True)
    camera = PacedCamera(frames, fps=pace.fps, count=pace.count, times=TimeSource())
    latencies_ms = []
    for output in session.stream(_after(start_s, camera), drop="oldest"):
        latencies_ms.append((time.perf_counter() - output.timestamp) * 1e3)
        del output
    return CameraFigures(
        captured=len(camera.hand_over_ms),
        served=len(latencies_ms),
        dropped=session.stats.dropped,
        latencies_ms=tuple(latencies_ms),
    )


def _after(start_s: float, camera: PacedCamera) -> Iterator[tuple[Frame, float]]:
    time.sleep(max(0.0, start_s - time.perf_counter()))
    yield from chain(camera)
