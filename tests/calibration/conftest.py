"""One small graph and one small dataset for all calibration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mostnet.calibration import widen_scales
from mostnet.contract import Metadata
from mostnet.export.graph import build_graph, graph_metadata
from mostnet.export.opset import lower_opset
from mostnet.model import Checkpoint, initial_checkpoint

from ..traces import trace_once  # noqa: F401

SIZE = (64, 96)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return initial_checkpoint("nano", seed=1, random_head=True)


@pytest.fixture(scope="session")
def half(checkpoint: Checkpoint) -> onnx.ModelProto:
    return build_graph(checkpoint, size_hw=SIZE, precision="fp16", opset=19, checkpoint_sha256="x")


@pytest.fixture(scope="session")
def metadata(half: onnx.ModelProto) -> Metadata:
    return graph_metadata(half)


def session_of(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def at_opset_17(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a quantised graph at opset 17, whose scales are all float32."""
    old = onnx.ModelProto()
    old.CopyFrom(model)
    widen_scales(old)
    old = lower_opset(old, 17)
    onnx.checker.check_model(old, full_check=True)
    scales = {n.input[1] for n in old.graph.node if n.op_type.endswith("eLinear")}
    assert {t.data_type for t in old.graph.initializer if t.name in scales} == {onnx.TensorProto.FLOAT}
    return old


def write_sequence(folder: Path, frames: int, *, seed: int, size_hw: tuple[int, int] = SIZE) -> None:
    """Pictures ``folder/input/000000.png`` and on: a patch of smooth noise that moves by three pixels a frame."""
    (folder / "input").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    canvas = cv2.resize(rng.integers(0, 256, (16, 64, 3), np.uint8), (size_hw[1] * 3, size_hw[0]))
    for i in range(frames):
        cv2.imwrite(str(folder / "input" / f"{i:06d}.png"), canvas[:, 3 * i : 3 * i + size_hw[1]])


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training sequences of ten and six frames, and a test sequence that must not be touched."""
    root = tmp_path_factory.mktemp("dataset")
    write_sequence(root / "train" / "a", 10, seed=0)
    write_sequence(root / "train" / "b", 6, seed=1)
    write_sequence(root / "test" / "c", 4, seed=2, size_hw=(32, 32))
    return root
