"""Runs a task in a worker, and tells what came of it in a form that reaches the driver."""

from __future__ import annotations

import errno
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Protocol

import cv2

from mostnet.contract import ArchiveError, MostnetError, VideoError
from mostnet.contract.terminal import one_line
from mostnet.contract.versions import mostnet_version
from mostnet.video.threads import opencv_threads_kept

from .kept_engine import keeper
from .records import Place
from .tasks import TaskStoppedError, VideoWork

#: What the system says of a folder that is full, over its quota or read-only.
_OF_A_FOLDER = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class ArchiveTask(Protocol):
    """What a worker runs."""

    def run(self, place: Place, worker: str) -> Any:
        """Do the work; ``worker`` names the machine and what runs the network."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a task.

    Attributes:
        value: what it returned; None after a failure.
        error: what failed, in one line; None if nothing did.
        is_of_video: the failure is the video's, and another machine would fail too.
        is_of_dest: the folder of results is full or read-only, so that every video would fail.
        stopped: it ended because the run is to stop.
        elapsed_s: wall time of the task.
        worker: the machine and what runs the network, such as ``node7 cpu``.
        remarks: warnings, each one line.
    """

    value: Any = None
    error: str | None = None
    is_of_video: bool = False
    is_of_dest: bool = False
    stopped: bool = False
    elapsed_s: float = 0.0
    worker: str = ""
    remarks: tuple[str, ...] = ()


def perform(task: ArchiveTask, place: Place, version: str) -> Answer:
    """Run a task. Every failure becomes an answer, because an archive has more videos.

    ``version`` is that of the driver's mostnet.
    """
    worker, begun_s = f"{platform.node()} {place.provider}", perf_counter()
    with _threads(place.threads), _warnings() as remarks:
        answer = _answer(task, place, version, worker)
    return replace(answer, worker=worker, elapsed_s=perf_counter() - begun_s, remarks=tuple(remarks))


def _answer(task: ArchiveTask, place: Place, version: str, worker: str) -> Answer:
    try:
        _check_version(version)
        return Answer(value=task.run(place, worker))
    except TaskStoppedError:
        return Answer(stopped=True)
    except Exception as error:
        if (problem := _problem_of_dest(error, getattr(task, "work", None))) is not None:
            return Answer(error=problem, is_of_dest=True)
        if not isinstance(error, VideoError):
            keeper().close()  # it may have failed for good
        return Answer(error=_told(error), is_of_video=isinstance(error, VideoError))


def _check_version(version: str) -> None:
    if version != mostnet_version():
        raise ArchiveError(
            f"{platform.node()} has mostnet {mostnet_version()}, expected {version}; install the same on every machine"
        )


def _problem_of_dest(error: BaseException | None, work: VideoWork | None) -> str | None:
    """What is wrong with the folder of results, in one line, if an error comes from that; tasks write nowhere else."""
    while error is not None and work is not None:
        number, place = getattr(error, "errno", None), getattr(error, "filename", None)
        if number in _OF_A_FOLDER and (place is None or str(work.folder.out) in str(place)):
            return (
                f"{work.folder.out}: cannot be written ({os.strerror(number)}); free some space, or make it writable, "
                "and run the same command again"
            )
        error = error.__cause__ or error.__context__
    return None


def _told(error: Exception) -> str:
    if isinstance(error, (MostnetError, OSError)):
        return one_line(error)
    if isinstance(error, MemoryError):
        return f"{platform.node()}: out of memory; run fewer workers"
    return one_line(f"{type(error).__name__}: {error}")


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    """Limit the threads of OpenCV, and let one encode H.264: a picture has a slice for each thread of its encoder."""
    before = os.environ.get("OMP_NUM_THREADS")
    with opencv_threads_kept():
        cv2.setNumThreads(threads)
        os.environ["OMP_NUM_THREADS"] = "1"
        try:
            yield
        finally:
            os.environ.pop("OMP_NUM_THREADS")
            if before is not None:
                os.environ["OMP_NUM_THREADS"] = before


class _Remarks(logging.Handler):
    """Collects warnings of mostnet."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(one_line(record.getMessage()))


@contextmanager
def _warnings() -> Iterator[list[str]]:
    logger = logging.getLogger("mostnet")
    before, remarks = logger.handlers, _Remarks()
    logger.handlers = [remarks]
    try:
        yield remarks.lines
    finally:
        logger.handlers = before
