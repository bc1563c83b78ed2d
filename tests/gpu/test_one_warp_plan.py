"""GridSample alone: a plan of one warp against PyTorch, run by TensorRT's own calls."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from mostnet.engine.tensorrt.log import tensorrt_logger

from .conftest import Warp

#: A half-precision grid is half a pixel off at the right edge. That would be tenths in these features.
TOLERANCE = {"float32": 2e-3, "float16": 6e-3}


def run_plan(plan: bytes, inputs: dict[str, np.ndarray], output: np.ndarray) -> np.ndarray:
    """``output``, filled by the plan."""
    import pycuda.driver as driver

    trt = import_module("tensorrt" if find_spec("tensorrt") is not None else "tensorrt_rtx")
    driver.init()
    context = driver.Device(0).retain_primary_context()
    context.push()
    try:
        engine = trt.Runtime(tensorrt_logger(trt)).deserialize_cuda_engine(plan)
        execution = engine.create_execution_context()
        stream = driver.Stream()
        memory: list[Any] = []
        for name, array in inputs.items():
            memory.append(driver.to_device(array))
            assert execution.set_tensor_address(name, int(memory[-1]))
        memory.append(driver.mem_alloc(output.nbytes))
        driver.memset_d8(memory[-1], 0xFF, output.nbytes)  # NaN where nothing is written
        assert execution.set_tensor_address("warped", int(memory[-1]))
        assert execution.execute_async_v3(int(stream.handle))
        stream.synchronize()
        driver.memcpy_dtoh(output, memory[-1])
        for block in memory:
            block.free()
        del execution, engine, stream
    finally:
        context.pop()
    return output


def test_one_warp_is_that_of_pytorch(warp: Warp) -> None:
    features, flow, wanted = (warp.arrays[name] for name in ("features", "flow", "warped"))
    found = run_plan(warp.plan.read_bytes(), {"features": features, "flow": flow}, np.empty_like(features))
    error = np.abs(found.astype(np.float64) - wanted)
    assert np.isfinite(error).all()
    at = np.unravel_index(error.argmax(), error.shape)
    assert error.max() <= TOLERANCE[features.dtype.name], f"wrong by {error.max()} at {at}"
