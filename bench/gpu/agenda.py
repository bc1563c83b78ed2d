"""What a report measures, ordered by worth across its cases."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from mostnet.contract import MeasurementError

from .cases import ALL_CASES, PART_NAMES, PARTS, Case
from .workers.serve import LEAST_FRAMES

#: Parts that run ``mostnet.Engine``, the best first.
REAL_PARTS = ("tensorrt", "rtx")
PLAN_PARTS = (*REAL_PARTS, "standin")
ENGINE_PARTS = (*PLAN_PARTS, "ort")

#: The two ways to get CUDA graphs out of ``torch.compile``. The second is measured after everything of more worth.
COMPILED = ("compile-cuda-graph", "compile-reduce-overhead")

_PLAN_METHODS = ("stream", "infer", "enqueue", "enqueue+copies")

#: Methods of each part that are measured in turn, in order of worth.
METHODS = {
    **dict.fromkeys(PLAN_PARTS, _PLAN_METHODS),
    "torch": ("eager-fp32", "eager-tf32", "eager-fp16", COMPILED[0]),
    "ort": ("stream", "infer"),
}

#: Computing times of the stand-in in milliseconds, so short that the runtime's own time shows.
COMPUTE_MS = (0.3, 0.6, 1.0)

#: Rates of the paced camera in frames per second, and the way in which frames are handed in.
PACED = ((60.0, "stream"), (30.0, "stream"), (25.0, "stream"), (60.0, "infer"))


#: Kinds of work.
KINDS = ("check", "time", "peaks", "paced", "soak")


@dataclass(frozen=True)
class Roles:
    """Cases of particular worth.

    Attributes:
        check: checked for correctness before everything else.
        main: the case of most goals.
        large: the second case to be timed.
    """

    check: Case
    main: Case
    large: Case


MEASURED = Roles(check=Case("nano", (480, 640)), main=Case("dw", (480, 640)), large=Case("dw", (800, 800)))

#: Cases that a CPU can run in seconds. A rehearsal runs only the main one, unless ``only`` has the large one too.
REHEARSED = Roles(check=Case("nano", (64, 112)), main=Case("nano", (64, 112)), large=Case("nano", (80, 80)))


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What to measure, where, and for how long.

    Attributes:
        out: folder for JSON, Markdown, plot and log.
        cases: folder of the prepared cases.
        only: the cases to measure. Cases without a role keep this order.
        kinds: the kinds of work to do.
        roles: the cases of particular worth.
        pythons: interpreter of each usable part.
        spare_standin: use the stand-in only if no TensorRT works.
        rehearse: measure on the miniature GPU and the CPU.
        opset: ONNX opset of new graphs.
        reference_frames: frames of the reference of new cases; None for the usual number.
        rounds: number of rounds of each method.
        frames: largest number of frames of a round.
        seconds: largest duration of a round.
        paced_seconds: duration of a run with the paced camera.
        soak_frames: frames of the run that watches the memory.
        resume: keep the work that an earlier run has done.
        minutes: time limit of the report, to be named in it; None without one.
    """

    out: Path
    cases: Path
    only: tuple[Case, ...] = ALL_CASES
    kinds: tuple[str, ...] = KINDS
    roles: Roles = MEASURED
    pythons: dict[str, str] = field(default_factory=lambda: dict.fromkeys(PARTS, sys.executable))
    spare_standin: bool = True
    rehearse: bool = False
    opset: int = 17
    reference_frames: int | None = None
    rounds: int = 5
    frames: int = 300
    seconds: float = 1.0
    paced_seconds: float = 20.0
    soak_frames: int = 2000
    resume: bool = False
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.frames < LEAST_FRAMES or not self.seconds > 0 or not self.paced_seconds > 0:
            raise MeasurementError(
                f"rounds {self.rounds}, frames {self.frames}, seconds {self.seconds}, paced seconds "
                f"{self.paced_seconds}: expected at least 1 round, {LEAST_FRAMES} frames, and more than 0 seconds"
            )
        if unknown := self.pythons.keys() - set(PARTS):
            raise MeasurementError(f"unknown parts {sorted(unknown)}; expected some of {', '.join(PARTS)}")


@dataclass(frozen=True)
class WorkItem:
    """One piece of work on one case, which is done or skipped as a whole.

    Attributes:
        kind: one of ``KINDS``.
        part: the part to check.
        methods: parts and methods to time.
        fps, how: rate of the camera, and ``stream`` or ``infer``.
    """

    kind: str
    case: Case
    part: str = ""
    methods: tuple[tuple[str, str], ...] = ()
    fps: float = 0.0
    how: str = ""

    @property
    def key(self) -> str:
        """Unique within a report, and readable. It names the parts: the same method of another part is other work."""
        parts = "+".join(dict.fromkeys(part for part, _ in self.methods))
        method = self.methods[0][1] if len(self.methods) == 1 else ""
        paced = f"{self.how} at {self.fps:g} FPS" if self.fps else ""
        words = (self.kind, self.case.name, self.part, parts, method, paced)
        return " ".join(word for word in words if word).replace("standin", PART_NAMES["standin"])


def agenda(options: ReportOptions) -> list[WorkItem]:
    """All work of a report, the most valuable first."""
    parts, roles = options.pythons.keys(), options.roles
    methods = [(part, method) for part in METHODS if part in parts for method in METHODS[part]]
    timed = tuple(pair for pair in methods if not (options.rehearse and pair[1] in COMPILED))
    main = roles.main if roles.main in options.only else options.only[0]

    def check(case: Case) -> list[WorkItem]:
        return [WorkItem("check", case, part) for part in ENGINE_PARTS if part in parts]

    def check_and_time(case: Case) -> list[WorkItem]:
        return [*check(case), WorkItem("time", case, methods=timed)]

    def compiled(case: Case) -> list[WorkItem]:
        no_graphs = options.rehearse or "torch" not in parts
        return [] if no_graphs else [WorkItem("time", case, methods=(("torch", COMPILED[1]),))]

    first = roles.check if roles.check in options.only else main
    items = check(first)
    items += [*check_and_time(main), WorkItem("peaks", main)]
    if "standin" in parts:
        items += [_computing(first, compute_ms) for compute_ms in COMPUTE_MS]
    if roles.large in options.only:
        items += check_and_time(roles.large)
    items += [WorkItem("paced", main, fps=fps, how=how) for fps, how in PACED]
    items += [WorkItem("soak", main), *compiled(main)]
    items += [item for case in options.only for item in check_and_time(case)]
    items += [item for case in options.only for item in compiled(case)]
    return [item for item in dict.fromkeys(items) if item.kind in options.kinds]


def _computing(case: Case, compute_ms: float) -> WorkItem:
    """The runtime alone, on a stand-in that computes for a known time."""
    methods = tuple(("standin", method) for method in METHODS["standin"])
    return WorkItem("time", replace(case, compute_ms=compute_ms), methods=methods)
