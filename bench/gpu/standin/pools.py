"""Memory pools of PyTorch, used and freed one at a time: freeing one while another is in use ends the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager


class PoolKeeper:
    """Orders the uses of all pools of a process, and frees a pool between two uses.

    PyTorch's allocator asserts that no pool is in use when it frees one, and it does so in a destructor, where a
    failure is fatal.
    """

    def __init__(self, use: Callable[[object], AbstractContextManager[None]]) -> None:
        """``use`` makes PyTorch allocate from a pool: ``torch.cuda.use_mem_pool``."""
        self._use = use
        self._lock = threading.Lock()
        self._user: int | None = None
        self._retired: list[object] = []

    @contextmanager
    def using(self, pool: object) -> Iterator[None]:
        """Let this thread allocate from ``pool``. Other threads wait for their turn."""
        with self._lock:
            self._user = threading.get_ident()
            try:
                with self._use(pool):
                    yield
            finally:
                self._user = None
                self._retired.clear()

    def retire(self, pools: list[object]) -> None:
        """Free the pools of a list, which holds the last reference to each, and empty the list."""
        self._retired += pools
        pools.clear()
        if self._user != threading.get_ident():  # otherwise this thread uses a pool, and frees these at the end of it
            with self._lock:
                self._retired.clear()
