"""A server within this process: a pool of threads, the places, that run the sessions of one engine.

It has the queue and the places of the simulation and nothing else, so it shows how well the simulation predicts a
machine whose places share cores, caches and memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Literal

from mostnet.contract import Frame, OutputName, ServerBusyError
from mostnet.engine import Engine, Output, Session
from mostnet.engine.streams.newest import NewestFrame


@dataclass
class Drops:
    """Frames that a newer one replaced."""

    dropped: int = 0

    def add(self) -> None:
        """Count one."""
        self.dropped += 1


class EngineServer:
    """An engine with ``threads`` threads per frame, and ``places`` threads that run the frames in order.

    Attributes:
        size_hw: size of the frames.
    """

    def __init__(
        self, path: Path, *, places: int, threads: int, most_cameras: int, outputs: Sequence[OutputName]
    ) -> None:
        """Open the engine.

        Raises:
            MostnetError: as ``Engine``.
        """
        self._spent_s: list[float] = []
        self._free = threading.Semaphore(most_cameras)
        self._engine = Engine(path, threads=threads, provider="cpu", outputs=outputs)
        self.size_hw = self._engine.size_hw
        self._pool = ThreadPoolExecutor(places, thread_name_prefix="place")

    @property
    def busy_s(self) -> float:
        """Time that the places have worked, summed over all of them."""
        return sum(self._spent_s)

    def open(self) -> PlacedSession:
        """A session for one more camera.

        Raises:
            ServerBusyError: ``most_cameras`` sessions are open.
        """
        if not self._free.acquire(blocking=False):
            raise ServerBusyError("the server has no place for one more camera; close one first")
        return PlacedSession(self, self._engine.session())

    def leave(self, session: Session) -> None:
        """End a session, so that another camera has its place."""
        session.close()
        self._free.release()

    def infer(self, session: Session, frame: Frame, timestamp: object) -> Output:
        """Queue one frame, and wait for its result."""
        return self._pool.submit(self._work, session, frame, timestamp).result()

    def close(self) -> None:
        """End the places and close the engine."""
        self._pool.shutdown()
        self._engine.close()

    def __enter__(self) -> EngineServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self, session: Session, frame: Frame, timestamp: object) -> Output:
        begun_s = perf_counter()
        output = session.infer(frame, timestamp)
        self._spent_s.append(perf_counter() - begun_s)
        return output


@dataclass(frozen=True)
class PlacedSession:
    """The session of one camera at an ``EngineServer``."""

    server: EngineServer
    session: Session
    stats: Drops = field(default_factory=Drops)

    def infer(self, frame: Frame) -> Output:
        """Run one frame, uint8 ``(H, W, 3)`` BGR."""
        return self.server.infer(self.session, frame, None)

    def stream(
        self, source: Iterator[tuple[Frame, float]], *, drop: Literal["oldest"] | None = None
    ) -> Iterator[Output]:
        """Run the newest frame of ``source`` whenever the one before is done.

        Raises:
            ValueError: ``drop`` is not ``oldest``, the only way of this server.
        """
        if drop != "oldest":
            raise ValueError(f"drop is {drop!r}; expected 'oldest'")
        feed = NewestFrame(source, self.session.size_hw, self.stats.add, owned=False)
        try:
            while (arrival := feed.take()) is not None:
                frame, timestamp = arrival.item
                yield self.server.infer(self.session, frame, timestamp)  # type: ignore[arg-type]  # checked by the feed
        finally:
            feed.halt()
            feed.join(timeout_s=2.0)

    def close(self) -> None:
        """Leave the server."""
        self.server.leave(self.session)
