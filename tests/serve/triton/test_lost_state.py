"""A state that is lost is told of, and never replaced by zeros in silence; ``reset`` goes on."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode

from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.contract import ServerError, ServerUnavailableError, StateLostError
from mostnet.engine import Output
from mostnet.serve import TritonSession
from mostnet.serve.triton import lane
from mostnet.serve.triton.connection import RequestRefusedError
from mostnet.serve.triton.sequence import CameraSequence
from tests.engine.backends import collect

from .camera_server import CameraServer, camera_server

FRAMES = [frame_of(number) for number in range(12)]


@pytest.fixture(params=[True, False], ids=["shared", "messages"])
def session(request: pytest.FixtureRequest, service: CameraServer) -> Iterator[TritonSession]:
    with TritonSession(service.address, shared_memory=request.param) as opened:
        yield opened


def assert_lost(session: TritonSession, text: str) -> None:
    """Every frame is refused, also in streams, until ``reset``."""
    for call in (lambda: session.infer(FRAMES[5]), lambda: next(session.stream(FRAMES))):
        with pytest.raises(StateLostError, match=text) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert "call reset()" in str(caught.value)


def assert_goes_on(session: TritonSession) -> None:
    session.reset()
    assert history(await_answer(session, FRAMES[6]).mask) == [6]
    assert [history(output.mask) for output in session.stream(FRAMES[7:9])] == [[6, 7], [6, 7, 8]]


def await_answer(session: TritonSession, frame: np.ndarray) -> Output:
    """The result of ``frame`` once the server is there: a connection that failed waits before it tries again."""
    deadline_s = time.perf_counter() + 20
    while True:
        try:
            return session.infer(frame)
        except ServerUnavailableError:
            assert time.perf_counter() < deadline_s


def test_a_server_that_forgot_the_camera(session: TritonSession, service: CameraServer) -> None:
    session.infer(FRAMES[1])
    service.sequences.clear()
    assert_lost(session, "must specify the START flag")
    assert_goes_on(session)


def test_a_server_that_forgot_the_shared_memory(service: CameraServer) -> None:
    with TritonSession(service.address, shared_memory=True) as session:
        kept = session.infer(FRAMES[1]).mask
        service.forget()
        assert_lost(session, "Unable to find shared memory region")
        assert_goes_on(session)
        assert session.shared_memory
        assert len(service.regions) == 1
        assert history(kept) == [1]


def test_a_server_that_was_restarted(session: TritonSession, service: CameraServer) -> None:
    session.infer(FRAMES[1])
    service.stop()
    with camera_server(port=service.port):
        assert_lost(session, "is lost")
        assert_goes_on(session)


def test_a_server_that_is_gone(session: TritonSession, service: CameraServer) -> None:
    session.infer(FRAMES[1])
    service.stop()
    assert_lost(session, "does not answer")
    session.reset()
    for _ in range(2):
        with pytest.raises(ServerUnavailableError, match="does not answer"):
            session.infer(FRAMES[2])


def test_a_server_that_comes_back_serves_the_frame_after_the_reset(service: CameraServer) -> None:
    with TritonSession(service.address) as session:
        session.infer(FRAMES[1])
        service.stop()
        session.reset()
        with pytest.raises(ServerUnavailableError):
            session.infer(FRAMES[2])
        with camera_server(port=service.port):
            assert history(await_answer(session, FRAMES[3]).mask) == [3]
            assert history(session.infer(FRAMES[4]).mask) == [3, 4]


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("call", ["infer", "stream", "warm_up"])
def test_a_restart_costs_no_frame_that_starts_a_sequence(service: CameraServer, call: str, begun: bool) -> None:
    with TritonSession(service.address, shared_memory=True) as session:
        if begun:
            session.infer(FRAMES[1])
            session.reset()
        service.forget()
        if call == "warm_up":
            session.warm_up()
        first = next(session.stream(FRAMES[2:3])) if call == "stream" else session.infer(FRAMES[2])
        assert history(first.mask) == [2]
        assert session.shared_memory
        assert len(service.regions) == 1


@pytest.mark.parametrize("call", ["infer", "warm_up"])
def test_a_server_that_keeps_forgetting_is_told_as_one_that_failed(service: CameraServer, call: str) -> None:
    class Forgetful(dict[str, Any]):
        def __setitem__(self, name: str, memory: Any) -> None:
            """Keep nothing."""

    with TritonSession(service.address, shared_memory=True) as session:
        service.regions = Forgetful()
        with pytest.raises(ServerError, match="Unable to find shared memory region") as caught:
            session.warm_up() if call == "warm_up" else session.infer(FRAMES[1])
        assert type(caught.value) is ServerError
        service.regions = {}
        assert history(session.infer(FRAMES[2]).mask) == [2]


def test_a_warm_up_after_which_the_server_may_still_write_leaves_the_memory(
    service: CameraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TritonSession(service.address, shared_memory=True) as session:
        session.infer(FRAMES[1])
        (before,) = service.regions
        monkeypatch.setattr(lane, "_ANSWER_S", 0.1)
        with service.gate.hold(), pytest.raises(ServerUnavailableError):
            session.warm_up()
        monkeypatch.undo()
        assert history(session.infer(FRAMES[2]).mask) == [1, 2]
        assert before not in service.regions


def test_a_first_frame_that_the_server_cancels_is_sent_again(session: TritonSession, service: CameraServer) -> None:
    """Triton answers so while it ends a sequence whose last client gave up."""
    service.refusal = StatusCode.CANCELLED, ""
    assert history(session.infer(FRAMES[1]).mask) == [1]
    session.reset()
    service.refusal = StatusCode.CANCELLED, ""
    assert history(session.infer(FRAMES[2]).mask) == [2]
    service.refusal = StatusCode.CANCELLED, ""
    assert_lost(session, r"the server cancelled the request \(no reason given\)")
    assert_goes_on(session)


def test_a_first_frame_that_meets_no_server_tries_again(session: TritonSession, service: CameraServer) -> None:
    service.refusal = StatusCode.UNAVAILABLE, "failed to connect"
    with pytest.raises(ServerUnavailableError, match=r"\(unavailable: failed to connect\); check that it runs"):
        session.infer(FRAMES[1])
    assert history(session.infer(FRAMES[2]).mask) == [2]


def test_a_failure_in_the_server_leaves_the_state_unknown(session: TritonSession, service: CameraServer) -> None:
    session.infer(FRAMES[1])
    service.failure = StatusCode.INTERNAL, "out of\nmemory"
    with pytest.raises(ServerError, match=r"refused or failed \(internal: out of memory\)$") as caught:
        session.infer(FRAMES[2])
    assert type(caught.value) is ServerError
    assert_lost(session, "out of memory")
    assert_goes_on(session)


def test_a_request_that_was_refused_leaves_the_state(session: TritonSession, service: CameraServer) -> None:
    session.infer(FRAMES[1])
    service.refusal = StatusCode.INVALID_ARGUMENT, "unexpected shape"
    with pytest.raises(ServerError, match="unexpected shape"):
        session.infer(FRAMES[2])
    assert history(session.infer(FRAMES[3]).mask) == [1, 3]


@pytest.mark.parametrize(
    "text",
    ["Exceeds maximum queue size", "Request timeout expired", "timeout of the corresponding sequence has been expired"],
)
def test_a_queue_of_triton_that_refuses_leaves_the_state(
    session: TritonSession, service: CameraServer, text: str
) -> None:
    session.infer(FRAMES[1])
    service.refusal = StatusCode.UNAVAILABLE, text
    with pytest.raises(ServerError, match="has no place for this frame") as caught:
        session.infer(FRAMES[2])
    assert type(caught.value).__name__ == "ServerBusyError"
    assert history(session.infer(FRAMES[3]).mask) == [1, 3]


def test_an_answer_that_never_comes(
    session: TritonSession, service: CameraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.infer(FRAMES[1])
    monkeypatch.setattr(lane, "_ANSWER_S", 0.1)
    with service.gate.hold(), pytest.raises(StateLostError, match="does not answer"):
        session.infer(FRAMES[2])
    monkeypatch.undo()
    assert_lost(session, "does not answer")
    assert_goes_on(session)
    assert len(service.regions) == session.shared_memory, "earlier memory was given back"


def test_a_result_that_cannot_be_read_is_not_run_again(session: TritonSession, service: CameraServer) -> None:
    session.infer(FRAMES[1])
    service.shapes["mask"] = [1]
    with pytest.raises(ServerError, match="sent mask as"):
        session.infer(FRAMES[2])
    service.shapes.clear()
    assert_lost(session, "a frame that the server had run was taken back")
    assert_goes_on(session)


def test_a_stream_gives_its_results_up_to_the_loss(session: TritonSession, service: CameraServer) -> None:
    service.gate.failures["execute"] = (3, OSError("no place"))
    outputs, error = collect(session.stream(FRAMES))
    assert ([history(output.mask)[-1] for output in outputs], type(error).__name__) == ([0, 1, 2], "ServerBusyError")
    assert history(session.infer(FRAMES[9]).mask) == [0, 1, 2, 9]
    service.sequences.clear()
    outputs, error = collect(session.stream(FRAMES))
    assert (outputs, type(error)) == ([], StateLostError)


class TestCameraSequence:
    def test_frames_in_order_go_on(self) -> None:
        sequence = CameraSequence(3)
        starts = []
        for slot in (0, 1, 2, 0, 1):
            starts.append(sequence.starts(slot, reset=False))
            sequence.ran(slot)
        assert starts == [True, False, False, False, False]

    def test_a_frame_that_ran_cannot_be_taken_back(self) -> None:
        sequence = CameraSequence(3)
        for slot in (0, 1):
            sequence.starts(slot, reset=False)
            sequence.ran(slot)
        for slot in (1, 2):
            with pytest.raises(StateLostError, match="taken back"):
                sequence.starts(slot, reset=False)
        assert sequence.starts(2, reset=True)
        sequence.ran(2)
        assert not sequence.starts(0, reset=False)

    def test_a_lost_state_outlives_a_start_that_is_refused(self) -> None:
        sequence = CameraSequence(2)
        sequence.ran(0)
        with pytest.raises(StateLostError):
            sequence.check_failure(ServerUnavailableError("gone"), start=False)
        assert sequence.starts(1, reset=True)
        sequence.check_failure(RequestRefusedError("no"), start=True)
        with pytest.raises(StateLostError, match="gone"):
            sequence.starts(1, reset=False)
