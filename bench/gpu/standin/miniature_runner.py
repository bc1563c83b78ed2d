"""Runs the networks of the stand-in on the miniature GPU: the toy in NumPy, others in PyTorch on the processor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy.typing as npt

from mostnet.bench.gpu.miniature.gpu import MiniatureGpu

from .plan import StandinPlan
from .runner import Binding, Bindings
from .toy import step

#: Computes the outputs of one frame, given the views of a context's tensors.
_Compute = Callable[[], None]


class MiniatureRunner:
    """The miniature GPU as a ``Runner``."""

    def __init__(self, gpu: MiniatureGpu) -> None:
        self._any = gpu

    @property
    def _gpu(self) -> MiniatureGpu:
        return self._any.current

    def load(self, plan: StandinPlan) -> MiniatureNetwork:
        """The network of ``plan``; raises as ``Runner.load``."""
        if plan.checkpoint is None:
            return MiniatureNetwork(self._gpu, plan, partial(_bind_toy, plan.nan))
        import torch  # the toy needs none

        from .torch_network import TorchNetwork

        torch.set_num_threads(1)  # for small frames, threads that wait for each other take longer than one
        network = TorchNetwork(plan, device="cpu")
        return MiniatureNetwork(self._gpu, plan, lambda inputs, outputs: network.bind(inputs, outputs).run)

    def made(self, kind: str) -> None:
        """Count a new object."""
        self._gpu.made(kind)

    def destroyed(self, kind: str) -> None:
        """Count an object that is gone."""
        self._gpu.destroyed(kind)

    def misused(self, what: str) -> None:
        """Note a misuse."""
        self._gpu.violations.append(what)


class MiniatureNetwork:
    """A network on the miniature GPU."""

    def __init__(
        self, gpu: MiniatureGpu, plan: StandinPlan, bind: Callable[[dict[str, Any], dict[str, Any]], _Compute]
    ) -> None:
        """``bind`` takes views of inputs and outputs by their names."""
        self.gpu = gpu
        self.plan = plan
        self.make_compute = bind

    def bind(self, bindings: Bindings) -> MiniatureTask:
        """The network at the addresses of one context."""
        return MiniatureTask(self, bindings)


class MiniatureTask:
    """A network at fixed addresses, as one operation of the device."""

    def __init__(self, network: MiniatureNetwork, bindings: Bindings) -> None:
        self._gpu = network.gpu
        self._compute_ms = network.plan.compute_ms
        self._frame = bindings.inputs[0].address
        self._scratch = self._view(bindings.scratch)
        inputs = {binding.name: self._view(binding) for binding in bindings.inputs}
        outputs = {binding.name: self._view(binding) for binding in bindings.outputs}
        self._compute = network.make_compute(inputs, outputs)
        self._ran = False

    def enqueue(self, stream: int) -> None:
        """Put the operation on the stream. A capture before the first run is misuse: that run initialises TensorRT."""
        raw = self._gpu.streams[stream]
        if raw.capture is not None and not self._ran:
            self._gpu.violations.append("captured before the first run")
        self._ran = True
        self._gpu.log.append(("enqueue", self._frame))
        raw.put(self._run)

    def _run(self) -> None:
        self._scratch.fill(0xEE)
        self._compute()
        if self._compute_ms:
            self._gpu.pass_time(self._compute_ms)

    def _view(self, binding: Binding) -> npt.NDArray[Any]:
        return self._gpu.array(binding.address, binding.shape, binding.dtype)


def _bind_toy(nan: int, inputs: dict[str, Any], outputs: dict[str, Any]) -> _Compute:
    def compute() -> None:
        for name, value in step(inputs, nan=nan).items():
            outputs[name][...] = value

    return compute
