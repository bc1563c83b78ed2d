"""The layers of a plan in every dialect of the inspector, and the type that each convolution runs in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mostnet.contract import InspectionError, ModelFileError, sha256
from mostnet.export.plan.layers import Convolution, PlanLayer, match_convolutions, narrowed_layers, parse_layers
from mostnet.export.plan.report import read_counts, report_json, summary

from .layer_dialects import ASKED, DIALECTS, NAMES_ALONE

INT8 = ("Int8", "Half")


def runs(layers: list[PlanLayer], node: str = "net.a/conv2d") -> str:
    return match_convolutions(layers, {node: "INT8"})[0].runs


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_tells_every_convolution(dialect: str) -> None:
    layers = parse_layers(DIALECTS[dialect]())
    found = match_convolutions(layers, ASKED)
    assert [(one.node, one.asked, one.runs) for one in found] == [(node, kind, kind) for node, kind in ASKED.items()]
    assert [one.module for one in found] == ["net.a", "net.b", "net.c"]
    assert all(len(one.layers) == 1 for one in found), "copies and sums are not the convolution"


def test_a_kernel_of_another_type_is_seen() -> None:
    text = DIALECTS["8.6"]().replace("i8i8_i8i32", "f16f16_f16f16")
    assert match_convolutions(parse_layers(text), ASKED)[0].runs == "FP16"
    text = DIALECTS["rtx"]().replace("Int8", "Half")
    assert [one.runs for one in match_convolutions(parse_layers(text), ASKED)] == ["FP16", "FP16", "FP32"]


def test_the_type_of_the_kernel_goes_before_weights_and_inputs() -> None:
    layer = PlanLayer("net.a/conv2d", "CaskConvolution", INT8, weights="Float", tactic="sm80_xmma_conv_f16f16_f32_x")
    assert runs([layer]) == "FP16"
    assert runs([PlanLayer("net.a/conv2d", "CaskConvolution", INT8, weights="Float")]) == "FP32"
    assert runs([PlanLayer("net.a/conv2d", "CaskConvolution", INT8)]) == "INT8"
    assert runs([PlanLayer("net.a/conv2d", "CaskConvolution", ("Bool", "UInt8"))]) == "unknown"


def test_a_name_within_another_is_not_it() -> None:
    assert runs([PlanLayer("net.a/conv2d_12 + b/relu", "CaskConvolution", INT8)]) == "not found"
    assert runs([PlanLayer("{ForeignNode[net.a/conv2d + x...net.b/add]}", "Myelin", INT8)]) == "not found"


def test_a_sum_that_claims_the_node_does_not_tell_its_type() -> None:
    claimed = PlanLayer("__myl_AddRelu_myl0_1", "kgen", ("Half",), nodes=("net.a/conv2d",))
    assert runs([claimed]) == "unknown"
    assert runs([claimed, PlanLayer("net.a/conv2d_myl0_0", "kgen", ("Int8",))]) == "INT8"


def test_the_widest_part_of_a_convolution_counts() -> None:
    parts = [PlanLayer("net.a/conv2d", "CaskConvolution", (kind,)) for kind in ("Int8", "Float", "Half")]
    found = match_convolutions(parts, {"net.a/conv2d": "INT8"})[0]
    assert found.runs == "FP32"
    assert len(found.layers) == 3


def test_names_alone_have_no_types() -> None:
    layers = parse_layers(NAMES_ALONE)
    assert [layer.name for layer in layers] == ["net.a/conv2d + net.a/relu", "net.b/conv2d_1"]
    assert not any(layer.typed for layer in layers)


def test_float32_layers_that_read_or_write_half_precision_are_narrowed() -> None:
    wide = ("net.warp/grid_sampler", "net.warp/mul", "net.warp/add")
    half, single = "Row major linear FP16", "Row major linear FP32"
    narrowed = [
        PlanLayer("net.warp/grid_sampler", "GridSample", (single, half), (half,)),
        PlanLayer("PWN(PWN(net.warp/mul), net.warp/add)", "PointWiseV2", (single,), (half,)),
        PlanLayer("__myl_MulAdd_myl0_1", "kgen", ("Half",), ("Half",), nodes=wide[1:]),
    ]
    others = [
        PlanLayer("net.warp/grid_sampler", "GridSample", (single, single), (single,)),
        PlanLayer("net.warp/cast + net.warp/mul", "PointWiseV2", (half,), (single,)),
        PlanLayer("__myl_CastMul_myl0_2", "kgen", ("Half",), ("Float",), nodes=wide[1:2]),
        PlanLayer("Reformatting CopyNode for Input Tensor 0 to net.warp/mul", "Reformat", (half,), (single,)),
        PlanLayer("net.a/conv2d", "CaskConvolution", (half,), (half,)),
        PlanLayer(""),
    ]
    assert narrowed_layers([*narrowed, *others], wide) == tuple(narrowed)
    assert summary([], narrowed)[-1] == (
        "WARNING: float32 in the graph, but not run in float32 by TensorRT: net.warp/grid_sampler FP16, "
        "PWN(PWN(net.warp/mul), net.warp/add) FP16, __myl_MulAdd_myl0_1 FP16"
    )
    document = json.loads(report_json(others, [], narrowed, plan_sha256="", tensorrt=""))
    assert document["narrowed"]["net.warp/grid_sampler"] == "FP16"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is not JSON"),
        (None, "is not JSON .*: 'None'"),
        ("[]", "has no list of layers"),
        ('{"Layers": 3}', "no list"),
    ],
)
def test_an_ill_formed_answer_is_refused(text: str | None, error: str) -> None:
    with pytest.raises(InspectionError, match=error):
        parse_layers(text)


def test_the_summary_counts_and_names_what_differs() -> None:
    def of(asked: str, kind: str, count: int) -> list[Convolution]:
        return [Convolution(f"net.{asked}.{kind}.{i}/conv2d", asked, kind, ()) for i in range(count)]

    assert summary([*of("FP16", "FP16", 11), *of("INT8", "INT8", 31)]) == [
        "31 of 31 INT8 convolutions run in INT8; 11 of 11 FP16 convolutions run in FP16; 0 not found under their names"
    ]
    mixed = [("INT8", "FP16", 7), ("INT8", "INT8", 2), ("FP16", "FP32", 1), ("FP16", "not found", 1)]
    lines = summary([one for group in (*mixed, ("FP32", "unknown", 1)) for one in of(*group)])
    assert lines[0] == (
        "2 of 9 INT8 convolutions run in INT8; 0 of 2 FP16 convolutions run in FP16; "
        "0 of 1 FP32 convolutions run in FP32; 1 not found under their names"
    )
    assert lines[1].startswith("WARNING: INT8 in the graph, but not run in INT8 by TensorRT: net.INT8.FP16.0 FP16, ")
    assert lines[1].endswith("net.INT8.FP16.4 FP16 and 2 more")
    assert lines[2] == "run in another type than in the graph: net.FP16.FP32.0 FP32"
    assert lines[3] == "not found among the plan's layers, perhaps fused under other names: net.FP16.not found.0"
    assert lines[4] == "in layers that report no type: net.FP32.unknown.0"


def test_the_report_is_read_back_for_its_own_plan_alone(tmp_path: Path) -> None:
    plan = tmp_path / "a-int8.plan"
    plan.write_bytes(b"one plan")
    assert read_counts(plan) is None
    layers = parse_layers(DIALECTS["10"]())
    text = report_json(layers, match_convolutions(layers, ASKED), plan_sha256=sha256(plan), tensorrt="tensorrt 10")
    (tmp_path / "a-int8.layers.json").write_text(text)
    assert read_counts(plan) == {"INT8": 1, "FP16": 1, "FP32": 1}
    assert read_counts(tmp_path / "a-int8.onnx") is None
    document = json.loads(text)
    assert document["convolutions"][0] == {
        "module": "net.a",
        "node": "net.a/conv2d",
        "asked": "INT8",
        "runs": "INT8",
        "layers": ["__myl_CorrMulAddRelu_myl0_1"],
    }
    assert document["layers"][2]["kind"] == "gemm"
    assert document["layers"][2]["inputs"] == ["Float", "Float"]
    plan.write_bytes(b"a later plan")
    assert read_counts(plan) is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "not what mostnet-export writes beside a plan"),
        ("[]", "not what mostnet-export writes"),
        ('{"format_version": 1, "plan_sha256": "", "runs": []}', "not what mostnet-export writes"),
        ('{"format_version": 2, "plan_sha256": "", "runs": {}}', "format 2, this mostnet reads 1; export"),
    ],
)
def test_an_ill_formed_report_is_refused(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "a.plan").write_bytes(b"plan")
    (tmp_path / "a.layers.json").write_text(text)
    with pytest.raises(ModelFileError, match=error):
        read_counts(tmp_path / "a.plan")
