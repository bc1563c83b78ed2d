"""Latency at the pace of a camera. In the gaps between frames clocks may fall, caches cool and threads sleep.

The latency of a frame counts from its arrival by the camera's schedule, not from the moment the engine takes it. A slow
engine can therefore not hide that frames wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mostnet.contract import Frame
from mostnet.engine import Session

from .machine import GpuClockSampler
from .timings import Timings, no_collection

#: The two ways in which an application hands in a camera's frames.
HOWS = ("stream", "infer")

#: The camera sleeps until this long before a frame is due, because a sleep ends late by some 0.1 ms. Then it polls the
#: clock. Other threads of Python have to wait in this time, so it is short.
_POLL_S = 2e-4

#: Published delays to compare with, and their sources.
PUBLISHED_DELAYS = (
    (
        "105 ms of added delay measurably worsen a surgeon's work",
        "Kumcu et al. 2016, Int J Med Robot 13:e1758, doi:10.1002/rcs.1758",
    ),
    (
        "a surgical pipeline on a workstation GPU takes 37 ms on average, 54 ms at most",
        "we do not know the paper",
    ),
)
ENGINE_ONLY = (
    "The engine's delay is only a part of the delay from lens to screen (glass to glass). Exposure, transfer and "
    "display add to it."
)


@dataclass(frozen=True)
class TimeSource:
    """The clocks of a measurement, in seconds; a test hands in its own.

    Attributes:
        now: a clock that never steps.
        sleep: waits.
        process_cpu: CPU time of this process.
        thread_cpu: CPU time of the calling thread.
    """

    now: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    process_cpu: Callable[[], float] = time.process_time
    thread_cpu: Callable[[], float] = time.thread_time


@dataclass(frozen=True)
class ClockRange:
    """SM clock of the GPU in MHz, sampled about once a second."""

    min_mhz: float
    median_mhz: float
    max_mhz: float
    samples_mhz: tuple[float, ...]

    @classmethod
    def of(cls, samples_mhz: Sequence[float]) -> ClockRange | None:
        """Summarise the samples; None if there are none."""
        if not samples_mhz:
            return None
        return cls(min(samples_mhz), float(np.median(samples_mhz)), max(samples_mhz), tuple(samples_mhz))


def run_name(how: str, fps: float) -> str:
    """Name of a paced run in tables."""
    return f"{how} at {fps:g} FPS"


@dataclass(frozen=True, kw_only=True)
class PacedRun:
    """Latency of frames that arrive at a fixed rate.

    Attributes:
        how: ``stream``, or ``infer`` for one call per frame.
        fps: rate of the camera.
        arrived: frames that arrived in the time of the run.
        latency: from each frame's arrival to its result.
        hand_over: from each frame's arrival until the camera handed it over. It is long if the engine was not ready, or
            if the camera's own thread woke late.
        late: frames without a result one period after their arrival.
        held: frames that the camera held back, because the engine asked for them after their arrival.
        unserved: frames of a slow engine that still waited when the time was up. They are late, and ``latency``
            does not include them.
        cpu_ms: CPU time of the process per frame, without the simulated camera's.
        gpu_clock: of run and warm-up; None without an NVIDIA GPU, or if the run was too short.
    """

    how: str
    fps: float
    arrived: int
    latency: Timings
    hand_over: Timings
    late: int
    held: int
    unserved: int
    cpu_ms: float
    gpu_clock: ClockRange | None

    @property
    def name(self) -> str:
        """How and at which rate."""
        return run_name(self.how, self.fps)

    @property
    def late_share(self) -> float:
        """Late frames as a share of the frames that arrived."""
        return self.late / self.arrived

    def to_json(self) -> dict[str, Any]:
        """The fields, and the share of late frames."""
        return {**asdict(self), "late_share": self.late_share}


class PacedCamera:
    """A simulated camera. It gives each frame when it is due, with the time of its arrival.

    Iterate over it once. Frame ``i`` arrives ``(i + 1) / fps`` seconds after the first one is asked for, whether anyone
    takes it or not. One period after the last arrival, the camera ends.
    """

    def __init__(self, frames: Sequence[Frame], *, fps: float, count: int, times: TimeSource) -> None:
        self._frames = frames
        self._fps = fps
        self._count = count
        self._times = times
        self.hand_over_ms: list[float] = []
        self.held = 0
        self.cpu_s = 0.0

    def __iter__(self) -> Iterator[tuple[Frame, float]]:
        begun_s = self._times.now()
        end_s = begun_s + (self._count + 1) / self._fps
        for i in range(self._count):
            due_s = begun_s + (i + 1) / self._fps
            asked_s = self._times.now()
            if asked_s >= end_s:
                return
            self.held += asked_s > due_s
            self._wait(due_s)
            self.hand_over_ms.append((self._times.now() - due_s) * 1e3)
            yield self._frames[i % len(self._frames)], due_s

    def _wait(self, due_s: float) -> None:
        begun_s = self._times.thread_cpu()
        left_s = due_s - self._times.now()
        if left_s > _POLL_S:
            self._times.sleep(left_s - _POLL_S)
        while self._times.now() < due_s:
            pass
        self.cpu_s += self._times.thread_cpu() - begun_s


def measure_paced(
    session: Session,
    frames: Sequence[Frame],
    *,
    fps: float,
    seconds: float,
    how: str = "stream",
    warmup: int = 0,
    tick: Callable[[int], None] | None = None,
    times: TimeSource | None = None,
) -> PacedRun:
    """Run ``frames`` in a loop through ``session``, at ``fps`` for ``seconds``.

    An engine that is too slow does not prolong the run by more than the frames in flight.

    Args:
        session: any open session; its state is not reset.
        frames: uint8 ``(H, W, 3)`` BGR of the session's size.
        how: ``stream``, or ``infer`` for one call per frame.
        warmup: untimed frames at the same pace before the run.
        tick: called after each result, outside the timings, with the number of results so far.
        times: other clocks, for tests.

    Raises:
        MostnetError: as ``Session.stream`` and ``Session.infer``.
        ValueError: ``how`` is unknown.
    """
    if how not in HOWS:
        raise ValueError(f"unknown way {how!r} to hand in frames; expected one of {list(HOWS)}")
    serve = _stream if how == "stream" else _infer
    times = times or TimeSource()
    count = max(1, round(fps * seconds))
    camera = PacedCamera(frames, fps=fps, count=count, times=times)
    samples_ms: list[float] = []
    with GpuClockSampler(wanted=session.provider == "cuda") as clocks, no_collection():
        for _ in serve(session, PacedCamera(frames, fps=fps, count=warmup, times=times)):
            pass
        begun_s = times.process_cpu()
        with closing(serve(session, camera)) as arrivals:
            for arrived_s in arrivals:
                samples_ms.append((times.now() - arrived_s) * 1e3)
                if tick is not None:
                    tick(len(samples_ms))
        cpu_s = times.process_cpu() - begun_s - camera.cpu_s
    unserved = count - len(samples_ms)
    return PacedRun(
        how=how,
        fps=fps,
        arrived=count,
        latency=Timings.of(samples_ms),
        hand_over=Timings.of(camera.hand_over_ms),
        late=sum(latency_ms > 1e3 / fps for latency_ms in samples_ms) + unserved,
        held=camera.held + unserved,
        unserved=unserved,
        cpu_ms=cpu_s * 1e3 / len(samples_ms),
        gpu_clock=ClockRange.of(clocks.samples_mhz),
    )


def _stream(session: Session, camera: PacedCamera) -> Generator[float, None, None]:
    """Arrival of each frame, at the moment its result is there. Freeing the result does not count as latency."""
    for output in session.stream(camera):
        arrived_s = output.timestamp
        assert isinstance(arrived_s, float)
        yield arrived_s
        del output


def _infer(session: Session, camera: PacedCamera) -> Generator[float, None, None]:
    """As ``_stream``, with one call per frame."""
    for frame, arrived_s in camera:
        output = session.infer(frame)
        yield arrived_s
        del output
