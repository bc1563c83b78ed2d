"""Objects that a forked process must not destroy: their threads and devices stay with the parent process."""

from __future__ import annotations

import ctypes
import os
from weakref import WeakSet

_OWNERS: WeakSet[object] = WeakSet()


def own(owner: object) -> None:
    """Keep a forked process from destroying ``owner`` and everything it holds.

    In that process, ONNX Runtime's destructors would wait forever for threads that do not exist there, and pycuda's
    destructors would abort.
    """
    _OWNERS.add(owner)


def keep(thing: object) -> None:
    """Never destroy ``thing``, not even at exit."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _keep_owners() -> None:
    for owner in _OWNERS:
        keep(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_owners)
