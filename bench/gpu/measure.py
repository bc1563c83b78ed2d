"""Measures a GPU report: one piece of work after another, in order of worth, as long as the time lasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mostnet.bench.machine import describe_machine, gpu_state
from mostnet.contract import MeasurementError
from mostnet.contract.versions import mostnet_version

from .agenda import ENGINE_PARTS, PLAN_PARTS, REAL_PARTS, ReportOptions, WorkItem, agenda
from .cases import PART_NAMES
from .link import Link, ProcessLink, StartLink, StopAsked, StopAsking, WorkerPool
from .making import Maker
from .rows import FILE, FORMAT_VERSION, Document, has_results, load, save
from .schedule import Schedule
from .work import Work

#: States of a piece of work. The stand-in's work is ``NOT_NEEDED`` if TensorRT works.
DONE, PARTLY, FAILED, SKIPPED, NOT_NEEDED, NOT_BEGUN = "done", "partly", "failed", "skipped", "not needed", "not begun"

#: The report gives a part up after this many failures without a success.
_MOST_FAILURES = 2

#: Facts of the machine that must not change within a report.
_SAME = ("name", "driver", "cpu", "cores")

_UNCHECKED = "no runtime has given results for this case"


def start_worker(
    part: str,
    python: str,
    folder: Path,
    log: Path,
    *,
    rehearse: bool = False,
    stop: StopAsking = lambda: False,
) -> Link:
    """Start a worker process. A rehearsal runs plans on the miniature GPU, and all else on the CPU."""
    device = "cuda" if not rehearse else "miniature" if part in PLAN_PARTS else "cpu"
    module = f"mostnet.bench.gpu.workers.{'torch' if part == 'torch' else 'engine'}_worker"
    return ProcessLink([python, "-m", module, str(folder), "--part", part, "--device", device], log, stop=stop)


class Measurement:
    """One run of the report. ``document`` holds the results so far, as ``gpu_report.json`` does."""

    def __init__(
        self,
        options: ReportOptions,
        *,
        left_out: Mapping[str, str] | None = None,
        schedule: Schedule | None = None,
        start: StartLink = start_worker,
        gpu: Callable[[], dict[str, Any]] = gpu_state,
        stop: StopAsking = lambda: False,
        publish: Callable[[Document], object] = lambda document: None,
    ) -> None:
        """Begin a report, or continue an earlier one if ``options.resume`` is true.

        Args:
            left_out: parts that are not measured, and what they lack.
            schedule: the time left; without it, there is no limit.
            start: starts workers.
            gpu: reads the state of the GPU.
            stop: true once the report shall stop.
            publish: gets the document after every piece of work.

        Raises:
            MeasurementError: the earlier report cannot be read, only one of the two is a rehearsal, it is of another
                GPU, driver or processor, or it has results that this one would replace.
        """
        self._options = options
        self._schedule = schedule or Schedule()
        self._stop = stop
        self._publish = publish
        self._path = options.out / FILE
        self._failures = dict.fromkeys(ENGINE_PARTS, 0)
        machine = describe_machine(gpu=False)
        self.document: Document = {
            "format_version": FORMAT_VERSION,
            "created_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "rehearsal": options.rehearse,
            "roles": {role: case.name for role, case in vars(options.roles).items()},
            "mostnet": mostnet_version(),
            "minutes": options.minutes,
            "machine": {**gpu(), "cpu": machine.cpu, "cores": machine.usable_cores},
            "left_out": dict(left_out or {}),
            "versions": {},
            "peaks": {},
            "cases": {},
            "work": {},
            "steps": self._schedule.steps,
        }
        if self._path.is_file():
            self._continue(load(self._path))
        log = options.out / "log.txt"
        self._pool = WorkerPool(start, log)
        maker = Maker(options, self._schedule, log, stop)
        self._work = Work(options, self.document, self._schedule, self._pool, maker, gpu, self._save)

    def run(self) -> bool:
        """Do the work that is not done; return whether all is done afterwards."""
        self._options.out.mkdir(parents=True, exist_ok=True)
        items, states = agenda(self._options), self.document["work"]
        for item in items:
            states.setdefault(item.key, {"case": item.case.name, "state": NOT_BEGUN, "note": ""})
        with ExitStack() as held:
            held.callback(self._pool.close)
            held.callback(self._save_and_publish)  # before the workers end: a killed run may not have that time
            for item in self._in_order(items):
                if self._stop():
                    break
                if not self._is_finished(item):
                    self._note(item)
        return all(map(self._is_finished, items))

    def _in_order(self, items: list[WorkItem]) -> list[WorkItem]:
        """Work that was tried before comes last, so that hopeless work does not hold up the rest.

        A check comes right before the first other work on its case, which needs its result.
        """
        places = {item: float(place) for place, item in enumerate(items)}
        users = {item.case: places[item] for item in reversed(items) if item.kind != "check"}

        def place(item: WorkItem) -> float:
            if self._state(item) not in (PARTLY, FAILED):
                return places[item]
            return users[item.case] - 0.5 if item.kind == "check" else len(items) + places[item]

        return sorted(items, key=place)

    def _note(self, item: WorkItem) -> None:
        """Do a piece of work, and write how that went."""
        begun_s = self._schedule.clock()
        state, note = self._try(item)
        took_s = round(self._schedule.clock() - begun_s, 1)
        self.document["work"][item.key].update(state=state, note=note, took_s=took_s)
        print(f"{item.key}: {state} in {took_s} s{note and f' ({note})'}", flush=True)
        self._save_and_publish()

    def _is_finished(self, item: WorkItem) -> bool:
        state = self._state(item)
        return state == NOT_NEEDED or (state == DONE and not self._work.is_outdated(item))

    def _try(self, item: WorkItem) -> tuple[str, str]:
        """Do a piece of work if it is needed and fits. A failure is noted, and the measurement continues."""
        if (unneeded := self._unneeded(item)) is not None:
            return unneeded
        if (shortage := self._schedule.shortage(self._work.steps(item))) is not None:
            return SKIPPED, shortage
        try:
            notes = self._work.do(item)
        except StopAsked:
            return PARTLY, "stopped by a signal"
        except (MeasurementError, ImportError, OSError, ValueError) as error:
            if item.kind == "check":
                self._failures[item.part] += 1
            return FAILED, str(error)
        return (PARTLY, "; ".join(notes)) if notes else (DONE, "")

    def _unneeded(self, item: WorkItem) -> tuple[str, str] | None:
        """Why a piece of work shall not be tried; None if it shall."""
        works, part = self._work.works, item.part
        for_standin = part == "standin" or item.case.compute_ms is not None
        if for_standin and self._options.spare_standin and any(map(works, REAL_PARTS)):
            return NOT_NEEDED, ""
        if self._failures.get(part, 0) >= _MOST_FAILURES and not works(part):
            return SKIPPED, f"{PART_NAMES[part]} failed {_MOST_FAILURES} times and never worked"
        needs_runtime = item.kind in ("paced", "soak") or (
            item.kind == "peaks" and "torch" not in self._options.pythons
        )
        if needs_runtime and self._work.best_part(item.case) is None:
            return SKIPPED, _UNCHECKED
        if item.kind == "time" and not self._work.methods(item):
            return SKIPPED, _UNCHECKED
        return None

    def _continue(self, earlier: Document) -> None:
        if not self._options.resume:
            if has_results(earlier):
                raise MeasurementError(
                    f"{self._path} has results; --resume continues them, and another OUT begins a new report"
                )
            return
        if earlier["rehearsal"] != self._options.rehearse:
            raise MeasurementError(f"{self._path}: a rehearsal and a measurement do not mix; name another folder")
        before, now = earlier["machine"], self.document["machine"]
        known = [key for key in _SAME if key in before and key in now]
        if changed := [f"{key} {before[key]}, now {now[key]}" for key in known if before[key] != now[key]]:
            raise MeasurementError(
                f"{self._path}: measured with another GPU, driver or processor ({'; '.join(changed)}); their figures "
                "do not mix: name another OUT"
            )
        self.document.update({key: earlier[key] for key in ("versions", "peaks", "cases", "work")})
        self._schedule.steps.update(earlier.get("steps", {}))

    def _state(self, item: WorkItem) -> str:
        return str(self.document["work"].get(item.key, {"state": NOT_BEGUN})["state"])

    def _save(self) -> None:
        save(self.document, self._path)

    def _save_and_publish(self) -> None:
        self._save()
        self._publish(self.document)
