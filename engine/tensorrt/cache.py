"""Keeps on disk the kernels that TensorRT for RTX compiles at first use, so that later starts do not compile again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mostnet.contract import PlanInfo, write_bytes
from mostnet.contract.files import cache_folder

_LOG = logging.getLogger(__name__)


class RuntimeCache:
    """The cache of one plan on one GPU architecture. It replaces a file that TensorRT does not accept."""

    def __init__(self, config: Any, path: Path) -> None:
        """Read ``path``, if it exists, into a cache for the contexts made from ``config``."""
        self._path = path
        self._cache = config.create_runtime_cache()
        self._known = _read(path)
        if self._known and not self._cache.deserialize(self._known):
            _LOG.info("%s: made by another version, driver or GPU; kernels are compiled again", path)
            self._known = b""
        config.set_runtime_cache(self._cache)

    def save(self) -> None:
        """Write newly compiled kernels, if any. A failed write is only logged: the next start takes longer."""
        data = bytes(self._cache.serialize())
        if data == self._known:
            return
        try:
            write_bytes(self._path, data)
        except OSError as error:
            _LOG.warning("%s: the compiled kernels could not be saved for the next start: %s", self._path, error)
            return
        self._known = data


def cache_path(info: PlanInfo, architecture: str) -> Path:
    """File in the user's cache folder for the plan of ``info`` on ``architecture``, such as ``sm_86``."""
    return cache_folder() / f"{info.plan_sha256[:16]}-{architecture}-{info.tensorrt_version}.kernels"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        _LOG.warning("%s: cannot be read, kernels are compiled again: %s", path, error)
        return b""
