"""Plans built by TensorRT for RTX, and the check of the network that it parses."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest

from mostnet.contract import BackendNotInstalledError, ExportError, NoGpuError
from mostnet.engine.tensorrt.log import tensorrt_logger
from mostnet.export.graph import build_graph, float32_islands
from mostnet.export.plan.builder import BuildProgress, build_plan
from mostnet.export.plan.flavour import (
    Toolchain,
    choose_flavour,
    network_flags,
    resolve_targets,
    set_targets,
    strongly_typed,
)
from mostnet.export.plan.request import PlanRequest
from mostnet.model import load_checkpoint

from .conftest import SIZE

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX has no wheel for this machine")


@pytest.fixture(scope="module")
def islands(checkpoint_path: Path) -> tuple[str, ...]:
    return float32_islands(load_checkpoint(checkpoint_path))


@pytest.fixture(scope="module")
def single(checkpoint_path: Path) -> onnx.ModelProto:
    loaded = load_checkpoint(checkpoint_path)
    return build_graph(loaded, size_hw=SIZE, precision="fp32", opset=19, checkpoint_sha256="x")


def build(
    graph: onnx.ModelProto,
    islands: tuple[str, ...],
    *,
    floats: str = "fp16",
    targets: tuple[str, ...] = ("sm_86",),
    progress: BuildProgress | None = None,
) -> bytes:
    request = PlanRequest(floats=floats, islands=islands)
    return build_plan(Toolchain(trt, "rtx", targets), graph.SerializeToString(), request, progress=progress).data


def changed(graph: onnx.ModelProto, **attributes: object) -> onnx.ModelProto:
    """A copy whose first GridSample has other attributes."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    node = next(n for n in copy.graph.node if n.op_type == "GridSample")
    for attribute in node.attribute:
        if attribute.name in attributes:
            attribute.CopyFrom(onnx.helper.make_attribute(attribute.name, attributes[attribute.name]))
    return copy


def test_plan_for_several_architectures(half: onnx.ModelProto, islands: tuple[str, ...]) -> None:
    steps = []
    plan = build(half, islands, progress=lambda *step: steps.append(step))
    both = build(half, islands, targets=("sm_86", "sm_120"))
    assert len(both) > len(plan) > 500_000, "each architecture adds to the plan"
    assert steps, "IProgressMonitor was not called"
    assert all(done <= total and seconds >= 0 for _, done, total, seconds in steps)


def test_plans_are_built_to_be_inspected_and_without_tf32(
    half: onnx.ModelProto, islands: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = []

    def config(
        builder: trt.Builder, make: Callable[[trt.Builder], object] = trt.Builder.create_builder_config
    ) -> object:
        configs.append(make(builder))
        return configs[-1]

    monkeypatch.setattr(trt.Builder, "create_builder_config", config)
    build(half, islands)
    assert [one.profiling_verbosity for one in configs] == [trt.ProfilingVerbosity.DETAILED]
    assert [one.get_flag(trt.BuilderFlag.TF32) for one in configs] == [False]


def test_an_interrupt_in_the_progress_comes_out_as_itself(half: onnx.ModelProto, islands: tuple[str, ...]) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(half, islands, progress=interrupt)


def test_single_precision_plan(single: onnx.ModelProto, islands: tuple[str, ...]) -> None:
    assert len(build(single, islands, floats="fp32")) > 500_000


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"mode": "nearest"}, r"warp/grid_sampler samples InterpolationMode\.NEAREST, not linear"),
        ({"align_corners": 0}, r"align_corners=False"),
        ({"padding_mode": "zeros"}, r"SampleMode\.FILL"),
    ],
)
def test_wrong_sampling_is_refused(
    half: onnx.ModelProto, islands: tuple[str, ...], attributes: dict[str, object], text: str
) -> None:
    with pytest.raises(ExportError, match=text):
        build(changed(half, **attributes), islands)


def test_single_precision_convolutions_are_refused(single: onnx.ModelProto, islands: tuple[str, ...]) -> None:
    with pytest.raises(ExportError, match=r"computes in float, not float16.*and \d+ more"):
        build(single, islands)


def test_float32_outside_the_islands_is_refused(half: onnx.ModelProto, islands: tuple[str, ...]) -> None:
    fewer = tuple(name for name in islands if name != "network.resize_flow")
    with pytest.raises(ExportError, match=r"network\.resize_flow/\S+ is float32 outside the float32 islands"):
        build(half, fewer)


