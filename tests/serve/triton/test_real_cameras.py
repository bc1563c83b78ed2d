"""Cameras on a real Triton server: each is, bit by bit, an engine of its own."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc as triton

from mostnet import Engine, ServerBusyError
from mostnet.bench.gpu.standin.toy import METADATA, frame_of, reference
from mostnet.serve import TritonSession
from mostnet.serve.triton.server import LocalServer

from .real_server import assert_same, begin_when_free, only_child, resident_kb, run, toy_server

CAMERAS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with toy_server(tmp_path_factory.mktemp("server"), cameras=CAMERAS, at_once=2) as found:
        yield found


def numbers_of(camera: int, frames: int) -> list[int]:
    """The numbers of a camera's frames; other cameras have others. A few come out "not finite"."""
    return [(camera * 31 + frame * 7) % 256 for frame in range(frames)]


def film(address: str, cameras: list[int], frames: int, shared_memory: bool = True) -> list[list[dict[str, object]]]:
    """The results of cameras that run at the same time, as plain arrays, for another process."""
    together = threading.Barrier(len(cameras))

    def one(camera: int) -> list[dict[str, object]]:
        with TritonSession(address, shared_memory=shared_memory) as session:
            together.wait()
            outputs = run(session, numbers_of(camera, frames))
        return [{name: getattr(output, name) for name in (*output.names, "finite")} for output in outputs]

    with ThreadPoolExecutor(len(cameras)) as pool:
        return list(pool.map(one, cameras))


def assert_engines(engine: Engine, results: list[list[dict[str, object]]], frames: int) -> None:
    """Camera k got what a local engine gives."""
    for camera, outputs in enumerate(results):
        engine.reset()
        for number, found in zip(numbers_of(camera, frames), outputs, strict=True):
            wanted = engine.infer(frame_of(number))
            assert set(found) == {"enhanced", "flow", "mask", "finite"}
            for name, value in found.items():
                assert np.array_equal(value, getattr(wanted, name)), f"{name} of camera {camera}"


@pytest.fixture(scope="module")
def engine(server: LocalServer) -> Iterator[Engine]:
    with Engine(server._engine, threads=1) as found:
        yield found


@pytest.mark.parametrize("shared_memory", [True, False])
def test_eight_cameras_of_one_process_are_eight_local_engines(
    server: LocalServer, engine: Engine, shared_memory: bool
) -> None:
    assert_engines(engine, film(server.address, list(range(CAMERAS)), 40, shared_memory), 40)


def test_eight_cameras_of_four_processes_are_eight_local_engines(server: LocalServer, engine: Engine) -> None:
    tasks = [(server.address, [first, first + 1], 40) for first in range(0, CAMERAS, 2)]
    with multiprocessing.get_context("spawn").Pool(len(tasks)) as pool:
        parts = pool.starmap(film, tasks)
    assert_engines(engine, [camera for part in parts for camera in part], 40)


def test_a_reset_in_mid_sequence_begins_from_zero_state(server: LocalServer) -> None:
    with TritonSession(server.address) as session, TritonSession(server.address) as other:
        run(other, [50])
        assert_same(run(session, [1, 2, 3]), [1, 2, 3])
        session.reset()
        assert_same(run(session, [4, 5]), [4, 5])
        assert_same(run(other, [51]), [51], before=[50])


def test_a_camera_too_many_is_refused_and_changes_nothing(server: LocalServer, engine: Engine) -> None:
    done, refusals = threading.Event(), []

    def intrude() -> None:
        with TritonSession(server.address) as session:
            while not done.is_set():
                try:
                    session.infer(frame_of(99))
                except ServerBusyError as error:
                    refusals.append(str(error))

    full, sessions = threading.Barrier(CAMERAS + 1), [TritonSession(server.address) for _ in range(CAMERAS)]

    def one(camera: int) -> list[dict[str, object]]:
        outputs = run(sessions[camera], numbers_of(camera, 1))
        full.wait()
        outputs += run(sessions[camera], numbers_of(camera, 60)[1:])
        return [{name: getattr(output, name) for name in (*output.names, "finite")} for output in outputs]

    with ThreadPoolExecutor(CAMERAS + 1) as pool:
        cameras = [pool.submit(one, camera) for camera in range(CAMERAS)]
        full.wait()
        intruder = pool.submit(intrude)
        try:
            results = [camera.result() for camera in cameras]
            with (
                TritonSession(server.address) as late,
                pytest.raises(ServerBusyError, match="busy: 8 cameras took all"),
            ):
                late.infer(frame_of(1))
        finally:
            done.set()
        intruder.result()
    assert refusals
    assert_engines(engine, results, 60)
    with TritonSession(server.address) as late:
        with pytest.raises(ServerBusyError):
            late.infer(frame_of(1))
        sessions.pop().close()
        assert_same([begin_when_free(late, 1)], [1])
    for session in sessions:
        session.close()


def test_only_the_outputs_that_are_asked_for_travel(server: LocalServer) -> None:
    with TritonSession(server.address, outputs=["mask"], shared_memory=False) as session:
        assert session.metadata == METADATA
        outputs = run(session, [1, 2])
    assert [output.names for output in outputs] == [("mask",), ("mask",)]
    assert_same(outputs, [1, 2])


def infer(client: triton.InferenceServerClient, frame: np.ndarray, **sequence: object) -> triton.InferResult:
    """One frame by Triton's own client, which does not check it."""
    tensor = triton.InferInput("frame", frame.shape, triton.np_to_triton_dtype(frame.dtype))
    tensor.set_data_from_numpy(frame)
    return client.infer("mostnet", [tensor], sequence_id=4711, **sequence)


@pytest.mark.parametrize("shape", [(1, 64, 81, 3), (64, 80, 3), (2, 64, 80, 3)])
def test_a_frame_of_a_wrong_shape_is_refused_without_harm(server: LocalServer, shape: tuple[int, ...]) -> None:
    client = triton.InferenceServerClient(server.address)
    infer(client, frame_of(1)[None], sequence_start=True)
    with pytest.raises(triton.InferenceServerException, match="unexpected shape for input 'frame'"):
        infer(client, np.zeros(shape, np.uint8))
    with pytest.raises(triton.InferenceServerException, match="data-type"):
        infer(client, np.zeros((1, 64, 80, 3), np.float32))
    result = infer(client, frame_of(2)[None], sequence_end=True)
    wanted = reference([frame_of(1), frame_of(2)])[-1]
    assert np.array_equal(result.as_numpy("mask")[0], wanted["mask"])
    client.close()


@pytest.mark.parametrize("shared_memory", [True, False])
def test_thousands_of_frames_leave_no_memory(server: LocalServer, shared_memory: bool) -> None:
    assert server.pid is not None
    processes = [server.pid, only_child(server.pid)]
    with TritonSession(server.address, shared_memory=shared_memory) as session:
        run(session, range(250))
        before = [resident_kb(process) for process in processes]
        for _ in range(6):
            run(session, range(250))
        grown_kb = [resident_kb(process) - kb for process, kb in zip(processes, before, strict=True)]
    # 1500 frames and their results are 92 MB.
    assert max(grown_kb) < 9_000, grown_kb
