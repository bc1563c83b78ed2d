"""The CUDA libraries of pip: ONNX Runtime loads them before a CUDA session, and says what it lacks in our error."""

import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mostnet.contract import NoGpuError
from mostnet.engine import Engine
from mostnet.engine.ort import model as onnx_backend
from mostnet.engine.ort.cuda_libraries import load_cuda_libraries
from tests.toy_graph import save_toy

onnxruntime = pytest.importorskip("onnxruntime")

#: What ONNX Runtime 1.31 prints.
LACKING = "Failed to load libcublasLt.so.13: cannot open shared object file"
ADVICE = "Please follow https://onnxruntime.ai/docs/install/#cuda-and-cudnn to install CUDA."


def print_failure() -> None:
    print(LACKING)
    print(ADVICE)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return save_toy(tmp_path / "toy.onnx")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine with a GPU and a CUDA build of ONNX Runtime, but without CUDA; returns what is done in which order."""
    done: list[str] = []
    real = onnxruntime.InferenceSession

    def session(*args: object, providers: list[object]) -> object:
        done.append("cpu session" if len(providers) == 1 else "cuda session")
        return real(*args, providers=["CPUExecutionProvider"])

    def preload() -> None:
        done.append("preload")
        print_failure()

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", preload, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnx_backend, "require_gpu", lambda device: 1)
    return done


def test_they_load_before_a_cuda_session(toy: Path, steps: list[str]) -> None:
    with pytest.raises(NoGpuError):
        Engine(toy, provider="cuda")
    assert steps == ["preload", "cuda session"]


def test_the_cpu_needs_none(toy: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Engine(toy, provider="cpu").close()
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    Engine(toy).close()
    assert steps == ["cpu session", "cpu session"]


def test_the_error_names_what_is_missing_and_what_to_install(
    toy: Path, steps: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoGpuError) as caught:
        Engine(toy, provider="cuda")
    assert f"is missing ({LACKING}; {ADVICE}); pip install 'onnxruntime-gpu[cuda,cudnn]==" in str(caught.value)
    assert str(caught.value).endswith("or open the engine with provider='cpu'")
    assert capsys.readouterr().out == ""


def test_the_cpu_instead_of_a_gpu_that_is_there_is_a_warning(
    toy: Path, steps: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "mostnet"), Engine(toy) as engine:
        assert engine.provider == "cpu"
    assert LACKING in caplog.text


def test_an_onnx_runtime_that_cannot_load_them() -> None:
    assert load_cuda_libraries(SimpleNamespace()) == ()


def test_other_threads_print_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    def preload() -> None:
        in_another_thread(lambda: print("a frame"))
        print_failure()

    assert load_cuda_libraries(SimpleNamespace(preload_dlls=preload)) == (LACKING, ADVICE)
    assert capsys.readouterr().out == "a frame\n"


def test_two_threads_give_the_stream_back() -> None:
    """Without a lock, the second would begin during the first, end after it, and put back the stream of the first."""
    usual, failures = sys.stdout, list[tuple[str, ...]]()
    in_first, in_second, after_first = (threading.Event() for _ in range(3))

    def preload_first() -> None:
        in_first.set()
        in_second.wait(0.2)
        print_failure()

    def preload_second() -> None:
        in_second.set()
        after_first.wait(5)
        print_failure()

    def run_second() -> None:
        in_first.wait(5)
        failures.append(load_cuda_libraries(SimpleNamespace(preload_dlls=preload_second)))

    second = threading.Thread(target=run_second)
    second.start()
    failures.append(load_cuda_libraries(SimpleNamespace(preload_dlls=preload_first)))
    after_first.set()
    second.join()
    found, sys.stdout = sys.stdout, usual
    assert found is usual
    assert failures == [(LACKING, ADVICE)] * 2


def in_another_thread(function: Callable[[], None]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()
