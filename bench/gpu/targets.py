"""The goals of the runtime on a GPU, and whether a report meets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .agenda import COMPILED, PLAN_PARTS, REAL_PARTS
from .cases import PART_NAMES
from .rows import Document, find_row

MET, MISSED, NOT_MEASURED = "met", "missed", "not measured"

#: Verdict on every figure of a rehearsal.
REHEARSED = "rehearsed"

Record = Mapping[str, Any]

#: Said of a figure that is no TensorRT's.
_SOURCES = {"standin": ", on the stand-in for TensorRT", "ort": ", on ONNX Runtime"}


@dataclass(frozen=True)
class GoalResult:
    """One goal and the figure that was found, with the verdict ``met``, ``missed`` or ``not measured``."""

    goal: str
    found: str
    verdict: str


def evaluate(document: Document) -> list[GoalResult]:
    """Every goal, in the order of the report. A rehearsal meets and misses no goal."""
    cases: dict[str, Record] = document["cases"]
    peaks, roles = document.get("peaks", {}), document["roles"]
    name, check = roles["main"], roles["check"]
    main, large = cases.get(name, {}), cases.get(roles["large"], {})
    results = [
        _accuracy(
            f"{check}: every frame within the accuracy bounds", {key: cases[key] for key in cases if key == check}
        ),
        _accuracy("other cases: every frame within the accuracy bounds", {k: cases[k] for k in cases if k != check}),
        _least(f"{name}: stream at least 500 FPS (aim 1,000)", stream_fps(main), 500.0, " FPS"),
        _least(f"{roles['large']}: stream at least 250 FPS", stream_fps(large), 250.0, " FPS"),
        _least(f"{name}: at least 15 % of the roofline", _percent(roofline_share(main, peaks)), 15.0, " %", peaks),
        _least(f"{name}: at least 4.8x PyTorch eager FP32, TF32 on", ratio(main, "eager-tf32"), 4.8, "x"),
        _compiled(name, main),
        _every(cases, "stream within 5 % of the bare enqueue loop, every case", _STREAM, 95.0, 1, " %"),
        _every(
            cases, "infer under 100 us of host time beyond copies and compute, every case", _INFER, 100.0, -1, " us"
        ),
        _every(cases, "camera at 60 FPS: p99.9 under 2x p50", _PACED, 2.0, -1, "x"),
        _every(cases, "no growth of Python memory over a streamed run (blocks)", _SOAK, 100.0, -1, " blocks"),
    ]
    return [_rehearsed(result) for result in results] if document.get("rehearsal") else results


def without_tensorrt(document: Document) -> str:
    """What to know of a report to which no flavour of TensorRT gave results; empty for others."""
    records = document["cases"].values()
    parts = {part for record in records for part in record["accuracy"]}
    parts |= {row["part"] for record in records for row in record["rows"] if row["fps"] is not None}
    if parts & set(REAL_PARTS):
        return ""
    instead = " The stand-in for it ran PyTorch: its figures tell of the runtime alone." if "standin" in parts else ""
    return f"No TensorRT gave results.{instead} Nothing here proves anything of TensorRT."


def real_part(record: Record) -> str | None:
    """The flavour of TensorRT that streamed the case. The stand-in runs PyTorch, whose speed is no goal."""
    return next((part for part in REAL_PARTS if find_row(record, part, "stream")), None)


def runtime_part(record: Record, *methods: str) -> str | None:
    """TensorRT, or else the stand-in, if it has measured ``methods``: the runtime around both is the same."""
    return next((part for part in PLAN_PARTS if all(find_row(record, part, method) for method in methods)), None)


def stream_fps(record: Record) -> float | None:
    """Frames per second of ``stream`` with TensorRT."""
    part = real_part(record)
    return None if part is None else _fps(record, part, "stream")


def ratio(record: Record, torch_method: str) -> float | None:
    """Frames per second of ``stream``, with copies, divided by PyTorch's, without copies."""
    ours, theirs = stream_fps(record), _fps(record, "torch", torch_method)
    return None if ours is None or theirs is None else ours / theirs


