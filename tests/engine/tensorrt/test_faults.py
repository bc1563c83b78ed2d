"""Failures of the GPU and of TensorRT: their errors, and that all memory is given back once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.contract import (
    DeviceError,
    DeviceMemoryError,
    EngineClosedError,
    ModelFileError,
    PlanMismatchError,
    TensorSpec,
)
from mostnet.engine.interfaces import DeviceLostError
from mostnet.engine.tensorrt import model as tensorrt_model
from mostnet.engine.tensorrt.log import tensorrt_logger
from tests.engine.backends import collect
from tests.engine.plan_setup import STAGE_CALLS, Machine, machine_of

DEAD = "an illegal memory access was encountered"


@contextmanager
def dying_at(machine: Machine, call: str) -> Iterator[None]:
    """The device is lost when the engine makes the call ``call``, so that it and all later ones fail."""
    enter = machine.gpu.call

    def dying(name: str) -> None:
        if name == call:
            machine.gpu.lost = DEAD
        enter(name)

    machine.gpu.call = dying
    try:
        yield
    finally:
        machine.gpu.call = enter


def count_calls(machine: Machine, name: str) -> int:
    machine.open().close()
    return machine.gpu.calls[name]


@pytest.mark.parametrize("generation", ["8.6", "rtx"])
@pytest.mark.parametrize("call", ["cuMemAlloc", "cuMemHostAlloc", "Stream", "Event", "cuEventCreate"])
def test_out_of_memory_at_every_allocation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str, generation: str
) -> None:
    with machine_of(monkeypatch, tmp_path, generation=generation) as machine:
        taken = count_calls(machine, call)
        assert taken >= 1
        for nth in range(taken):
            machine.gpu.failures[call] = (nth, machine.driver.MemoryError(f"{call} failed: out of memory"))
            with pytest.raises(DeviceMemoryError, match=f"{call} failed: out of memory") as caught:
                machine.open()
            assert "close other sessions" in str(caught.value)
            del caught
            machine.check_empty()


def test_out_of_memory_says_how_much_was_asked(machine: Machine) -> None:
    machine.gpu.failures["cuMemAlloc"] = (0, machine.driver.MemoryError("cuMemAlloc failed: out of memory"))
    with pytest.raises(DeviceMemoryError) as caught:
        machine.open()
    assert str(caught.value).startswith(
        "no GPU memory for 3 slots and 0.0 MB scratch: 0.3 MB requested, 512 MB are free (cuMemAlloc failed: out of "
        "memory)"
    )
    machine.gpu.failures["cuMemHostAlloc"] = (0, machine.driver.MemoryError("cuMemHostAlloc failed: out of memory"))
    with pytest.raises(DeviceMemoryError, match=r"no pinned host memory for frames .* of 3 slots: 0.2 MB requested"):
        machine.open()


@pytest.mark.parametrize(
    ("step", "left", "line", "kind", "text"),
    [
        (
            "context",
            1,
            "Error Code 2: OutOfMemory",
            DeviceMemoryError,
            "makes no execution context: Error Code 2: OutOf",
        ),
        ("context", 0, "Error Code 3: API usage", DeviceError, "makes no execution context: Error Code 3: API usage"),
        ("address", 4, "not a tensor", DeviceError, "TensorRT refuses the address of .*: not a tensor"),
        ("enqueue", 3, "kernel is missing", DeviceError, "TensorRT cannot enqueue a frame: kernel is missing"),
        (
            "deserialise",
            0,
            "magic tag",
            PlanMismatchError,
            "8.6-standin refuses the plan: magic tag; build it again",
        ),
        ("deserialise", 0, "out of memory", DeviceMemoryError, "no GPU memory for the weights: out of memory"),
    ],
)
def test_tensorrt_refuses(machine: Machine, step: str, left: int, line: str, kind: type[Exception], text: str) -> None:
    machine.trt.refusals[step] = (left, line)
    with pytest.raises(kind, match=text) as caught:
        machine.open()
    assert type(caught.value) is kind
    del caught
    machine.check_empty()
    machine.open().close()


def test_an_interrupt_while_tensors_are_checked_leaves_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tensorrt_model, "check_tensors", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            machine.open()
    assert machine.gpu.alive["engine"] == 0, "the weights are freed at once, while the traceback is still kept"
    del caught


def test_errors_of_a_good_build_are_not_those_of_a_refused_plan(machine: Machine) -> None:
    """A builder logs an error for each kernel that does not fit in memory, and builds the plan without it."""
    logger = tensorrt_logger(machine.trt.module)
    logger.log(machine.trt.module.ILogger.ERROR, "Skipping tactic 0x1: OutOfMemory")
    machine.trt.refusals["deserialise"] = (0, "magic tag")
    with pytest.raises(PlanMismatchError, match="refuses the plan: magic tag;"):
        machine.open()


def test_failing_while_a_second_session_opens_leaves_the_first(machine: Machine) -> None:
    with machine.open() as engine:
        engine.infer(frame_of(1))
        machine.gpu.failures["cuMemAlloc"] = (0, machine.driver.MemoryError("cuMemAlloc failed: out of memory"))
        with pytest.raises(DeviceMemoryError):
            engine.session()
        assert machine.gpu.alive["device memory"] == 1
        assert history(engine.infer(frame_of(2)).mask) == [1, 2]


def test_a_plan_that_its_description_does_not_fit(machine: Machine) -> None:
    machine.trt.tensors["mask"] = TensorSpec("mask", (1, 64, 80), "float32")
    with pytest.raises(ModelFileError, match=r"outputs do not fit .*: missing mask uint8.* mask float32"):
        machine.open()


@pytest.mark.parametrize("stage", STAGE_CALLS)
def test_a_call_that_fails_once_costs_one_frame(machine: Machine, stage: str) -> None:
    with machine.open() as engine:
        for number in range(4):
            engine.infer(frame_of(number))
        machine.gpu.failures[STAGE_CALLS[stage]] = (0, machine.driver.LogicError("odd failed: invalid value"))
        with pytest.raises(DeviceError) as caught:
            engine.infer(frame_of(4))
        assert type(caught.value) is DeviceError
        assert "the GPU refused a call:" in str(caught.value)
        assert history(engine.infer(frame_of(5)).mask) == [0, 1, 2, 3, 5]


@pytest.mark.parametrize("call", ["Stream", "cuEventRecord", "cuStreamWaitEvent", "cuStreamSynchronize"])
def test_every_failing_call_is_named(machine: Machine, call: str) -> None:
    machine.open().close()
    machine.gpu.failures[call] = (0, machine.driver.LogicError(f"{call} failed: invalid handle"))
    with pytest.raises(DeviceError, match=f"{call} failed: invalid handle"), machine.open() as engine:
        engine.infer(frame_of(1))


def test_an_error_of_the_device_closes_the_engine(machine: Machine) -> None:
    engine = machine.open()
    other = engine.session()
    engine.infer(frame_of(1))
    machine.gpu.stuck = True
    machine.gpu.lost = DEAD
    with pytest.raises(DeviceLostError) as caught:
        engine.infer(frame_of(2))
    assert DEAD in str(caught.value)
    assert "the engine is closed: open a new Engine in a new process" in str(caught.value)
    with pytest.raises(EngineClosedError, match="the engine or session is closed"):
        engine.infer(frame_of(3))
    with pytest.raises(DeviceError, match=DEAD):
        other.infer(frame_of(1))
    engine.close()
    other.close()


@pytest.mark.parametrize(
    ("call", "timeout_ms"), [("cuEventSynchronize", None), ("cuEventQuery", 20_000)], ids=["in C", "asked"]
)
def test_an_error_of_the_device_found_by_waiting(machine: Machine, call: str, timeout_ms: float | None) -> None:
    engine = machine.open(timeout_ms=timeout_ms)
    with (
        dying_at(machine, call),
        pytest.raises(DeviceLostError, match=f"context is lost: {call} failed: {DEAD}; the engine is closed"),
    ):
        engine.infer(frame_of(2))
    with pytest.raises(EngineClosedError):
        engine.infer(frame_of(3))
    engine.close()


@pytest.mark.parametrize(
    ("call", "timeout_ms"), [("cuEventSynchronize", None), ("cuEventQuery", 20_000)], ids=["in C", "asked"]
)
def test_a_wait_that_fails_once_loses_no_device(machine: Machine, call: str, timeout_ms: float | None) -> None:
    with machine.open(timeout_ms=timeout_ms) as engine:
        machine.gpu.failures[call] = (0, machine.driver.LogicError(f"{call} failed: unknown error"))
        with pytest.raises(DeviceError, match=f"the GPU refused a call: {call} failed: unknown error") as caught:
            engine.infer(frame_of(2))
        assert type(caught.value) is DeviceError
        assert history(engine.infer(frame_of(3)).mask) == [2, 3]


def test_an_error_of_the_device_in_mid_stream(machine: Machine) -> None:
    engine = machine.open()
    stream = engine.stream(map(frame_of, range(20)))
    for _ in range(5):
        next(stream)
    machine.gpu.lost = DEAD
    with pytest.raises(DeviceLostError, match=DEAD):
        next(stream)
    engine.close()


def test_a_lost_device_found_by_close(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    engine = machine.open()
    stream = engine.stream(map(frame_of, range(20)))
    next(stream)
    machine.gpu.lost = DEAD
    engine.close()
    assert DEAD in caplog.text
    assert collect(stream)[0] == []


def test_the_errors_of_tensorrt_are_logged_too(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    with machine.open(graphs=False) as engine:
        machine.trt.refusals["enqueue"] = (0, "Error Code 1: Myelin")
        with pytest.raises(DeviceError, match="Error Code 1: Myelin"):
            engine.infer(frame_of(1))
        machine.trt.logger.log(machine.trt.module.ILogger.WARNING, "a word of warning")
    assert ("mostnet.tensorrt", 40, "Error Code 1: Myelin") in caplog.record_tuples
    assert ("mostnet.tensorrt", 30, "a word of warning") in caplog.record_tuples
