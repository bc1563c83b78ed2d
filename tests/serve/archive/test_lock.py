"""A folder of results takes one run at a time, also where there are no locks."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from mostnet.contract import ArchiveError
from mostnet.serve.archive import folder as folder_module
from mostnet.serve.archive.folder import ArchiveFolder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")


@pytest.fixture
def folder(tmp_path: Path) -> ArchiveFolder:
    return ArchiveFolder(tmp_path / "out")


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder_module.fcntl, "flock", refuse)


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_the_lock_is_one_that_a_network_file_system_grants(
    folder: ArchiveFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, modes = folder_module.fcntl.flock, []

    def lock(descriptor: int, how: int) -> None:
        modes.append(folder_module.fcntl.fcntl(descriptor, folder_module.fcntl.F_GETFL) & os.O_ACCMODE)
        flock(descriptor, how)

    monkeypatch.setattr(folder_module.fcntl, "flock", lock)
    with folder.held():
        assert modes == [os.O_RDWR], "it refuses a file that is open for reading only, and a folder"


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_second_run_is_refused_and_clears_nothing(folder: ArchiveFolder) -> None:
    with folder.held():
        (folder.staging / "half").touch()
        folder.stop.touch()
        with pytest.raises(ArchiveError, match="another mostnet-archive") as refused, folder.held():
            pass
        assert (folder.staging / "half").exists() and folder.stop.exists()
        who = f"(on {platform.node()}, process {os.getpid()}, since 20"
        assert who in str(refused.value)
        assert str(refused.value).endswith(
            f"writes here; wait for its end, or remove {folder.own}/holder if it was killed"
        )
    with folder.held():
        pass
    assert not (folder.own / "holder").exists()


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize(
    ("machine", "is_free"),
    [(platform.node(), True), ("another", False), (None, False)],
    ids=["here", "there", "damaged"],
)
def test_without_locks_a_run_that_was_killed_here_holds_nothing(
    folder: ArchiveFolder, machine: str | None, is_free: bool
) -> None:
    folder.own.mkdir(parents=True)
    run = {"machine": machine, "process": ended_process(), "since": "2026-01-01 00:00:00"}
    (folder.own / "holder").write_text(json.dumps(run) if machine else "{", encoding="utf-8")
    if is_free:
        with folder.held():
            assert json.loads((folder.own / "holder").read_text(encoding="utf-8"))["process"] == os.getpid()
    else:
        with pytest.raises(ArchiveError, match="another mostnet-archive"), folder.held():
            pass
        assert (folder.own / "holder").exists()


def test_a_folder_that_cannot_be_removed_is_used_again(folder: ArchiveFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    for left in (folder.staging, folder.running):
        left.mkdir(parents=True)
        (left / ".nfs0001").touch()
    monkeypatch.setattr(folder_module.shutil, "rmtree", lambda *_, **__: None)
    with folder.held():
        assert folder.staging.is_dir()


def test_what_cannot_be_cleared_hides_no_error(folder: ArchiveFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    def fail() -> None:
        with folder.held():
            monkeypatch.setattr(Path, "unlink", refuse)
            raise ArchiveError("the first")

    with pytest.raises(ArchiveError, match="the first"):
        fail()
