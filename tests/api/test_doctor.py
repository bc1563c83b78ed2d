"""``mostnet doctor``: what this machine can do, on machines with all, with nothing, and with broken libraries."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from mostnet import NoGpuError, doctor
from mostnet.__main__ import main

from ..without_extras import without_extras


def no_gpu() -> str:
    raise NoGpuError("no NVIDIA driver on this machine")


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand-ins for libraries by name, which a test fills: modules, or errors that importing them raises."""
    found: dict[str, Any] = {"torch": Library("2.13.0"), "onnxscript": Library("0.7.2")}  # slow to import
    found["torch"].cuda = SimpleNamespace(is_available=lambda: False)

    def load(name: str) -> Any:
        if isinstance(found.get(name), Exception):
            raise found[name]
        return found.get(name) or import_module(name)

    monkeypatch.setattr(doctor, "import_module", load)
    monkeypatch.setattr(doctor, "gpu_architecture", no_gpu)
    return found


class Library:
    """A library of a version, and of ONNX Runtime the devices that it was built for."""

    def __init__(self, version: str, *providers: str) -> None:
        self.__version__ = version
        self._providers = [f"{name}ExecutionProvider" for name in providers]
        self.opens = list(self._providers)

    def get_available_providers(self) -> list[str]:
        return self._providers

    def SessionOptions(self) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace()

    def InferenceSession(self, graph: bytes, settings: SimpleNamespace, *, providers: list[str]) -> SimpleNamespace:  # noqa: N802
        assert settings.log_severity_level == 4
        return SimpleNamespace(get_providers=lambda: [name for name in providers if name in self.opens])


def by_name() -> dict[str, doctor.Ability]:
    return {ability.name: ability for ability in doctor.abilities()}


def test_a_machine_that_can_do_the_main_job_exits_with_0(
    libraries: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "GPU  none: no NVIDIA driver on this machine\n" in printed
    assert f"yes  run .onnx on the CPU           ONNX Runtime {onnxruntime.__version__}\n" in printed
    assert "no   run .onnx on the GPU           needs an NVIDIA GPU and its driver\n" in printed
    assert printed.endswith("A video can run through an .onnx on the CPU.\n")


def test_without_extras_it_names_the_command_that_installs_each(tmp_path: Path) -> None:
    ((status, printed, errors),) = without_extras(tmp_path, [("mostnet", ["doctor"])])
    assert (status, errors) == (1, "")
    assert "no   run .onnx on the CPU           ONNX Runtime is not installed\n" in printed
    for extra in ("cpu", "export", "train"):
        assert f"\n  pip install 'mostnet[{extra}]'" in printed
    assert printed.endswith("This machine cannot: run .onnx on the CPU.\n")


def test_a_broken_library_is_said_to_be_broken_and_why(
    libraries: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    libraries["onnxruntime"] = OSError("libonnx.so:\ncannot open")
    libraries["torch"] = ModuleNotFoundError("No module named 'sympy'", name="sympy")
    libraries["av"] = Library("18.1.0")  # without codecs: it imports, and then fails
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "ONNX Runtime is installed but broken: OSError: libonnx.so: cannot open\n" in printed
    assert "PyTorch is installed but broken: No module named 'sympy'\n" in printed
    assert "no   read H.264 video               broken: AttributeError: " in printed
    assert "This machine cannot: run .onnx on the CPU, read H.264 video, write H.264 video.\n" in printed


def test_a_codec_that_ffmpeg_lacks_is_named(libraries: dict[str, Any]) -> None:
    class Codecs:
        @staticmethod
        def Codec(name: str, mode: str) -> None:  # noqa: N802
            if name == "libx264":
                raise ValueError(name)

    libraries["av"] = Library("18.1.0")
    libraries["av"].codec = Codecs
    found = by_name()
    assert found["read H.264 video"].works and found["read HEVC video"].works
    assert not found["write H.264 video"].works
    assert found["write H.264 video"].detail == "the FFmpeg in PyAV 18.1.0 has no libx264"


def test_on_a_gpu_it_says_what_is_missing_for_the_gpu(
    libraries: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "gpu_architecture", lambda: "sm_90")
    monkeypatch.setattr(doctor, "query_gpus", lambda *_: [["NVIDIA Test 1", "580.1"], ["NVIDIA Test 2", "580.1"]])
    libraries["onnxruntime"] = Library("1.32.0", "CPU")
    libraries["tensorrt_rtx"] = Library("1.7")
    libraries["tensorrt"] = Library("10.1")
    libraries["pycuda.driver"] = ModuleNotFoundError("No module named 'pycuda'", name="pycuda")
    found = by_name()
    assert found["run .onnx on the GPU"].remedy == "pip uninstall onnxruntime && pip install 'mostnet[gpu]'"
    assert found["run .plan of TensorRT"].detail == "pycuda is not installed"
    assert found["run .plan of TensorRT"].remedy == "pip install 'mostnet[cuda]'"
    assert found["build .plan, TensorRT"].detail == "TensorRT 10.1"

    libraries["onnxruntime"] = Library("1.32.0", "CUDA", "CPU")
    libraries["pycuda.driver"] = Library("2025.1")
    found = by_name()
    assert found["run .onnx on the GPU"].works and found["run .onnx on the CPU"].works
    assert found["run .plan of TensorRT for RTX"].detail == "TensorRT for RTX 1.7, pycuda, sm_90"
    libraries["onnxruntime"].opens.clear()  # as without cuDNN
    lacking = by_name()["run .onnx on the GPU"]
    assert "cannot open the GPU: a CUDA or cuDNN library is missing" in lacking.detail
    assert lacking.remedy == "pip install 'onnxruntime-gpu[cuda,cudnn]==1.32.0'"
    text = doctor.report([*found.values()])
    assert "GPU  NVIDIA Test 1, driver 580.1, sm_90\nGPU  NVIDIA Test 2, driver 580.1\n" in text
