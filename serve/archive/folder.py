"""What an archive run keeps beside its results, in ``OUT/.mostnet-archive``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mostnet.contract import ArchiveError, atomic_path, sha256, write_text

from .records import Findings
from .sources import OWN_FOLDER

if sys.platform != "win32":
    import fcntl


@dataclass(frozen=True, kw_only=True)
class ResultRecord:
    """A result that was made, and its part of the report.

    Attributes:
        results: files that hold it, relative to the folder of results.
        size, sha256: bytes and digest of each.
        video_sha256, frames, duration_s, elapsed_s, workers, findings: as in ``ArchiveEntry``.
    """

    results: tuple[str, ...]
    size: int
    sha256: str
    video_sha256: str
    frames: int
    duration_s: float
    elapsed_s: float
    workers: tuple[str, ...]
    findings: Findings

    def is_whole(self, path: Path, *, between: Callable[[], object] | None = None) -> bool:
        """Whether the file is there as it was made. ``between`` is called often, and ends the work if it raises."""
        return path.is_file() and path.stat().st_size == self.size and sha256(path, between=between) == self.sha256


@dataclass(frozen=True)
class ArchiveFolder:
    """The folder of results, which all workers must see by the same path.

    Attributes:
        out: the folder, absolute.
        own: the hidden folder in it that holds everything else.
        staging: folder for results that are being written.
        running: folder for the counts of frames of running tasks.
        stop: this file exists once the running tasks are to end.
    """

    out: Path
    own: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own", self.out / OWN_FOLDER)

    @property
    def staging(self) -> Path:
        return self.own / "staging"

    @property
    def running(self) -> Path:
        return self.own / "running"

    @property
    def stop(self) -> Path:
        return self.own / "stop"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folders, keep another run out of them, and leave nothing half written at the end.

        Raises:
            ArchiveError: another run holds the folder, or it cannot be made.
        """
        with ExitStack() as stack:
            try:
                self.own.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_locked(self))
                self._clear()
                for folder in (self.staging, self.running):
                    folder.mkdir(exist_ok=True)  # a network file system keeps removed files that are open
            except OSError as error:
                raise ArchiveError(f"{self.out}: cannot be written ({error.strerror}); give another folder") from error
            try:
                yield
            finally:
                with suppress(OSError):  # it must not hide an error of the block
                    self._clear()

    def _clear(self) -> None:
        self.stop.unlink(missing_ok=True)
        for folder in (self.staging, self.running):
            shutil.rmtree(folder, ignore_errors=True)

    def parts(self, key: str) -> Path:
        """Folder for the finished spans of an unfinished video."""
        return self.own / "parts" / key

    def remove_other_parts(self, kept: Container[str]) -> None:
        """Remove the finished spans of all videos but those of these keys."""
        for folder in self.parts("").glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def keep_engine(self, file: Path) -> tuple[Path, str]:
        """Copy an engine, and the description of a plan, to where every worker finds it; return its path and digest.

        Raises:
            OSError: it cannot be read, or not written here.
        """
        digest = sha256(file)
        kept = self.own / "engines" / f"{digest}{file.suffix}"
        description = Path(f"{file}.json")  # of a plan
        for source, target in ((description, Path(f"{kept}.json")), (file, kept)):
            if source.is_file() and not (target.is_file() and sha256(target) == sha256(source)):
                with atomic_path(target) as path:
                    shutil.copyfile(source, path)
        return kept, digest

    def record(self, key: str) -> ResultRecord | None:
        """The record of a result; None if none was made.

        Raises:
            ArchiveError: the record is damaged.
        """
        path = self._record(key)
        try:
            return _read(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, binascii.Error) as error:
            raise ArchiveError(f"{path}: is damaged ({error}); remove it, so that the video is done again") from error

    def write_record(self, key: str, record: ResultRecord) -> None:
        """Keep a record."""
        values: dict[str, Any] = asdict(record)
        picture = record.findings.picture
        values["findings"]["picture"] = None if picture is None else base64.b64encode(picture).decode()
        write_text(self._record(key), json.dumps(values, indent=1, ensure_ascii=False) + "\n")

    def owner(self, result: Path) -> str | None:
        """The key of the result that was last put there; None if none was."""
        with suppress(FileNotFoundError):
            return self._owner(result).read_text(encoding="utf-8").strip()
        return None

    def earlier(self, result: Path) -> ResultRecord | None:
        """The record of a result that an earlier run left, by the size of its file; None if none is there."""
        with suppress(OSError, ArchiveError):  # a later run says what is wrong
            key, size = self.owner(result), (self.out / result).stat().st_size
            record = None if key is None else self.record(key)
            return record if record is not None and record.size == size else None
        return None

    def put(self, key: str, record: ResultRecord, staged: Path, result: Path) -> ResultRecord:
        """Move a staged file to its place, after a record that names it; return the record.

        A file without a record could be anybody's, and a record without its file is no harm: the video is done again.
        """
        earlier = [name for name in record.results if name != result.as_posix()]
        record = replace(record, results=(*earlier, result.as_posix()))
        target = self.out / result
        target.parent.mkdir(parents=True, exist_ok=True)
        self.write_record(key, record)
        write_text(self._owner(result), key)
        staged.replace(target)
        return record

    def _record(self, key: str) -> Path:
        return self.own / f"{key}.json"

    def _owner(self, result: Path) -> Path:
        return self.own / "owners" / hashlib.sha256(os.fsencode(result.as_posix())).hexdigest()


