"""A report on made-up cases, with workers that answer made-up figures, and a clock that runs only while they work."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from mostnet.bench.gpu.agenda import COMPUTE_MS, ReportOptions, Roles
from mostnet.bench.gpu.cases import PREPARED, Case, plan_path
from mostnet.bench.gpu.measure import Measurement
from mostnet.bench.gpu.rows import FILE
from mostnet.bench.gpu.schedule import Schedule
from mostnet.contract import MeasurementError
from tests.engine.plan_setup import write_plan

_PLAN = {"infer": (700.0, 1.45), "stream": (990.0, 3.0), "enqueue": (1000.0, None), "enqueue+copies": (720.0, 1.40)}

#: Frames per second and latency in ms of the made-up methods.
FIGURES = {
    "tensorrt": _PLAN,
    "rtx": _PLAN,
    "standin": _PLAN,
    "torch": {
        "eager-fp32": (100.0, 10.0),
        "eager-tf32": (200.0, 5.0),
        "eager-fp16": (300.0, 4.0),
        "compile-cuda-graph": (700.0, 1.9),
        "compile-reduce-overhead": (600.0, 2.0),
    },
    "ort": {"stream": (400.0, 3.0), "infer": (350.0, 3.0)},
}

#: Seconds that a request takes on the made-up clock; a round takes 1.
TOOK_S = {"open": 2.0, "check": 3.0, "round": 1.0, "paced": 20.0, "soak": 5.0, "peaks": 2.0}

#: Methods of one part that share a model; a check opens that of ``stream``.
_MODELS = {"": "engine", "stream": "engine", "infer": "engine", "enqueue": "raw", "enqueue+copies": "raw"}

CHECK, MAIN, LARGE = Case("nano", (480, 640)), Case("dw", (480, 640)), Case("dw", (800, 800))
REST = Case("sw", (480, 640))

DELAYS = {"p50_ms": 2.0, "p90_ms": 2.5, "p99_ms": 3.0, "p999_ms": 3.5, "max_ms": 9.0}


class FakeLink:
    """Answers like a worker, and does what ``bench`` says."""

    def __init__(self, bench: Bench, part: str, folder: Path) -> None:
        self.bench, self.part, self.folder = bench, part, folder
        self.closed = False
        self.models: set[str] = set()

    @property
    def memory_mib(self) -> float:
        """Memory of the GPU that the worker holds."""
        return 0.0 if self.closed else 100.0 * len(self.models)

    @property
    def alive(self) -> bool:
        return not self.closed

    def ask(self, do: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        assert timeout_s > 0 and not self.closed
        bench, method = self.bench, arguments.get("method", "")
        took_s = bench.took_s.get(f"{do} {method}".strip(), bench.took_s.get(do, 0.0))
        bench.now_s += min(took_s, timeout_s)
        bench.asked.append((self.folder.name, self.part, do, method))
        if took_s > timeout_s:
            self.close()
            raise MeasurementError(f"no answer to {do!r} within {timeout_s:.0f} s; killed")
        if do in ("open", "check"):
            self.models.add(_MODELS.get(method, method))
        if (self.folder.name, do) in bench.signals:
            bench.stopped = True
        if bench.broken & {do, f"{do} {method}", f"{self.part} {do}"}:
            raise MeasurementError(f"{do} {method} is broken")
        return getattr(self, f"_{do}", lambda **_: {})(**arguments)

    def hang_up(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def _info(self) -> dict[str, Any]:
        return {"versions": {"python": "3.12"}}

    def _peaks(self, **_: int) -> dict[str, Any]:
        return {"matmul_tflop_s": 700.0, "memcpy_gb_s": 3000.0}

    def _copy_peak(self) -> dict[str, Any]:
        return {"memcpy_gb_s": 2900.0}

    def _soak(self, count: int) -> dict[str, Any]:
        return {"python_blocks": 3, "frames": count}

    def _paced(self, fps: float, seconds: float, how: str) -> dict[str, Any]:
        return {**DELAYS, "late_share": 0.001, "frames": round(fps * seconds), "clock_mhz": [1200.0, 1500.0, 1980.0]}

    def _check(self, precision: str) -> dict[str, Any]:
        found = {"frames": 3, "psnr_db": None, "epe_px": 0.0, "iou": 1.0, "finite": True, "broken_frames": []}
        return {**found, "bounds": precision}

    def _round(self, method: str, count: int, seconds: float) -> dict[str, Any]:
        self.bench.saved.append(self.bench.rounds_on_disk())
        fps, latency_ms = FIGURES[self.part][method]
        return {"fps": fps, "gpu_ms": 1e3 / fps, **({} if latency_ms is None else {"samples_ms": [latency_ms] * 9})}


def make_case(root: Path, case: Case, parts: tuple[str, ...] = ("tensorrt",)) -> Path:
    folder = root / case.name
    folder.mkdir(parents=True)
    for name in PREPARED:
        (folder / name).touch()
    for part in parts:
        write_plan(plan_path(folder, part), flavour="tensorrt")
    facts = {"flops": 138e9, "weight_bytes": 6e7, "least_bytes": 7e7, "frames": 3, "weights": "seeded, untrained"}
    (folder / "case.json").write_text(json.dumps(facts))
    return folder


class Bench:
    """A report on the cases ``only``, prepared and built for ``parts``.

    Attributes:
        now_s: the made-up clock; ``took_s`` has seconds by request, or by request and method.
        broken: requests that fail.
        signals: pairs of a case's name and a request during which the report is told to stop.
        asked: case, part, request and method of every request.
        saved: rounds in the file on disk before each round.
    """

    def __init__(
        self, folder: Path, *, only: tuple[Case, ...] = (MAIN,), parts: tuple[str, ...] = ("tensorrt",)
    ) -> None:
        self.out, self.cases, self.only = folder / "out", folder / "cases", only
        self.pythons = dict.fromkeys((*parts, "torch"), sys.executable)
        self.now_s = 0.0
        self.took_s = dict(TOOK_S)
        self.broken: set[str] = set()
        self.signals: set[tuple[str, str]] = set()
        self.stopped = False
        self.asked: list[tuple[str, str, str, str]] = []
        self.saved: list[int] = []
        self.links: list[FakeLink] = []
        self.published = 0
        self.out.mkdir(parents=True)
        for case in only:
            make_case(self.cases, case, tuple(part for part in parts if part != "ort"))

    def start(self, part: str, python: str, folder: Path, log: Path) -> FakeLink:
        assert folder.parent == self.cases
        self.links.append(FakeLink(self, part, folder))
        return self.links[-1]

    def run(self, *, limit_s: float | None = None, **options: Any) -> tuple[bool, dict[str, Any]]:
        options = {"only": self.only, "rounds": 3, "pythons": self.pythons, **options}
        measurement = Measurement(
            ReportOptions(out=self.out, cases=self.cases, **options),
            left_out={"ort": "onnxruntime cannot be imported"},
            schedule=Schedule(limit_s, clock=lambda: self.now_s),
            start=self.start,
            gpu=self._gpu,
            stop=lambda: self.stopped,
            publish=self._publish,
        )
        return measurement.run(), self.document()

    def document(self) -> dict[str, Any]:
        return json.loads((self.out / FILE).read_text())

    def rounds_on_disk(self) -> int:
        """Rounds of the last case in the JSON on disk, which a run that is cut short would leave."""
        return sum(row["rounds"] for row in list(self.document()["cases"].values())[-1]["rows"])

    def rounds(self, case: Case = MAIN) -> list[str]:
        """Part and method of each round on a case, in the order in which they were measured."""
        return [f"{part}:{method}" for name, part, do, method in self.asked if (name, do) == (case.name, "round")]

    def _gpu(self) -> dict[str, Any]:
        memory_mib = sum(link.memory_mib for link in self.links)
        return {"name": "Test H100", "driver": "580", "memory_mib": memory_mib, "clock_mhz": 1980.0}

    def _publish(self, document: dict[str, Any]) -> None:
        self.published += 1


def rows_of(document: dict[str, Any], case: Case = MAIN) -> dict[str, dict[str, Any]]:
    """The rows of a case by method."""
    return {row["method"]: row for row in document["cases"][case.name]["rows"]}


def roles_of(**roles: Case) -> Roles:
    """The usual roles, but for ``roles``."""
    return Roles(**{"check": CHECK, "main": MAIN, "large": LARGE, **roles})


def make_computing_cases(bench: Bench, case: Case) -> None:
    for compute_ms in COMPUTE_MS:
        make_case(bench.cases, replace(case, compute_ms=compute_ms), ("standin",))


def states(document: dict[str, Any], state: str) -> list[str]:
    return [key for key, one in document["work"].items() if one["state"] == state]
