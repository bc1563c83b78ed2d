"""Stream sequences through a float graph with carried state, and observe its inner tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from mostnet.contract import FRAME, CalibrationError, Metadata
from mostnet.contract.cores import default_threads

from .data import CalibrationData
from .histogram import Histogram
from .runtime import require_onnxruntime
from .twin import float32_twin

if TYPE_CHECKING:
    import onnxruntime

Values = dict[str, npt.NDArray[Any]]


def observe(
    model: onnx.ModelProto,
    metadata: Metadata,
    data: CalibrationData,
    tensors: Sequence[str],
    *,
    carry_state: bool = True,
    threads: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Values]:
    """Float32 values of ``tensors`` for every frame of the data.

    Args:
        tensors: names in ``model``, of inner tensors or of outputs.
        carry_state: give each frame the state of the frame before, as in use; False gives every frame an empty state,
            which shows what calibration on single frames misses.
        threads: of ONNX Runtime; 0 takes the usable cores.
        progress: called with the number of frames done.

    Raises:
        CalibrationError: the data is empty, too short, damaged or of another size.
        VideoError: the video cannot be read, or is damaged.
    """
    session = _open(model, tensors, threads)
    states = [(pair.input.name, pair.output.name) for pair in metadata.states]
    empty = {pair.input.name: np.zeros(pair.shape, np.float32) for pair in metadata.states}
    wanted = list(dict.fromkeys([*tensors, *(out for _, out in states)]))
    done = 0
    for sequence in data.sequences():
        state = empty
        for frame in sequence:
            found = dict(zip(wanted, session.run(wanted, {FRAME: frame[None], **state}), strict=True))
            if carry_state:
                state = {into: found[out] for into, out in states}
            yield {name: found[name] for name in tensors}
            done += 1
            if progress is not None:
                progress(done)
    if done == 0:
        raise CalibrationError(f"{data.source}: no frames to calibrate on; give a video or a dataset that has some")


def histograms(values: Iterator[Values], source: str) -> dict[str, Histogram]:
    """One histogram for each tensor that ``observe`` yields.

    Raises:
        CalibrationError: a tensor is not finite in float32; names it and the frame.
    """
    found: dict[str, Histogram] = {}
    for i, frame in enumerate(values):
        for name, value in frame.items():
            try:
                found.setdefault(name, Histogram.empty()).add(value)
            except ValueError as error:
                raise CalibrationError(
                    f"{source}: tensor {name} is not finite in frame {i}, in float32; the checkpoint has diverged"
                ) from error
    return found


def _open(model: onnx.ModelProto, tensors: Sequence[str], threads: int) -> onnxruntime.InferenceSession:
    require_onnxruntime()
    import onnxruntime

    tapped = float32_twin(model)
    outputs = {output.name for output in tapped.graph.output}
    inputs = {value.name for value in tapped.graph.input}
    for name in dict.fromkeys(tensors):
        if name in inputs:
            raise ValueError(f"{name} is an input of the graph")
        if name not in outputs:
            tapped.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = threads or default_threads()
    return onnxruntime.InferenceSession(tapped.SerializeToString(), settings, providers=["CPUExecutionProvider"])
