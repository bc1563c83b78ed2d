"""Memory of the miniature GPU, and the calls of pycuda that only tests of a real GPU make."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mostnet.bench.gpu.miniature.driver import pycuda_driver
from mostnet.bench.gpu.miniature.gpu import MiniatureGpu
from mostnet.bench.gpu.miniature.install import LastingGpu


@pytest.fixture
def gpu() -> MiniatureGpu:
    made = MiniatureGpu(nbytes=4096)
    made.depth = 1
    return made


@pytest.fixture
def driver(gpu: MiniatureGpu) -> SimpleNamespace:
    return pycuda_driver(gpu)


def test_memory_is_used_again_and_ends(gpu: MiniatureGpu, driver: SimpleNamespace) -> None:
    held = [driver.mem_alloc(1000) for _ in range(4)]
    with pytest.raises(driver.MemoryError, match="cuMemAlloc failed: out of memory"):
        driver.mem_alloc(1000)
    address = int(held[2])
    gpu.at(address, 1000).fill(7)
    held[2].free()
    again = driver.mem_alloc(900)
    assert int(again) == address
    assert (gpu.at(address, 900) == 0xAB).all(), "old content is gone"
    with pytest.raises(driver.MemoryError):
        driver.mem_alloc(100)  # of another size
    del held, again
    assert not +gpu.alive
    assert gpu.violations == []


def test_free_memory_follows_device_memory(driver: SimpleNamespace) -> None:
    before, total = driver.mem_get_info()
    held, pinned = driver.mem_alloc(500), driver.pagelocked_empty((10, 2), np.float32)
    assert driver.mem_get_info() == (before - 500, total)
    assert (pinned.shape, pinned.dtype) == ((10, 2), np.float32)
    held.free()
    assert driver.mem_get_info() == (before, total)


def test_freeing_twice_is_misuse(gpu: MiniatureGpu, driver: SimpleNamespace) -> None:
    held = driver.mem_alloc(500)
    held.free()
    held.free()
    assert gpu.violations == ["device memory freed twice"]


def test_the_legacy_stream_is_late(gpu: MiniatureGpu, driver: SimpleNamespace) -> None:
    memory, host = driver.mem_alloc(8), np.arange(8, dtype=np.uint8)
    driver.memcpy_htod(memory, host)
    host[:] = 0  # it was staged
    assert (gpu.at(int(memory), 8) == 0xAB).all(), "a caller that does not synchronise reads old content"
    driver.Context.synchronize()
    assert gpu.at(int(memory), 8).tolist() == list(range(8))
    driver.memset_d16(int(memory), 0x7E00, 2)
    driver.memcpy_dtoh(host, memory)
    assert host.tolist() == [0, 0x7E, 0, 0x7E, 4, 5, 6, 7]


def test_a_trap_loses_the_gpu_later(gpu: MiniatureGpu, driver: SimpleNamespace) -> None:
    driver.module_from_buffer(b"code").get_function("boom")(block=(1, 1, 1), grid=(1, 1))
    driver.mem_get_info()
    with pytest.raises(driver.LogicError, match="cuCtxSynchronize failed: unspecified launch failure"):
        driver.Context.synchronize()
    with pytest.raises(driver.LogicError, match="cuMemGetInfo failed: unspecified launch failure"):
        driver.mem_get_info()


def test_the_current_context(gpu: MiniatureGpu, driver: SimpleNamespace) -> None:
    assert driver.Context.get_current() is not None
    driver.Context.pop()
    assert driver.Context.get_current() is None


def test_the_device_of_a_process_keeps_the_time_of_the_host() -> None:
    gpu = LastingGpu()
    gpu.log.append(("a", "line"))
    assert gpu.log == []
    gpu.pass_time(0.01)
    before_ms = gpu.time_ms
    gpu.pass_time(30)
    assert gpu.time_ms - before_ms >= 30


def test_the_work_of_a_destroyed_stream_is_done(gpu: MiniatureGpu, driver: SimpleNamespace) -> None:
    event, stream = driver.Event(), driver.Stream(1)
    event.record(stream)
    del stream
    assert event.query() and dict(gpu.alive) == {"event": 1, "stream": 0}
