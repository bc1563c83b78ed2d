"""The settings of PyTorch that a process has once: its threads and its random numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mostnet.contract.cores import asked_threads, default_threads
from mostnet.contract.free_cores import FreeCores

#: Seconds over which free cores are counted at first, and later. Then a moment's work of others does not count.
_FIRST_S, _LATER_S = 0.25, 1.0


def limit_torch_threads() -> None:
    """Keep PyTorch from using more threads than the CPU limit of a container allows; it knows only the affinity."""
    if torch.get_num_threads() > default_threads():
        torch.set_num_threads(default_threads())


class TorchThreads:
    """Keeps PyTorch to as many CPU threads as cores are free.

    Threads wait for each other many times in a step. One thread that shares its core with another process makes all
    others wait.
    """

    def __init__(self, asked: int | None = None) -> None:
        """Set the number: ``asked``, or ``OMP_NUM_THREADS``, or after a short look the number of free cores."""
        self._free: FreeCores | None = None
        if asked:
            torch.set_num_threads(asked)
        else:
            limit_torch_threads()
        self.most = torch.get_num_threads()
        if not asked and asked_threads() is None and self.most > 1:
            self._free = FreeCores()
            time.sleep(_FIRST_S)
            self._take_free(_FIRST_S)

    def follow(self) -> None:
        """Take as many threads as cores were free for a second or more, unless their number was asked for."""
        self._take_free(_LATER_S)

    def _take_free(self, least_s: float) -> None:
        count = None if self._free is None else self._free.count(least_s=least_s)
        if count is not None and min(count, self.most) != torch.get_num_threads():
            torch.set_num_threads(min(count, self.most))


@contextmanager
def torch_settings_kept() -> Iterator[None]:
    """Put PyTorch's number of threads and its random numbers, on every device, back at the end of the block.

    If CUDA has not begun before the block, its generators get the seed of ``torch.manual_seed`` at the end, as if they
    were new; a seed that only ``torch.cuda.manual_seed`` set before is lost.
    """
    threads, seed = torch.get_num_threads(), torch.initial_seed()
    cuda_began = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpus = range(torch.cuda.device_count()) if cuda_began else ()
    try:
        with torch.random.fork_rng(devices=gpus):
            yield
    finally:
        torch.set_num_threads(threads)
        if not cuda_began:
            torch.cuda.manual_seed_all(seed)  # before CUDA begins, PyTorch notes it for later
