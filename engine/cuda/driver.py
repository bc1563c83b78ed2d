"""Asks the NVIDIA driver whether there is a GPU and which; needs no CUDA package."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from mostnet.contract import NoGpuError

#: CUdevice_attribute: the two numbers of the compute capability.
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def require_gpu(device: int = 0) -> int:
    """Number of GPUs that the CUDA driver can use, ``device`` among them.

    Raises:
        NoGpuError: there is no driver, or it has no usable device, or none of this number; says which.
    """
    count = ctypes.c_int()
    status = load_driver().cuDeviceGetCount(ctypes.byref(count))
    if status != 0 or count.value == 0:
        raise NoGpuError(f"the NVIDIA driver reports {count.value} GPUs (CUDA error {status})")
    if device >= count.value:
        known = ", ".join(map(str, range(count.value)))
        raise NoGpuError(f"GPU {device}: this machine has {count.value} ({known}); name one of these")
    return count.value


def has_driver() -> bool:
    """Whether an NVIDIA driver is installed. It is not started, so a later fork can still use it."""
    try:
        open_library()
    except OSError:
        return False
    return True


def gpu_architecture(device: int = 0) -> str:
    """Architecture of GPU ``device``, such as ``sm_86``.

    Raises:
        NoGpuError: as ``require_gpu``, or the driver does not report it.
    """
    require_gpu(device)
    driver = load_driver()
    handle, value = ctypes.c_int(), ctypes.c_int()
    numbers = []
    status = driver.cuDeviceGet(ctypes.byref(handle), device)
    for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR):
        status = status or driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle)
        numbers.append(value.value)
    if status != 0:
        raise NoGpuError(f"the NVIDIA driver does not report the architecture of GPU {device} (CUDA error {status})")
    return f"sm_{numbers[0]}{numbers[1]}"


def load_driver(quick: Sequence[str] = ()) -> Any:
    """The CUDA driver as a ctypes library, initialised.

    Args:
        quick: functions that take nanoseconds. They keep the interpreter, because another thread that gets it keeps it
            for up to five milliseconds.

    Raises:
        NoGpuError: there is no driver, or it does not start.
    """
    try:
        driver = open_library()
    except OSError:
        raise NoGpuError(f"no NVIDIA driver on this machine ({_LIBRARY} is not found)") from None
    status = driver.cuInit(0)
    if status != 0:
        raise NoGpuError(f"the NVIDIA driver finds no usable GPU (cuInit returned CUDA error {status})")
    for name in quick:
        setattr(driver, name, getattr(open_library(quick=True), name))
    return driver


def error_text(library: Any, status: int) -> str:
    """What the driver says of an error, in pycuda's words; ``library`` is that of ``load_driver``."""
    text = ctypes.c_char_p()
    library.cuGetErrorString(status, ctypes.byref(text))
    return f"CUDA error {status}" if text.value is None else text.value.decode()


class KnownErrors:
    """Errors of the driver that pycuda raised, told by their texts: pycuda gives no numbers."""

    def __init__(self, library: Any, statuses: Iterable[int]) -> None:
        """Read the texts; ``library`` is that of ``load_driver``."""
        self._texts = tuple(error_text(library, status) for status in statuses)

    def include(self, error: BaseException) -> bool:
        """True if ``error`` is one of them."""
        return str(error).endswith(self._texts)


def open_library(*, quick: bool = False) -> Any:
    """The CUDA driver as ctypes finds it, not initialised yet. A rehearsal without a GPU replaces this function.

    Args:
        quick: calls keep the interpreter.

    Raises:
        OSError: there is none.
    """
    return (ctypes.PyDLL if quick else ctypes.CDLL)(_LIBRARY)
