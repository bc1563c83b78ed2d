"""Is there an NVIDIA GPU? Asked of the driver itself, so that the answer needs no CUDA package."""

from __future__ import annotations

import ctypes
import sys

from mostnet.contract import NoGpuError


def require_gpu() -> int:
    """Number of GPUs that the CUDA driver can use.

    Raises:
        NoGpuError: no driver, or a driver without a usable device; says which.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        cuda = ctypes.CDLL(name)
    except OSError:
        raise NoGpuError(f"no NVIDIA driver on this machine ({name} is not found)") from None
    status = cuda.cuInit(0)
    if status != 0:
        raise NoGpuError(f"the NVIDIA driver finds no usable GPU (cuInit returned CUDA error {status})")
    count = ctypes.c_int()
    status = cuda.cuDeviceGetCount(ctypes.byref(count))
    if status != 0 or count.value == 0:
        raise NoGpuError(f"the NVIDIA driver reports {count.value} GPUs (CUDA error {status})")
    return count.value
