"""The tasks of an archive run: each runs in a worker, on this machine or on another."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mostnet.contract import ArchiveError, VideoError, sha256, staging_folder
from mostnet.contract.terminal import counted
from mostnet.engine import Session
from mostnet.serve.archive.reporting.survey import survey
from mostnet.video.command.engines import usual_size
from mostnet.video.files.sequences import is_picture
from mostnet.video.reader import VideoReader
from mostnet.video.run import IncompleteVideoError, RunSummary, run

from .folder import ArchiveFolder, ResultRecord
from .kept_engine import opened
from .pulse import Pulse
from .records import Place, RunOptions, Span
from .segments import spans_of


class TaskStoppedError(Exception):
    """The task ended because the run is to stop."""


def stop_check(folder: ArchiveFolder) -> Callable[[], None]:
    """A function to call often, which raises ``TaskStoppedError`` once the run is to stop."""
    pulse = Pulse(folder, "")  # it tells nothing

    def check() -> None:
        if pulse.stop():
            raise TaskStoppedError

    return check


@dataclass(frozen=True, kw_only=True)
class FileState:
    """Size and time of change of a file, by which a change during the work is seen."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        status = path.stat()
        return cls(size=status.st_size, mtime_ns=status.st_mtime_ns)


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a look at a video found.

    Attributes:
        sha256: digest of the video.
        state: of the file before it was read.
        frames: frames according to its header, as far as they are wanted; None if unknown.
        usual_hw: size of an engine made for it, in pixels.
        spans: spans that it is split into; none if it stays whole.
    """

    sha256: str
    state: FileState
    frames: int | None
    usual_hw: tuple[int, int]
    spans: tuple[Span, ...]


@dataclass(frozen=True, kw_only=True)
class LookTask:
    """Find out what a video is. It reads the file once.

    Attributes:
        video: the file.
        options: of its run.
        segment_s: length of its spans, in seconds; 0 for none.
        folder: of the results, which says when the run is to stop; None: never.
    """

    video: Path
    options: RunOptions
    segment_s: float
    folder: ArchiveFolder | None = None

    def run(self, place: Place, worker: str) -> Sight:
        """Look.

        Raises:
            VideoError: it is no video.
            OSError: it cannot be read.
            TaskStoppedError: the run is to stop.
        """
        _check_is_video_file(self.video)
        between = None if self.folder is None else stop_check(self.folder)
        state = FileState.of(self.video)
        with VideoReader(self.video, fps=self.options.fps) as reader:
            counts = [count for count in (reader.frame_count, self.options.frames) if count is not None]
        return Sight(
            sha256=sha256(self.video, between=between),
            state=state,
            frames=min(counts, default=None),
            usual_hw=usual_size(self.video, fps=self.options.fps),
            spans=self._spans(between) if self.segment_s else (),
        )

    def _spans(self, between: Callable[[], object] | None) -> tuple[Span, ...]:
        return spans_of(self.video, self.options, segment_s=self.segment_s, between=between)


def _check_is_video_file(video: Path) -> None:
    """Check this before the file is opened: the opening of a named pipe may wait for ever.

    Raises:
        VideoError: it is none.
        OSError: there is nothing.
    """
    kind = "a folder" if video.is_dir() else "a picture" if is_picture(video) else "a pipe or device"
    if not stat.S_ISREG(video.stat().st_mode) or is_picture(video):
        raise VideoError(f"{video}: expected a video file, found {kind}")


@dataclass(frozen=True, kw_only=True)
class Made:
    """A result is in its place.

    Attributes:
        record: of the result.
        kept: it was made by an earlier run, or of another video of the same content.
        summary: of the run that made it; None if it was kept.
    """

    record: ResultRecord
    kept: bool = False
    summary: RunSummary | None = None


@dataclass(frozen=True, kw_only=True)
class VideoWork:
    """What all tasks after the look know.

    Attributes:
        folder: of the results.
        video: the file.
        state, video_sha256: what the look found.
        result: file to make, relative to the folder of results.
        key: what the result is known by.
        engine: the engine file in ``folder``.
        options: of the run.
        overwrite: replace a file that is no result of this key.
        number: of the video in the archive.
    """

    folder: ArchiveFolder
    video: Path
    state: FileState
    video_sha256: str
    result: Path
    key: str
    engine: Path
    options: RunOptions
    overwrite: bool
    number: int

    @property
    def target(self) -> Path:
        """The result's path."""
        return self.folder.out / self.result

    @property
    def aside(self) -> Path:
        """Where the frames of a damaged video are kept. No result can be there."""
        return self.folder.own / "damaged" / self.result

    def check_unchanged(self) -> None:
        """Check that the file is still the one that the look found.

        Raises:
            VideoError: it is not.
        """
        if FileState.of(self.video) != self.state:
            raise VideoError(f"{self.video}: changed while it was processed; run the same command again")

    def found(self) -> Made | None:
        """The result if it is there, perhaps under another name, which is then linked or copied.

        Raises:
            ArchiveError: another file has its name, and ``overwrite`` is false.
            TaskStoppedError: the run is to stop.
        """
        check = stop_check(self.folder)
        record = self.folder.record(self.key)
        if record is not None and record.is_whole(self.target, between=check):
            self._remove_aside()
            return Made(record=record, kept=True)
        self._check_target()
        if self.target.is_dir():
            raise ArchiveError(f"{self.target}: is a folder, expected a file; move it away")
        if self.target.exists() and not self.overwrite and (owner := self.folder.owner(self.result)) != self.key:
            whose = (
                "was not made by mostnet-archive"
                if owner is None
                else "was made with other options or of another video"
            )
            raise ArchiveError(f"{self.target}: exists and {whose}; move it away, or add --overwrite to replace it")
        for name in () if record is None else record.results:
            if record is not None and record.is_whole(self.folder.out / name, between=check):
                with staging_folder(self.folder.staging) as staging:
                    staged = staging / self.result.name
                    _link(self.folder.out / name, staged)
                    return Made(record=self._put(record, staged), kept=True)
        return None

    def finish(
        self, staged: Path, engine: Session, summary: RunSummary, workers: Sequence[str], elapsed_s: float
    ) -> Made:
        """Look at a result that is complete, and put it in place, also if the run is to stop."""
        findings = survey(self.video, staged, engine, self.options, summary)
        self.check_unchanged()
        earlier = self.folder.record(self.key)
        record = ResultRecord(
            results=() if earlier is None else earlier.results,
            size=staged.stat().st_size,
            sha256=sha256(staged),
            video_sha256=self.video_sha256,
            frames=summary.frames,
            duration_s=float(summary.frames / summary.fps),
            elapsed_s=elapsed_s,
            workers=tuple(dict.fromkeys(workers)),
            findings=findings,
        )
        record = self._put(record, staged)
        shutil.rmtree(self.folder.parts(self.key), ignore_errors=True)
        return Made(record=record, summary=replace(summary, output=self.target))

    def _put(self, record: ResultRecord, staged: Path) -> ResultRecord:
        """Move a staged file to its place; return its record."""
        self._check_target()
        record = self.folder.put(self.key, record, staged, self.result)
        self._remove_aside()
        return record

    def _remove_aside(self) -> None:
        with suppress(OSError):  # there is none, or a file of another video has the name of its folder
            self.aside.unlink()

    def _check_target(self) -> None:
        """Check that the result does not replace the video, which a link made since the run began may lead to.

        Raises:
            ArchiveError: it does.
        """
        if self.target.exists() and self.target.samefile(self.video):
            raise ArchiveError(f"{self.target}: is the video itself; give another folder for the results")

    @contextmanager
    def pulse(self, name: str) -> Iterator[Pulse]:
        """Progress and stop of a task.

        Raises:
            TaskStoppedError: the run is to stop already.
        """
        pulse = Pulse(self.folder, f"{self.number}-{name}")
        if pulse.stop():
            raise TaskStoppedError
        try:
            yield pulse
        finally:
            pulse.end()


