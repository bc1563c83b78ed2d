"""Memory pools are used and freed one at a time. The imitation ends like PyTorch if one is freed while one is used."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from mostnet.bench.gpu.standin.pools import PoolKeeper


class Allocator:
    """Notes which pools are in use, and which were freed meanwhile."""

    def __init__(self) -> None:
        self.used = 0
        self.freed = 0
        self.fatal = 0

    @contextmanager
    def use(self, pool: object) -> Iterator[None]:
        self.used += 1
        yield
        self.used -= 1

    def pool(self) -> object:
        """A new pool, which the garbage collector does not see, like one in C++: it goes with its last reference."""
        made = np.zeros(1)
        weakref.finalize(made, self._free)
        return made

    def _free(self) -> None:
        self.freed += 1
        self.fatal += self.used


def test_a_pool_is_freed_at_once() -> None:
    allocator = Allocator()
    PoolKeeper(allocator.use).retire([allocator.pool()])
    assert (allocator.freed, allocator.fatal) == (1, 0)


def test_no_pool_is_freed_while_another_thread_uses_one() -> None:
    allocator = Allocator()
    pools = PoolKeeper(allocator.use)
    entered, leave = threading.Event(), threading.Event()

    def use() -> None:
        with pools.using(allocator.pool()):
            entered.set()
            leave.wait(10)

    threads = [threading.Thread(target=use), threading.Thread(target=lambda: pools.retire([allocator.pool()]))]
    threads[0].start()
    assert entered.wait(10)
    threads[1].start()
    time.sleep(0.05)
    assert allocator.freed == 0
    leave.set()
    for thread in threads:
        thread.join()
    assert (allocator.freed, allocator.fatal) == (2, 0)


def test_a_pool_that_the_collector_finds_in_the_midst_of_a_use_is_freed_after_it() -> None:
    allocator = Allocator()
    pools = PoolKeeper(allocator.use)

    class Task:
        def __init__(self) -> None:
            self.pool = allocator.pool()
            self.itself = self

        def __del__(self) -> None:
            pools.retire([self.__dict__.pop("pool")])

    Task()
    with pools.using(allocator.pool()):
        gc.collect()
        assert allocator.freed == 0
    assert (allocator.freed, allocator.fatal) == (2, 0)


def test_a_use_that_fails_lets_the_next_begin() -> None:
    allocator = Allocator()
    pools = PoolKeeper(allocator.use)
    try:
        with pools.using("a pool"):
            raise RuntimeError("out of memory")
    except RuntimeError:
        pass
    with pools.using("another"):
        pass
