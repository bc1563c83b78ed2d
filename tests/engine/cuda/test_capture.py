"""CUDA graphs that the application captures, in the thread that calls the engine or another, and the engine's own."""

from __future__ import annotations

import _thread
import ctypes
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from mostnet.bench.gpu.miniature.captures import GLOBAL, RELAXED, TEXTS, THREAD_LOCAL, Capture
from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.contract import DeviceError, DeviceMemoryError, EngineTimeoutError
from mostnet.engine.cuda import waits as cuda_waits
from mostnet.engine.cuda.capture import CaptureMode
from mostnet.engine.cuda.device import cuda_device
from mostnet.engine.cuda.graph import CudaGraph
from mostnet.engine.cuda.memory import DeviceBlock
from mostnet.engine.cuda.streams import CudaStream
from mostnet.engine.interfaces import DeviceLostError
from tests.engine.plan_setup import Machine
from tests.toy_graph import assert_reference

FRAMES = [frame_of(number) for number in range(12)]

#: A call of each kind of wait, and the limit that leads to it.
every_wait = pytest.mark.parametrize(
    ("call", "timeout_ms"), [("cuEventSynchronize", None), ("cuEventQuery", 20_000)], ids=["in C", "asked"]
)


@contextmanager
def capturing(machine: Machine) -> Iterator[Capture]:
    """Another thread captures in global mode."""
    begun, done = threading.Event(), threading.Event()
    captures: list[Capture] = []

    def capture() -> None:
        with machine.gpu.captures.capture() as made:
            captures.append(made)
            begun.set()
            done.wait(20)

    thread = threading.Thread(target=capture)
    thread.start()
    assert begun.wait(20)
    try:
        yield captures[0]
    finally:
        done.set()
        thread.join()


def refuse(machine: Machine, call: str, refusal: Callable[[], str | None]) -> None:
    """Let ``call`` fail as long as ``refusal`` gives a text."""
    enter = machine.gpu.call

    def refusing(name: str) -> None:
        enter(name)
        text = refusal() if name == call else None
        if text is not None:
            raise machine.driver.LogicError(f"{call} failed: {text}")

    machine.gpu.call = refusing


@contextmanager
def capturing_here(machine: Machine, mode: int) -> Iterator[Capture]:
    """The calling thread captures."""
    with machine.gpu.captures.capture(mode) as capture:
        yield capture


CAPTURES = {
    "another thread": capturing,
    "this thread": lambda machine: capturing_here(machine, GLOBAL),
    "this thread, thread-local": lambda machine: capturing_here(machine, THREAD_LOCAL),
    "this thread, relaxed": lambda machine: capturing_here(machine, RELAXED),
}


@pytest.mark.parametrize("timeout_ms", [None, 20_000])
@pytest.mark.parametrize("where", CAPTURES)
def test_no_call_of_the_engine_breaks_a_capture(machine: Machine, where: str, timeout_ms: float | None) -> None:
    with CAPTURES[where](machine) as capture:
        with machine.open(timeout_ms=timeout_ms) as engine, engine.session() as other:
            assert_reference([engine.infer(frame) for frame in FRAMES], FRAMES)
            assert_reference(other.stream(FRAMES), FRAMES)
        with machine.open(results="device", timeout_ms=timeout_ms) as engine:
            outputs = [engine.infer(FRAMES[0])]
        drop = threading.Thread(target=outputs.clear)  # frees the memory of the closed engine
        drop.start()
        drop.join()
        assert not capture.broken
    machine.check_empty()


def test_an_engine_runs_before_in_and_after_a_capture_of_its_thread(machine: Machine) -> None:
    with machine.open() as engine:
        outputs = [engine.infer(FRAMES[0])]
        with machine.gpu.captures.capture() as capture:
            outputs.append(engine.infer(FRAMES[1]))
        outputs.append(engine.infer(FRAMES[2]))
        assert_reference(outputs, FRAMES[:3])
        assert not capture.broken