def best_compile_ratio(record: Record) -> float | None:
    """The smallest ratio to the compiled methods that were measured."""
    ratios = [compile_ratio(record, method) for method in COMPILED]
    return min((r for r in ratios if r is not None), default=None)


def compile_ratio(record: Record, method: str) -> float | None:
    """As ``ratio``, but of the last rounds of both, which were measured in turn: the median over them."""
    ours, theirs = find_row(record, real_part(record) or "", "stream"), find_row(record, "torch", method)
    if ours is None or theirs is None:
        return None
    pairs = zip(reversed(ours["fps_rounds"]), reversed(theirs["fps_rounds"]), strict=False)
    return float(np.median([a / b for a, b in pairs]))


def floor_ms(record: Record, peaks: Mapping[str, Any]) -> float | None:
    """Time of one frame on the roofline: its FLOPs or its least bytes over the peaks, whichever is longer."""
    facts = record.get("facts", {})
    if not facts or "matmul_tflop_s" not in peaks or "memcpy_gb_s" not in peaks:
        return None
    return float(max(facts["flops"] / peaks["matmul_tflop_s"] / 1e9, facts["least_bytes"] / peaks["memcpy_gb_s"] / 1e6))


def roofline_share(record: Record, peaks: Mapping[str, Any]) -> float | None:
    """Time of one frame on the roofline over its time in ``stream``."""
    floor, fps = floor_ms(record, peaks), stream_fps(record)
    return None if floor is None or fps is None else floor * fps / 1e3


def stream_share(record: Record) -> float | None:
    """Throughput of ``stream`` in percent of the bare enqueue loop's: compared round by round, then the median."""
    shares = _stream_shares(record)
    return float(np.median(shares)) if shares else None


def overhead_us(record: Record) -> float | None:
    """Median latency of ``infer`` minus the bare call's with copies: compared round by round, then the median."""
    rounds_us = _overheads_us(record)
    return float(np.median(rounds_us)) if rounds_us else None


def paced_ratio(record: Record) -> float | None:
    """p99.9 over p50 of the latency at 60 FPS through ``stream``; a short run has no p99.9."""
    run = _paced_run(record)
    return None if not run or run["p999_ms"] is None else float(run["p999_ms"] / run["p50_ms"])


def soak_blocks(record: Record) -> float | None:
    """Python memory blocks that are still allocated after a streamed run."""
    blocks = record.get("soak", {}).get("python_blocks")
    return None if blocks is None else float(blocks)


def _paced_run(record: Record) -> Record:
    """The run at 60 FPS through ``stream``; empty if it was not measured."""
    runs: list[Record] = record.get("paced", [])
    return next((one for one in runs if (one["fps"], one["how"]) == (60.0, "stream")), {})


def _stream_shares(record: Record) -> list[float]:
    return [100 * a / b for a, b in _pairs(record, "stream", "enqueue", "fps_rounds")]


def _overheads_us(record: Record) -> list[float]:
    return [1e3 * (a - b) for a, b in _pairs(record, "infer", "enqueue+copies", "p50_rounds")]


def _pairs(record: Record, ours: str, bare: str, key: str) -> list[tuple[float, float]]:
    """A figure of both methods in each round that both have."""
    part = runtime_part(record, ours, bare)
    rows = [find_row(record, part, method) for method in (ours, bare)] if part else []
    return list(zip(*(row[key] for row in rows if row is not None), strict=False))


def _compiled(name: str, main: Record) -> GoalResult:
    goal = f"{name}: at least 1.3x torch.compile FP16 with CUDA graphs, the faster of the two ways"
    target = _least(goal, best_compile_ratio(main), 1.3, "x")
    missing = [method for method in COMPILED if compile_ratio(main, method) is None]
    if len(missing) != 1:
        return target
    return replace(target, found=f"{target.found} ({missing[0]} not measured)")


