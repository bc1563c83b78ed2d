"""A camera on a server: results, and what is asked of the server."""

import copy
import pickle
from typing import Any, ClassVar

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import METADATA, frame_of, history
from mostnet.contract import (
    EngineClosedError,
    EngineCopyError,
    EngineTimeoutError,
    FrameError,
    ServerBusyError,
    ServerError,
)
from mostnet.serve import TritonSession
from tests.toy_graph import assert_reference

from .camera_server import CameraServer

FRAMES = [frame_of(number) for number in range(12)]
FULL = ["enhanced", "flow", "mask", "finite"]


@pytest.mark.parametrize("results", ["owned", "borrowed"])
@pytest.mark.parametrize("shared_memory", [True, False])
def test_results_are_those_of_the_network(service: CameraServer, shared_memory: bool, results: Any) -> None:
    with TritonSession(service.address, shared_memory=shared_memory, results=results) as session:
        assert session.shared_memory is shared_memory
        for number, frame in enumerate(FRAMES):
            output = session.infer(frame, timestamp=number)
            assert_reference([output], [frame], before=FRAMES[:number])
            assert output.mask.flags.writeable is (results == "owned")
        for number, output in enumerate(session.stream(FRAMES)):
            assert_reference([output], [FRAMES[number]], before=FRAMES + FRAMES[:number])


def test_the_first_frame_starts_and_close_ends_the_sequence(service: CameraServer) -> None:
    session = TritonSession(service.address, outputs=["mask"])
    for frame in FRAMES[:3]:
        session.infer(frame)
    assert len(service.sequences) == 1
    session.close()
    session.close()
    (number,) = {request[0] for request in service.requests}
    wanted = ["mask", "finite"]
    assert service.requests == [
        (number, True, False, wanted),
        (number, False, False, wanted),
        (number, False, False, wanted),
        (number, False, True, ["finite"]),
    ]
    assert 0 < number < 2**63
    assert service.sequences == {}
    with pytest.raises(EngineClosedError):
        session.infer(FRAMES[0])


def test_a_session_that_ran_nothing_ends_nothing(service: CameraServer) -> None:
    TritonSession(service.address).close()
    assert service.requests == []


def test_a_dropped_session_ends_its_sequence(service: CameraServer) -> None:
    session = TritonSession(service.address)
    session.infer(FRAMES[0])
    del session
    assert (service.sequences, service.regions) == ({}, {})


def test_close_does_not_fail_without_the_server(service: CameraServer, caplog: pytest.LogCaptureFixture) -> None:
    session = TritonSession(service.address)
    session.infer(FRAMES[0])
    service.stop()
    with caplog.at_level("INFO", "mostnet"):
        session.close()
    assert "the server frees the place of this camera by its idle time" in caplog.text


def test_reset_starts_the_same_sequence_anew(service: CameraServer) -> None:
    with TritonSession(service.address) as session:
        session.infer(FRAMES[1])
        session.reset()
        assert history(session.infer(FRAMES[2]).mask) == [2]
        assert history(session.infer(FRAMES[3]).mask) == [2, 3]
        assert [request[1] for request in service.requests] == [True, True, False]
        assert len(service.sequences) == 1


@pytest.mark.parametrize("shared_memory", [True, False])
def test_a_warm_up_is_a_black_frame_in_a_sequence_of_its_own(service: CameraServer, shared_memory: bool) -> None:
    with TritonSession(service.address, shared_memory=shared_memory) as session:
        session.warm_up()
        warm_ups = service.requests[:]
        assert [request[1:] for request in warm_ups] == [(True, True, FULL)] * 2
        assert history(session.infer(FRAMES[1]).mask) == [1]
        session.warm_up()
        assert history(session.infer(FRAMES[2]).mask) == [1, 2]
        session.infer(FRAMES[3])
        (number,) = service.sequences
        assert number not in [request[0] for request in warm_ups]
        assert service.last_frame.any()
        session.warm_up()
        assert not service.last_frame.any()


def test_only_a_first_frame_waits_for_a_place_and_not_for_long(service: CameraServer) -> None:
    with TritonSession(service.address) as session:
        session.infer(FRAMES[0])
        assert service.last_wait_us == 1_000_000
        session.infer(FRAMES[1])
        assert service.last_wait_us == 0


def test_a_camera_without_a_place_is_refused_and_gets_one_later(service: CameraServer) -> None:
    service.places = 1
    with TritonSession(service.address) as second:
        with TritonSession(service.address) as first:
            first.infer(FRAMES[1])
            for call in (lambda: second.infer(FRAMES[3]), first.warm_up):
                with pytest.raises(ServerBusyError, match=r"no place for this frame \(busy: 1 cameras are served"):
                    call()
            assert history(first.infer(FRAMES[2]).mask) == [1, 2]
        assert history(second.infer(FRAMES[4]).mask) == [4]


