"""A discrete-event simulation of cameras at one server, with SimPy.

The server has places that each work on one frame at a time, and one queue, first come, first served. A camera has at
most one frame under way. While it is, only the newest frame waits at the camera and takes the place of the one before,
as in ``Session.stream`` with ``drop="oldest"``::

    capture -> newest frame waits -> transfer -> queue of the server -> a place -> result
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import CameraFigures, ServerFigures

if TYPE_CHECKING:
    import simpy


@dataclass(frozen=True, kw_only=True)
class ServerModel:
    """A server.

    Attributes:
        places: frames that it works on at the same time.
        service_ms: samples of the time that a place takes for one frame. Entry ``k`` holds those with ``k + 1`` places
            busy, because places share memory and caches. The last entry also counts for more.
        transfer_ms: time of each frame outside of the places, to the server and back.
        most_cameras: the cameras beyond this number are refused; None refuses none.
    """

    places: int
    service_ms: Sequence[Sequence[float]]
    transfer_ms: float = 0.0
    most_cameras: int | None = None

    def __post_init__(self) -> None:
        if self.places < 1:
            raise ValueError(f"places is {self.places}; expected at least 1")
        if not self.service_ms or not all(len(samples) for samples in self.service_ms):
            raise ValueError("service_ms has no samples; expected at least one for each number of busy places")
        if not all(sample > 0 for samples in self.service_ms for sample in samples):
            raise ValueError("service_ms has a sample that is not above 0; expected milliseconds")


@dataclass(frozen=True, kw_only=True)
class CameraModel:
    """A camera.

    Attributes:
        fps: frames per second.
        phase_ms: delay of all its frames.
        jitter_ms: each frame comes up to this much earlier or later, uniformly.
        poisson: frames come at random, independent of each other, with ``fps`` as their mean rate.
        newest: only the newest frame waits; false lets all wait, and drops none.
    """

    fps: float
    phase_ms: float = 0.0
    jitter_ms: float = 0.0
    poisson: bool = False
    newest: bool = True

    def capture_times_ms(self, seconds: float, rng: np.random.Generator) -> list[float]:
        """Times of all captures, in order; the first one of a paced camera comes one period after its phase."""
        count = max(1, round(self.fps * seconds))
        period_ms = 1e3 / self.fps
        if self.poisson:
            times_ms = np.cumsum(rng.exponential(period_ms, count))
        else:
            times_ms = (1 + np.arange(count)) * period_ms + rng.uniform(-self.jitter_ms, self.jitter_ms, count)
        return [max(0.0, float(time_ms)) for time_ms in np.sort(times_ms + self.phase_ms)]


def simulate(server: ServerModel, cameras: Sequence[CameraModel], *, seconds: float, seed: int = 0) -> ServerFigures:
    """Let every camera capture for ``seconds``, and serve what is left at the end.

    Raises:
        ModuleNotFoundError: SimPy is not installed; a command names the extra ``scale``.
    """
    import simpy

    env = simpy.Environment()
    rng = np.random.default_rng(seed)
    places = _Places(env, server, rng)
    runs = [_CameraRun(env, camera, places, camera.capture_times_ms(seconds, rng)) for camera in cameras]
    admitted = runs[: server.most_cameras]
    for run in admitted:
        env.process(run.capture())
        env.process(run.serve())
    env.run()
    figures = [run.figures() for run in admitted] + [CameraFigures(refused=True)] * (len(runs) - len(admitted))
    return ServerFigures(
        cameras=tuple(figures), seconds=seconds, utilisation=places.busy_ms / (server.places * seconds * 1e3)
    )


class _Places:
    """The queue and the places of the server."""

    def __init__(self, env: simpy.Environment, model: ServerModel, rng: np.random.Generator) -> None:
        import simpy

        self._env = env
        self._transfer_ms = model.transfer_ms
        self._service_ms = model.service_ms
        self._rng = rng
        self._resource = simpy.Resource(env, capacity=model.places)
        self.busy_ms = 0.0

    def serve(self) -> Generator[simpy.Event, Any, None]:
        """Take one frame to the server, wait for a place, and work on it."""
        yield self._env.timeout(self._transfer_ms)
        with self._resource.request() as place:
            yield place
            samples_ms = self._service_ms[min(self._resource.count, len(self._service_ms)) - 1]
            service_ms = samples_ms[int(self._rng.integers(len(samples_ms)))]
            yield self._env.timeout(service_ms)
        self.busy_ms += service_ms


class _CameraRun:
    """One camera: a process that captures and one that serves, and the frames that wait between them."""

    def __init__(self, env: simpy.Environment, model: CameraModel, places: _Places, times_ms: Sequence[float]) -> None:
        self._env = env
        self._newest = model.newest
        self._places = places
        self._times_ms = times_ms
        self._waiting: deque[float] = deque()
        self._news = env.event()
        self._ended = False
        self._captured = self._dropped = 0
        self._latencies_ms: list[float] = []

    def capture(self) -> Generator[simpy.Event, Any, None]:
        """Put each frame where it waits, in place of an older one."""
        for time_ms in self._times_ms:
            yield self._env.timeout(max(0.0, time_ms - self._env.now))
            self._captured += 1
            if self._newest and self._waiting:
                self._waiting.clear()
                self._dropped += 1
            self._waiting.append(self._env.now)
            self._tell()
        self._ended = True
        self._tell()

    def serve(self) -> Generator[simpy.Event, Any, None]:
        """Serve one frame after the other."""
        while self._waiting or not self._ended:
            if not self._waiting:
                self._news = self._env.event()
                yield self._news
                continue
            captured_ms = self._waiting.popleft()
            yield from self._places.serve()
            self._latencies_ms.append(self._env.now - captured_ms)

    def figures(self) -> CameraFigures:
        """What happened to the frames."""
        return CameraFigures(
            captured=self._captured,
            served=len(self._latencies_ms),
            dropped=self._dropped,
            latencies_ms=tuple(self._latencies_ms),
        )

    def _tell(self) -> None:
        if not self._news.triggered:
            self._news.succeed()
