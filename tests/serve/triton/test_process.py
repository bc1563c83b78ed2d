"""Where Triton's server is, what it needs of this Python, and the reason in its log; without the server."""

from __future__ import annotations

import importlib.machinery
import os
import sys
from pathlib import Path

import pytest

from mostnet import BackendNotInstalledError
from mostnet.serve.triton import process

_LOG = """\
W1128 12:36:56.948649 21152 pinned_memory_manager.cc:273] "Unable to allocate pinned system memory"
E1128 12:36:56.948766 21152 server.cc:241] "CudaDriverHelper has not been initialized."
"""
_LOAD = """\
E1128 12:36:57.1 21152 model_lifecycle.cc:642] "failed to load 'mostnet' version 1: Internal: ModelFileError: too old"
E1128 12:36:57.2 21152 main.cc:475] "failed to start"
"""


@pytest.mark.parametrize(
    ("log", "status", "found"),
    [
        (_LOG + _LOAD, -6, "ModelFileError: too old"),
        (_LOG + 'E1128 12:36:57.2 21152 main.cc:475] "the port is in use"\n', 1, "the port is in use"),
        (_LOG + "stub: cannot open shared object file\n\n", 1, "stub: cannot open shared object file"),
        (_LOG, -9, "it was ended by SIGKILL"),
        (_LOG.splitlines()[1], 3, "it wrote nothing, and its exit status is 3"),
    ],
)
def test_the_reason_is_the_first_error_of_the_log(log: str, status: int, found: str) -> None:
    assert process.reason(log, status) == found


def test_a_missing_wheel_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "find_spec", lambda name: None)
    with pytest.raises(BackendNotInstalledError, match=r"pip install 'mostnet\[triton-server\]'"):
        process.find_wheel()


def test_a_wheel_without_a_server_for_this_python_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.machinery.ModuleSpec("pytriton", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(process, "find_spec", lambda name: spec)
    monkeypatch.setattr(process, "version", lambda name: "0.7.0")
    python = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
    with pytest.raises(BackendNotInstalledError, match=rf"0\.7\.0 has no Triton server for .* with {python}"):
        process.find_wheel()


@pytest.fixture
def shared_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A Python with a library that can be embedded, and NumPy 1."""
    (tmp_path / "libpython3.so.1").touch()
    config = {"LIBDIR": str(tmp_path), "INSTSONAME": "libpython3.so.1"}
    monkeypatch.setattr(process.sysconfig, "get_config_var", config.get)
    monkeypatch.setattr(process, "version", lambda name: "1.26.4")
    return config


@pytest.mark.parametrize("before", [None, "/other"])
def test_triton_finds_the_library_and_the_environment_of_this_python(
    shared_python: dict[str, str], monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    if before:
        monkeypatch.setenv("LD_LIBRARY_PATH", before)
    found = process.server_environment()
    assert found["LD_LIBRARY_PATH"].split(os.pathsep) == [shared_python["LIBDIR"], *([before] if before else [])]
    assert found["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]


@pytest.mark.parametrize("library", ["libpython3.a", "libpython3.so.2", None])
def test_a_python_that_cannot_be_embedded_is_refused(shared_python: dict[str, str], library: str | None) -> None:
    shared_python["INSTSONAME"] = library
    with pytest.raises(BackendNotInstalledError, match="--enable-shared"):
        process.server_environment()


def test_numpy_2_is_refused(shared_python: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "version", lambda name: "2.4.6")
    with pytest.raises(BackendNotInstalledError, match=r"NumPy 2\.4\.6 is installed, .* pip install 'numpy<2'"):
        process.server_environment()
