"""Arrays of other libraries on the miniature GPU."""

from __future__ import annotations

import numpy as np

from mostnet.bench.gpu.miniature.gpu import MiniatureEvent, MiniatureGpu, MiniatureStream
from mostnet.bench.gpu.standin.toy import frame_of
from mostnet.engine.cuda.dlpack import export_capsule

#: Handle of the legacy default stream.
LEGACY = 1


class Produced:
    """Memory on the miniature GPU to which ``stream`` writes the frame of a number.

    ``interface`` entries replace those of ``__cuda_array_interface__``; None takes one away.
    """

    def __init__(
        self, gpu: MiniatureGpu, shape: tuple[int, ...], *, stream: MiniatureStream | None, handle: object = "own"
    ) -> None:
        self.gpu = gpu
        self.shape = shape
        self.stream = stream
        self.nbytes = int(np.prod(shape))
        self.address = gpu.allocate(self.nbytes)
        self.interface: dict[str, object] = {
            "version": 3,
            "shape": shape,
            "typestr": "|u1",
            "data": (self.address, False),
            "strides": None,
            "stream": stream.handle if stream is not None and handle == "own" else handle,
        }

    def write(self, number: int) -> Produced:
        """Enqueue the writing, or write at once without a stream."""

        def fill() -> None:
            self.gpu.array(self.address, self.shape, "uint8")[...] = frame_of(number)

        if self.stream is None:
            fill()
        else:
            self.stream.put(fill)
        return self

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return {name: value for name, value in self.interface.items() if value != "absent"}


class Tensor:
    """The same with DLPack alone, as in JAX; notes the streams that were asked for."""

    def __init__(self, produced: Produced, *, device: tuple[int, int] = (2, 0), dtype: str = "uint8") -> None:
        self.produced = produced
        self.device = device
        self.dtype = np.dtype(dtype)
        self.asked: list[object] = []
        self.owners: list[object] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int) -> object:
        self.asked.append(stream)
        if self.produced.stream is not None:
            consumer = self.produced.gpu.streams[stream]
            if self.produced.stream.capture is not None:
                consumer.capture = self.produced.stream.capture  # it joins the capture
            else:
                event = MiniatureEvent(self.produced.gpu)
                event.record(self.produced.stream)
                consumer.wait_for_event(event)
        return export_capsule(self.produced.address, self.produced.shape, self.dtype, self.produced)
