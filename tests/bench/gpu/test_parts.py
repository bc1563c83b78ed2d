"""Which parts of a report are usable in which Python."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mostnet.bench.gpu import parts as gpu_parts
from mostnet.bench.gpu.parts import find_parts, lacking, main
from mostnet.contract import NoGpuError


def write_module(folder: Path, name: str, code: str = "") -> None:
    """A module for this Python to import instead of the real one."""
    path = folder.joinpath(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "__init__.py").touch() if "." in name else None
    path.write_text(code)


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with a GPU; returns a folder for modules."""
    for name in ("tensorrt", "tensorrt_rtx", "pycuda", "pycuda.driver", "torch", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)  # so that its end brings back what was there, or nothing
        del sys.modules[name]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(gpu_parts, "require_gpu", lambda: 1)
    return tmp_path


CUDA = "class cuda:\n    is_available = staticmethod(lambda: {})\n"
PROVIDERS = "get_available_providers = lambda: ['{}']\n"


@pytest.mark.parametrize(
    ("part", "modules", "expected"),
    [
        ("tensorrt", {"tensorrt": "", "pycuda.driver": ""}, ""),
        ("tensorrt", {"tensorrt": "raise OSError('libnvinfer.so:\\n  not found')"}, "libnvinfer.so: not found"),
        ("rtx", {"tensorrt_rtx": "", "pycuda.driver": "raise ImportError('libcuda')"}, "pycuda.driver cannot be imp"),
        ("torch", {"torch": CUDA.format(True)}, ""),
        ("torch", {"torch": CUDA.format(False)}, "this PyTorch has no CUDA"),
        ("standin", {"torch": CUDA.format(True), "pycuda.driver": ""}, ""),
        ("ort", {"onnxruntime": PROVIDERS.format("CUDAExecutionProvider")}, ""),
        ("ort", {"onnxruntime": PROVIDERS.format("CPUExecutionProvider")}, "it needs onnxruntime-gpu"),
    ],
)
def test_what_a_part_lacks(with_gpu: Path, part: str, modules: dict[str, str], expected: str) -> None:
    for name, code in modules.items():
        write_module(with_gpu, name, code)
    found = lacking(part, rehearse=False)
    assert expected in found and bool(expected) == bool(found)
    assert "\n" not in found


def test_a_missing_gpu_is_named(with_gpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_gpu() -> int:
        raise NoGpuError("no NVIDIA driver on this machine")

    write_module(with_gpu, "torch", CUDA.format(True))
    monkeypatch.setattr(gpu_parts, "require_gpu", no_gpu)
    assert lacking("torch", rehearse=False) == "no NVIDIA driver on this machine"
    assert lacking("torch", rehearse=True) == ""


def test_a_rehearsal_has_no_tensorrt() -> None:
    assert (
        lacking("tensorrt", rehearse=True) == lacking("rtx", rehearse=True) == ("a rehearsal has the stand-in instead")
    )


def test_each_part_is_looked_for_in_its_own_python(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho first >&2\necho 'no such library' >&2\nexit 3\n")
    broken.chmod(0o755)
    pythons = {"ort": str(tmp_path / "missing"), "tensorrt": str(broken)}
    found = find_parts(("torch", "ort", "tensorrt"), pythons, rehearse=True)
    assert list(found) == ["torch", "ort", "tensorrt"]
    assert found["torch"] == ""
    assert found["ort"].startswith("its Python does not start: ")
    assert found["tensorrt"] == "its Python failed with status 3: no such library"


def test_libraries_that_print_do_not_confuse_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path, "onnxruntime", "print('hello')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(sys.path)}")
    assert find_parts(("ort",), {}, rehearse=True) == {"ort": ""}


def test_unknown_parts_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["keras"])
    assert "invalid choice" in capsys.readouterr().err
