"""Files that are written whole or not at all, and their digests."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from uuid import uuid4

if sys.platform != "win32":
    import fcntl


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Lend a new hidden folder in ``parent`` and remove it, with all that is still in it, at the end of the block.

    If the process is killed before, the first call of a later process with the same ``parent`` removes the folder. It
    never removes that of a process that lives, nor one that another machine may have made.
    """
    if not parent.exists():
        parent.mkdir(parents=True, exist_ok=True)
    _remove_dead(parent.absolute())
    folder, lock = parent.absolute() / f".mostnet-{_boot()}-{uuid4().hex[:12]}", None
    try:
        lock = _make_and_lock(folder)  # in here, because an interrupt may come as soon as the folder is there
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Lend a path of the same name in a hidden folder beside ``path``; the file there becomes ``path`` if the block
    succeeds, and is deleted otherwise.
    """
    with staging_folder(path.parent) as folder:
        temporary = folder / path.name
        yield temporary
        temporary.replace(path)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically in UTF-8; bytes of a file name that are no text become escapes."""
    write_bytes(path, text.encode(errors="backslashreplace"))


#: Environment variable that names the folder of ``cache_folder`` for files of all programs.
CACHE_VARIABLE = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"


def cache_folder() -> Path:
    """The folder for files of mostnet that can be made again, such as ``~/.cache/mostnet``; it need not exist."""
    usual = Path.home() / ("AppData/Local" if sys.platform == "win32" else ".cache")
    return Path(os.environ.get(CACHE_VARIABLE) or usual) / "mostnet"


def natural_key(path: str | Path) -> tuple[list[str | int], str]:
    """Sort key that compares runs of digits as numbers: ``1.png``, ``2.png``, ``10.png``."""
    text = str(path)
    parts: list[str | int] = [int(part) if k % 2 else part for k, part in enumerate(re.split(r"(\d+)", text))]
    return parts, text


def sha256(path: Path, *, between: Callable[[], object] | None = None) -> str:
    """Hexadecimal SHA-256 of a file. ``between`` is called after each block, and ends the work if it raises."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            if between is not None:
                between()
    return digest.hexdigest()


def lock_folder(folder: Path, *, wait: bool = False) -> int | None:
    """Lock a folder until the returned descriptor is closed or this process ends, however that happens.

    Returns None where folders cannot be locked, as on network file systems and Windows.

    Raises:
        BlockingIOError: a living process holds the lock, and ``wait`` is false.
        OSError: the folder cannot be opened.
    """
    if sys.platform == "win32":
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _make_and_lock(folder: Path) -> int | None:
    while True:
        folder.mkdir(mode=0o700)
        with suppress(FileNotFoundError):  # another process removed it before the lock was taken
            lock = lock_folder(folder, wait=True)
            if folder.exists():
                return lock
            if lock is not None:
                os.close(lock)


@lru_cache  # once per folder: the search among 100,000 files takes a fifth of a second
def _remove_dead(parent: Path) -> None:
    """Remove the folders of processes that ended without doing so: nobody holds their locks."""
    if not _boot():
        return
    for folder in parent.glob(f".mostnet-{_boot()}-*"):
        with suppress(OSError):  # a living process or another user has it, or it is gone
            lock = lock_folder(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


@cache
def _boot() -> str:
    """An identifier of this start of this machine; empty if the system has none.

    A lock shows that a process of this machine is dead. It may show nothing about one of another machine, on a file
    system that both use.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:13]
    except OSError:
        return ""
