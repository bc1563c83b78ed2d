"""A half-precision graph keeps its sums below 65,504, also on a runtime that adds up in half precision.

ONNX Runtime does so on CUDA. On the CPU it adds up in float32, so no run there shows an overflow.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from mostnet.export.graph import trace
from mostnet.export.opset import lower_opset
from mostnet.export.options import SUPPORTED_OPSETS
from mostnet.model.layers import ChannelAttentionFusion

#: Operators that add up along axes, of which one is allowed.
ALONG_AXES = ("ReduceMean", "ReduceSum")

#: Operators that add up over the whole picture, or square before they add up.
NEVER = (
    "GlobalAveragePool",
    "GlobalLpPool",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceSumSquare",
)

#: Cells of the coarsest scale of a frame of 480x640. Their channel means were up to 66 when an H200 overflowed.
CELLS, LARGE = (30, 40), 66.0


def half_nodes(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that make half-precision tensors."""
    inferred = onnx.shape_inference.infer_shapes(graph).graph
    values = (*inferred.value_info, *inferred.output)
    half = {value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16}
    return [node for node in graph.graph.node if half & set(node.output)]


def summed_axes(graph: onnx.ModelProto, node: onnx.NodeProto) -> list[int]:
    """The axes of a reduction, from its attribute or, from opset 18 on, its second input."""
    for attribute in node.attribute:
        if attribute.name == "axes":
            return list(attribute.ints)
    return next(onnx.numpy_helper.to_array(t).tolist() for t in graph.graph.initializer if t.name == node.input[1])


@pytest.fixture(params=SUPPORTED_OPSETS)
def lowered(half: onnx.ModelProto, request: pytest.FixtureRequest) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(half)
    return lower_opset(copy, request.param)


def test_no_half_precision_node_adds_up_over_both_axes_of_the_picture(lowered: onnx.ModelProto) -> None:
    nodes = half_nodes(lowered)
    sums = {node.name: summed_axes(lowered, node) for node in nodes if node.op_type in ALONG_AXES}
    assert {name: axes for name, axes in sums.items() if len(axes) != 1} == {}
    assert [axes for name, axes in sums.items() if name.startswith("frame/")] == [[1]], "the mean of three colours"
    assert len(sums) == 9, "three fusions and the colour map take theirs along the columns, then along the rows"
    assert [node.name for node in nodes if node.op_type in NEVER] == []


class ReduceMean(OpRun):  # type: ignore[misc]
    """The operator as a runtime computes it that adds up in the type of its input."""

    op_domain = ""

    def _run(self, x: np.ndarray, axes: np.ndarray, keepdims: int, noop_with_empty_axes: int) -> tuple[np.ndarray]:
        return (np.mean(x, axis=tuple(axes), dtype=x.dtype, keepdims=bool(keepdims)),)


@pytest.fixture
def fusion() -> Iterator[ChannelAttentionFusion]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield ChannelAttentionFusion(4, 4).eval().requires_grad_(False)


def test_the_fusion_keeps_large_features_on_a_runtime_that_adds_up_in_half_precision(
    fusion: ChannelAttentionFusion,
) -> None:
    rng = np.random.default_rng(5)
    features = [(LARGE + rng.normal(0, 1, (1, 4, *CELLS))).astype(np.float16) for _ in range(2)]
    with np.errstate(over="ignore"):
        assert np.isinf(features[0].sum(axis=(2, 3), dtype=np.float16)).all(), "all cells at once do not fit"
    tensors = tuple(torch.from_numpy(part) for part in features)
    wanted = fusion(*(part.float() for part in tensors)).numpy()
    graph = trace(fusion.half(), tensors, ["current", "aligned"], ["fused"], opset=19)
    feed = dict(zip(("current", "aligned"), features, strict=True))
    with np.errstate(over="ignore", invalid="ignore"):  # the evaluator's sigmoid computes a branch that it discards
        (found,) = ReferenceEvaluator(graph, new_ops=[ReduceMean]).run(None, feed)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.astype(np.float32), wanted, rtol=0.01, atol=0.01 * float(wanted.max()))
