"""A plan that cannot be opened: a damaged file, a wrong description, and a machine that lacks something."""

import ctypes
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mostnet.bench.gpu.miniature.gpu import MiniatureGpu
from mostnet.bench.gpu.standin.miniature_runner import MiniatureRunner
from mostnet.bench.gpu.standin.tensorrt import StandinTensorRt
from mostnet.contract import (
    BackendNotInstalledError,
    ModelFileError,
    NoGpuError,
    PlanMismatchError,
)
from mostnet.engine import Engine
from mostnet.engine.cuda import driver
from mostnet.engine.tensorrt import checks as plan_backend
from mostnet.engine.tensorrt.checks import check_fit, read_plan_info
from mostnet.export.cli import _parser
from tests.engine.plan_setup import write_plan


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return write_plan(tmp_path / "nano.plan", tensorrt_version="1.4.0")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)


class Driver:
    """A CUDA driver that reports ``count`` devices."""

    def __init__(self, status: int, count: int) -> None:
        self._status, self._count = status, count

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self._status

    def cuDeviceGetCount(self, pointer: object) -> int:  # noqa: N802
        pointer._obj.value = self._count
        return 0


@pytest.mark.usefixtures("no_gpu")
def test_no_driver_and_no_graph_beside_it(plan: Path) -> None:
    with pytest.raises(NoGpuError) as caught:
        Engine(plan)
    assert "nano.plan: a TensorRT plan needs an NVIDIA GPU: no NVIDIA driver on this machine" in str(caught.value)
    assert str(caught.value).endswith(
        "open nano.onnx instead (mostnet-export --onnx-only makes it), which runs on the CPU"
    )


@pytest.mark.usefixtures("no_gpu")
def test_no_driver_and_the_graph_beside_it(plan: Path) -> None:
    plan.with_suffix(".onnx").write_bytes(b"x")
    with pytest.raises(NoGpuError, match=r"open nano.onnx beside it instead, which runs on the CPU"):
        Engine(plan)


@pytest.mark.parametrize(
    ("status", "count", "text"),
    [(100, 0, r"no usable GPU \(cuInit returned CUDA error 100\)"), (0, 0, "reports 0 GPUs")],
)
def test_a_driver_without_a_gpu(
    plan: Path, monkeypatch: pytest.MonkeyPatch, status: int, count: int, text: str
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(status, count))
    with pytest.raises(NoGpuError, match=text):
        Engine(plan)


def test_a_gpu_without_tensorrt(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(0, 2))
    monkeypatch.setattr(plan_backend, "find_spec", lambda name: None)
    assert driver.require_gpu() == 2
    with pytest.raises(BackendNotInstalledError) as caught:
        Engine(plan)
    assert "built by TensorRT 1.4.0 (tensorrt_rtx), which is not installed" in str(caught.value)
    assert "pip install 'mostnet[rtx]', or open nano.onnx" in str(caught.value)


def test_a_gpu_without_pycuda(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(0, 1))
    monkeypatch.setattr(plan_backend, "find_spec", lambda name: None if name == "pycuda" else object())
    with pytest.raises(BackendNotInstalledError) as caught:
        Engine(plan)
    assert "TensorRT plans run through pycuda, which is not installed; pip install 'mostnet[cuda]'" in str(caught.value)
    assert "or open nano.onnx" in str(caught.value)


def test_the_other_flavour_is_installed(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(0, 1))
    monkeypatch.setattr(plan_backend, "find_spec", lambda name: None if name == "tensorrt_rtx" else object())
    with pytest.raises(BackendNotInstalledError) as caught:
        Engine(plan)
    assert "(tensorrt_rtx), which is not installed (tensorrt is, but neither loads plans of the other)" in str(
        caught.value
    )


def test_a_plan_does_not_run_on_the_cpu(plan: Path) -> None:
    with pytest.raises(NoGpuError, match=r"runs on a GPU, but provider is 'cpu'; open nano.onnx"):
        Engine(plan, provider="cpu")


#: The part of TensorRT for RTX that is asked before a plan is read.
LIBRARY = SimpleNamespace(
    __name__="tensorrt_rtx", __version__="1.4.0", ComputeCapability=SimpleNamespace(SM86=1, SM89=2)
)


def test_another_gpu_than_the_plan_was_built_for(plan: Path) -> None:
    info = read_plan_info(plan)
    check_fit(plan, info, LIBRARY, "sm_86")
    with pytest.raises(PlanMismatchError) as caught:
        check_fit(plan, info, LIBRARY, "sm_89")
    assert str(caught.value).endswith(
        "nano.plan: built for sm_86; the GPU of this machine is sm_89; build it again on this machine: mostnet-export "
        "CKPT.pt --fp32 --size 64x80 --opset 19 --flavour rtx"
    )


