"""Every name that the engine takes from TensorRT, pycuda and ``cuda.bindings`` exists there.

A test compares the lists with the sources, so that they cannot fall behind. The names of pycuda, of
``cuda.bindings`` 12.9 and 13.5, and of TensorRT 8.6, 10.0 and 11.4 were looked up once in their wheels and sources.
Every run looks them up in the libraries that are installed.
"""

from __future__ import annotations

import ast
import ctypes
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import mostnet.engine
from mostnet.engine.cuda.capture import CaptureMode
from mostnet.engine.cuda.driver import error_text, load_driver

PACKAGE = Path(mostnet.engine.__file__).parent.parent

#: Names of TensorRT for RTX by class. Only older classic versions have those in ``CLASSIC``.
TENSORRT = {
    "": {"Runtime", "ILogger", "TensorIOMode", "ComputeCapability", "CudaGraphStrategy", "__version__", "__name__"}
    | {"ExecutionContextAllocationStrategy", "LayerInformationFormat", "ProfilingVerbosity"},
    "ILogger": {"INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE", "log"},
    "TensorIOMode": {"INPUT", "OUTPUT"},
    "CudaGraphStrategy": {"WHOLE_GRAPH_CAPTURE", "DISABLED"},
    "ExecutionContextAllocationStrategy": {"USER_MANAGED"},
    "DataType": {"FLOAT", "HALF", "UINT8", "BOOL", "name"},
    "Runtime": {"deserialize_cuda_engine"},
    "ICudaEngine": {"num_io_tensors", "get_tensor_name", "get_tensor_dtype", "get_tensor_shape", "get_tensor_mode"}
    | {"device_memory_size_v2", "create_runtime_config", "create_execution_context", "create_engine_inspector"},
    "IRuntimeConfig": {"set_execution_context_allocation_strategy", "cuda_graph_strategy", "create_runtime_cache"}
    | {"set_runtime_cache"},
    "IRuntimeCache": {"deserialize", "serialize"},
    "IExecutionContext": {"set_device_memory", "device_memory", "set_tensor_address", "execute_async_v3"}
    | {"is_stream_capturable", "nvtx_verbosity"},
    "ProfilingVerbosity": {"LAYER_NAMES_ONLY", "DETAILED"},
    "LayerInformationFormat": {"JSON"},
    "EngineInspector": {"get_engine_information", "execution_context"},
}
CLASSIC = {"device_memory_size", "create_execution_context_without_device_memory"}
PYCUDA = {
    "": {"init", "Device", "Context", "Error", "MemoryError", "Stream", "Event", "mem_alloc", "pagelocked_empty"}
    | {"mem_get_info", "memcpy_htod_async", "memcpy_dtoh_async", "memcpy_dtod_async", "memset_d8_async"},
    "Device": {"retain_primary_context"},
    "Context": {"push", "pop"},
    "Stream": {"handle", "is_done", "synchronize", "wait_for_event"},
    "Event": {"record", "query", "synchronize", "time_till"},
    "DeviceAllocation": {"free", "__int__"},
    "PagelockedHostAllocation": {"free"},
}
BINDINGS = {
    "": {"CUresult", "CUstreamCaptureMode", "CUstream", "cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphLaunch"}
    | {"cuGraphInstantiate", "cuGraphUpload", "cuGraphDestroy", "cuGraphExecDestroy"},
    "CUresult": {"CUDA_SUCCESS"},
    "CUstreamCaptureMode": {"CU_STREAM_CAPTURE_MODE_THREAD_LOCAL"},
}
#: Functions of the driver that are called through ctypes.
DRIVER = {
    "": {"cuInit", "cuDeviceGet", "cuDeviceGetCount", "cuDeviceGetAttribute", "cuGetErrorString"}
    | {"cuThreadExchangeStreamCaptureMode", "cuPointerGetAttribute"}
    | {"cuEventCreate", "cuEventRecord", "cuStreamWaitEvent", "cuEventDestroy_v2"}
    | {"cuStreamIsCapturing"},
}
#: Last names of expressions that hold an object of a library, and the list that they are checked against.
HOLDERS = {
    "trt": TENSORRT,
    "strategies": TENSORRT,
    "_runtime": TENSORRT,
    "_engine": TENSORRT,
    "engine": TENSORRT,
    "_config": TENSORRT,
    "config": TENSORRT,
    "_cache": TENSORRT,
    "context": TENSORRT,
    "inspector": TENSORRT,
    "_contexts": TENSORRT,
    "driver": PYCUDA,
    "_driver": PYCUDA,
    "_context": PYCUDA,
    "raw": PYCUDA,
    "_event": PYCUDA,
    "_stream": PYCUDA,
    "_allocation": PYCUDA,
    "bindings": BINDINGS,
    "_bindings": BINDINGS,
    "library": DRIVER,
    "_library": DRIVER,
}
FILES = (
    "engine/tensorrt/library",
    "engine/tensorrt/log",
    "engine/tensorrt/cache",
    "engine/tensorrt/lane",
    "engine/cuda/clock",
    "engine/cuda/device",
    "engine/cuda/driver",
    "engine/cuda/foreign",
    "engine/cuda/streams",
    "engine/cuda/waits",
    "engine/cuda/memory",
    "engine/cuda/graph",
    "export/plan/inspector",
)