def test_sessions_of_one_model_have_a_state_each_and_close_together(service: CameraServer) -> None:
    with TritonSession(service.address) as session:
        other = session.session()
        session.infer(FRAMES[1])
        assert history(other.infer(FRAMES[2]).mask) == [2]
        assert history(session.infer(FRAMES[3]).mask) == [1, 3]
    assert service.sequences == {}
    with pytest.raises(EngineClosedError):
        other.infer(FRAMES[1])


def test_a_late_frame_is_reported_in_time_and_stays_in_the_state(service: CameraServer) -> None:
    with TritonSession(service.address, timeout_ms=20) as session:
        session.infer(FRAMES[1], timeout_ms=20_000)
        with service.gate.hold() as reached:
            with pytest.raises(EngineTimeoutError, match="frame 1 was not ready"):
                session.infer(FRAMES[2])
            assert reached.wait(20)
        assert history(session.infer(FRAMES[3], timeout_ms=20_000).mask) == [1, 2, 3]


def test_what_it_tells(service: CameraServer) -> None:
    with TritonSession(service.address, "mostnet", shared_memory=False) as session:
        session.infer(FRAMES[0])
        expected = f"<TritonSession mostnet at {service.address}: toy 64x80 fp32 by messages, open, 1 frame>"
        assert repr(session) == expected
        assert (session.metadata, session.provider, session.device) == (METADATA, "triton", None)
        assert (session.address, session.model) == (service.address, "mostnet")
        assert session.path.parts == (service.address, "mostnet")


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_is_not_copied(service: CameraServer, take: Any) -> None:
    with TritonSession(service.address) as session, pytest.raises(EngineCopyError, match="open another TritonSession"):
        take(session)


def test_frames_come_from_the_host(service: CameraServer) -> None:
    class OnDevice:
        __cuda_array_interface__: ClassVar[dict[str, Any]] = {}

    with TritonSession(service.address) as session, pytest.raises(FrameError, match="sends frames to a server"):
        session.infer(OnDevice())  # type: ignore[arg-type]


def test_an_answer_of_another_shape_is_an_error(service: CameraServer) -> None:
    service.shapes["flow"] = [1, 2, 5, 5]
    text = r"sent flow as FP32 \[1, 2, 5, 5\]; expected FP32 \[1, 2, 64, 80\]"
    with TritonSession(service.address) as session, pytest.raises(ServerError, match=text):
        session.infer(FRAMES[0])


def test_an_answer_without_bytes_is_an_error(service: CameraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    put = service._put

    def forget_bytes(answer: Any, wanted: Any, result: Any) -> None:
        put(answer, wanted, result)
        del answer.raw_output_contents[:]

    monkeypatch.setattr(service, "_put", forget_bytes)
    text = r"^the server sent 0 bytes of enhanced; expected 15360$"
    with TritonSession(service.address, shared_memory=False) as session, pytest.raises(ServerError, match=text):
        session.infer(FRAMES[0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"address": ""}, "address is ''"),
        ({"model": 7}, "model is 7"),
        ({"address": "unix:/run/a\nb"}, r"address is 'unix:/run/a\\nb'; expected a text of one line"),
        ({"model": "a\x1bb"}, "model is .*; expected a text of one line without control characters"),
        ({"results": "device"}, "those of a server come to the host"),
        ({"results": "lent"}, "unknown results 'lent'"),
        ({"outputs": ["depth"]}, "unknown outputs"),
        ({"slots": 1}, "slots is 1"),
        ({"timeout_ms": 0}, "timeout_ms is 0"),
        ({"shared_memory": "yes"}, "shared_memory is 'yes'; expected True, False or 'auto'"),
        ({"connect_s": 0}, "connect_s is 0; expected a number of seconds above 0"),
        ({"connect_s": float("inf")}, "connect_s is inf"),
    ],
)
def test_options_are_checked_before_a_server_is_asked(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        TritonSession(**{"address": "127.0.0.1:1", **options})


def test_any_memory_layout(service: CameraServer) -> None:
    frames = [np.ascontiguousarray(frame[::-1])[::-1] for frame in FRAMES[:3]]
    for shared_memory in (True, False):
        with TritonSession(service.address, shared_memory=shared_memory) as session:
            assert_reference(map(session.infer, frames), FRAMES[:3])


def test_a_pipeline_goes_on_in_the_thread_of_single_frames(service: CameraServer) -> None:
    """What the ring recorded there after an interrupt must not overtake the frames of a pipeline."""
    with TritonSession(service.address) as session:
        assert session._lane.open_streams(pipelined=True).copy_in is session._lane.open_streams(pipelined=False).compute
