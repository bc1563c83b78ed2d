"""``config.pbtxt``: what Triton must know of a model, in the text format of protobuf.

A request's flags START and END begin and end a sequence in Triton's scheduler. The graph has no tensor for them, so the
configuration has no control inputs: a backend refuses one that the graph lacks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from mostnet.contract import ONNX_KEY, StatePair, TensorSpec

from .options import TritonOptions
from .signature import Signature

#: The name of the backend, and of its file in a version folder.
BACKENDS = {"onnxruntime": "model.onnx", "tensorrt": "model.plan"}

_TYPES = {
    "uint8": "TYPE_UINT8",
    "int8": "TYPE_INT8",
    "bool": "TYPE_BOOL",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
}

#: What ``mostnet.engine`` tells ONNX Runtime on CUDA: float32 is promised, so no TF32, and cuDNN chooses by its rules
#: and does not try all algorithms on the first frame. Triton ignores it where it runs the model on the CPU.
_CUDA = """\
optimization {
  execution_accelerators {
    gpu_execution_accelerator [
      {
        name: "cuda"
        parameters { key: "use_tf32" value: "0" }
        parameters { key: "cudnn_conv_algo_search" value: "HEURISTIC" }
      }
    ]
  }
}
"""


def model_config(name: str, graph: Signature, backend: str, options: TritonOptions) -> str:
    """The configuration of a model: all dimensions are explicit, and its states are carried by Triton.

    One instance runs all cameras one after the other, each with states of its own, so the weights are in memory once.
    ``parameters`` hold the description of the graph, as ``Metadata.to_json`` writes it, under the key ``mostnet``.

    Args:
        backend: ``onnxruntime`` or ``tensorrt``.
    """
    states = _states(graph)
    inside = {spec.name for pair in states for spec in (pair.input, pair.output)}
    strategy = f"oldest {{ max_candidate_sequences: {options.cameras} }}"
    kind = " kind: KIND_GPU" if backend == "tensorrt" else ""
    return "".join(
        (
            f"name: {_text(name)}\n",
            f"backend: {_text(backend)}\n",
            "max_batch_size: 0\n",
            _list("input", (_tensor(spec) for spec in graph.inputs if spec.name not in inside), ""),
            _list("output", (_tensor(spec) for spec in graph.outputs if spec.name not in inside), ""),
            "sequence_batching {\n",
            f"  max_sequence_idle_microseconds: {round(options.idle_s * 1e6)}\n",
            f"  {strategy}\n",
            _list("state", (_state(pair) for pair in states), "  ") if states else "",
            "}\n",
            f"instance_group [ {{ count: 1{kind} }} ]\n",
            _CUDA if backend == "onnxruntime" else "",
            f"{_DESCRIPTION}{_text(graph.metadata.to_json())} }} }}\n",
        )
    )


_DESCRIPTION = f'parameters {{ key: "{ONNX_KEY}" value {{ string_value: '


def without_description(config: str) -> list[str]:
    """The lines of a configuration but the description, which changes with each version of a model."""
    return [line for line in config.splitlines() if not line.startswith(_DESCRIPTION)]


def _states(graph: Signature) -> list[StatePair]:
    """The states in the order of the graph's inputs; input and output belong together by name, wherever they are."""
    by_input = {pair.input.name: pair for pair in graph.metadata.states}
    return [by_input[spec.name] for spec in graph.inputs if spec.name in by_input]


def _list(name: str, items: Iterable[str], indent: str) -> str:
    text = f"{name} [\n" + ",\n".join(f"  {item}" for item in items) + "\n]\n"
    return "".join(indent + line for line in text.splitlines(keepends=True))


def _tensor(spec: TensorSpec) -> str:
    return f"{{ name: {_text(spec.name)} {_kind(spec)} }}"


def _state(pair: StatePair) -> str:
    kind = _kind(pair.input)
    zeros = f"initial_state {{ name: {_text(f'zero {pair.name}')} {kind} zero_data: true }}"
    return f"{{ input_name: {_text(pair.input.name)} output_name: {_text(pair.output.name)} {kind} {zeros} }}"


def _kind(spec: TensorSpec) -> str:
    return f"data_type: {_TYPES[spec.dtype]} dims: [ {', '.join(map(str, spec.shape))} ]"


def _text(value: str) -> str:
    """A string of protobuf's text format; for ASCII, its escapes are those of JSON."""
    return json.dumps(value)
