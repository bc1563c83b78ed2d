"""Archives of videos on many cores or machines, and cameras on a Triton server.

Modules are imported only when a name is used: a client of a server needs no Ray, and an archive no Triton.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mostnet.contract.lazy import lazy_names

if TYPE_CHECKING:
    from mostnet.serve.triton.session import TritonSession

__all__ = ["TritonSession"]

__getattr__ = lazy_names(__name__, {"TritonSession": "triton.session"})
