"""A GPU of this process: its primary context, pushed for the length of a call, and one checker for all failures.

pycuda can destroy an object only while the context it was made in is pushed, and aborts the process if a thread ends
with a context pushed. So everything here is used inside ``with device:``, which never lasts longer than a call.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from traceback import clear_frames
from types import TracebackType
from typing import Any

from mostnet.contract import BackendNotInstalledError, DeviceError, DeviceMemoryError
from mostnet.engine.fork import keep
from mostnet.engine.interfaces import DeviceLostError

from .capture import CaptureMode
from .driver import KnownErrors, error_text, load_driver

#: CU_STREAM_NON_BLOCKING: without it the kernels on PyTorch's default stream and ours would wait for each other.
NON_BLOCKING = 1

#: CUDA_ERROR_OUT_OF_MEMORY and _NOT_READY.
_NO_MEMORY, _NOT_READY = 2, 600

#: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED to _STREAM_CAPTURE_WRONG_THREAD: the call did nothing.
CAPTURE_ERRORS = range(900, 909)


class CudaDevice:
    """A GPU, as a reentrant context manager for any thread.

    It turns the errors that pycuda raises inside into ``DeviceError``, ``DeviceMemoryError`` or ``DeviceLostError``.
    Inside, the engine neither hinders nor feels a capture in this or another thread; ``CaptureMode`` says how.

    Attributes:
        number: CUDA's number of the GPU.
        driver: ``pycuda.driver``.
        library: the driver through ctypes, for calls that pycuda lacks.
        capture_mode: that of the calling thread.
    """

    def __init__(self, driver: Any, library: Any, number: int = 0) -> None:
        """Retain the primary context, which PyTorch, CuPy and TensorRT use too."""
        self.number = number
        self.driver = driver
        self.library = library
        self.capture_mode = CaptureMode(library)
        self._capture_errors = KnownErrors(library, CAPTURE_ERRORS)
        self._not_ready = KnownErrors(library, [_NOT_READY])
        driver.init()
        self._context = driver.Device(number).retain_primary_context()
        keep(self._context)  # at exit its destructor does not know that it is primary, and prints a CUDA error

    def __enter__(self) -> None:
        try:
            self._context.push()
        except self.driver.Error as error:
            raise _lost(str(error)) from error
        try:
            self.capture_mode.enter()
        except BaseException:  # an interrupt: ``__exit__`` will not come
            self._pop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ours = None
        if error is not None:
            if isinstance(error, self.driver.Error):
                ours = self.failure(str(error), memory=isinstance(error, self.driver.MemoryError))
            # A kept traceback would later destroy the streams and contexts in its stack frames with no context pushed.
            clear_frames(error.__traceback__)
        try:
            self.capture_mode.leave()
        finally:
            lost = self._pop()
        if error is None:
            ours = lost
        if ours is not None:
            raise ours from error

    def check(self, call: str, status: int) -> None:
        """Check what a call of ``library`` or of ``cuda.bindings`` returned.

        Raises:
            DeviceError: as ``failure``, if ``status`` is not 0.
        """
        if status != 0:
            raise self.failure(f"{call} failed: {error_text(self.library, status)}", memory=status == _NO_MEMORY)

    def failure(self, what: str, *, memory: bool = False) -> DeviceError:
        """The exception for a call that failed with the message ``what``; asks the context whether it still works.

        Every failed status of pycuda, of ``cuda.bindings`` and of TensorRT comes here. A context that is lost fails in
        every call, and one that works fails in one call: so the message alone says nothing.
        """
        if memory:
            return DeviceMemoryError(
                f"out of memory: {what}; close other sessions, use fewer slots, or export a smaller --size"
            )
        try:
            self.driver.mem_get_info()
        except self.driver.Error as error:
            if not self.is_capturing(error):
                known = str(error).rpartition(" failed: ")[2] in what
                return _lost(what if known else f"{what}; {error}")
        return DeviceError(f"the GPU refused a call: {what}")

    def is_capturing(self, error: BaseException) -> bool:
        """True if a call failed with ``error`` only because a CUDA graph is captured meanwhile: make it again."""
        return self._capture_errors.include(error)

    def is_not_ready(self, error: BaseException) -> bool:
        """True if a call failed with ``error`` because an event has been recorded again and not been reached since."""
        return self._not_ready.include(error)

    def free_mb(self) -> float:
        """Free device memory in megabytes (10^6 bytes)."""
        free, _ = self.driver.mem_get_info()
        return float(free) / 1e6

    def _pop(self) -> DeviceError | None:
        """Pop the context; the error if that fails, which it does only on a lost GPU, for failures of earlier work."""
        try:
            self.driver.Context.pop()
        except self.driver.Error as error:
            return _lost(str(error))
        return None


def cuda_device(number: int = 0) -> CudaDevice:
    """GPU ``number``, made once per process: pycuda leaves a primary context pushed when it releases it.

    Raises:
        BackendNotInstalledError: pycuda is missing or does not load.
        NoGpuError: there is no NVIDIA driver.
        DeviceError: CUDA does not start.
    """
    return _device(number)


@cache  # a cache on ``cuda_device`` would keep ``cuda_device()`` and ``cuda_device(0)`` apart
def _device(number: int) -> CudaDevice:
    try:
        driver = import_module("pycuda.driver")
    except (ImportError, OSError) as error:
        raise BackendNotInstalledError(
            f"pycuda does not load ({error}); TensorRT plans run through it: pip install 'mostnet[cuda]', which "
            "compiles it against the CUDA toolkit"
        ) from error
    try:
        return CudaDevice(driver, load_driver(quick=[CaptureMode.CALL]), number)
    except driver.Error as error:
        raise DeviceError(f"CUDA does not start: {error}; nvidia-smi shows whether the GPU is usable") from error


def _lost(what: str) -> DeviceLostError:
    return DeviceLostError(
        f"the GPU failed and its context is lost: {what}; the engine is closed: open a new Engine in a new process, "
        "because CUDA gives this process no second context"
    )
