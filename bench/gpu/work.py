"""The pieces of work of a GPU report: what each takes, and how it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mostnet.contract import MeasurementError

from .agenda import ENGINE_PARTS, PLAN_PARTS, REAL_PARTS, ReportOptions, WorkItem
from .cases import PART_NAMES, Case, read_facts
from .effort import Effort, open_step, own_worker
from .link import Link, WorkerPool
from .making import Maker
from .rows import Document, MethodRow, put_rows
from .schedule import Schedule, WorkStep, shuffled

_ANSWER_S = 120.0
_OPEN_S = 400.0

#: A worker gets this long to answer, even at the end of the report.
_LEAST_S = 1.0

#: Dense FP16 matrix products in TFLOP/s from NVIDIA's data sheets, used if there is no PyTorch to measure them.
_SPEC_TFLOP_S = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L40": 181.0, "RTX 4090": 165.0, "Orin": 85.0}

#: Sizes of the peaks in a rehearsal, which a CPU computes.
_SMALL_PEAKS = {"side": 256, "copy_bytes": 1 << 20}

Record = dict[str, Any]


class Work:
    """Does the work on the cases, and writes what it finds into ``document``.

    ``save`` writes the document to its file. ``gpu`` reads the state of the GPU.
    """

    def __init__(
        self,
        options: ReportOptions,
        document: Document,
        schedule: Schedule,
        pool: WorkerPool,
        maker: Maker,
        gpu: Callable[[], dict[str, Any]],
        save: Callable[[], None],
    ) -> None:
        self._options = options
        self._document = document
        self._schedule = schedule
        self._pool = pool
        self._maker = maker
        self._effort = Effort(options, maker, pool)
        self._gpu = gpu
        self._save = save
        self._engine_mib: dict[tuple[str, str], float | None] = {}  # by case and part, as the check opened it

    def works(self, part: str) -> bool:
        """Whether the part has given results for a case."""
        return any(part in record["accuracy"] for record in self._document["cases"].values())

    def best_part(self, case: Case) -> str | None:
        """The best runtime of plans that has given results for the case, or else ONNX Runtime."""
        return next((part for part in ENGINE_PARTS if part in self._checked(case)), None)

    def is_outdated(self, item: WorkItem) -> bool:
        """Whether the item was measured without a runtime that has given results since."""
        record = self._document["cases"].get(item.case.name, {"rows": [], "paced": [], "soak": {}})
        if item.kind == "time":
            return not {(row["part"], row["method"]) for row in record["rows"]}.issuperset(self.methods(item))
        runs = {"paced": [run for run in record["paced"] if _is_run_of(item, run)], "soak": [record["soak"]]}
        parts = {run.get("part") for run in runs.get(item.kind, [])}
        return bool(parts) and parts != {self.best_part(item.case)}

    def methods(self, item: WorkItem) -> list[tuple[str, str]]:
        """The methods of a ``time`` item, without runtimes that gave no results for the case or are not needed."""
        if item.case.compute_ms is not None:
            return list(item.methods)
        usable = {*self._checked(item.case), "torch"}
        if self._options.spare_standin and not usable.isdisjoint(REAL_PARTS):
            usable.discard("standin")
        return [pair for pair in item.methods if pair[0] in usable]

    def steps(self, item: WorkItem) -> list[WorkStep]:
        """The steps that a piece of work takes at least."""
        case, effort, best = item.case, self._effort, self.best_part(item.case) or ""
        kinds = {
            "check": lambda: effort.check(case, item.part),
            "time": lambda: effort.timing(case, self.methods(item)),
            "peaks": lambda: effort.peaks(case, "torch" if "torch" in self._options.pythons else best),
            "paced": lambda: effort.paced(case, best),
            "soak": lambda: effort.soak(case, best),
        }
        return kinds[item.kind]()

    def do(self, item: WorkItem) -> list[str]:
        """Do a piece of work; returns notes on what was left out.

        Raises:
            MeasurementError, ImportError, OSError, ValueError: it failed as a whole.
            StopAsked: the report shall stop.
        """
        kinds = {
            "check": self._check,
            "time": self._time,
            "peaks": self._peaks,
            "paced": self._paced,
            "soak": self._soak,
        }
        return kinds[item.kind](item, self._record(item.case))

    def _check(self, item: WorkItem, record: Record) -> list[str]:
        """Compare the outputs with the reference before anything is timed, so that a wrong engine is noticed."""
        case = item.case
        self._maker.make(case, item.part)
        record["facts"] = read_facts(self._maker.folder(case))
        try:
            self._engine_mib[case.name, item.part] = self._open_method(
                case, item.part, "stream", self._limit_s(_OPEN_S)
            )
            link = self._link(case, item.part)
            with self._schedule.timed(WorkStep.guessed("check", case, item.part)):
                found = link.ask("check", timeout_s=self._limit_s(_ANSWER_S), precision=case.precision)
        except MeasurementError:
            self._pool.drop(item.part)
            raise
        record["accuracy"][item.part] = found
        return []

    def _time(self, item: WorkItem, record: Record) -> list[str]:
        """Time the methods that fit: first all that do not compile, then each one that does."""
        case, methods = item.case, self.methods(item)
        for part in dict.fromkeys(part for part, _ in methods):
            self._maker.make(case, part)
        record["facts"] = read_facts(self._maker.folder(case))
        rows, notes = self._open_all(case, [pair for pair in methods if not own_worker(pair[1])], record)
        notes += self._run_rounds(case, rows, record)
        beside = [row for row in rows if row.method == "stream" and row.error is None][:1]
        for pair in methods:
            if own_worker(pair[1]):
                compiled, more = self._time_compiled(case, pair, beside, record)
                rows, notes = [*rows, *compiled], [*notes, *more]
        return notes + [f"{PART_NAMES[row.part]} {row.method} failed" for row in rows if row.error is not None]

    def _time_compiled(
        self, case: Case, pair: tuple[str, str], beside: list[MethodRow], record: Record
    ) -> tuple[list[MethodRow], list[str]]:
        """Time a method whose compiler may hang. ``beside`` takes more rounds in turn with it, to compare both."""
        partners = [step for row in beside for step in self._effort.rounds(row.part, row.method)]
        rows, notes = self._open_all(case, [pair], record, more=partners)
        if any(row.error is None for row in rows):
            notes += [
                f"{PART_NAMES[pair[0]]} {pair[1]}: {note}" for note in self._run_rounds(case, [*rows, *beside], record)
            ]
        return rows, notes

    def _open_all(
        self, case: Case, methods: list[tuple[str, str]], record: Record, *, more: Sequence[WorkStep] = ()
    ) -> tuple[list[MethodRow], list[str]]:
        """Open the methods whose rounds fit into the time left beside the steps ``more``; returns notes on others."""
        rows: list[MethodRow] = []
        notes: list[str] = []
        for part, method in methods:
            rounds = [step for row in rows if row.error is None for step in self._effort.rounds(row.part, row.method)]
            own = [*self._effort.opening(case, part, method), *self._effort.rounds(part, method)]
            if (shortage := self._schedule.shortage([*rounds, *own, *more])) is not None:
                notes.append(f"{PART_NAMES[part]} {method} left out: {shortage}")
                continue
            most_s = self._schedule.allowance_s(open_step(case, part, method)) if own_worker(method) else _OPEN_S
            # What is slow to open must leave time for the rounds of the methods before it.
            limit_s = self._limit_s(most_s, reserve_s=self._schedule.estimate_s(rounds))
            rows.append(self._open(case, part, method, limit_s))
            self._keep(rows, record)
        return rows, notes

    def _open(self, case: Case, part: str, method: str, limit_s: float) -> MethodRow:
        try:
            vram_mib = self._open_method(case, part, method, limit_s)
        except (MeasurementError, OSError) as error:
            return MethodRow(part, method, error=str(error))
        if vram_mib is None and method == "stream":
            vram_mib = self._engine_mib.get((case.name, part))
        return MethodRow(part, method, vram_mib=vram_mib)

    def _open_method(self, case: Case, part: str, method: str, limit_s: float) -> float | None:
        """Open a method; returns the memory in MiB that the GPU then has in use and had not before.

        None if there is no more: the method uses what another one has opened, or the GPU does not tell.
        """
        link = self._link(case, part, method)  # first: this ends the workers of other cases, which frees memory
        before = self._gpu().get("memory_mib")
        with self._schedule.timed(open_step(case, part, method)):
            link.ask("open", timeout_s=limit_s, method=method)
        after = self._gpu().get("memory_mib")
        return after - before if before is not None and after is not None and after > before else None

    def _run_rounds(self, case: Case, rows: list[MethodRow], record: Record) -> list[str]:
        """Measure each round in another order, so that no method always follows the same one."""
        count = self._options.rounds
        for number in range(count):
            for row in shuffled([row for row in rows if row.error is None], f"{case.name} {number}"):
                if self._schedule.shortage([self._effort.round(row.part, row.method)]) is not None:
                    return [f"time ran out in round {number + 1} of {count}"]
                lasted = self._run_round(case, row)
                self._keep(rows, record)
                if not lasted:
                    return [f"time ran out in round {number + 1} of {count}"]
            record["gpu"].append(self._gpu())
        return []

    def _run_round(self, case: Case, row: MethodRow) -> bool:
        """Measure one round; false if the time did not last."""
        size = {"count": self._options.frames, "seconds": self._options.seconds}
        try:
            link = self._link(case, row.part, row.method)
            with self._schedule.timed(self._effort.round(row.part, row.method)):
                row.rounds.append(link.ask("round", timeout_s=self._limit_s(_ANSWER_S), method=row.method, **size))
        except MeasurementError as error:
            if self._schedule.left_s() <= _LEAST_S:
                return False  # the end of the report ended the worker
            row.error = str(error)
        return True

    def _peaks(self, item: WorkItem, record: Record) -> list[str]:
        """Measure the peaks of the GPU, once for all cases."""
        peaks, limit_s = self._document["peaks"], self._limit_s(_ANSWER_S)
        if "torch" in self._options.pythons:
            self._maker.make(item.case, "torch")
            small = _SMALL_PEAKS if self._options.rehearse else {}
            link = self._link(item.case, "torch")
            with self._schedule.timed(WorkStep.guessed("peaks", item.case)):
                peaks.update(link.ask("peaks", timeout_s=limit_s, **small), source="measured")
        elif (part := self.best_part(item.case)) in PLAN_PARTS:
            peaks.update(self._link(item.case, part).ask("copy_peak", timeout_s=limit_s))
            name = self._document["machine"].get("name", "")
            spec = next((value for key, value in _SPEC_TFLOP_S.items() if key in name), None)
            if spec is not None:
                peaks.update(matmul_tflop_s=spec, source="copies measured, FLOPs by the data sheet")
        return []

    def _paced(self, item: WorkItem, record: Record) -> list[str]:
        """Measure at the rate of a camera. An earlier run at that rate is replaced."""
        part, run = self.best_part(item.case) or "", {"fps": item.fps, "how": item.how}
        seconds = self._options.paced_seconds
        found = self._link(item.case, part).ask(
            "paced", timeout_s=self._limit_s(seconds + _ANSWER_S), seconds=seconds, **run
        )
        others = [one for one in record["paced"] if not _is_run_of(item, one)]
        record["paced"] = [*others, {"part": part, **run, **found}]
        return []

    def _soak(self, item: WorkItem, record: Record) -> list[str]:
        """Watch the memory over many frames."""
        part = self.best_part(item.case) or ""
        link = self._link(item.case, part)
        with self._schedule.timed(WorkStep.guessed("soak", item.case)):
            found = link.ask("soak", timeout_s=self._limit_s(_ANSWER_S), count=self._options.soak_frames)
        record["soak"] = {"part": part, **found}
        return []

    def _record(self, case: Case) -> Record:
        empty: Record = {
            "compute_ms": case.compute_ms,
            "facts": {},
            "accuracy": {},
            "rows": [],
            "paced": [],
            "soak": {},
            "gpu": [],
        }
        record: Record = self._document["cases"].setdefault(case.name, empty)
        return record

    def _checked(self, case: Case) -> Record:
        """The accuracy of a case by its runtimes; empty before the first check."""
        found: Record = self._document["cases"].get(case.name, {}).get("accuracy", {})
        return found

    def _keep(self, rows: list[MethodRow], record: Record) -> None:
        put_rows(rows, record)
        self._save()

    def _link(self, case: Case, part: str, method: str = "") -> Link:
        """The worker of a part. It starts if it does not run."""
        folder, alone = self._maker.folder(case), own_worker(method)
        if self._pool.has(folder, part, alone):
            return self._pool.link(folder, part, self._options.pythons[part], alone)
        with self._schedule.timed(WorkStep.guessed(f"start {part}", case)):
            link = self._pool.link(folder, part, self._options.pythons[part], alone)
            try:
                info = link.ask("info", timeout_s=self._limit_s(_ANSWER_S))
            except MeasurementError:
                self._pool.drop(part, alone)
                raise
        self._document["versions"][part] = info["versions"]
        return link

    def _limit_s(self, most_s: float, *, reserve_s: float = 0.0) -> float:
        """The longest time to wait for an answer: nothing lasts much beyond the end of the report."""
        return max(_LEAST_S, min(most_s, self._schedule.left_s() - reserve_s))


def _is_run_of(item: WorkItem, run: Record) -> bool:
    return bool((run["fps"], run["how"]) == (item.fps, item.how))
