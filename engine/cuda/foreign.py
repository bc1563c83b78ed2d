"""Streams and memory of other libraries. pycuda has no objects for them, so this module calls the driver directly."""

from __future__ import annotations

import ctypes

from .device import CudaDevice

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
        self._event: ctypes.c_void_p | None = ctypes.c_void_p()
        self._device.check("cuEventCreate", self._library.cuEventCreate(ctypes.byref(self._event), _NO_TIMING))

    def follow(self, ours: int, theirs: int) -> None:
        """Hold back later work on the stream ``ours`` until the work now on ``theirs`` is done.

        Raises:
            DeviceError: ``theirs`` is not a stream.
        """
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
        """Destroy the event. May be called twice."""
        event, self._event = self._event, None
        if event is not None:
            self._device.check("cuEventDestroy", self._library.cuEventDestroy_v2(event))
