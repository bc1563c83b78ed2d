"""The memory of owned results: lent as arrays, and used again only when nothing that was made of it is left."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mostnet.contract import TensorSpec
from mostnet.engine.results import ResultPool, ResultPools

SHAPE = (32, 48, 3)


def filled(value: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A picture of one grey."""
    return np.full(shape, value, np.uint8)


def address(array: np.ndarray) -> int:
    """Where the array's memory begins."""
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize(("shape", "dtype"), [(SHAPE, "uint8"), ((2, 5, 7), "float32"), ((6, 8), "uint8")])
def test_an_array_is_like_any_other(shape: tuple[int, ...], dtype: str) -> None:
    source = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    pool = ResultPool(shape, dtype)
    for _ in range(3):
        array = pool.copy(source)
        assert type(array) is np.ndarray
        assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
        assert (array.flags.c_contiguous, array.flags.writeable, array.flags.aligned) == (True, True, True)
        assert np.array_equal(array, source)
        array[...] = 77
        del array
    assert np.array_equal(source, np.arange(np.prod(shape)).reshape(shape).astype(dtype)), "a copy"


def test_memory_is_used_again_and_written_in_full() -> None:
    pool = ResultPool(SHAPE, "uint8")
    first = pool.copy(filled(1))
    where = address(first)
    other = pool.copy(filled(2))
    assert address(other) != where
    del first
    again = pool.copy(filled(3))
    assert address(again) == where
    assert np.array_equal(again, filled(3))
    assert np.array_equal(other, filled(2))


def of_torch(name: str) -> Callable[[np.ndarray], Any]:
    """A function of PyTorch that makes a tensor of an array."""
    return lambda array: getattr(pytest.importorskip("torch"), name)(array)


@pytest.mark.parametrize(
    "made",
    [
        lambda array: array[3:7],
        lambda array: array.reshape(-1)[::5].view("int8"),
        lambda array: array[3:7].base,
        memoryview,
        lambda array: memoryview(array)[2:],
        lambda array: np.frombuffer(memoryview(array).cast("B"), np.uint8)[9:],
        np.from_dlpack,
        lambda array: array.__dlpack__(),
        lambda array: iter(array),
        lambda array: np.ctypeslib.as_ctypes(array),
        of_torch("from_numpy"),
        of_torch("from_dlpack"),
        of_torch("as_tensor"),
    ],
)
def test_whatever_is_made_of_an_array_keeps_its_memory(made: Callable[[np.ndarray], Any]) -> None:
    pool = ResultPool(SHAPE, "uint8")
    array = pool.copy(filled(1))
    where = address(array)
    left = made(array)
    del array
    gc.collect()
    later = [pool.copy(filled(2)) for _ in range(3)]
    assert where not in map(address, later)
    del left
    gc.collect()
    assert address(pool.copy(filled(3))) == where


def test_spare_memory_is_bounded() -> None:
    shape = (1000, 4000, 3)
    pool = ResultPool(shape, "uint8")
    source = np.zeros(shape, np.uint8)
    tracemalloc.start()
    try:
        arrays = [pool.copy(source) for _ in range(12)]
        taken = tracemalloc.get_traced_memory()[0]
        arrays.clear()
        spare = tracemalloc.get_traced_memory()[0]
        del pool
        rest = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken > 12 * source.nbytes
    assert spare < 6 * source.nbytes
    assert rest < 100_000


def test_arrays_outlive_the_pools_and_then_free_their_memory() -> None:
    pools = ResultPools([TensorSpec("mask", (1, 500, 500), "uint8"), TensorSpec("flow", (1, 2, 500, 500), "float32")])
    found = {"mask": filled(7, (500, 500)), "flow": np.ones((2, 500, 500), np.float32), "finite": np.ones(())}
    tracemalloc.start()
    try:
        arrays = [pools.copy(found) for _ in range(5)]
        assert set(arrays[0]) == {"mask", "flow"}
        del arrays[1:]
        pools.close()
        pools.close()
        left = tracemalloc.get_traced_memory()[0]
        assert all(np.array_equal(array, found[name]) for name, array in arrays[0].items())
        arrays.clear()
        rest = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert left < 2 * (found["mask"].nbytes + found["flow"].nbytes)
    assert rest < 100_000


def test_threads_never_share_memory() -> None:
    pool = ResultPool(SHAPE, "uint8")
    wrong: list[int] = []

    def work(value: int) -> None:
        kept = []
        for turn in range(400):
            kept.append(pool.copy(filled(value)))
            if turn % 7 == 0:
                wrong.extend(value for array in kept if not np.array_equal(array, filled(value)))
                kept.clear()

    threads = [threading.Thread(target=work, args=(value,)) for value in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("kept", ["array", "pool, array", "array[1:], pool", "[pool, pool.copy(array)]"])
def test_the_end_of_the_process_is_quiet(kept: str) -> None:
    code = (
        "import numpy, sys; from mostnet.engine.results import ResultPool; pool = ResultPool((3, 4), 'uint8'); "
        f"array = pool.copy(numpy.zeros((3, 4), 'uint8')); sys.kept = {kept}; sys.kept_too = {kept}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_copied_after_close() -> None:
    pools = ResultPools([TensorSpec("mask", (1, 4, 4), "uint8")])
    assert list(pools.copy({"mask": filled(1, (4, 4))})) == ["mask"]
    pools.close()
    pools.close()
    with pytest.raises(AssertionError, match="nothing is copied after close"):
        pools.copy({"mask": filled(1, (4, 4))})
