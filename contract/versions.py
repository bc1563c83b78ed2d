"""Versions of mostnet and of the libraries beside it, for descriptions and reports.

Nothing needs an installed distribution: mostnet and its libraries also run from unpacked folders.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from importlib.resources import files

#: Modules whose names differ from those of their distributions in more than hyphens.
_MODULES = {"opencv-python": "cv2", "cuda-bindings": "cuda.bindings"}

#: Other distributions that hold the library itself; of TensorRT, the usual one only requires them.
_PARTS = {
    "opencv-python": ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "tensorrt": ("tensorrt-cu13", "tensorrt-cu12"),
    "tensorrt-rtx": ("tensorrt-rtx-cu13", "tensorrt-rtx-cu12"),
}


def mostnet_version() -> str:
    """Version of this mostnet, from the file ``VERSION`` in its folder."""
    return files("mostnet").joinpath("VERSION").read_text(encoding="utf-8").strip()


def known_versions(names: Iterable[str]) -> dict[str, str]:
    """Version of each distribution in ``names``, such as ``opencv-python``; one that is not found is left out.

    The version of a library is that of its installed distribution, or else of its module, if that is imported.
    """
    found = {name: mostnet_version() if name == "mostnet" else _library_version(name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """``known_versions``, and the version of Python."""
    return {"python": platform.python_version(), **known_versions(names)}


def _library_version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # would double the time of `import mostnet`

    for distribution in (name, *_PARTS.get(name, ())):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    found = getattr(sys.modules.get(_MODULES.get(name, name.replace("-", "_"))), "__version__", None)
    return None if found is None else str(found)