@pytest.mark.parametrize("targets", [("sm_86",), ("sm_90",)])
def test_a_gpu_that_tensorrt_for_rtx_leaves_out(plan: Path, targets: tuple[str, ...]) -> None:
    """It builds a plan on an H200 and refuses to run it, so building it again would not help."""
    info = replace(read_plan_info(plan), targets=targets)
    with pytest.raises(PlanMismatchError) as caught:
        check_fit(plan, info, LIBRARY, "sm_90")
    assert str(caught.value).endswith(
        "nano.plan: tensorrt_rtx 1.4.0 runs no plan on the GPU of this machine, sm_90; it supports sm_86, sm_89; use "
        "such a GPU, or open nano.onnx instead (mostnet-export --onnx-only makes it), which runs on this GPU through "
        "ONNX Runtime (pip install 'mostnet[gpu]'), or with classic TensorRT build it again on this machine: "
        "mostnet-export CKPT.pt --fp32 --size 64x80 --opset 19 --flavour tensorrt"
    )
    plan.with_suffix(".onnx").write_bytes(b"x")
    with pytest.raises(
        PlanMismatchError, match=r"or open nano\.onnx beside it instead, which runs on this GPU through"
    ):
        check_fit(plan, info, LIBRARY, "sm_90")


def test_another_version_than_the_plan_was_built_by(plan: Path) -> None:
    newer = SimpleNamespace(**{**vars(LIBRARY), "__version__": "1.5.0"})
    with pytest.raises(PlanMismatchError) as caught:
        check_fit(plan, read_plan_info(plan), newer, "sm_86")
    assert (
        "built by tensorrt_rtx 1.4.0, and a plan loads only in that version; 1.5.0 is installed; install "
        "tensorrt_rtx==1.4.0, or build it again on this machine: mostnet-export CKPT.pt --fp32 --size 64x80"
    ) in str(caught.value)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("generation", ["8.6", "rtx"])
def test_the_exporter_takes_the_command_of_the_message(tmp_path: Path, generation: str, precision: str) -> None:
    trt = StandinTensorRt(MiniatureRunner(MiniatureGpu()), generation).module
    flavour = "rtx" if generation == "rtx" else "tensorrt"
    plan = write_plan(tmp_path / "x.plan", flavour=flavour, tensorrt_version=trt.__version__, precision=precision)
    with pytest.raises(PlanMismatchError) as caught:
        check_fit(plan, read_plan_info(plan), trt, "sm_89")
    words = str(caught.value).split("mostnet-export ")[1].split()
    args = _parser().parse_args(words)
    assert (args.checkpoint, args.precision, args.size, args.opset) == ("CKPT.pt", precision, [(64, 80)], 19)
    assert args.calib == (Path("VIDEO") if precision == "int8" else None)
    assert (args.flavour, args.target) == (flavour, None)


def test_no_such_plan(plan: Path) -> None:
    with pytest.raises(ModelFileError, match=r"dw.plan: no such file \(that folder has nano.plan\)"):
        Engine(plan.with_name("dw.plan"))


def test_the_description_is_missing(plan: Path) -> None:
    plan.with_name("nano.plan.json").unlink()
    with pytest.raises(ModelFileError, match=r"its description nano.plan.json is missing; copy both files"):
        Engine(plan)


def test_a_plan_cut_short(plan: Path) -> None:
    plan.write_bytes(plan.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match=r"truncated or altered: SHA-256 \w{12}\.\.\., expected \w{12}\.\.\."):
        Engine(plan)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format_version": 3}, "description format 3, this mostnet reads 1"),
        ({"flavour": "vanilla"}, r"unknown TensorRT flavour 'vanilla', expected one of \['rtx', 'tensorrt'\]"),
        ({"targets": None}, "ill-formed description"),
    ],
)
def test_a_description_that_is_wrong(plan: Path, change: dict[str, object], text: str) -> None:
    sidecar = plan.with_name("nano.plan.json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(ModelFileError, match=text):
        Engine(plan)


def test_a_description_that_is_no_text(plan: Path) -> None:
    plan.with_name("nano.plan.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelFileError, match=r"nano.plan.json: not text"):
        Engine(plan)


def test_architecture_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ada(Driver):
        def cuDeviceGet(self, pointer: object, ordinal: int) -> int:  # noqa: N802
            pointer._obj.value = 40 + ordinal
            return 0

        def cuDeviceGetAttribute(self, pointer: object, attribute: int, device: ctypes.c_int) -> int:  # noqa: N802
            assert device.value == 40
            pointer._obj.value = {75: 8, 76: 9}[attribute]
            return 0

    class Silent(Ada):
        def cuDeviceGetAttribute(self, pointer: object, attribute: int, device: ctypes.c_int) -> int:  # noqa: N802
            return 101

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Ada(0, 1))
    assert driver.gpu_architecture() == "sm_89"
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Silent(0, 1))
    with pytest.raises(NoGpuError, match=r"does not report the architecture .*CUDA error 101"):
        driver.gpu_architecture()
