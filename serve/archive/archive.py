"""Leads the videos of an archive through their tasks."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from mostnet.contract import ArchiveError, ExportError, MostnetError
from mostnet.video.command.engines import USUAL_HW
from mostnet.video.command.single import summary_line

from .engine_files import EngineFile
from .folder import ArchiveFolder, ResultRecord
from .keys import key_of
from .part_tasks import JoinTask, PartMade, PartTask
from .performing import Answer, ArchiveTask
from .progress import ArchiveProgress
from .pulse import frames_running
from .records import ArchiveEntry, Place, RunOptions
from .sources import SourceVideo
from .tasks import LookTask, Made, Sight, VideoTask, VideoWork
from .workers import Workers

#: How long a wait for a task lasts at most, so that a signal is heard and progress is shown.
_WAIT_S = 0.5
#: How long the running tasks may take to end when the run is to stop; then they are killed.
_GRACE_S = 10.0
_DIED = "its worker process died twice, the second time without others beside it; perhaps the memory ran out"


@dataclass(eq=False)
class _Course:
    """How far a video has come.

    Attributes:
        number: of the video.
        video: of the source.
        entry: its part of the report so far.
        sight: what the look found; None before it.
        work: what its tasks share; None before the look.
        parts: tasks of its spans, if it is made in parts.
        made: the finished ones, by their place in ``parts``.
        waiting: videos of the same content, which wait for its result.
        remarks: warnings that were printed.
        begun: a task that makes its result has begun.
    """

    number: int
    video: SourceVideo
    entry: ArchiveEntry
    sight: Sight | None = None
    work: VideoWork | None = None
    parts: tuple[PartTask, ...] = ()
    made: dict[int, PartMade] = field(default_factory=dict)
    waiting: list[_Course] = field(default_factory=list)
    remarks: set[str] = field(default_factory=set)
    begun: bool = False

    @property
    def ended(self) -> bool:
        return self.entry.ending != "not begun"


@dataclass(frozen=True, kw_only=True)
class ArchivePlan:
    """What is done with every video.

    Attributes:
        folder: of the results.
        options: of the run of a video.
        segment_s: length of the spans of a long video, in seconds; 0 splits none.
        overwrite: replace files that are other results, or none.
        gpu_only: the engine runs on GPU workers alone.
    """

    folder: ArchiveFolder
    options: RunOptions
    segment_s: float
    overwrite: bool = False
    gpu_only: bool = False


class ArchiveRun:
    """One run over an archive. A video is looked at, then made whole or in parts, unless its result is there."""

    def __init__(
        self,
        videos: Sequence[SourceVideo],
        plan: ArchivePlan,
        engine_for: Callable[[tuple[int, int]], EngineFile],
        workers: Workers,
        progress: ArchiveProgress,
    ) -> None:
        """``engine_for`` gives the engine by the usual size of a video, in pixels."""
        self._plan = plan
        self._engine_for = engine_for
        self._workers = workers
        self._progress = progress
        self._courses = [
            _Course(number, video, ArchiveEntry(video=video.name, columns=video.columns))
            for number, video in enumerate(videos)
        ]
        self._unseen = deque(self._courses)
        self._ready: deque[tuple[_Course, ArchiveTask]] = deque()
        self._alone: deque[tuple[_Course, ArchiveTask]] = deque()
        self._running: dict[int, _Course] = {}
        self._tried_alone: ArchiveTask | None = None
        self._leaders: dict[str, _Course] = {}
        self._unexported: dict[tuple[int, int], ExportError] = {}
        self._has_engine = False
        self._error: Exception | None = None
        self._stopping = False
        self._kill_s = math.inf

    def run(self, stop: Callable[[], bool]) -> None:
        """Run until every video has ended, or ``stop`` is true.

        Then the running tasks may end; those that take too long are killed, and all of them by a second signal.

        Raises:
            MostnetError, OSError: no other video would fare better, such as after a failed export.
        """
        try:
            while time.monotonic() < self._kill_s:
                self._begin()
                if not self._workers.count and (self._stopping or not self._has_more()):
                    break
                ended = self._wait()
                if stop():
                    self._stop()
                for task, answer in ended:
                    self._take(self._running.pop(id(task)), task, answer)
                self._show()
            if not self._stopping:
                self._remove_old_parts()
        finally:
            self._stop()
            self._workers.kill()
            for course in self._courses:
                if course.begun and not course.ended:
                    course.entry = replace(course.entry, ending="stopped")
        if self._error is not None:
            raise self._error

    @property
    def endings(self) -> list[str]:
        """How each video ended."""
        return [course.entry.ending for course in self._courses]

    def entries(self) -> Iterator[ArchiveEntry]:
        """The videos for the report, in the order of the source; pictures are read one by one."""
        for course in self._courses:
            entry, record = course.entry, None
            if entry.ending in ("done", "kept") and course.work is not None:
                record = self._plan.folder.record(course.work.key)
                yield entry if record is None else replace(entry, findings=record.findings)
            elif entry.ending in ("stopped", "not begun"):
                record = self._plan.folder.earlier(course.video.result)
                yield entry if record is None else _with_earlier(entry, course.video.result, record)
            else:
                yield entry

    def _has_more(self) -> bool:
        return bool(self._unseen or self._ready or self._alone)

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping, self._kill_s = True, time.monotonic() + _GRACE_S
            with suppress(OSError):  # the disk is full: the tasks that do not end are killed
                self._plan.folder.stop.touch()

    def _end(self, error: Exception) -> None:
        """Stop, because no other video would fare better."""
        self._error = self._error or error
        self._stop()

    def _remove_old_parts(self) -> None:
        """Remove finished spans that no video needs. One that could not be looked at may need any of them."""
        works = [course.work for course in self._courses]
        if None not in works:
            self._plan.folder.remove_other_parts({work.key for work in works if work is not None})

    def _begin(self) -> None:
        for place in self._workers.free():
            found = None if self._stopping else self._next(place)
            if found is not None:
                course, task = found
                course.begun = course.begun or not isinstance(task, LookTask)
                self._running[id(task)] = course
                self._workers.begin(task, place)

    def _next(self, place: Place) -> tuple[_Course, ArchiveTask] | None:
        """The next task for a place: of a video that was looked at, else a look, at last those that killed a worker."""
        found = self._taken(self._ready, place)
        if found is None and self._unseen:
            course = self._unseen.popleft()
            return course, self._look(course)
        if found is None and not self._running:
            found = self._taken(self._alone, place)
            self._tried_alone = None if found is None else found[1]
        return found

    def _taken(self, queue: deque[tuple[_Course, ArchiveTask]], place: Place) -> tuple[_Course, ArchiveTask] | None:
        """Take the first task that may run at a place; those that are not needed any more are dropped."""
        needed = [item for item in queue if _is_needed(*item)]
        fitting = (k for k, (_, task) in enumerate(needed) if self._fits(task, place))
        first = next(fitting, None)
        found = None if first is None else needed.pop(first)
        queue.clear()
        queue.extend(needed)
        return found

    def _look(self, course: _Course) -> LookTask:
        plan = self._plan
        return LookTask(video=course.video.path, options=plan.options, segment_s=plan.segment_s, folder=plan.folder)

    def _fits(self, task: ArchiveTask, place: Place) -> bool:
        return place.provider != "cpu" or not self._plan.gpu_only or _is_light(task)

    def _wait(self) -> Sequence[tuple[ArchiveTask, Answer | None]]:
        """Wait a little for tasks that end."""
        if self._workers.count:
            return self._workers.ended(_WAIT_S)
        time.sleep(_WAIT_S)  # the cluster has no place just now
        return ()

    def _show(self) -> None:
        self._progress.note_room(self._workers.room)
        in_parts = sum(
            part.summary.frames for course in self._courses if not course.ended for part in course.made.values()
        )
        self._progress.show(frames_running(self._plan.folder) + in_parts)

    def _take(self, course: _Course, task: ArchiveTask, answer: Answer | None) -> None:
        """Go on with a video after one of its tasks, and then with the next one of the same content."""
        if _is_needed(course, task):
            self._go_on(course, task, answer)
        if course.waiting and not self._is_busy(course):
            follower, *others = course.waiting
            course.waiting = []
            follower.waiting += others
            self._lead(follower)

    def _is_busy(self, course: _Course) -> bool:
        """Whether a video has not ended, or a task of it still runs, which may write a span."""
        return not course.ended or course in self._running.values()

    def _go_on(self, course: _Course, task: ArchiveTask, answer: Answer | None) -> None:
        if answer is None:
            if task is self._tried_alone:
                self._fail(course, _DIED)
            else:
                self._alone.append((course, task))
            return
        for remark in answer.remarks:
            if remark not in course.remarks:
                course.remarks.add(remark)
                self._progress.complain(remark)
        workers = dict.fromkeys([*course.entry.workers, answer.worker])
        elapsed_s = course.entry.elapsed_s + answer.elapsed_s
        course.entry = replace(course.entry, workers=tuple(workers), elapsed_s=elapsed_s)
        if answer.stopped:
            course.entry = replace(course.entry, ending="stopped" if course.begun else "not begun")
        elif answer.is_of_dest:
            self._end(ArchiveError(answer.error))
        elif answer.error is not None:
            self._failed(course, task, answer)
        else:
            self._succeeded(course, task, answer.value)

    def _succeeded(self, course: _Course, task: ArchiveTask, value: object) -> None:
        if isinstance(value, Sight):
            self._looked(course, value)
        elif isinstance(value, Made):
            self._finish(course, value)
        elif isinstance(task, PartTask) and isinstance(value, PartMade):
            course.made[task.index] = value
            if len(course.made) == len(course.parts):
                made = tuple(course.made[part.index] for part in course.parts)
                self._ready.appendleft((course, JoinTask(work=task.work, parts=course.parts, made=made)))
        else:  # a video of several spans is not there
            assert course.sight is not None and course.work is not None
            self._plan.folder.parts(course.work.key).mkdir(parents=True, exist_ok=True)
            spans = enumerate(course.sight.spans)
            course.parts = tuple(PartTask(work=course.work, index=index, span=span) for index, span in spans)
            self._ready.extendleft((course, part) for part in reversed(course.parts))

    def _looked(self, course: _Course, sight: Sight) -> None:
        self._progress.looked(course.number, sight.frames)
        course.sight = sight
        course.entry = replace(course.entry, video_sha256=sight.sha256)
        plan, engine = self._plan, None if self._stopping else self._engine(course, sight.usual_hw)
        if engine is None:
            return
        course.work = VideoWork(
            folder=plan.folder,
            video=course.video.path,
            state=sight.state,
            video_sha256=sight.sha256,
            result=course.video.result,
            key=key_of(sight.sha256, engine.sha256, plan.options, sight.spans),
            engine=engine.path,
            options=plan.options,
            overwrite=plan.overwrite,
            number=course.number,
        )
        leader = self._leaders.get(course.work.key)
        if leader is not None and self._is_busy(leader):
            leader.waiting.append(course)
        else:
            self._lead(course)

    def _engine(self, course: _Course, size_hw: tuple[int, int]) -> EngineFile | None:
        """The engine for a video of this size; None if that fails, for this size alone or for the whole run."""
        try:
            if size_hw in self._unexported:
                raise self._unexported[size_hw]
            engine = self._engine_for(size_hw)
            self._has_engine = True
            return engine
        except ExportError as error:
            self._unexported[size_hw] = error
            if self._has_engine or (size_hw != USUAL_HW and self._engine(course, USUAL_HW) is not None):
                self._fail(course, str(error))
            else:
                self._end(error)
        except (MostnetError, OSError) as error:
            self._end(error)
        return None

    def _lead(self, course: _Course) -> None:
        """Look for the result of a video, or make it. No other video of the same content is made meanwhile."""
        assert course.sight is not None and course.work is not None
        self._leaders[course.work.key] = course
        self._ready.appendleft((course, VideoTask(work=course.work, seek_only=bool(course.sight.spans))))

    def _failed(self, course: _Course, task: ArchiveTask, answer: Answer) -> None:
        assert answer.error is not None
        if course.work is not None and (isinstance(task, JoinTask) or (answer.is_of_video and course.parts)):
            # A damaged video is made whole, as mostnet-run does it, so that its frames are kept.
            course.parts, course.made = (), {}
            self._ready.appendleft((course, VideoTask(work=course.work)))
        else:
            self._fail(course, answer.error)

    def _fail(self, course: _Course, error: str) -> None:
        course.entry = replace(course.entry, ending="failed", error=error)
        self._progress.ended(course.number, frames=0, failed=True)
        path = str(course.video.path)
        self._progress.complain(error if path in error else f"{path}: {error}")

    def _finish(self, course: _Course, made: Made) -> None:
        record = made.record
        course.entry = replace(
            course.entry,
            result=course.video.result,
            ending="kept" if made.kept else "done",
            frames=record.frames,
            duration_s=record.duration_s,
            elapsed_s=record.elapsed_s,
            workers=record.workers,
        )
        self._progress.ended(course.number, frames=0 if made.kept else record.frames, failed=False)
        target = self._plan.folder.out / course.video.result
        self._progress.print(f"{target}: kept" if made.summary is None else summary_line(made.summary))


def _with_earlier(entry: ArchiveEntry, result: Path, record: ResultRecord) -> ArchiveEntry:
    """The part of the report with the result that an earlier run left."""
    return replace(
        entry,
        result=result,
        video_sha256=entry.video_sha256 or record.video_sha256,
        frames=record.frames,
        duration_s=record.duration_s,
        elapsed_s=entry.elapsed_s or record.elapsed_s,
        workers=entry.workers or record.workers,
        findings=record.findings,
    )


def _is_needed(course: _Course, task: ArchiveTask) -> bool:
    """Whether a task still serves its video."""
    return not course.ended and (not isinstance(task, PartTask) or task in course.parts)


def _is_light(task: ArchiveTask) -> bool:
    """Whether a task runs no network."""
    return isinstance(task, LookTask) or (isinstance(task, VideoTask) and task.seek_only)
