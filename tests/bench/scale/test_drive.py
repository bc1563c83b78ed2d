"""Cameras at a made-up server, and at the server within this process; no test here depends on speed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import SIZE_HW, reference
from mostnet.bench.scale import drive as driving
from mostnet.bench.scale.drive import Pace, drive
from mostnet.bench.scale.engine_server import EngineServer
from mostnet.bench.scale.figures import CameraFigures
from mostnet.contract import Frame, ServerBusyError, ServerError

from ...toy_graph import save_toy

FRAMES = tuple(np.full((*SIZE_HW, 3), value, np.uint8) for value in (1, 2, 3))


class FakeSession:
    """Serves every second frame."""

    def __init__(self) -> None:
        self.stats = SimpleNamespace(dropped=0)
        self.closed = False

    def infer(self, frame: Frame) -> None:
        assert frame.shape == FRAMES[0].shape

    def stream(self, source: Iterator[tuple[Frame, float]], *, drop: Literal["oldest"] | None = None) -> Iterator[Any]:
        assert drop == "oldest"
        for number, (_, timestamp) in enumerate(source):
            if number % 2:
                self.stats.dropped += 1
            else:
                yield SimpleNamespace(timestamp=timestamp)

    def close(self) -> None:
        self.closed = True


def busy() -> FakeSession:
    raise ServerBusyError("full")


def test_each_camera_has_the_figures_of_its_session() -> None:
    opened: list[FakeSession] = []

    def opener() -> FakeSession:
        opened.append(FakeSession())
        return opened[-1]

    found = drive(opener, FRAMES, Pace(fps=500, seconds=0.02), [0.0, 4.0, 1.0])

    for each in found:
        assert 0 < each.captured <= 10  # fewer if the machine is too busy for the camera
        assert (each.served, each.dropped) == ((each.captured + 1) // 2, each.captured // 2)
    assert all(latency > 0 for each in found for latency in each.latencies_ms)
    assert [session.closed for session in opened] == [True] * 3


def test_a_camera_that_the_server_has_no_place_for_is_refused() -> None:
    openers = iter([FakeSession, busy, FakeSession])

    found = drive(lambda: next(openers)(), FRAMES, Pace(fps=500, seconds=0.01), [0.0] * 3)

    assert [each.refused for each in found] == [False, True, False]
    assert [each.captured > 0 for each in found] == [True, False, True]


def test_a_session_that_fails_ends_the_measurement() -> None:
    class Failing(FakeSession):
        def infer(self, frame: Frame) -> None:
            raise ServerError("gone")

    with pytest.raises(ServerError, match="gone"):
        drive(Failing, FRAMES, Pace(fps=500, seconds=0.01), [0.0])


def test_several_processes_share_the_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "_OPENING_S", 0.2)

    found = drive(FakeSession, FRAMES, Pace(fps=200, seconds=0.05), [0.0] * 3, processes=2)

    assert [each.served > 0 for each in found] == [True] * 3


def test_the_figures_of_all_processes_are_in_the_order_of_the_cameras() -> None:
    cameras = [CameraFigures(captured=k) for k in range(7)]

    assert driving.interleaved([cameras[k::3] for k in range(3)]) == tuple(cameras)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "toy.onnx")


def test_cameras_of_the_server_here_keep_their_own_states(toy: Path) -> None:
    with EngineServer(toy, places=2, threads=1, most_cameras=2, outputs=("flow",)) as server:
        sessions = [server.open() for _ in range(2)]
        for number, frame in enumerate(FRAMES):
            for session in sessions:
                flow = session.infer(frame).flow
                assert np.array_equal(flow, reference(FRAMES[: number + 1])[-1]["flow"])
        for session in sessions:
            session.close()


def test_the_server_here_has_no_more_places_than_it_says(toy: Path) -> None:
    with EngineServer(toy, places=1, threads=1, most_cameras=1, outputs=("enhanced",)) as server:
        first = server.open()
        with pytest.raises(ServerBusyError, match="no place"):
            server.open()
        first.close()
        server.open().close()


def test_the_server_here_runs_as_many_frames_as_it_has_places(toy: Path) -> None:
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(2)

    class Slow:
        def infer(self, frame: Frame, timestamp: object) -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            together.wait(timeout=30)  # passes only if two run at once
            with lock:
                running -= 1

    with EngineServer(toy, places=2, threads=1, most_cameras=9, outputs=("enhanced",)) as server:
        session: Any = Slow()
        threads = [threading.Thread(target=server.infer, args=(session, FRAMES[0], None)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.busy_s > 0

    assert most == 2


def test_every_frame_of_a_real_camera_is_served_or_dropped(toy: Path) -> None:
    with EngineServer(toy, places=1, threads=1, most_cameras=3, outputs=("enhanced",)) as server:
        found = drive(server.open, FRAMES, Pace(fps=1000, seconds=0.05), [0.0, 0.5, 0.2])

    for camera in found:
        assert 0 < camera.captured <= 50  # fewer if the machine was too busy for the camera
        assert camera.served + camera.dropped == camera.captured
        assert camera.served == len(camera.latencies_ms) > 0


def test_only_the_newest_frame_is_streamed(toy: Path) -> None:
    with (
        EngineServer(toy, places=1, threads=1, most_cameras=1, outputs=("enhanced",)) as server,
        pytest.raises(ValueError, match="oldest"),
    ):
        next(server.open().stream(iter([(FRAMES[0], 0.0)])))
