"""Clock, events and waits of CUDA, on the miniature GPU."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.bench.gpu.miniature.driver import pycuda_driver
from mostnet.bench.gpu.miniature.gpu import MiniatureGpu
from mostnet.bench.gpu.miniature.library import driver_library
from mostnet.bench.gpu.standin.toy import OUTPUTS
from mostnet.contract import BackendNotInstalledError, DeviceError
from mostnet.engine.cuda import device as cuda_device
from mostnet.engine.cuda import graph as cuda_graph
from mostnet.engine.cuda.clock import Clock
from mostnet.engine.cuda.device import CudaDevice
from mostnet.engine.cuda.memory import BlockLayout, aligned
from mostnet.engine.cuda.streams import CudaEvent, CudaStream


@pytest.fixture
def gpu() -> MiniatureGpu:
    return MiniatureGpu()


@pytest.fixture
def device(gpu: MiniatureGpu) -> Iterator[CudaDevice]:
    made = CudaDevice(pycuda_driver(gpu), driver_library(gpu))
    with made:
        yield made


def test_times_of_the_gpu_are_on_the_clock_of_the_host(gpu: MiniatureGpu, device: CudaDevice) -> None:
    before_s = time.perf_counter()
    clock, stream = Clock(device), CudaStream(device)
    after_s = time.perf_counter()
    first, second = CudaEvent(device, clock), CudaEvent(device, clock)
    stream.record(first)
    assert stream.drain(1000)
    gpu.time_ms += 250
    stream.record(second)
    assert second.wait(1000)
    assert second.since_ms(first) == pytest.approx(250, abs=0.1)
    assert before_s <= first.time_s <= after_s + 0.001
    assert second.time_s - first.time_s == pytest.approx(0.25, abs=1e-4)


def test_a_closed_event_is_reached(device: CudaDevice) -> None:
    event = CudaEvent(device, Clock(device))
    assert event.query()
    event.close()
    assert event.wait(0)
    event.close()


def test_an_event_that_is_recorded_again_at_the_end_of_a_wait(device: CudaDevice) -> None:
    """A close in another thread does so."""
    stream, event = CudaStream(device), CudaEvent(device, Clock(device))
    query = event.raw.query

    def query_and_record_again() -> bool:
        reached = query()
        if reached:
            event.raw.record(stream.raw)
        return reached

    stream.record(event)
    event.raw.query = query_and_record_again
    assert event.wait(1000)
    del event.raw.query
    assert stream.drain(1000)


def test_a_lost_gpu_is_found_at_the_end_of_a_wait(gpu: MiniatureGpu, device: CudaDevice) -> None:
    stream, event = CudaStream(device), CudaEvent(device, Clock(device))
    stream.record(event)
    gpu.failures["cuEventElapsedTime"] = (0, device.driver.LogicError("odd failed: invalid resource handle"))
    with pytest.raises(device.driver.Error, match="odd failed"):
        event.wait(1000)


def test_a_layout_is_aligned_and_its_views_do_not_overlap() -> None:
    """TensorRT 8.6 refused scratch memory that was aligned to 256 bytes (H200); it lies behind such blocks."""
    layout = BlockLayout(OUTPUTS)
    assert all(offset % 512 == 0 for offset in layout.offsets.values())
    assert layout.nbytes == sum(aligned(spec.nbytes) for spec in OUTPUTS)
    assert aligned(0) == aligned(1) == aligned(512) == 512
    assert aligned(513) == 1024
    block = np.zeros(layout.nbytes, np.uint8)
    views = layout.views(block)
    for number, spec in enumerate(OUTPUTS, start=1):
        assert (views[spec.name].shape, str(views[spec.name].dtype)) == (spec.shape, spec.dtype)
        views[spec.name].reshape(-1).view(np.uint8).fill(number)
    assert np.count_nonzero(block) == sum(spec.nbytes for spec in OUTPUTS)
    assert layout.addresses(4096)["flow"] == 4096 + layout.offsets["flow"]


def test_graphs_need_bindings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(cuda_graph, "find_spec", lambda name: None)
    with caplog.at_level("INFO", "mostnet"):
        assert cuda_graph.load_bindings() is None
    assert "no CUDA graphs: cuda-bindings is not installed (pip install 'mostnet[cuda]')" in caplog.text
    monkeypatch.setattr(cuda_graph, "find_spec", lambda name: object())
    monkeypatch.setattr(cuda_graph, "import_module", lambda name: name)
    assert cuda_graph.load_bindings() == "cuda.bindings.driver"


def test_a_pycuda_that_does_not_load_and_a_cuda_that_does_not_start(
    gpu: MiniatureGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> object:
        raise ImportError("libcurand.so.10: cannot open shared object file")

    cuda_device._device.cache_clear()
    monkeypatch.setattr(cuda_device, "import_module", broken)
    with pytest.raises(BackendNotInstalledError, match=r"pycuda does not load \(libcurand.so.10: .*mostnet\[cuda\]"):
        cuda_device.cuda_device()
    driver = pycuda_driver(gpu)

    def refuse() -> None:
        raise driver.Error("cuInit failed: system has unsupported display driver")

    driver.init = refuse
    monkeypatch.setattr(cuda_device, "load_driver", lambda quick: driver_library(gpu))
    monkeypatch.setattr(cuda_device, "import_module", lambda name: driver)
    with pytest.raises(DeviceError, match="CUDA does not start: cuInit failed: system has unsupported display driver"):
        cuda_device.cuda_device()
