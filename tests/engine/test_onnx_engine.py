"""The engine on ONNX Runtime, against the same arithmetic in NumPy."""

import gc
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import BackendNotInstalledError, DeviceMemoryError, EngineClosedError, NoGpuError
from mostnet.engine import Engine, Output
from mostnet.engine.options import Options
from mostnet.engine.ort import lanes as onnx_lanes
from mostnet.engine.ort import model as onnx_backend
from mostnet.engine.ort.lanes import DeviceLane
from mostnet.engine.session import Session

from .toy_graph import METADATA, SIZE_HW, reference, save_toy, toy_frames

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "toy.onnx")


def assert_equal_to_reference(outputs: Iterable[Output], frames: list[np.ndarray]) -> None:
    for output, (enhanced, flow, mask, finite) in zip(outputs, reference(frames), strict=True):
        assert (output.enhanced.dtype, output.flow.dtype, output.mask.dtype) == (np.uint8, np.float32, np.uint8)
        assert (output.flow.shape, output.mask.shape) == ((2, *SIZE_HW), SIZE_HW)
        np.testing.assert_array_equal(output.enhanced, enhanced)
        np.testing.assert_allclose(output.flow, flow, atol=1e-3)
        np.testing.assert_allclose(output.mask, mask, atol=1)
        assert output.finite is finite


def test_infer_and_stream_are_the_reference(toy: Path) -> None:
    frames = toy_frames(50)
    with Engine(toy, provider="cpu") as engine:
        assert engine.metadata == METADATA
        assert engine.provider == "cpu"
        assert_equal_to_reference([engine.infer(frame) for frame in frames], frames)
        engine.reset()
        assert_equal_to_reference(engine.stream(frames), frames)
        engine.reset()
        assert_equal_to_reference([*map(engine.infer, frames[:20]), *engine.stream(frames[20:])], frames)


@pytest.mark.parametrize("slots", [2, 4])
def test_other_slot_counts_are_the_reference(toy: Path, slots: int) -> None:
    frames = toy_frames(20)
    with Engine(str(toy), slots=slots, threads=1, provider="cpu") as engine:
        assert_equal_to_reference(engine.stream(frames), frames)


def test_frames_of_any_memory_layout(toy: Path) -> None:
    frames = toy_frames(4)
    upside_down = [np.ascontiguousarray(frame[::-1])[::-1] for frame in frames]
    with Engine(toy, provider="cpu") as engine:
        assert_equal_to_reference(map(engine.infer, upside_down), frames)


