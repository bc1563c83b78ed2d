"""What every builder is told: the GPUs to build for, TF32, and the one logger of the process."""

from __future__ import annotations

import pytest

from mostnet.contract import ExportError, InspectionError, NoGpuError
from mostnet.engine.tensorrt.log import tensorrt_logger
from mostnet.export.plan import flavour
from mostnet.export.plan import inspector as plan_inspector
from mostnet.export.plan.builder import build_plan
from mostnet.export.plan.flavour import Toolchain, resolve_targets
from mostnet.export.plan.inspector import inspect_plan
from mostnet.export.plan.request import PlanRequest

from .fake_builder import FakeBuilders

REQUEST = PlanRequest(floats="fp32")


def build(library: FakeBuilders, targets: tuple[str, ...] | None = None, kind: str = "rtx") -> dict[int, str]:
    """Build, and return the GPUs that the builder was told."""
    build_plan(Toolchain(library.module, kind, resolve_targets(library.module, kind, targets)), b"graph", REQUEST)
    config = library.configs[-1]
    assert config.num_compute_capabilities == len(config.capabilities)
    return config.capabilities


def gpu(monkeypatch: pytest.MonkeyPatch, architecture: str) -> None:
    """A machine with this GPU."""
    monkeypatch.setattr(flavour, "require_gpu", lambda: 1)
    monkeypatch.setattr(flavour, "gpu_architecture", lambda: architecture)


def test_with_a_gpu_a_plan_is_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, "sm_89")
    assert build(FakeBuilders("rtx")) == {0: "CURRENT"}
    assert build(FakeBuilders("rtx"), ("sm_86", "sm_120")) == {0: "SM86", 1: "SM120"}
    assert build(FakeBuilders("10"), kind="tensorrt") == {}


def test_a_gpu_that_tensorrt_for_rtx_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an H200 it builds a plan without complaint, and then refuses to run it."""
    gpu(monkeypatch, "sm_90")
    library = FakeBuilders("rtx")
    with pytest.raises(ExportError) as caught:
        build(library)
    assert str(caught.value) == (
        "the GPU of this machine is sm_90, and tensorrt_rtx 1.7.1 supports sm_75, sm_86, sm_89, sm_120; build for it "
        "with classic TensorRT (pip install 'mostnet[tensorrt]', --flavour tensorrt), export the graph alone for ONNX "
        "Runtime (--onnx-only), or build for other GPUs (--target sm_86,sm_89,sm_120)"
    )
    assert library.builds == []
    assert build(library, ("sm_89", "sm_120")) == {0: "SM89", 1: "SM120"}, "a plan for another machine"
    assert build(FakeBuilders("10"), kind="tensorrt") == {}


def test_without_a_gpu_a_plan_is_for_workstations(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> int:
        raise NoGpuError("no NVIDIA driver on this machine")

    monkeypatch.setattr(flavour, "require_gpu", none)
    assert build(FakeBuilders("rtx")) == {0: "SM86", 1: "SM89", 2: "SM120"}
    with pytest.raises(
        NoGpuError,
        match=r"tensorrt_rtx 1\.7\.1 without targets builds for the GPU of this machine: no "
        r"NVIDIA driver .*; name the GPUs .* --target sm_86,sm_89,sm_120",
    ):
        build_plan(Toolchain(FakeBuilders("rtx").module, "rtx"), b"graph", REQUEST)


def test_targets_that_tensorrt_refuses() -> None:
    library = FakeBuilders("rtx")
    with pytest.raises(
        ExportError, match=r"no target sm_90: tensorrt_rtx 1\.7\.1 supports sm_75, .*--flavour tensorrt"
    ):
        build(library, ("sm_90",))
    with pytest.raises(ExportError, match=r"tensorrt_rtx 1\.7\.1 refuses the target SM75"):
        build(library, ("sm_75",))


@pytest.mark.parametrize("floats", ["fp16", "fp32"])
@pytest.mark.parametrize("generation", ["8.6", "10", "rtx"])
def test_float32_is_not_rounded_to_tf32(generation: str, floats: str) -> None:
    library = FakeBuilders(generation)
    kind, targets = ("rtx", ("sm_86",)) if generation == "rtx" else ("tensorrt", ())
    build_plan(Toolchain(library.module, kind, targets), b"graph", PlanRequest(floats=floats))
    assert [flags & {"TF32"} for flags in library.builds] == [set()]


def test_the_level_of_the_search_is_the_asked_one_or_that_of_tensorrt() -> None:
    library = FakeBuilders("8.6")
    for level in (None, 0):
        build_plan(
            Toolchain(library.module, "tensorrt"), b"graph", PlanRequest(floats="fp32"), optimization_level=level
        )
    assert [config.builder_optimization_level for config in library.configs] == [3, 0]


def test_builder_parser_and_runtime_share_one_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT keeps the first logger of the process, and ignores any other."""
    monkeypatch.setattr(plan_inspector, "gpu_architecture", lambda: "sm_86")
    library = FakeBuilders("10")
    build(library, kind="tensorrt")
    with pytest.raises(InspectionError, match="refuses the plan"):
        inspect_plan(library.module, b"plan", targets=("sm_86",))
    assert len(library.loggers) == 3
    assert all(logger is tensorrt_logger(library.module) for logger in library.loggers)
