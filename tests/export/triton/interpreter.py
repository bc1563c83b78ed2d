"""Reads a written model as Triton does, and runs it on ONNX Runtime by its configuration alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

#: NumPy types by the names of Triton's configuration, whose order is that of the enumeration.
NUMPY = {
    "TYPE_UINT8": "uint8",
    "TYPE_INT8": "int8",
    "TYPE_BOOL": "bool",
    "TYPE_FP16": "float16",
    "TYPE_FP32": "float32",
}


def read_config(model: Path) -> Any:
    """The configuration of a model folder, by Triton's own protobuf; an unknown field is an error."""
    return text_format.Parse((model / "config.pbtxt").read_text(encoding="utf-8"), model_config_pb2.ModelConfig())


def numpy_type(value: int) -> str:
    return NUMPY[model_config_pb2.DataType.Name(value)]


class ConfiguredModel:
    """The newest version of a model, and one state per sequence, carried by the pairs of the configuration."""

    def __init__(self, model: Path, *, pairs: dict[str, str] | None = None) -> None:
        """``pairs``: input of each state by its output, in place of those of the configuration."""
        self.config = read_config(model)
        version = max((path for path in model.iterdir() if path.is_dir()), key=lambda path: int(path.name))
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(version / "model.onnx"), settings, providers=["CPUExecutionProvider"]
        )
        self.pairs = pairs or {state.output_name: state.input_name for state in self.config.sequence_batching.state}
        self.states: dict[int, dict[str, np.ndarray]] = {}

    def infer(self, sequence: int, frame: np.ndarray, *, start: bool = False, end: bool = False) -> dict[str, Any]:
        """The outputs of the configuration for a request."""
        if start:
            self.states[sequence] = self._initial()
        if sequence not in self.states:
            raise LookupError(f"sequence {sequence} must begin with START")
        (name,) = [entry.name for entry in self.config.input]
        names = [entry.name for entry in self.config.output]
        values = self.session.run([*names, *self.pairs], {name: frame[None], **self.states[sequence]})
        made = dict(zip([*names, *self.pairs], values, strict=True))
        self.states[sequence] = {target: made[source] for source, target in self.pairs.items()}
        if end:
            del self.states[sequence]
        return {output: made[output] for output in names}

    def _initial(self) -> dict[str, np.ndarray]:
        states = {}
        for state in self.config.sequence_batching.state:
            (initial,) = state.initial_state
            assert initial.WhichOneof("state_data") == "zero_data"
            states[state.input_name] = np.zeros(list(initial.dims), numpy_type(initial.data_type))
        return states