def test_a_frame_that_is_not_finite_heals_and_is_counted(toy: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = toy_frames(30)
    for number in (7, 8, 20):
        frames[number][0, 0, 0] = 255
    with Engine(toy, provider="cpu") as engine, caplog.at_level(logging.WARNING, "mostnet"):
        outputs = list(engine.stream(frames))
        assert engine.stats.heals == 3
    assert_equal_to_reference(outputs, frames)
    assert [output.frame_id for output in outputs if not output.finite] == [7, 8, 20]
    assert len(caplog.records) == 1
    assert "frame 7 came out NaN or infinite" in caplog.text


def test_sessions_have_their_own_state(toy: Path) -> None:
    first, second = toy_frames(30, seed=1), toy_frames(30, seed=2)
    with Engine(toy, provider="cpu") as engine, engine.session() as other:
        both = [(engine.infer(a), other.infer(b)) for a, b in zip(first, second, strict=True)]
        assert_equal_to_reference([pair[0] for pair in both], first)
        assert_equal_to_reference([pair[1] for pair in both], second)
        engine.reset()
        results: list[Output] = []
        thread = threading.Thread(target=lambda: results.extend(engine.stream(first)))
        thread.start()
        other.reset()
        assert_equal_to_reference(other.stream(second), second)
        thread.join()
        assert_equal_to_reference(results, first)
        assert (engine.stats.frames, other.stats.frames) == (60, 60)


def test_closing_the_engine_closes_its_sessions(toy: Path) -> None:
    engine = Engine(toy, provider="cpu")
    session = engine.session()
    engine.close()
    engine.close()
    for call in (lambda: session.infer(toy_frames(1)[0]), engine.session, engine.reset):
        with pytest.raises(EngineClosedError, match="is closed"):
            call()
    session.close()
    assert engine.metadata == METADATA


def test_a_closed_session_leaves_the_engine_open(toy: Path) -> None:
    frames = toy_frames(2)
    with Engine(toy, provider="cpu") as engine:
        engine.session().close()
        assert_equal_to_reference(map(engine.infer, frames), frames)


@pytest.mark.parametrize("outputs", [["mask"], ("enhanced", "mask"), ("flow",)])
def test_only_what_is_wanted(toy: Path, outputs: list[str]) -> None:
    frames = toy_frames(5)
    with Engine(toy, outputs=outputs, provider="cpu") as engine:
        output = list(engine.stream(frames))[-1]
    expected = dict(zip(("enhanced", "flow", "mask"), reference(frames)[-1], strict=False))
    for name, array in expected.items():
        found = getattr(output, name)
        if name in outputs:
            np.testing.assert_allclose(found, array, atol=1)
        else:
            assert found is None
    assert output.finite is True


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"outputs": ("depth", "mask")},
            r"unknown outputs \['depth'\]; expected some of \['enhanced', 'flow', 'mask'\]",
        ),
        ({"outputs": "mask"}, r"outputs is the text 'mask'; expected a sequence of names: \('mask',\)"),
        ({"outputs": ()}, "no outputs asked for"),
        ({"provider": "tpu"}, r"unknown provider 'tpu'; expected one of \['auto', 'cpu', 'cuda'\]"),
        ({"threads": 0}, "threads is 0; expected at least 1"),
        ({"slots": 1}, "slots is 1; expected at least 2"),
        ({"timeout_ms": -5}, "timeout_ms is -5"),
    ],
)
def test_options_out_of_range(toy: Path, options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Engine(toy, **options)


def test_results_are_never_overwritten(toy: Path) -> None:
    frames = toy_frames(12)
    with Engine(toy, provider="cpu") as engine:
        outputs = list(engine.stream(frames))
        copies = [output.enhanced.copy() for output in outputs]
        for frame in toy_frames(12, seed=5):
            engine.infer(frame)
    for output, copy in zip(outputs, copies, strict=True):
        np.testing.assert_array_equal(output.enhanced, copy)
        assert output.enhanced.flags.writeable


def test_resident_memory_is_flat(toy: Path) -> None:
    frames = toy_frames(8)
    scale = 1 if sys.platform == "darwin" else 1024
    with Engine(toy, provider="cpu") as engine:
        for round_ in range(4):
            for _ in engine.stream(frames[index % 8] for index in range(400)):
                pass
            for index in range(100):
                engine.infer(frames[index % 8])
            if round_ == 0:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale - before
    assert grown < 8_000_000  # the outputs of 1500 frames are 92 MB


def test_device_values_are_the_reference(toy: Path) -> None:
    """The lane of the CUDA provider, with its values in host memory: the same calls, another device."""
    frames = toy_frames(30)
    session = onnxruntime.InferenceSession(str(toy), providers=["CPUExecutionProvider"])

    class DeviceModel:
        metadata = METADATA
        provider = "device"

        def lane(self, slots: int, outputs: list[str], *, results: str) -> DeviceLane:
            return DeviceLane(session, METADATA, slots, outputs, device="cpu", results=results)

    with Session(DeviceModel(), Options()) as device:
        assert_equal_to_reference(map(device.infer, frames), frames)
        device.reset()
        outputs = list(device.stream(frames))
        assert_equal_to_reference(outputs, frames)


def test_no_memory_for_the_slots(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(spec: object) -> np.ndarray:
        raise MemoryError("Unable to allocate 1 TiB")

    monkeypatch.setattr(onnx_lanes, "_zeros", exhausted)
    with pytest.raises(DeviceMemoryError, match=r"no cpu memory for 90 slots, about 10 MB .*use fewer slots"):
        Engine(toy, provider="cpu", slots=90)


def test_cuda_without_a_cuda_build(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(BackendNotInstalledError, match=r"has no CUDAExecutionProvider; .*pip install 'mostnet\[gpu\]'"):
        Engine(toy, provider="cuda")


def test_cuda_without_a_gpu(toy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def no_gpu() -> int:
        raise NoGpuError("no NVIDIA driver on this machine")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnx_backend, "require_gpu", no_gpu)
    with pytest.raises(NoGpuError, match="no NVIDIA driver"):
        Engine(toy, provider="cuda")
    with caplog.at_level(logging.INFO, "mostnet"), Engine(toy) as engine:
        assert engine.provider == "cpu"
    assert "not on CUDA: no NVIDIA driver" in caplog.text
    assert "runs on cpu" in caplog.text


def test_cuda_that_does_not_open(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnx_backend, "require_gpu", lambda: 1)
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *args, providers: real(*args, providers=["CPUExecutionProvider"])
    )
    with pytest.raises(NoGpuError, match="could not open the GPU"):
        Engine(toy, provider="cuda")
    with Engine(toy) as engine:
        assert engine.provider == "cpu"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("close", [True, False], ids=["closed", "dropped"])
def test_a_forked_process_does_not_wait_for_the_threads_of_its_parent(toy: Path, close: bool) -> None:
    engine = Engine(toy, threads=2, provider="cpu")
    engine.infer(toy_frames(1)[0])
    gc.collect()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            if close:
                engine.close()
            del engine
            gc.collect()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    engine.close()