def test_a_call_that_cannot_be_captured_fails_in_our_own_capture(machine: Machine) -> None:
    device = cuda_device()
    with device:
        stream = CudaStream(device)
        graph = CudaGraph(device, machine.bindings, stream.handle)
        with pytest.raises(machine.driver.LogicError, match=TEXTS[900]) as caught:
            graph.capture(lambda: bool(device.driver.mem_alloc(256)))
        del caught
        gc.collect()
        assert machine.gpu.captures.mode == RELAXED
        assert graph.capture(lambda: True)
        graph.close()
        stream.free()
    assert machine.gpu.violations == ["cuMemAlloc breaks a capture"]
    machine.gpu.violations.clear()


def test_memory_that_is_dropped_in_our_own_capture_does_not_break_it(machine: Machine) -> None:
    device = cuda_device()
    with device:
        stream = CudaStream(device)
        graph = CudaGraph(device, machine.bindings, stream.handle)
        blocks = [DeviceBlock(device, 256, "a test")]
        assert graph.capture(lambda: blocks.clear() is None)
        assert machine.gpu.alive["device memory"] == 0
        graph.close()
        stream.free()


@pytest.mark.parametrize("mode", [0, RELAXED])
def test_the_thread_gets_its_mode_back(machine: Machine, mode: int) -> None:
    captures = machine.gpu.captures
    captures.exchange(mode)
    with machine.open() as engine:
        assert captures.mode == mode
        engine.infer(FRAMES[0])
        machine.gpu.failures["cuMemcpyHtoDAsync"] = (0, machine.driver.LogicError("odd failed: invalid value"))
        with pytest.raises(DeviceError):
            engine.infer(FRAMES[1])
        assert captures.mode == mode
        for _ in engine.stream(FRAMES):
            assert captures.mode == mode
        with cuda_device(), cuda_device():
            assert captures.mode == RELAXED
    assert captures.exchange(0) == mode


def test_the_mode_is_exchanged_once_per_outermost_use(machine: Machine) -> None:
    device = cuda_device()
    with device, device:
        assert machine.gpu.calls[CaptureMode.CALL] == 1
    assert machine.gpu.calls[CaptureMode.CALL] == 2


def test_a_destructor_that_comes_between_changes_nothing(machine: Machine) -> None:
    captures = machine.gpu.captures
    seen: list[int] = []
    inside = False

    def exchange(mode: object) -> int:
        nonlocal inside
        mode._obj.value = captures.exchange(mode._obj.value)
        if not inside:
            inside = True
            both.enter()
            seen.append(captures.mode)
            both.leave()
            inside = False
        return 0

    both = CaptureMode(SimpleNamespace(**{CaptureMode.CALL: exchange}))
    captures.exchange(THREAD_LOCAL)
    both.enter()
    assert captures.mode == RELAXED
    both.leave()
    assert seen == [RELAXED, RELAXED]
    assert captures.exchange(0) == THREAD_LOCAL


@pytest.mark.parametrize("before", [GLOBAL, THREAD_LOCAL, RELAXED])
@pytest.mark.parametrize("after_the_exchange", [False, True])
def test_an_interrupt_leaves_the_mode_as_it_was(machine: Machine, before: int, *, after_the_exchange: bool) -> None:
    captures = machine.gpu.captures
    interrupts = [KeyboardInterrupt]

    def exchange(mode: object) -> int:
        if interrupts and not after_the_exchange:
            raise interrupts.pop()
        mode._obj.value = captures.exchange(mode._obj.value)
        if interrupts:
            raise interrupts.pop()
        return 0

    mode = CaptureMode(SimpleNamespace(**{CaptureMode.CALL: exchange}))
    captures.exchange(before)
    with pytest.raises(KeyboardInterrupt):
        mode.enter()
    assert captures.mode == before
    mode.enter()
    interrupts.append(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt), mode.strict():
        pass
    assert captures.mode == RELAXED
    mode.leave()
    assert captures.exchange(0) == before