@dataclass(frozen=True, kw_only=True)
class VideoTask:
    """Make the result of a video, unless it is there.

    Attributes:
        work: see there.
        seek_only: only look for it, because it is made in parts.
    """

    work: VideoWork
    seek_only: bool = False

    def run(self, place: Place, worker: str) -> Made | None:
        """Do it; None if it was only looked for and is not there.

        Raises:
            TaskStoppedError: the run is to stop.
            MostnetError, OSError: it failed.
        """
        work = self.work
        if (found := work.found()) is not None or self.seek_only:
            return found
        work.check_unchanged()
        with staging_folder(work.folder.staging) as staging, work.pulse("video") as pulse:
            engine = opened(work.engine, work.options, place)
            staged = staging / "result.mp4"
            try:
                summary = _run(work, engine, staged, pulse)
            except IncompleteVideoError as error:
                raise VideoError(_set_aside(work, error)) from error
            if summary.stopped:
                raise TaskStoppedError
            if summary.output is None:
                raise VideoError(f"{work.video}: nothing was written, because it has no frame")
            return work.finish(staged, engine, summary, [worker], summary.elapsed_s)


def _run(work: VideoWork, engine: Session, staged: Path, pulse: Pulse) -> RunSummary:
    options = work.options
    return run(
        work.video,
        engine,
        staged,
        layout=options.layout,
        frames=options.frames,
        fps=options.fps,
        flow_max_px=options.flow_max_px,
        stabilise=options.stabilise,
        read_ahead=options.read_ahead,
        status=options.status,
        progress=pulse.progress,
        stop=pulse.stop,
    )


def _set_aside(work: VideoWork, error: IncompleteVideoError) -> str:
    """Keep the frames of a damaged video; return the message."""
    summary = error.summary
    if summary.output is None:
        return f"{error.__cause__}"
    work.aside.parent.mkdir(parents=True, exist_ok=True)
    summary.output.replace(work.aside)
    return f"{error.__cause__}; {counted(summary.frames, 'frame')} are in {work.aside}"


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # the file system has no links
        shutil.copyfile(source, target)
