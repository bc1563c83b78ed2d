"""The goals of the runtime on a GPU, and whether a report meets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .agenda import COMPILED, PLAN_PARTS, REAL_PARTS
from .rows import Document, find_row

MET, MISSED, NOT_MEASURED = "met", "missed", "not measured"

#: Verdict on every figure of a rehearsal.
REHEARSED = "rehearsed"

Record = Mapping[str, Any]


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
        _every(cases, "stream within 5 % of the bare enqueue loop, every case", stream_share, 95.0, 1, " %"),
        _every(
            cases,
            "infer under 100 us of host time beyond copies and compute, every case",
            overhead_us,
            100.0,
            -1,
            " us",
        ),
        _every(cases, "camera at 60 FPS: p99.9 under 2x p50", paced_ratio, 2.0, -1, "x"),
        _every(cases, "no growth of Python memory over a streamed run (blocks)", soak_blocks, 100.0, -1, " blocks"),
    ]
    return [_rehearsed(result) for result in results] if document.get("rehearsal") else results


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
    ratios = [ratio(record, method) for method in COMPILED]
    return min((r for r in ratios if r is not None), default=None)


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
    pairs = _pairs(record, "stream", "enqueue", "fps_rounds")
    return float(np.median([100 * a / b for a, b in pairs])) if pairs else None


def overhead_us(record: Record) -> float | None:
    """Median latency of ``infer`` minus the bare call's with copies: compared round by round, then the median."""
    pairs = _pairs(record, "infer", "enqueue+copies", "p50_rounds")
    return float(np.median([1e3 * (a - b) for a, b in pairs])) if pairs else None


def paced_ratio(record: Record) -> float | None:
    """p99.9 over p50 of the latency at 60 FPS through ``stream``; a short run has no p99.9."""
    run = next((one for one in record.get("paced", []) if (one["fps"], one["how"]) == (60.0, "stream")), None)
    return None if run is None or run["p999_ms"] is None else float(run["p999_ms"] / run["p50_ms"])


def soak_blocks(record: Record) -> float | None:
    """Python memory blocks that are still allocated after a streamed run."""
    blocks = record.get("soak", {}).get("python_blocks")
    return None if blocks is None else float(blocks)


def _pairs(record: Record, ours: str, bare: str, key: str) -> list[tuple[float, float]]:
    """A figure of both methods in each round that both have."""
    part = runtime_part(record, ours, bare)
    rows = [find_row(record, part, method) for method in (ours, bare)] if part else []
    return list(zip(*(row[key] for row in rows if row is not None), strict=False))


def _compiled(name: str, main: Record) -> GoalResult:
    goal = f"{name}: at least 1.3x torch.compile FP16 with CUDA graphs, the faster of the two ways"
    target = _least(goal, best_compile_ratio(main), 1.3, "x")
    missing = [method for method in COMPILED if ratio(main, method) is None]
    if len(missing) != 1:
        return target
    return replace(target, found=f"{target.found} ({missing[0]} not measured)")


def _accuracy(goal: str, cases: Mapping[str, Record]) -> GoalResult:
    checked = {
        f"{name} on {part}": found for name, record in cases.items() for part, found in record["accuracy"].items()
    }
    if not checked:
        return GoalResult(goal, "-", NOT_MEASURED)
    broken = [f"{name}: {len(one['broken_frames'])} frames" for name, one in checked.items() if one["broken_frames"]]
    parts = ", ".join(dict.fromkeys(part for record in cases.values() for part in record["accuracy"]))
    frames = sum(one["frames"] for one in checked.values())
    found = f"beyond them: {'; '.join(broken)}" if broken else f"{frames} frames on {parts}"
    return GoalResult(goal, found, MISSED if broken else MET)


def _least(
    goal: str, found: float | None, bound: float, unit: str, peaks: Mapping[str, Any] | None = None
) -> GoalResult:
    if found is None:
        return GoalResult(goal, "-", NOT_MEASURED)
    source = "" if not peaks or peaks.get("source") == "measured" else f" (peaks: {peaks.get('source')})"
    return GoalResult(goal, f"{found:.4g}{unit}{source}", MET if found >= bound else MISSED)


def _every(
    cases: Mapping[str, Record],
    goal: str,
    measure: Callable[[Record], float | None],
    bound: float,
    sign: int,
    unit: str,
) -> GoalResult:
    """A goal for all cases; the worst decides. ``sign`` is 1 if more is better, -1 if less is."""
    found = {name: value for name, record in cases.items() if (value := measure(record)) is not None}
    if not found:
        return GoalResult(goal, "-", NOT_MEASURED)
    name = min(found, key=lambda key: sign * found[key])
    met = sign * found[name] >= sign * bound
    standin = "" if any(map(real_part, cases.values())) else ", on the stand-in for TensorRT"
    return GoalResult(goal, f"{found[name]:.4g}{unit} at worst ({name}{standin})", MET if met else MISSED)


def _rehearsed(result: GoalResult) -> GoalResult:
    return result if result.verdict == NOT_MEASURED else replace(result, verdict=REHEARSED)


def _fps(record: Record, part: str, method: str) -> float | None:
    row = find_row(record, part, method)
    return None if row is None else float(row["fps"])


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
