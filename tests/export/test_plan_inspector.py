"""``inspect_plan`` on a fake engine inspector, and each of its errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mostnet.bench.gpu.standin.tensorrt import StandinModule
from mostnet.contract import ExportError, InspectionError, NoGpuError
from mostnet.engine.tensorrt import log as tensorrt_log
from mostnet.export.plan import inspector as plan_inspector
from mostnet.export.plan.inspector import inspect_plan

from .layer_dialects import DIALECTS, NAMES_ALONE


class Inspector:
    """``EngineInspector``: it may tell less of an engine alone than of a context."""

    execution_context: object = None

    def __init__(self, answer: object, alone: object) -> None:
        self.answer, self.alone = answer, alone

    def get_engine_information(self, form: str) -> object:
        assert form == "JSON"
        answer = self.alone if self.execution_context is None else self.answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def fake_trt(
    answer: object,
    *,
    alone: object = None,
    engine: bool = True,
    error: str = "the plan is of another version",
    lacking: str = "",
) -> StandinModule:
    """A TensorRT whose engine inspector gives ``answer``, and ``alone`` before a context is made."""
    inspector = Inspector(answer, answer if alone is None else alone)
    made = SimpleNamespace(create_engine_inspector=lambda: inspector, create_execution_context=lambda: "a context")
    if lacking:
        delattr(made, lacking)

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> object:
            assert plan == b"plan"
            if not engine:
                self.logger.log(ILogger.ERROR, error)
            return made if engine else None

    return StandinModule(
        "tensorrt",
        __version__="10.9",
        ILogger=ILogger,
        Runtime=Runtime,
        LayerInformationFormat=SimpleNamespace(JSON="JSON"),
    )


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    tensorrt_log.tensorrt_logger.cache_clear()
    monkeypatch.setattr(plan_inspector, "gpu_architecture", lambda: "sm_86")


def test_a_plan_tells_its_layers() -> None:
    layers = inspect_plan(fake_trt(DIALECTS["10"]()), b"plan", targets=("sm_86", "sm_89"))
    assert [layer.kind for layer in layers] == ["fusion", "CaskConvolution", "gemm"]
    assert len(inspect_plan(fake_trt(DIALECTS["8.6"]()), b"plan")) == 4


def test_a_context_is_made_where_the_engine_alone_tells_no_types() -> None:
    layers = inspect_plan(fake_trt(DIALECTS["rtx"](), alone=NAMES_ALONE), b"plan")
    assert any(layer.typed for layer in layers)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"engine": False}, "tensorrt 10.9 refuses the plan: the plan is of another version"),
        (
            {"lacking": "create_engine_inspector"},
            "tensorrt 10.9 has no engine inspector; TensorRT 8.2 or later has one",
        ),
        ({"answer": RuntimeError("a bad cast")}, "the engine inspector of tensorrt 10.9 failed: a bad cast"),
        ({"answer": UnicodeDecodeError("utf-8", b"\x80", 0, 1, "no")}, "failed: 'utf-8' codec can't decode"),
        ({"answer": NAMES_ALONE}, "reports the names of 2 layers but no types; build the plan with"),
        ({"answer": ""}, "the engine inspector's answer is not JSON"),
    ],
)
def test_the_error_says_why_a_plan_cannot_be_inspected(options: dict[str, Any], error: str) -> None:
    with pytest.raises(InspectionError, match=error):
        inspect_plan(fake_trt(**{"answer": DIALECTS["10"](), **options}), b"plan", targets=("sm_86",))


def test_a_plan_for_this_gpu_that_it_does_not_run_is_a_failed_export() -> None:
    """On an H200, TensorRT for RTX refuses the plan that it has just built."""
    with pytest.raises(
        ExportError, match=r"tensorrt 10\.9 built .* refuses to run it: the plan is of another version; "
    ):
        inspect_plan(fake_trt(DIALECTS["10"](), engine=False), b"plan")


def test_a_gpu_whose_memory_is_taken_fails_no_export() -> None:
    trt = fake_trt(DIALECTS["10"](), engine=False, error="out of memory")
    with pytest.raises(InspectionError, match=r"refuses the plan: out of memory"):
        inspect_plan(trt, b"plan")


def test_without_the_right_gpu_the_error_says_which_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    trt = fake_trt(DIALECTS["10"]())
    with pytest.raises(
        InspectionError, match=r"this machine is sm_86; inspecting the plan needs a GPU .* built for \(sm_89\)"
    ):
        inspect_plan(trt, b"plan", targets=("sm_89",))

    def none() -> str:
        raise NoGpuError("no NVIDIA driver on this machine")

    monkeypatch.setattr(plan_inspector, "gpu_architecture", none)
    with pytest.raises(
        InspectionError, match=r"no NVIDIA driver on this machine; inspecting the plan needs a GPU .*\(sm_89\)"
    ):
        inspect_plan(trt, b"plan", targets=("sm_89",))
