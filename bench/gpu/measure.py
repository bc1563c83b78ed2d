"""Measure a GPU report: one case after another, and within a case every method in turn, round by round."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic
from typing import Any

from mostnet.bench.machine import gpu_state
from mostnet.contract import MeasurementError

from .accuracy import compare_outputs
from .cases import Case, ReportOptions, is_built, is_prepared, read_facts
from .link import Link, ProcessLink
from .rows import FILE, FORMAT_VERSION, Document, MethodRow, load, save

_PACKAGE = "mostnet.bench.gpu"

#: Starts a worker from the name of its part, its Python, the folder of the case, and the file for its log.
StartLink = Callable[[str, str, Path, Path], Link]

_WORKERS = {"tensorrt": "engine_worker", "ort": "engine_worker", "torch": "torch_worker"}
_ANSWER_S = 120.0
_OPEN_S = 400.0
_BUILD_S = 1800.0
_SOAK_FRAMES = 2000

#: With less time left than this, no case is begun.
_LEAST_CASE_S = 30.0

#: Dense FP16 matrix products in TFLOP/s from NVIDIA's data sheets, used if there is no PyTorch to measure them.
_SPEC_TFLOP_S = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L40": 181.0, "RTX 4090": 165.0, "Orin": 85.0}


def start_worker(part: str, python: str, folder: Path, log: Path, *, device: str = "cuda") -> Link:
    """Start a worker process. Device ``cpu`` is for tests."""
    module = f"{_PACKAGE}.{_WORKERS[part]}"
    return ProcessLink([python, "-m", module, str(folder), "--part", part, "--device", device], log)


class Measurement:
    """One run of the report. ``document`` holds the results so far, as ``gpu_report.json`` does."""

    def __init__(
        self,
        options: ReportOptions,
        *,
        deadline_s: float | None = None,
        start: StartLink = start_worker,
        gpu: Callable[[], dict[str, Any]] = gpu_state,
    ) -> None:
        """Begin a report, or continue an earlier one if ``options.resume`` is true.

        Args:
            deadline_s: on the clock of ``time.monotonic``; nothing begins after it. None has no limit.
            start: starts workers.
            gpu: reads the state of the GPU.

        Raises:
            MeasurementError: the earlier report cannot be read.
        """
        self._options = options
        self._deadline_s = deadline_s
        self._start = start
        self._gpu = gpu
        self._path = options.out / FILE
        self._log = options.out / "log.txt"
        self.document: Document = {
            "format_version": FORMAT_VERSION,
            "created_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": gpu(),
            "versions": {},
            "peaks": {},
            "cases": {},
        }
        if options.resume and self._path.is_file():
            earlier = load(self._path)
            self.document.update({key: earlier[key] for key in ("versions", "peaks", "cases")})

    def run(self) -> bool:
        """Measure the cases that are not complete; return whether all are complete afterwards."""
        self._options.out.mkdir(parents=True, exist_ok=True)
        cases = self.document["cases"]
        # Cases with figures of an earlier run come last, so that a method that never works does not hold up the others.
        for case in sorted(self._options.only, key=lambda case: bool(cases.get(case.name, {}).get("rows"))):
            earlier = cases.get(case.name, {})
            if earlier.get("complete"):
                continue
            record: dict[str, Any] = {"rows": [], "notes": [], "complete": False}
            if self._left_s() >= _LEAST_CASE_S:
                cases[case.name] = record
                self._measure_case(case, record)
            elif not earlier.get("rows"):
                cases[case.name] = record
                record["notes"].append("not measured: time ran out")
            else:
                record = earlier
            self._save()
            print(f"{case.name}: {'complete' if record['complete'] else 'incomplete'}", flush=True)
        return all(cases[case.name]["complete"] for case in self._options.only)

    def _measure_case(self, case: Case, record: dict[str, Any]) -> None:
        """Measure one case. A failure is noted in the record, and the measurement continues."""
        folder = self._options.cases / case.name
        try:
            self._make(case, folder)
            record["facts"] = read_facts(folder)
        except MeasurementError as error:
            record["notes"].append(str(error))
            return
        self._save()
        with ExitStack() as held:
            links = self._open_links(folder, record, held)
            self._check(links, folder, case, record)
            rows = self._open_methods(links, record)
            self._find_peaks(links, record)
            self._run_rounds(links, rows, record)
            self._soak(links, record)
        expected = all(part in links for part in self._options.pythons)
        done = all(row.error is None and len(row.rounds) == self._options.rounds for row in rows)
        record["complete"] = bool(rows) and expected and done and not record["notes"]

    def _make(self, case: Case, folder: Path) -> None:
        """Make graph, reference and plan if they are missing."""
        pythons, options = self._options.pythons, self._options
        if not is_prepared(folder):
            if "torch" not in pythons:
                raise MeasurementError(f"{folder}: not prepared; that needs PyTorch: run {_PACKAGE}.prepare elsewhere")
            arguments = ["prepare", str(options.cases), "--only", case.name, "--opset", str(options.opset)]
            self._call(pythons["torch"], arguments)
        if "tensorrt" in pythons and not is_built(folder, options.flavour):
            self._call(pythons["tensorrt"], ["build", str(folder), "--flavour", options.flavour])

    def _call(self, python: str, arguments: Sequence[str]) -> None:
        module = f"{_PACKAGE}.{arguments[0]}"
        command = [python, "-m", module, *arguments[1:]]
        limit_s = min(_BUILD_S, max(1.0, self._left_s()))
        with self._log.open("a", encoding="utf-8") as log:
            try:
                status = subprocess.run(command, stdout=log, stderr=log, timeout=limit_s).returncode
            except subprocess.TimeoutExpired:
                raise MeasurementError(f"{module} took longer than {limit_s:.0f} s and was ended") from None
        if status != 0:
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise MeasurementError(f"{module} failed with status {status}: {lines[-1] if lines else 'no output'}")

    def _open_links(self, folder: Path, record: dict[str, Any], held: ExitStack) -> dict[str, Link]:
        links: dict[str, Link] = {}
        for part, python in self._options.pythons.items():
            try:
                link = self._start(part, python, folder, self._log)
                held.callback(link.close)
                info = link.ask("info", timeout_s=_ANSWER_S)
            except (MeasurementError, OSError) as error:
                record["notes"].append(f"{part}: {error}")
                continue
            links[part] = link
            record.setdefault("methods", {})[part] = info["methods"]
            self.document["versions"][part] = info["versions"]
        return links

    def _check(self, links: dict[str, Link], folder: Path, case: Case, record: dict[str, Any]) -> None:
        """Compare the outputs with the reference before anything is timed, so that a wrong engine is noticed."""
        if "tensorrt" not in links:
            return
        outputs = folder / "outputs.npz"
        try:
            links["tensorrt"].ask("outputs", timeout_s=_ANSWER_S, path=str(outputs))
            record["accuracy"] = compare_outputs(outputs, folder / "reference.npz", case.precision)
        except (MeasurementError, ImportError, OSError, ValueError) as error:
            record["notes"].append(f"accuracy not checked: {error}")
        finally:
            outputs.unlink(missing_ok=True)
        self._save()

    def _open_methods(self, links: dict[str, Link], record: dict[str, Any]) -> list[MethodRow]:
        rows = []
        for part, link in links.items():
            for method in record["methods"][part]:
                before = self._gpu().get("memory_mib")
                try:
                    link.ask("open", timeout_s=min(_OPEN_S, max(1.0, self._left_s())), method=method)
                except MeasurementError as error:
                    rows.append(MethodRow(part, method, error=str(error)))
                else:
                    after = self._gpu().get("memory_mib")
                    vram_mib = None if before is None or after is None else after - before
                    rows.append(MethodRow(part, method, vram_mib=vram_mib))
        self._write_rows(rows, record)
        return rows

    def _find_peaks(self, links: dict[str, Link], record: dict[str, Any]) -> None:
        """Measure the peaks of the GPU, once for all cases."""
        peaks = self.document["peaks"]
        if peaks.get("source") == "measured":
            return
        try:
            if "torch" in links:
                peaks.update(links["torch"].ask("peaks", timeout_s=_ANSWER_S), source="measured")
            elif "tensorrt" in links:
                peaks.update(links["tensorrt"].ask("copy_peak", timeout_s=_ANSWER_S))
                name = self.document["machine"].get("name", "")
                spec = next((value for key, value in _SPEC_TFLOP_S.items() if key in name), None)
                if spec is not None:
                    peaks.update(matmul_tflop_s=spec, source="copies measured, FLOPs by the data sheet")
        except MeasurementError as error:
            record["notes"].append(f"peaks not measured: {error}")
        self._save()

    def _run_rounds(self, links: dict[str, Link], rows: list[MethodRow], record: dict[str, Any]) -> None:
        """Begin each round with another method, so that none is always first."""
        options = self._options
        for number in range(options.rounds):
            start = number % max(1, len(rows))
            for row in rows[start:] + rows[:start]:
                if row.error is not None:
                    continue
                if self._left_s() <= 0:
                    record["notes"].append(f"time ran out in round {number + 1} of {options.rounds}")
                    return
                try:
                    answer = links[row.part].ask(
                        "round", timeout_s=_ANSWER_S, method=row.method, count=options.frames, seconds=options.seconds
                    )
                    row.rounds.append(answer)
                except MeasurementError as error:
                    row.error = str(error)
                self._write_rows(rows, record)
            record.setdefault("gpu", []).append(self._gpu())

    def _soak(self, links: dict[str, Link], record: dict[str, Any]) -> None:
        if "tensorrt" not in links or self._left_s() < _LEAST_CASE_S:
            return
        try:
            record["soak"] = links["tensorrt"].ask("soak", timeout_s=_ANSWER_S, count=_SOAK_FRAMES)
        except MeasurementError as error:
            record["notes"].append(f"growth of memory not measured: {error}")

    def _write_rows(self, rows: list[MethodRow], record: dict[str, Any]) -> None:
        record["rows"] = [row.to_json() for row in rows]
        self._save()

    def _save(self) -> None:
        save(self.document, self._path)

    def _left_s(self) -> float:
        return float("inf") if self._deadline_s is None else self._deadline_s - monotonic()