@every_wait
@pytest.mark.parametrize("status", TEXTS)
def test_errors_of_a_capture_mean_ask_again(machine: Machine, call: str, timeout_ms: float | None, status: int) -> None:
    with machine.open(timeout_ms=timeout_ms) as engine:
        texts = [TEXTS[status]] * 3
        refuse(machine, call, lambda: texts.pop() if texts else None)
        assert history(engine.infer(FRAMES[0]).mask) == [0]
        assert texts == []
        assert history(engine.infer(FRAMES[1]).mask) == [0, 1]


@every_wait
def test_a_capture_without_end_is_an_error_after_a_second(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, call: str, timeout_ms: float | None
) -> None:
    monkeypatch.setattr(cuda_waits, "_PATIENCE_S", 0.05)
    with machine.open(timeout_ms=timeout_ms) as engine:
        refusals = [TEXTS[907]] * 100_000
        refuse(machine, call, lambda: refusals.pop() if refusals else None)
        with pytest.raises(DeviceError, match=f"a CUDA graph is being captured in this thread .*{TEXTS[907]}; end the"):
            engine.infer(FRAMES[0])
        assert refusals
        refusals.clear()
        assert history(engine.infer(FRAMES[1]).mask) == [0, 1]


def test_a_capture_without_end_runs_into_the_limit(machine: Machine) -> None:
    with machine.open() as engine:
        tries: list[None] = []
        machine.gpu.stuck = True
        refuse(machine, "cuEventQuery", lambda: tries.append(None) or TEXTS[900])
        with pytest.raises(EngineTimeoutError, match="timeout_ms is 30"):
            engine.infer(FRAMES[0], timeout_ms=30)
        machine.gpu.stuck = False
        assert history(engine.infer(FRAMES[1]).mask) == [0, 1]


def test_a_capture_without_end_can_be_interrupted(machine: Machine) -> None:
    with machine.open() as engine:
        tries = 0

        def refusal() -> str | None:
            nonlocal tries
            tries += 1
            if tries == 5:
                _thread.interrupt_main()
            return TEXTS[900] if tries < 1000 else None

        refuse(machine, "cuEventSynchronize", refusal)
        with pytest.raises(KeyboardInterrupt):
            engine.infer(FRAMES[0])
        assert tries < 1000
        tries = 1000
        gc.collect()  # the interrupt keeps the error that it came upon
        assert history(engine.infer(FRAMES[1]).mask) == [0, 1]


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (2, DeviceMemoryError, "out of memory: odd failed: out of memory; close other sessions"),
        (900, DeviceError, f"the GPU refused a call: odd failed: {TEXTS[900]}"),
        (400, DeviceError, "the GPU refused a call: odd failed: invalid resource handle"),
        (999, DeviceError, "the GPU refused a call: odd failed: CUDA error 999"),
    ],
)
def test_a_status_is_judged_as_an_error_of_pycuda(
    machine: Machine, status: int, kind: type[DeviceError], text: str
) -> None:
    with cuda_device(), pytest.raises(DeviceError, match=text) as caught:
        cuda_device().check("odd", status)
    assert type(caught.value) is kind
    cuda_device().check("even", 0)


def test_only_a_context_that_fails_again_is_lost(machine: Machine) -> None:
    device = cuda_device()
    with capturing(machine), device:
        mode = ctypes.c_int(0)
        machine.library.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))
        assert type(device.failure("cuMemcpyHtoDAsync failed: unknown error")) is DeviceError
        machine.library.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))
        machine.gpu.lost = "unspecified launch failure"
        assert isinstance(device.failure("odd failed: invalid value"), DeviceLostError)
    machine.gpu.lost = None
    machine.gpu.captures.exchange(0)