def _accuracy(goal: str, cases: Mapping[str, Record]) -> GoalResult:
    """The stand-in hands over what PyTorch computed. It can miss the goal, but it cannot meet it."""
    checked = [(name, part, found) for name, record in cases.items() for part, found in record["accuracy"].items()]
    if not checked:
        return GoalResult(goal, "-", NOT_MEASURED)
    broken = [
        f"{name} on {PART_NAMES[part]}: {len(found['broken_frames'])} frames"
        for name, part, found in checked
        if found["broken_frames"]
    ]
    if broken:
        return GoalResult(goal, f"beyond them: {'; '.join(broken)}", MISSED)
    proven = [(name, part, found) for name, part, found in checked if part != "standin"]
    alone = sorted({name for name, _, _ in checked} - {name for name, _, _ in proven})
    handed_over = f"stand-in only: the runtime's hand-over is right ({', '.join(alone)})"
    if not proven:
        return GoalResult(goal, handed_over, NOT_MEASURED)
    parts = ", ".join(dict.fromkeys(PART_NAMES[part] for _, part, _ in proven))
    frames = sum(found["frames"] for _, _, found in proven)
    return GoalResult(goal, f"{frames} frames on {parts}{f'; {handed_over}' if alone else ''}", MET)


def _least(
    goal: str, found: float | None, bound: float, unit: str, peaks: Mapping[str, Any] | None = None
) -> GoalResult:
    if found is None:
        return GoalResult(goal, "-", NOT_MEASURED)
    source = "" if not peaks or peaks.get("source") == "measured" else f" (peaks: {peaks.get('source')})"
    return GoalResult(goal, f"{found:.4g}{unit}{source}", MET if found >= bound else MISSED)


@dataclass(frozen=True)
class _Figure:
    """A figure of a case, the part that it was measured on, or None if it was not, and the figure of each round."""

    value: Callable[[Record], float | None]
    part: Callable[[Record], str | None]
    rounds: Callable[[Record], list[float]] = lambda record: []


_STREAM = _Figure(stream_share, lambda record: runtime_part(record, "stream", "enqueue"), _stream_shares)
_INFER = _Figure(overhead_us, lambda record: runtime_part(record, "infer", "enqueue+copies"), _overheads_us)
_PACED = _Figure(paced_ratio, lambda record: _paced_run(record).get("part"))
_SOAK = _Figure(soak_blocks, lambda record: record.get("soak", {}).get("part"))


def _every(cases: Mapping[str, Record], goal: str, figure: _Figure, bound: float, sign: int, unit: str) -> GoalResult:
    """A goal for all cases; the worst decides. ``sign`` is 1 if more is better, -1 if less is."""
    found = {name: value for name, record in cases.items() if (value := figure.value(record)) is not None}
    if not found:
        return GoalResult(goal, "-", NOT_MEASURED)
    name = min(found, key=lambda key: sign * found[key])
    met = sign * found[name] >= sign * bound
    source = _SOURCES.get(figure.part(cases[name]) or "", "")
    about = f"{name}{source}{_spread(figure.rounds(cases[name]))}"
    return GoalResult(goal, f"{found[name]:.4g}{unit} at worst ({about})", MET if met else MISSED)


def _spread(rounds: list[float]) -> str:
    """The range of the rounds, which tells how far a median near its bound can be trusted."""
    least, most = (f"{end(rounds, default=0.0):.4g}" for end in (min, max))
    return "" if least == most else f"; rounds {least} to {most}"


def _rehearsed(result: GoalResult) -> GoalResult:
    return result if result.verdict == NOT_MEASURED else replace(result, verdict=REHEARSED)


def _fps(record: Record, part: str, method: str) -> float | None:
    row = find_row(record, part, method)
    return None if row is None else float(row["fps"])


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
