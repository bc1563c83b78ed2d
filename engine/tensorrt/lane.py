"""A lane of a plan: one execution context per slot at fixed addresses. No frame allocates, binds or copies state."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mostnet.contract import FINITE, FRAME, Frame, Metadata, ModelFileError, input_spec, output_specs
from mostnet.engine.cuda.array import DeviceArray
from mostnet.engine.cuda.clock import shared_clock
from mostnet.engine.cuda.device import CudaDevice
from mostnet.engine.cuda.foreign import ForeignStreams
from mostnet.engine.cuda.frame import adopt_frame
from mostnet.engine.cuda.graph import CudaGraph, load_bindings
from mostnet.engine.cuda.memory import BlockLayout, DeviceBlock, PinnedBlock, aligned
from mostnet.engine.cuda.streams import CudaEvent, CudaStream
from mostnet.engine.fork import own
from mostnet.engine.interfaces import DeviceFrame, DeviceLostError, Result, Stream, Streams
from mostnet.engine.results import ResultPools

from .library import TensorRtEngine

_LOG = logging.getLogger(__name__)

#: In the first run TensorRT initialises, and TensorRT for RTX compiles. TensorRT for RTX captures the second run.
_WARM_UPS = 2


class _SlotBlocks(NamedTuple):
    """Memory of one slot.

    Attributes:
        frame, pictures, state: device addresses of its input, outputs and state.
        host_frame, host_pictures: pinned memory that is copied to ``frame`` and from ``pictures``.
        views: tensors in ``host_pictures``, by name, for the lane.
        lent_frame: ``host_frame`` for callers.
        lent: borrowed or device results for callers, by name.
    """

    frame: int
    pictures: int
    state: int
    host_frame: npt.NDArray[np.uint8]
    host_pictures: npt.NDArray[np.uint8]
    views: dict[str, npt.NDArray[Any]]
    lent_frame: Frame
    lent: dict[str, Any]


class TensorRtLane:
    """Slots on one GPU. The constructor allocates everything; ``close`` frees it in the opposite order."""

    def __init__(
        self,
        device: CudaDevice,
        engine: TensorRtEngine,
        metadata: Metadata,
        slots: int,
        outputs: Sequence[str],
        *,
        results: str,
    ) -> None:
        """Allocate, bind and warm up; ``capture`` may follow.

        Raises:
            DeviceMemoryError: something does not fit; everything taken is freed.
            DeviceError: TensorRT or the driver rejects a call; everything taken is freed.
        """
        pictures = output_specs(metadata.size_hw)
        wanted = (*outputs, FINITE)
        self.slots = slots
        self._device = device
        self._engine = engine
        self._results = results
        self._size_hw = metadata.size_hw
        self._frame = input_spec(metadata.size_hw)
        self._pictures = BlockLayout(spec for spec in pictures if spec.name in wanted)
        # ``finite`` is the last output, so the outputs that are copied to the host are the last part of all outputs.
        self._downloaded = BlockLayout(s for s in self._pictures.specs if results != "device" or s.name == FINITE)
        self._unwanted = BlockLayout(spec for spec in pictures if spec.name not in wanted)
        self._state_out = BlockLayout(pair.output for pair in metadata.states)
        self._state_in = BlockLayout(pair.input for pair in metadata.states)
        self._pools = ResultPools(spec for spec in self._downloaded.specs if spec.name != FINITE)
        self._held = ExitStack()  # frees in the opposite order, each resource once
        self._events: list[CudaEvent] = []
        self._blocks: list[_SlotBlocks] = []
        self._contexts: list[Any] = []
        self._graphs: list[CudaGraph] = []
        with device:
            try:
                own(self)
                self._held.callback(self._pools.close)
                engine.retain()
                self._held.callback(engine.release)
                self._make_streams()
                self._foreign = ForeignStreams(device)
                self._held.callback(self._foreign.close)
                self._allocate()
                self._bind()
                self._warm_up()
            except BaseException:
                self._held.close()
                raise

    def active(self) -> AbstractContextManager[None]:
        """Push the primary context."""
        return self._device

    def capture(self) -> None:
        """Make one CUDA graph per slot, of the network only, if ``cuda.bindings`` is installed.

        Raises:
            DeviceError: the network cannot be captured.
        """
        bindings = load_bindings()
        if bindings is None:
            return
        self._held.callback(self._graphs.clear)
        with self._device:
            for slot in range(self.slots):
                graph = CudaGraph(self._device, bindings, self._compute.handle)
                self._held.callback(graph.close)
                if not graph.capture(partial(self._enqueue, slot)):
                    raise self._engine.failure("TensorRT cannot be captured in a CUDA graph (graphs=False uses none)")
                self._graphs.append(graph)

    def check_capturable(self) -> None:
        """Check that TensorRT for RTX can capture this network.

        Raises:
            ModelFileError: it cannot; says how to export the plan, or how to open it.
        """
        with self._device:
            capturable = all(self._is_capturable(slot) for slot in range(self.slots))
        if not capturable:
            raise ModelFileError(
                "this plan cannot be captured in a CUDA graph: it allocates while it runs; export it again "
                "(mostnet-export sets REQUIRE_USER_ALLOCATION), or open the engine with graphs=False"
            )

    def event(self) -> CudaEvent:
        """A new event, freed with the lane."""
        event = CudaEvent(self._device, self._clock)
        self._events.append(event)
        return event

    def open_streams(self, *, pipelined: bool) -> Streams:
        """Three streams, or one for all stages of a lone frame, so that none waits for another stream."""
        if pipelined:
            return Streams(self._copy_in, self._compute, self._copy_out)
        return Streams(self._compute, self._compute, self._compute)

    def host_input(self, slot: int) -> Frame:
        """The pinned frame of ``slot``."""
        return self._blocks[slot].lent_frame

    def upload(self, slot: int, stream: Stream) -> None:
        """Enqueue the copy of the pinned frame."""
        blocks = self._blocks[slot]
        self._device.driver.memcpy_htod_async(blocks.frame, blocks.host_frame, _cuda(stream).raw)

    def adopt(self, frame: object, stream: Stream) -> DeviceFrame:
        """Check a frame on the GPU, and make ``stream`` wait for its producer.

        Raises:
            FrameError: wrong device, dtype, shape or strides.
        """
        return adopt_frame(frame, self._size_hw, ours=_cuda(stream).handle, streams=self._foreign)

    def upload_from(self, slot: int, frame: DeviceFrame, stream: Stream) -> None:
        """Enqueue the copy to the slot's own frame, whose address graphs and contexts are bound to."""
        target = self._blocks[slot].frame
        self._device.driver.memcpy_dtod_async(target, frame.address, self._frame.nbytes, _cuda(stream).raw)

    def clear_state(self, slot: int, stream: Stream) -> None:
        """Enqueue zeros for the state that ``slot`` wrote."""
        self._device.driver.memset_d8_async(self._blocks[slot].state, 0, self._state_out.nbytes, _cuda(stream).raw)

    def execute(self, slot: int, stream: Stream) -> None:
        """Enqueue the network, as a graph if there is one."""
        assert stream is self._compute, "contexts and graphs of a ring share scratch memory, so one stream runs them"
        if self._graphs:
            self._graphs[slot].launch()
        else:
            self._run(slot)

    def download(self, slot: int, stream: Stream) -> None:
        """Enqueue one copy of all outputs for the host, which are contiguous."""
        blocks = self._blocks[slot]
        source = blocks.pictures + self._pictures.nbytes - self._downloaded.nbytes
        self._device.driver.memcpy_dtoh_async(blocks.host_pictures, source, _cuda(stream).raw)

    def result(self, slot: int) -> Result:
        """Copies of the pinned outputs, or the slot's borrowed or device results."""
        blocks = self._blocks[slot]
        found = blocks.lent
        if self._results == "owned":
            found = self._pools.copy(blocks.views)
        return Result.of(found, finite=bool(blocks.views[FINITE]))

    def close(self) -> None:
        """Free everything. May be called twice."""
        try:
            with self._device:
                self._held.close()
        except DeviceLostError as error:
            _LOG.warning("close: %s", error)

    def _make_streams(self) -> None:
        self._held.callback(self._close_events)
        clock = shared_clock(self._device)
        self._clock = clock.take()
        self._held.callback(clock.release)
        streams = []
        for _ in range(3):
            streams.append(CudaStream(self._device))
            self._held.callback(streams[-1].free)
        self._copy_in, self._compute, self._copy_out = streams

    def _allocate(self) -> None:
        """Take one block for the slots' frames, outputs and states, the unwanted outputs, and TensorRT's scratch."""
        frame_bytes = aligned(self._frame.nbytes)
        sizes = (frame_bytes, self._pictures.nbytes, self._state_out.nbytes)
        host_bytes = frame_bytes + self._downloaded.nbytes
        scratch_bytes = aligned(self._engine.scratch_bytes)
        asked = self.slots * sum(sizes) + self._unwanted.nbytes + scratch_bytes
        self._arena = DeviceBlock(self._device, asked, f"{self.slots} slots and {scratch_bytes / 1e6:.1f} MB scratch")
        self._held.callback(self._arena.free)
        pinned = PinnedBlock(self._device, self.slots * host_bytes, f"frames and outputs of {self.slots} slots")
        self._held.callback(pinned.free)
        self._held.callback(self._blocks.clear)
        inputs, outputs = pinned.lend(read_only=False), pinned.lend(read_only=True)
        for slot in range(self.slots):
            base, part = self._arena.address + slot * sum(sizes), slice(slot * host_bytes, (slot + 1) * host_bytes)
            host = pinned.array[part]
            blocks = _SlotBlocks(
                frame=base,
                pictures=base + sizes[0],
                state=base + sizes[0] + sizes[1],
                host_frame=host[: self._frame.nbytes],
                host_pictures=host[frame_bytes:],
                views=_pictures(self._downloaded, host[frame_bytes:]),
                lent_frame=_pictures(BlockLayout([self._frame]), inputs[part][:frame_bytes])[FRAME],
                lent=self._lend(base + sizes[0], outputs[part][frame_bytes:]),
            )
            self._blocks.append(blocks)
        self._unwanted_base = self._arena.address + self.slots * sum(sizes)
        self._scratch = self._unwanted_base + self._unwanted.nbytes

    def _lend(self, pictures: int, host: npt.NDArray[np.uint8]) -> dict[str, Any]:
        """Results for callers, by name, of the slot with its outputs at address ``pictures``, copied to ``host``."""
        if self._results != "device":
            return _pictures(self._downloaded, host)
        memory, addresses = self._arena.memory, self._pictures.addresses(pictures)
        return {
            s.name: DeviceArray(addresses[s.name], s.shape[1:], s.dtype, memory, self._device.number)
            for s in self._pictures.specs
        }

    def _bind(self) -> None:
        self._held.callback(self._contexts.clear)
        for slot, blocks in enumerate(self._blocks):
            addresses = {
                FRAME: blocks.frame,
                **self._pictures.addresses(blocks.pictures),
                **self._unwanted.addresses(self._unwanted_base),
                **self._state_in.addresses(self._blocks[slot - 1].state),
                **self._state_out.addresses(blocks.state),
            }
            context = self._engine.new_context(self._scratch, addresses)
            _limit_markers(context)
            self._contexts.append(context)

    def _warm_up(self) -> None:
        """Run every context on zeros, so that no frame pays for the first run; then make the state zero again."""
        driver, raw = self._device.driver, self._compute.raw
        driver.memset_d8_async(self._arena.address, 0, self._arena.nbytes, raw)
        for slot in range(self.slots):
            for _ in range(_WARM_UPS):
                self._run(slot)
        for blocks in self._blocks:
            driver.memset_d8_async(blocks.state, 0, self._state_out.nbytes, raw)
        self._compute.drain(None)

    def _enqueue(self, slot: int) -> bool:
        return bool(self._contexts[slot].execute_async_v3(self._compute.handle))

    def _run(self, slot: int) -> None:
        if not self._enqueue(slot):
            raise self._engine.failure("TensorRT cannot enqueue a frame")

    def _is_capturable(self, slot: int) -> bool:
        ask = getattr(self._contexts[slot], "is_stream_capturable", None)  # TensorRT for RTX 1.2 has it
        return ask is None or bool(ask(self._compute.handle))

    def _close_events(self) -> None:
        for event in self._events:
            event.close()


def _pictures(layout: BlockLayout, block: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
    """The tensors in ``block``, without their batch axis."""
    return {name: view[0, ...] for name, view in layout.views(block).items()}


def _limit_markers(context: Any) -> None:
    """Mark layers for profilers by name only: plans are built for inspection, and full markers slow every enqueue."""
    if hasattr(context, "nvtx_verbosity"):
        context.nvtx_verbosity = type(context.nvtx_verbosity).LAYER_NAMES_ONLY


def _cuda(stream: Stream) -> CudaStream:
    assert isinstance(stream, CudaStream), "a lane is driven by its own streams"
    return stream
