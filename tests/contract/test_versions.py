"""Versions of mostnet and of the libraries beside it."""

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import mostnet
from mostnet.contract.versions import installed_versions, known_versions


def test_versions_leave_out_what_is_not_installed() -> None:
    found = installed_versions(["numpy", "no-such-package"])
    assert found == {"python": sys.version.split()[0], "numpy": np.__version__}


def _no_version(name: str) -> str:
    raise PackageNotFoundError(name)


def test_an_unpacked_library_tells_its_version_once_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["unpacked-library", "cuda-bindings"]
    monkeypatch.setattr("importlib.metadata.version", _no_version)
    monkeypatch.delitem(sys.modules, "cuda.bindings", raising=False)  # an earlier test may have imported it
    assert known_versions(names) == {}
    for module in ("unpacked_library", "cuda.bindings"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        sys.modules[module].__version__ = "3.4"
    assert known_versions(names) == {"unpacked-library": "3.4", "cuda-bindings": "3.4"}


def test_tensorrt_for_rtx_is_found_under_the_name_of_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name != "tensorrt-rtx-cu13":
            raise PackageNotFoundError(name)
        return "1.7.1"

    monkeypatch.setattr("importlib.metadata.version", version)
    assert known_versions(["tensorrt", "tensorrt-rtx"]) == {"tensorrt-rtx": "1.7.1"}


def test_mostnet_tells_its_own_version() -> None:
    written = (Path(mostnet.__file__).parent / "VERSION").read_text().strip()
    assert known_versions(["mostnet"]) == {"mostnet": written}
    assert mostnet.__version__ == written