@contextmanager
def _locked(folder: ArchiveFolder) -> Iterator[None]:
    """Keep every other run out, on this machine or another: by a lock, or by a file where there are no locks.

    The locked file is open for writing, because a network file system locks no other.

    Raises:
        ArchiveError: another run is in.
        OSError: the file cannot be written.
    """
    path = folder.own / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        has_locks = _lock(descriptor)
        if has_locks:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, _this_run())
    except BlockingIOError as error:
        os.close(descriptor)
        raise ArchiveError(f"{folder.out}: {_other_run(path)}; wait for its end") from error
    except OSError:
        os.close(descriptor)
        raise
    try:
        if has_locks:
            yield
        else:
            with _held_by_file(folder):
                yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file until it is closed or the process ends; False where there are no locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


@contextmanager
def _held_by_file(folder: ArchiveFolder) -> Iterator[None]:
    path = folder.own / "holder"
    if _has_died(path):
        path.unlink(missing_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError as error:
        raise ArchiveError(
            f"{folder.out}: {_other_run(path)}; wait for its end, or remove {path} if it was killed"
        ) from error
    try:
        os.write(descriptor, _this_run())
        yield
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def _this_run() -> bytes:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return json.dumps({"machine": platform.node(), "process": os.getpid(), "since": since}).encode()


def _run_of(path: Path) -> dict[str, Any]:
    """What a run wrote about itself; nothing if that cannot be read."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {"machine": str(values["machine"]), "process": int(values["process"]), "since": str(values["since"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _other_run(path: Path) -> str:
    run = _run_of(path)
    who = " (on {machine}, process {process}, since {since})".format(**run) if run else ""
    return f"another mostnet-archive{who} writes here"


def _has_died(path: Path) -> bool:
    """Whether the run that wrote this file ran on this machine, and does no more."""
    run = _run_of(path)
    if sys.platform == "win32" or run.get("machine") != platform.node():
        return False
    try:
        os.kill(run["process"], 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's
        return False
    return False


def _read(values: Mapping[str, Any]) -> ResultRecord:
    found = dict(values["findings"])
    if found["picture"] is not None:
        found["picture"] = base64.b64decode(found["picture"], validate=True)
    sequences = {name: tuple(values[name]) for name in ("results", "workers")}
    return ResultRecord(**{**values, **sequences, "findings": Findings(**found)})
