"""What must not be destroyed in a forked process, where the threads and the devices behind it did not come along."""

from __future__ import annotations

import ctypes
import os
from weakref import WeakSet

_OWNERS: WeakSet[object] = WeakSet()


def own(owner: object) -> None:
    """Say that the destructors of ``owner``, or of what it holds, need the process that made it. In a forked one they
    never run: ONNX Runtime's would wait for ever for threads that are not there, pycuda's would abort the process."""
    _OWNERS.add(owner)


def keep(thing: object) -> None:
    """Never destroy ``thing``, not even at exit."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _keep_owners() -> None:
    for owner in _OWNERS:
        keep(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_owners)
