"""The servers that ``python -m mostnet.bench.scale.cameras`` can measure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mostnet.bench.timings import no_collection
from mostnet.contract import Frame, OutputName

from .drive import Opener
from .engine_server import EngineServer
from .service import paced_ms

#: ``engine`` is a pool of threads in this process, ``triton`` a Triton server on this machine.
SERVERS = ("engine", "triton")
_WARM_UPS = 3


@dataclass(frozen=True, kw_only=True)
class ServerUnderTest:
    """An open server.

    Attributes:
        opener: opens the session of a camera.
        size_hw: size of the frames.
        busy_s: reads the time that its places have worked; None if it does not count it.
    """

    opener: Opener
    size_hw: tuple[int, int]
    busy_s: Callable[[], float] | None = None


@contextmanager
def open_server(
    kind: str, path: Path, *, places: int, threads: int, most_cameras: int, outputs: Sequence[OutputName]
) -> Iterator[ServerUnderTest]:
    """Start a server of ``SERVERS`` with ``places`` places of ``threads`` threads, and stop it at the end of the block.

    ``most_cameras`` of them are served at a time, and the next one is refused.

    Raises:
        MostnetError: the engine or the server cannot be opened.
    """
    if kind == "triton":
        with _triton_server(path, places, threads, most_cameras, tuple(outputs)) as found:
            yield found
        return
    with EngineServer(path, places=places, threads=threads, most_cameras=most_cameras, outputs=outputs) as server:
        yield ServerUnderTest(opener=server.open, size_hw=server.size_hw, busy_s=lambda: server.busy_s)


@contextmanager
def _triton_server(
    path: Path, places: int, threads: int, most_cameras: int, outputs: tuple[OutputName, ...]
) -> Iterator[ServerUnderTest]:
    from mostnet.serve.triton.server import LocalServer
    from mostnet.serve.triton.session import TritonSession

    with LocalServer(path, cameras=most_cameras, at_once=places, threads=places * threads) as server:
        opener = partial(TritonSession, server.address, server.name, outputs=outputs)
        with opener() as session:
            size_hw = session.size_hw
        yield ServerUnderTest(opener=opener, size_hw=size_hw)


def transfer_ms(
    opener: Opener, frames: Sequence[Frame], service_ms: Sequence[float], *, count: int, fps: float
) -> float:
    """The time that a lone camera waits beyond the service: the difference of the medians, at least 0.

    Args:
        frames: uint8 ``(H, W, 3)`` BGR.
        service_ms: service times with one place busy.
        count: frames to time, taken at ``fps`` as the service times were.

    Raises:
        MostnetError: the session fails.
    """
    with closing(opener()) as session, no_collection():
        for _ in range(_WARM_UPS):
            session.infer(frames[0])
        samples = paced_ms(session.infer, frames, count=count, fps=fps)
    return max(0.0, statistics.median(samples) - statistics.median(service_ms))
