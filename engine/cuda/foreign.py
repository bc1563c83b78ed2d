"""Streams and memory of other libraries. pycuda has no objects for them, so this module calls the driver directly."""

from __future__ import annotations

import ctypes
from typing import Any

from mostnet.contract import FrameError

from .device import CAPTURE_ERRORS, NON_BLOCKING, CudaDevice

#: CU_EVENT_DISABLE_TIMING and CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL.
_NO_TIMING = 2
_DEVICE_ORDINAL = 9

#: CUDA_ERROR_INVALID_VALUE, for an address that the driver never gave out.
_UNKNOWN = 1


class ForeignStreams:
    """Makes a stream of the engine wait for a stream of another library. Used inside ``with device:`` only."""

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._library = device.library
        self._gate: Any = None
        self._event: ctypes.c_void_p | None = ctypes.c_void_p()
        self._device.check("cuEventCreate", self._library.cuEventCreate(ctypes.byref(self._event), _NO_TIMING))

    @property
    def number(self) -> int:
        """CUDA's number of the GPU."""
        return self._device.number

    @property
    def gate(self) -> int:
        """A stream that runs nothing, for a producer that does not say which stream it works on; made at first use.

        It is not made before, because the GPU runs only eight streams without false waits. The producer makes it wait
        for its own stream. If a CUDA graph of the producer is being captured, this stream becomes a part of the capture
        until its end, and those of the engine do not.
        """
        if self._gate is None:
            self._gate = self._device.driver.Stream(NON_BLOCKING)
        return int(self._gate.handle)

    def follow(self, ours: int, theirs: int) -> None:
        """Hold back later work on the stream ``ours`` until the work now on ``theirs`` is done.

        Raises:
            FrameError: a CUDA graph of ``theirs`` is being captured; nothing has changed.
            DeviceError: ``theirs`` is not a stream.
        """
        if self._is_captured(theirs):
            raise FrameError(
                "frame on the device is written in a stream whose CUDA graph is being captured, so nothing writes it "
                "yet; end the capture, launch the graph, and hand in the frame after that"
            )
        # A wait refers to the latest record before it, so one event serves all streams.
        self._device.check("cuEventRecord", self._library.cuEventRecord(self._event, ctypes.c_void_p(theirs)))
        self._device.check("cuStreamWaitEvent", self._library.cuStreamWaitEvent(ctypes.c_void_p(ours), self._event, 0))

    def device_of(self, address: int) -> int | None:
        """Number of the GPU whose memory holds ``address``; None if it is not GPU memory."""
        value = ctypes.c_int(-1)
        pointer = ctypes.c_uint64(address)
        status = self._library.cuPointerGetAttribute(ctypes.byref(value), _DEVICE_ORDINAL, pointer)
        if status == _UNKNOWN:
            return None
        self._device.check("cuPointerGetAttribute", status)
        return value.value

    def close(self) -> None:
        """Destroy event and stream. May be called twice."""
        event, self._event = self._event, None
        self._gate = None
        if event is not None:
            self._device.check("cuEventDestroy", self._library.cuEventDestroy_v2(event))

    def _is_captured(self, stream: int) -> bool:
        captured = ctypes.c_int()
        status = self._library.cuStreamIsCapturing(ctypes.c_void_p(stream), ctypes.byref(captured))
        if status in CAPTURE_ERRORS:  # the legacy stream, while a stream that waits for it is captured
            return True
        self._device.check("cuStreamIsCapturing", status)
        return captured.value != 0  # CU_STREAM_CAPTURE_STATUS_NONE