def test_a_graph_tensorrt_cannot_parse(islands: tuple[str, ...]) -> None:
    node = onnx.helper.make_node("NoSuchOperator", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in ("x", "y")]
    graph = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:]))
    with pytest.raises(ExportError, match=r"cannot parse the graph: .*NoSuchOperator"):
        build(graph, islands)


def test_tensorrt_logs_to_python(
    half: onnx.ModelProto, islands: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "mostnet.tensorrt"):
        build(half, islands)
    assert any(record.name == "mostnet.tensorrt" for record in caplog.records)


def test_tensorrt_takes_the_gpu_of_the_machine_for_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mostnet.export.plan.flavour.require_gpu", lambda: 1)
    config = trt.Builder(tensorrt_logger(trt)).create_builder_config()
    set_targets(Toolchain(trt, "rtx"), config)
    assert [config.get_compute_capability(i) for i in range(config.num_compute_capabilities)] == [
        trt.ComputeCapability.CURRENT
    ]


def test_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mostnet.export.plan.flavour._has_gpu", lambda: False)
    assert resolve_targets(trt, "rtx", None) == ("sm_86", "sm_89", "sm_120")
    monkeypatch.setattr("mostnet.export.plan.flavour._has_gpu", lambda: True)
    monkeypatch.setattr("mostnet.export.plan.flavour.gpu_architecture", lambda: "sm_86")
    assert resolve_targets(trt, "rtx", None) == ()
    monkeypatch.setattr("mostnet.export.plan.flavour.gpu_architecture", lambda: "sm_90")
    with pytest.raises(ExportError, match=r"this machine is sm_90, and tensorrt_rtx .* supports sm_75, sm_80, sm_86"):
        resolve_targets(trt, "rtx", None)
    assert resolve_targets(trt, "rtx", ("sm_75", "sm_75")) == ("sm_75",)
    with pytest.raises(ExportError, match=r"no target sm_90: tensorrt_rtx .* supports sm_75, sm_80, sm_86"):
        resolve_targets(trt, "rtx", ("sm_86", "sm_90"))
    assert resolve_targets(trt, "tensorrt", None) == ()
    with pytest.raises(ExportError, match="leave --target out"):
        resolve_targets(trt, "tensorrt", ("sm_86",))


def install(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Pretend that exactly these TensorRTs are installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in modules else None)


def test_no_tensorrt_names_the_ways_on(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    for wanted in ("auto", "rtx"):
        with pytest.raises(BackendNotInstalledError, match=r"pip install 'mostnet\[rtx\]'.*or .* --onnx-only"):
            choose_flavour(wanted)
    with pytest.raises(BackendNotInstalledError, match=r"pip install 'mostnet\[tensorrt\]'"):
        choose_flavour("tensorrt")


@pytest.mark.parametrize(
    ("installed", "gpu", "chosen"),
    [
        (("tensorrt", "tensorrt_rtx"), True, "tensorrt"),
        (("tensorrt", "tensorrt_rtx"), False, "rtx"),
        (("tensorrt_rtx",), True, "rtx"),
    ],
)
def test_auto_flavour(monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], gpu: bool, chosen: str) -> None:
    def require_gpu() -> int:
        if not gpu:
            raise NoGpuError("no NVIDIA driver on this machine")
        return 1

    install(monkeypatch, *installed)
    monkeypatch.setattr("mostnet.export.plan.flavour.require_gpu", require_gpu)
    assert choose_flavour("auto") == chosen
    if not gpu:
        with pytest.raises(NoGpuError, match=r"for the GPU it runs on: no NVIDIA driver .*--flavour rtx"):
            choose_flavour("tensorrt")


@pytest.mark.parametrize(
    ("kinds", "flags", "typed"),
    [
        ({"EXPLICIT_BATCH": 0}, 1, False),  # 8.6
        ({"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}, 2, True),  # 10
        ({"STRONGLY_TYPED": 0}, 1, True),  # RTX
        ({"PREFER_AOT_PYTHON_PLUGINS": 2}, 0, False),
    ],
)
def test_creation_flags_by_feature(kinds: dict[str, int], flags: int, typed: bool) -> None:
    fake = SimpleNamespace(NetworkDefinitionCreationFlag=SimpleNamespace(**kinds))
    assert network_flags(fake) == flags
    assert strongly_typed(fake) is typed
