"""Runs the networks of the stand-in in PyTorch on the GPU, on the streams and at the addresses that the engine gives.

PyTorch uses the primary context, as the engine does. A network keeps its state in the engine's memory alone. Its
intermediate tensors come from a memory pool of its own. PyTorch does not know of the engine's captures, so only such a
pool keeps the memory of these tensors from other users as long as a graph may run.
"""

from __future__ import annotations

import logging
import sys
from functools import lru_cache
from typing import Any

import torch

from mostnet.engine.cuda.array import DeviceArray
from mostnet.engine.fork import keep

from .plan import StandinPlan
from .pools import PoolKeeper
from .runner import Binding, Bindings
from .torch_network import TorchNetwork

_LOG = logging.getLogger(__name__)

#: PyTorch's annotations lack some names of this module.
_CUDA: Any = torch.cuda
_C: Any = torch._C

_DEVICE = "cuda"

#: Cycles of the kernel that measures the clock, and of the one before it, which brings the clock up.
_MEASURED_CYCLES, _WARM_UP_CYCLES = 20_000_000, 100_000_000


class CudaRunner:
    """The first GPU as a ``Runner``. Used inside ``with device:`` only, like all of TensorRT."""

    def __init__(self) -> None:
        self._pools = PoolKeeper(_CUDA.use_mem_pool)

    def load(self, plan: StandinPlan) -> CudaNetwork:
        """The network of ``plan``; raises as ``Runner.load``."""
        _make_repeatable()
        network = CudaNetwork(TorchNetwork(plan, device=_DEVICE), _cycles(plan.compute_ms), self._pools)
        _CUDA.current_stream().synchronize()  # it copied the weights, and no stream of the engine waits for it
        return network

    def made(self, kind: str) -> None:
        """Count nothing: the tests read the free memory of the GPU."""

    def destroyed(self, kind: str) -> None:
        """Count nothing."""

    def misused(self, what: str) -> None:
        """Log a misuse."""
        _LOG.error("misuse of TensorRT: %s", what)


class CudaNetwork:
    """A network on the GPU.

    Attributes:
        network: its weights.
        cycles: duration of the idle kernel after it.
        pools: orders the uses of memory pools.
    """

    def __init__(self, network: TorchNetwork, cycles: int, pools: PoolKeeper) -> None:
        self.network = network
        self.cycles = cycles
        self.pools = pools

    def bind(self, bindings: Bindings) -> CudaTask:
        """The network at the addresses of one context."""
        return CudaTask(self, bindings)


class CudaTask:
    """A network at fixed addresses, as kernels on a stream."""

    def __init__(self, network: CudaNetwork, bindings: Bindings) -> None:
        self._cycles = network.cycles
        self._pools = network.pools
        self._pool = _CUDA.MemPool()
        self._scratch = torch.as_tensor(_memory(bindings.scratch), device=_DEVICE)
        inputs = {binding.name: _memory(binding) for binding in bindings.inputs}
        outputs = {binding.name: _memory(binding) for binding in bindings.outputs}
        self._bound = network.network.bind(inputs, outputs)

    def enqueue(self, stream: int) -> None:
        """Put the kernels on the stream, or in its capture.

        Raises:
            RuntimeError: PyTorch refuses an operation; out of memory among others.
        """
        with _CUDA.stream(_CUDA.ExternalStream(stream)), self._pools.using(self._pool):
            self._scratch.fill_(0xEE)
            self._bound.run()
            if self._cycles:
                _CUDA._sleep(self._cycles)

    def __del__(self) -> None:
        if not hasattr(self, "_bound"):
            return
        del self._bound
        if sys is None or sys.is_finalizing() or not _is_alive():
            keep(self._pool)  # its destructor frees memory, and ends the process if CUDA refuses
            return
        # cuBLAS keeps a workspace of each stream in the pool of its first user. This clears all workspaces. A graph of
        # another pool may still use one, without harm: nothing else is taken from that pool.
        _C._cuda_clearCublasWorkspaces()
        self._pools.retire([self.__dict__.pop("_pool")])


def _memory(binding: Binding) -> DeviceArray:
    return DeviceArray(binding.address, binding.shape, binding.dtype, None)


def _is_alive() -> bool:
    try:
        _CUDA.mem_get_info()
    except RuntimeError:
        return False
    return True


def _make_repeatable() -> None:
    """Let every run of a network give the same bits, and let float32 be float32."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def _cycles(duration_ms: float) -> int:
    return round(duration_ms * _cycles_per_ms()) if duration_ms else 0


@lru_cache(maxsize=1)
def _cycles_per_ms() -> float:
    """How many cycles the idle kernel counts in a millisecond."""
    begun, ended = _CUDA.Event(enable_timing=True), _CUDA.Event(enable_timing=True)
    _CUDA._sleep(_WARM_UP_CYCLES)
    begun.record()
    _CUDA._sleep(_MEASURED_CYCLES)
    ended.record()
    ended.synchronize()
    return float(_MEASURED_CYCLES / begun.elapsed_time(ended))