def missing(module: object, names: dict[str, set[str]]) -> list[str]:
    """Names that ``module`` lacks."""
    return [
        f"{owner}.{name}"
        for owner, members in names.items()
        for name in members
        if not hasattr(getattr(module, owner) if owner else module, name)
    ]


def holder(node: ast.expr) -> str:
    """Last name of the expression that an attribute is taken from."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return holder(node.value)
    return node.id if isinstance(node, ast.Name) else ""


def used(file: str) -> set[tuple[str, str]]:
    """Attributes that a file takes from holders, and texts that it asks ``hasattr`` and ``getattr`` for."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{file}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and holder(node.value) in HOLDERS:
            found.add((holder(node.value), node.attr))
        if isinstance(node, ast.Call) and holder(node.func) in ("hasattr", "getattr") and len(node.args) >= 2:
            name = node.args[1]
            if isinstance(name, ast.Constant) and holder(node.args[0]) in HOLDERS:
                found.add((holder(node.args[0]), str(name.value)))
    return found


@pytest.mark.parametrize("file", FILES)
def test_the_lists_have_every_name_that_the_sources_use(file: str) -> None:
    ours = {"capture", "launch", "close", "release", "retain", "failure", "captures_itself", "scratch_bytes", "cache"}
    ours |= {"new_context", "specs", "save", "driver", "raw", "clear", "append"}
    names = used(file)
    assert names, f"{file}.py uses nothing: HOLDERS is out of date"
    for where, name in names:
        known = set().union(*HOLDERS[where].values()) | (CLASSIC if HOLDERS[where] is TENSORRT else set())
        # `driver` is pycuda's in a lane, that of cuda.bindings in a graph, and the driver itself in its own module.
        own = {"engine/cuda/graph": BINDINGS, "engine/cuda/driver": DRIVER}
        known |= set().union(*own[file].values()) if where == "driver" and file in own else set()
        assert name in known | ours, f"{file}.py takes {name} from {where}, which no list has"


def test_names_of_tensorrt_for_rtx() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    assert missing(trt, TENSORRT) == []
    assert not any(hasattr(trt.ICudaEngine, name) for name in CLASSIC), "CLASSIC is out of date"
    assert trt.IRuntimeConfig.cuda_graph_strategy.fset is not None
    assert trt.IExecutionContext.device_memory.fset is not None
    signature = trt.ICudaEngine.create_execution_context.__doc__
    assert "runtime_config: tensorrt_rtx_bindings" in signature
    assert "strategy: tensorrt_rtx_bindings" in signature


def test_names_of_classic_tensorrt() -> None:
    trt = pytest.importorskip("tensorrt")
    later = {"CudaGraphStrategy", "cuda_graph_strategy", "create_runtime_cache", "set_runtime_cache"}
    later |= {"is_stream_capturable", "create_runtime_config", "set_device_memory", "device_memory_size_v2"}
    later |= {"set_execution_context_allocation_strategy", "device_memory", "create_execution_context"}
    always = {
        owner: members - later
        for owner, members in TENSORRT.items()
        if owner not in ("CudaGraphStrategy", "IRuntimeConfig", "IRuntimeCache", "ExecutionContextAllocationStrategy")
    }
    always[""] -= {"ExecutionContextAllocationStrategy", "ComputeCapability"}
    assert missing(trt, always) == []
    assert hasattr(trt.ICudaEngine, "device_memory_size") or hasattr(trt.ICudaEngine, "device_memory_size_v2")
    assert hasattr(trt.IExecutionContext, "device_memory") or hasattr(trt.IExecutionContext, "set_device_memory")


@pytest.mark.skipif(find_spec("pycuda") is None, reason="pycuda is not installed")
def test_names_of_pycuda() -> None:
    import pycuda.driver

    assert missing(pycuda.driver, PYCUDA) == []
    assert issubclass(pycuda.driver.MemoryError, pycuda.driver.Error)


def test_names_of_cuda_bindings() -> None:
    driver = pytest.importorskip("cuda.bindings.driver")
    assert missing(driver, BINDINGS) == []
    assert int(driver.CUstream(4096)) == 4096
    assert int(driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY) == 2
    assert "hGraphExec, hStream" in driver.cuGraphUpload.__doc__


def test_names_of_the_driver() -> None:
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        pytest.skip("no NVIDIA driver on this machine")
    assert missing(library, DRIVER) == []
    quick = load_driver(quick=[CaptureMode.CALL])
    assert error_text(quick, 2) == "out of memory"
    mode = ctypes.c_int(1)
    for before in (0, 1):
        assert getattr(quick, CaptureMode.CALL)(ctypes.byref(mode)) == 0
        assert mode.value == before
