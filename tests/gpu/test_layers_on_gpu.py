"""The engine inspector of the installed TensorRT tells the types that the convolutions of a plan run in."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import pytest

from mostnet.contract import PlanInfo
from mostnet.engine.cuda.driver import gpu_architecture
from mostnet.engine.tensorrt.library import MODULES
from mostnet.export.plan.flavour import Toolchain
from mostnet.export.plan.inspector import inspect_plan
from mostnet.export.plan.layers import NOT_FOUND, Convolution, PlanLayer, match_convolutions, narrowed_layers
from mostnet.export.plan.report import summary
from mostnet.export.plan.request import PlanRequest

from .conftest import OPTIONAL, case_folder, need_gpu, need_tensorrt, plan_name

SIZE = (96, 128)


def check_found(found: Sequence[Convolution], narrowed: Sequence[PlanLayer]) -> None:
    """Nine in ten convolutions are found, and nine in ten run as asked. Float32 layers that do not are printed."""
    lines = summary(found, narrowed)
    print(*lines, sep="\n")
    missing = sum(one.runs == NOT_FOUND for one in found)
    wrong = sum(one.runs not in (one.asked, NOT_FOUND) for one in found)
    assert missing <= len(found) // 10, lines
    assert wrong <= len(found) // 10, lines


def test_the_inspector_finds_the_convolutions_of_the_case() -> None:
    need_tensorrt()
    need_gpu()
    plan = plan_name()
    folder = case_folder(plan, f"{plan}.json", "request.json")
    info = PlanInfo.from_json((folder / f"{plan}.json").read_text(encoding="utf-8"), source=f"{plan}.json")
    trt = import_module(MODULES[info.flavour])
    layers = inspect_plan(trt, (folder / plan).read_bytes(), targets=info.targets)
    request = PlanRequest.from_json((folder / "request.json").read_text(encoding="utf-8"), source="request.json")
    check_found(match_convolutions(layers, request.convolutions), narrowed_layers(layers, request.wide))


def int8_toolchain() -> Toolchain:
    """A TensorRT that builds INT8 graphs for the GPU of this machine; skips without one."""
    need_tensorrt()
    need_gpu()
    for module in ("torch", "onnx", "onnxruntime"):
        pytest.importorskip(module, reason=f"{OPTIONAL}{module} is not installed beside this TensorRT")
    architecture = gpu_architecture()
    if find_spec("tensorrt") is not None:
        trt = import_module("tensorrt")
        if hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
            return Toolchain(trt, "tensorrt")
    if find_spec("tensorrt_rtx") is not None:
        rtx = import_module("tensorrt_rtx")
        if hasattr(rtx.ComputeCapability, architecture.replace("sm_", "SM")):
            return Toolchain(rtx, "rtx")
    pytest.skip(f"{OPTIONAL}no TensorRT is installed that builds INT8 graphs for {architecture}")


def test_the_inspector_finds_int8_convolutions() -> None:
    toolchain = int8_toolchain()
    from mostnet.calibration import convolutions, quantise
    from mostnet.export.graph import build_graph, float32_islands
    from mostnet.export.plan.builder import build_plan
    from mostnet.model import initial_checkpoint

    checkpoint = initial_checkpoint("nano", seed=1, random_head=True)
    half = build_graph(checkpoint, size_hw=SIZE, precision="fp16", opset=19, checkpoint_sha256="x")
    modules = tuple(convolutions(half))
    graph = quantise(half, dict.fromkeys(modules, 4.0))
    request = PlanRequest.of(graph, metadata=None, floats="fp16", islands=float32_islands(checkpoint), int8=modules)
    plan = build_plan(toolchain, graph.SerializeToString(), request)
    layers = inspect_plan(toolchain.trt, plan.data, targets=toolchain.targets)
    found = match_convolutions(layers, request.convolutions)
    assert sum(one.asked == "INT8" for one in found) == len(modules) == 43
    check_found(found, narrowed_layers(layers, request.wide))
