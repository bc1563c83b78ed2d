"""The warning of INT8 graphs on versions of ONNX Runtime that do not round half precision."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mostnet.bench.gpu.standin.toy import METADATA
from mostnet.contract import Metadata, StatePair
from mostnet.engine.ort.rounding import rounds_half_precision, warn_of_cut_values

HALF = replace(METADATA, precision="int8", opset=19, states=(StatePair("a", (1, 2), "float16"),))


def test_the_version_tells_what_the_installed_runtime_does() -> None:
    values = np.array([0.75, -0.75, 0.5, 1.5, 2.25], np.float16)
    constants = [
        numpy_helper.from_array(np.float16(1), "scale"),
        numpy_helper.from_array(np.int8(0), "zero"),
    ]
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, [5])],
        [helper.make_tensor_value_info("y", TensorProto.INT8, [5])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": values})
    assert (found.tolist() == [1, -1, 0, 2, 2]) == rounds_half_precision()


@pytest.mark.parametrize(
    ("version", "metadata", "count"),
    [
        ("1.23.2", HALF, 1),
        ("1.29.0", HALF, 1),
        ("1.30.0", HALF, 0),
        ("2.0.0rc1", HALF, 0),
        ("1.23.2", replace(HALF, states=(StatePair("a", (1, 2), "int8"),)), 1),
        ("1.23.2", replace(HALF, states=(StatePair("a", (1, 2), "float32"),)), 0),
        ("1.23.2", replace(HALF, states=(StatePair("a", (1, 2), "int8"), StatePair("b", (1, 2), "float32"))), 0),
        ("1.23.2", replace(HALF, opset=17), 0),
        ("1.23.2", replace(HALF, precision="fp16"), 0),
    ],
)
def test_a_graph_that_is_hurt_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, version: str, metadata: Metadata, count: int
) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", version)
    with caplog.at_level(logging.WARNING):
        warn_of_cut_values(Path("a.onnx"), metadata)
    assert caplog.text.count(f"a.onnx: ONNX Runtime {version} does not round half precision to INT8") == count
