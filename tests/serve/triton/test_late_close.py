"""A camera that is closed while its frame is late, or while its server is silent."""

import gc
import weakref
from typing import Any

import pytest
from grpc import StatusCode

from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.contract import EngineTimeoutError
from mostnet.engine import usage
from mostnet.serve import TritonSession
from mostnet.serve.triton import lane

from .camera_server import CameraServer, camera_server
from .real_server import wait_until

FRAMES = [frame_of(number) for number in range(4)]


def run_late(session: TritonSession, call: str) -> None:
    frames = session.stream(FRAMES, timeout_ms=20)
    with pytest.raises(EngineTimeoutError):
        session.infer(FRAMES[2], timeout_ms=20) if call == "infer" else next(frames)


@pytest.mark.parametrize("end", ["close", "drop"])
@pytest.mark.parametrize("call", ["infer", "stream"])
def test_place_and_memory_come_free_after_the_late_frame(
    service: CameraServer, call: str, end: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(usage, "CLOSE_WAIT_MS", 20.0)
    session = TritonSession(service.address, shared_memory=True)
    session.infer(FRAMES[1])
    freed = weakref.ref(session._lane)
    with service.gate.hold() as reached:
        run_late(session, call)
        assert reached.wait(20)
        if end == "close":
            session.close()
        del session
        gc.collect()
        assert "the camera's place and memory are freed when it is" in caplog.text
        assert (len(service.sequences), len(service.regions)) == (1, 1)
    wait_until(lambda: not service.sequences and not service.regions and freed() is None, "the end of the camera")


def test_a_close_that_is_made_again_ends_the_camera_once(
    service: CameraServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(usage, "CLOSE_WAIT_MS", 20.0)
    session = TritonSession(service.address)
    session.infer(FRAMES[1])
    with service.gate.hold():
        run_late(session, "infer")
        session.close()
        session._usage._freed = False  # as after an interrupt
        session.close()
    wait_until(lambda: not service.sequences and not service.regions, "the end of the camera")
    assert caplog.text.count("is not finished") == 1
    assert [request[2] for request in service.requests] == [False, False, True]


@pytest.mark.parametrize("answers", [True, False])
def test_a_server_that_does_not_answer_the_end_is_asked_no_more(
    service: CameraServer, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = TritonSession(service.address, shared_memory=True)
    assert history(session.infer(FRAMES[1]).mask) == [1]
    if answers:
        service.refusal = StatusCode.INTERNAL, "no END today"
        session.close()
    else:
        monkeypatch.setattr(lane, "_END_S", 0.1)
        with service.gate.hold():
            session.close()
    assert len(service.regions) == (not answers)


def test_the_server_has_half_a_second_to_let_go_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[float] = []
    unregister = CameraServer.SystemSharedMemoryUnregister

    def watched(server: CameraServer, request: Any, context: Any) -> Any:
        left.append(context.time_remaining())
        return unregister(server, request, context)

    monkeypatch.setattr(CameraServer, "SystemSharedMemoryUnregister", watched)
    with camera_server() as server:
        TritonSession(server.address, shared_memory=True).close()
    assert 0 < left[0] < 1
