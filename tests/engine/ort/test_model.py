"""Opening ONNX Runtime: the provider that is chosen, and the errors where it cannot be had."""

import logging
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import BackendNotInstalledError, DeviceMemoryError, NoGpuError
from mostnet.engine import Engine
from mostnet.engine.cuda import driver
from mostnet.engine.ort import lanes as onnx_lanes
from mostnet.engine.ort import model as onnx_backend
from tests.toy_graph import save_toy

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "toy.onnx")


def test_no_memory_for_the_slots(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(spec: object) -> np.ndarray:
        raise MemoryError("Unable to allocate 1 TiB")

    monkeypatch.setattr(onnx_lanes, "_zeros", exhausted)
    with pytest.raises(DeviceMemoryError, match=r"no cpu memory for 90 slots, about 8 MB .*use fewer slots"):
        Engine(toy, provider="cpu", slots=90)


def test_cuda_without_a_cuda_build(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(driver, "open_library", object)
    with pytest.raises(BackendNotInstalledError) as caught:
        Engine(toy, provider="cuda")
    assert type(caught.value) is BackendNotInstalledError
    assert "has no CUDAExecutionProvider; pip uninstall onnxruntime, then pip install 'mostnet[gpu]'" in str(
        caught.value
    )


@pytest.mark.parametrize("build", ["CPUExecutionProvider", "CUDAExecutionProvider"])
@pytest.mark.parametrize(
    ("options", "advice"),
    [({"provider": "gpu"}, "open the engine with provider='cpu'"), ({"device": 1}, "leave device out")],
)
def test_cuda_without_a_driver(
    toy: Path, build: str, options: dict[str, object], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_library() -> object:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [build])
    monkeypatch.setattr(driver, "open_library", open_library)
    with pytest.raises(NoGpuError) as caught:
        Engine(toy, **options)
    assert type(caught.value) is NoGpuError
    assert str(caught.value).startswith("no NVIDIA driver on this machine (")
    assert str(caught.value).endswith(f"; {advice}")


def test_cuda_without_a_gpu(toy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def no_gpu(device: int) -> int:
        raise NoGpuError("no NVIDIA driver on this machine")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnx_backend, "require_gpu", no_gpu)
    with pytest.raises(NoGpuError, match="no NVIDIA driver"):
        Engine(toy, provider="cuda")
    with caplog.at_level(logging.INFO, "mostnet"), Engine(toy) as engine:
        assert engine.provider == "cpu"
    assert "not on CUDA: no NVIDIA driver" in caplog.text
    assert "runs on cpu" in caplog.text


@pytest.mark.parametrize("has_gpu", [False, True])
def test_only_a_machine_with_a_gpu_is_told_to_change_the_build(
    toy: Path, has_gpu: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def open_library() -> object:
        if not has_gpu:
            raise OSError("libcuda.so.1: cannot open shared object file")
        return object()

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(driver, "open_library", open_library)
    with caplog.at_level(logging.INFO, "mostnet"), Engine(toy) as engine:
        assert engine.provider == "cpu"
    assert ("pip uninstall onnxruntime" in caplog.text) == has_gpu
    assert "runs on cpu" in caplog.text


def test_cuda_computes_in_true_float32_by_algorithms_chosen_by_rules(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``use_tf32`` and the search are options of the CUDA provider alone."""
    real, asked = onnxruntime.InferenceSession, []

    def session(*args: object, providers: list[object]) -> object:
        asked.append(providers)
        return real(*args, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnx_backend, "require_gpu", lambda device: 1)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    Engine(toy).close()
    options = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "device_id": "0"}
    cuda, cpu = [("CUDAExecutionProvider", options), "CPUExecutionProvider"], ["CPUExecutionProvider"]
    assert asked == [cuda, cpu]


def test_cuda_that_does_not_open(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnx_backend, "require_gpu", lambda device: 1)
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *args, providers: real(*args, providers=["CPUExecutionProvider"])
    )
    with pytest.raises(NoGpuError, match="could not open the GPU"):
        Engine(toy, provider="cuda")
    with Engine(toy) as engine:
        assert engine.provider == "cpu"


def test_no_device_results_without_a_device(toy: Path) -> None:
    with pytest.raises(NoGpuError, match=r"results='device' keeps .* runs on the CPU; open it with results='borrowed'"):
        Engine(toy, provider="cpu", results="device")
