"""Places for cameras: who gets one, whose frame runs next, and what is refused. Real engines, without Triton."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from time import monotonic

import numpy as np
import pytest

from mostnet import Engine, ServerBusyError, ServerUnavailableError, StateLostError
from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.engine import Output
from mostnet.serve.triton.cameras import MOST_WAITING, ServedCameras, ServedFrame
from tests.toy_graph import save_toy

IDLE_S = 10.0
LIMIT_S = 30.0


@dataclass
class Service:
    """Two places on an engine.

    Attributes:
        at_once: frames that run at once.
        now_s: the time on the cameras' clock.
    """

    cameras: ServedCameras
    engine: Engine
    at_once: int
    now_s: float = 0.0
    answers: SimpleQueue[Output | Exception | None] = field(default_factory=SimpleQueue)

    def send(
        self,
        camera: int,
        number: int | None,
        *,
        starts: bool = False,
        ends: bool = False,
        is_cancelled: Callable[[], bool] = lambda: False,
        answer: Callable[[Output | None], None] | None = None,
    ) -> None:
        self.cameras.submit(
            ServedFrame(
                camera=camera,
                starts=starts,
                ends=ends,
                picture=None if number is None else frame_of(number),
                answer=answer or self.answers.put,
                refuse=self.answers.put,
                is_cancelled=is_cancelled,
            )
        )

    def ask(self, camera: int, number: int | None, **flags: bool) -> list[int]:
        """The numbers that the camera has seen, after this frame."""
        self.send(camera, number, **flags)
        return self.seen()

    def seen(self) -> list[int]:
        answer = self.answers.get(timeout=LIMIT_S)
        if isinstance(answer, Exception):
            raise answer
        return [] if answer is None else history(answer.mask)


@pytest.fixture(params=[1, 2])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    with Engine(save_toy(tmp_path / "toy.onnx"), threads=1) as engine:
        made: list[Service] = []
        cameras = ServedCameras(
            [engine, engine.session()], idle_s=IDLE_S, at_once=request.param, clock=lambda: made[0].now_s
        )
        made.append(Service(cameras, engine, request.param))
        yield made[0]
        cameras.close()


def test_each_camera_has_its_own_state(service: Service) -> None:
    assert service.ask(7, 1, starts=True) == [1]
    assert service.ask(8, 50, starts=True) == [50]
    assert service.ask(7, 2) == [1, 2]
    assert service.ask(8, 51) == [50, 51]


def test_a_start_in_mid_sequence_begins_anew_in_the_same_place(service: Service) -> None:
    service.ask(7, 1, starts=True)
    service.ask(8, 50, starts=True)
    assert service.ask(7, 2, starts=True) == [2]
    assert service.ask(8, 51) == [50, 51]


def test_a_camera_too_many_is_refused_until_another_ends(service: Service) -> None:
    service.ask(7, 1, starts=True)
    service.ask(8, 50, starts=True)
    for _ in range(3):  # a refused camera keeps no place
        with pytest.raises(
            ServerBusyError, match=r"^busy: 2 cameras took all places, until one is closed or idle for 10 s$"
        ):
            service.send(9, 90, starts=True)
    with pytest.raises(StateLostError, match=r"^lost: .* must specify the START flag$"):
        service.send(9, 90)
    assert service.ask(7, 2, ends=True) == [1, 2]
    assert service.ask(9, 90, starts=True) == [90]
    assert service.ask(8, 51) == [50, 51]
    with pytest.raises(StateLostError):
        service.send(7, 3)


def test_a_camera_too_many_is_refused_while_the_others_still_wait(service: Service) -> None:
    gate = threading.Event()
    service.send(7, 1, starts=True, is_cancelled=lambda: not gate.wait(LIMIT_S))
    service.send(8, 50, starts=True, is_cancelled=lambda: not gate.wait(LIMIT_S))
    with pytest.raises(ServerBusyError):  # with the gate closed, nothing else is answered
        service.send(9, 90, starts=True)
    assert service.answers.empty()
    gate.set()
    assert sorted([service.seen(), service.seen()]) == [[1], [50]]


def test_an_idle_camera_loses_its_place_only_to_one_that_needs_it(service: Service) -> None:
    service.ask(7, 1, starts=True)
    service.now_s = IDLE_S
    service.ask(8, 50, starts=True)
    with pytest.raises(ServerBusyError):  # not longer than the idle time
        service.send(9, 90, starts=True)
    service.now_s = 1.5 * IDLE_S
    assert service.ask(9, 90, starts=True) == [90]
    assert service.ask(8, 51) == [50, 51]
    with pytest.raises(StateLostError):
        service.send(7, 2)
    service.now_s = 9 * IDLE_S
    assert service.ask(8, 52) == [50, 51, 52]  # nobody needed the place


def test_a_camera_whose_frame_takes_long_is_not_idle(service: Service) -> None:
    gate = threading.Event()
    service.send(7, 1, starts=True, is_cancelled=lambda: not gate.wait(LIMIT_S))
    service.send(8, 50, starts=True, is_cancelled=lambda: not gate.wait(LIMIT_S))
    service.now_s = 2 * IDLE_S
    with pytest.raises(ServerBusyError):
        service.send(9, 90, starts=True)
    gate.set()
    assert sorted([service.seen(), service.seen()]) == [[1], [50]]


def test_frames_of_a_camera_run_in_order_and_cameras_take_turns(service: Service) -> None:
    gate, order = threading.Event(), []
    for number in range(1, 5):
        for camera in (7, 8):
            service.send(
                camera,
                number,
                starts=number == 1,
                is_cancelled=lambda: not gate.wait(LIMIT_S),
                answer=lambda output, camera=camera: (order.append(camera), service.answers.put(output)),
            )
    gate.set()
    seen = [service.seen() for _ in range(8)]
    assert sorted(seen) == sorted(2 * [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]])
    if service.at_once == 1:  # else the answers of two threads are told in any order
        assert order == 4 * [7, 8]


def test_a_camera_cannot_queue_frames_without_limit(service: Service) -> None:
    gate = threading.Event()
    for number in range(MOST_WAITING):
        service.send(7, number, starts=number == 0, is_cancelled=lambda: not gate.wait(LIMIT_S))
    with pytest.raises(ServerBusyError, match=r"^busy: this camera has 8 frames without an answer"):
        service.send(7, 99)
    gate.set()
    for number in range(MOST_WAITING):
        assert service.seen() == list(range(number + 1))
    assert service.ask(7, 9) == [*range(MOST_WAITING), 9]


def test_a_frame_that_nobody_waits_for_does_not_run_and_ends_the_state(service: Service) -> None:
    gate, before = threading.Event(), service.engine.stats.frames
    service.send(7, 1, starts=True, is_cancelled=lambda: not gate.wait(LIMIT_S))
    service.send(7, 2, is_cancelled=lambda: True)
    service.send(7, 3)
    gate.set()
    assert service.seen() == [1]
    with pytest.raises(StateLostError, match=r"^cancelled: "):
        service.seen()
    with pytest.raises(StateLostError, match=r"^lost: "):
        service.seen()
    assert service.engine.stats.frames == before + 1
    assert service.ask(8, 50, starts=True) == [50]
    assert service.ask(9, 90, starts=True) == [90]  # the place of 7 is free


def test_a_cancelled_start_does_not_continue_the_state_of_the_camera_before(service: Service) -> None:
    service.ask(7, 1, starts=True, ends=True)
    service.send(9, 2, starts=True, is_cancelled=lambda: True)
    with pytest.raises(StateLostError):
        service.seen()
    with pytest.raises(StateLostError):
        service.ask(9, 3)
    assert service.ask(9, 4, starts=True) == [4]


def test_an_end_without_a_picture_runs_nothing_and_frees_the_place(service: Service) -> None:
    service.ask(7, 1, starts=True)
    service.ask(8, 50, starts=True)
    before = service.engine.stats.frames
    assert service.ask(7, None, ends=True) == []
    assert service.engine.stats.frames == before
    assert service.ask(9, 90, starts=True) == [90]


def test_a_frame_that_fails_is_refused_and_the_state_stays(service: Service) -> None:
    service.ask(7, 1, starts=True)
    service.cameras.submit(
        ServedFrame(
            camera=7,
            starts=False,
            ends=False,
            picture=np.zeros((3, 3, 3), np.uint8),
            answer=service.answers.put,
            refuse=service.answers.put,
            is_cancelled=lambda: False,
        )
    )
    with pytest.raises(ValueError, match="frame"):
        service.seen()
    assert service.ask(7, 2) == [1, 2]


def test_an_answer_that_fails_stops_no_camera(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    def fail(output: object) -> None:
        raise OSError("the client is gone")

    service.send(7, 1, starts=True, answer=fail)
    assert service.ask(7, 2) == [1, 2]
    service.cameras.close()
    assert "the client is gone" in capfd.readouterr().err


def test_frames_that_wait_at_the_end_are_refused(service: Service) -> None:
    running, gate = threading.Barrier(service.at_once + 1), threading.Event()

    def hold() -> bool:
        running.wait(LIMIT_S)
        return not gate.wait(LIMIT_S)

    cameras = [7, 8][: service.at_once]
    for camera in cameras:
        service.send(camera, 1, starts=True, is_cancelled=hold)
        service.send(camera, 2)
    if service.at_once == 1:
        service.send(8, 50, starts=True)
    running.wait(LIMIT_S)
    closing = threading.Thread(target=service.cameras.close)
    closing.start()
    deadline = monotonic() + LIMIT_S
    while not service.cameras._threads._shutdown:
        assert monotonic() < deadline
    gate.set()
    closing.join()
    answers = [service.answers.get_nowait() for _ in range(2 * len(cameras) + (service.at_once == 1))]
    assert [history(answer.mask) for answer in answers if isinstance(answer, Output)] == [[1]] * len(cameras)
    refused = [answer for answer in answers if isinstance(answer, ServerUnavailableError)]
    assert len(refused) == 2
    assert str(refused[0]) == "closed: the server is ending, and this frame did not run"
    with pytest.raises(ServerUnavailableError, match=r"^closed: "):
        service.send(9, 1, starts=True)


def test_the_place_is_free_when_the_answer_to_its_last_frame_comes(service: Service) -> None:
    service.ask(8, 50, starts=True)
    service.ask(7, 1, starts=True)
    service.send(7, 2, ends=True, answer=lambda output: service.send(9, 90, starts=True))
    assert service.seen() == [90]
