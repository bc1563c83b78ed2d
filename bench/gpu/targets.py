"""The goals of the runtime on a GPU, and whether a report meets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .rows import Document, find_row

MET, MISSED, NOT_MEASURED = "met", "missed", "not measured"

#: The case of the absolute goals.
MAIN_CASE = "dw-480x640-fp16"

#: The two ways to get CUDA graphs out of ``torch.compile``.
COMPILED = ("compile-reduce-overhead", "compile-cuda-graph")

Record = Mapping[str, Any]


@dataclass(frozen=True)
class GoalResult:
    """One goal and the figure that was found, with the verdict ``met``, ``missed`` or ``not measured``."""

    goal: str
    found: str
    verdict: str


def evaluate(document: Document) -> list[GoalResult]:
    """Every goal, in the order of the report."""
    cases: dict[str, Record] = document["cases"]
    main = cases.get(MAIN_CASE, {})
    peaks = document.get("peaks", {})
    return [
        _accuracy(cases),
        _least("dw FP16 480x640: stream at least 500 FPS (aim 1,000)", _fps(main, "tensorrt", "stream"), 500.0, " FPS"),
        _least(
            "dw FP16 480x640: at least 15 % of the roofline", _percent(roofline_share(main, peaks)), 15.0, " %", peaks
        ),
        _least("dw FP16 480x640: at least 4.8x PyTorch eager FP32 with TF32", ratio(main, "eager-tf32"), 4.8, "x"),
        _compiled(main),
        _every(cases, "stream within 5 % of the bare enqueue loop, every case", stream_share, 95.0, 1, " %"),
        _every(cases, "infer under 100 us beyond copies and compute, every case", overhead_us, 100.0, -1, " us"),
        _every(cases, "no growth of Python memory over a streamed run (blocks)", soak_blocks, 100.0, -1, " blocks"),
    ]


def ratio(record: Record, torch_method: str) -> float | None:
    """Frames per second of ``stream``, with copies, divided by PyTorch's, without copies."""
    ours, theirs = _fps(record, "tensorrt", "stream"), _fps(record, "torch", torch_method)
    return None if ours is None or theirs is None else ours / theirs


def best_compile_ratio(record: Record) -> float | None:
    """The smallest ratio to those compiled methods that were measured."""
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
    floor, fps = floor_ms(record, peaks), _fps(record, "tensorrt", "stream")
    return None if floor is None or fps is None else floor * fps / 1e3


def stream_share(record: Record) -> float | None:
    """Throughput of ``stream`` in percent of the bare enqueue loop's: compared round by round, then the median."""
    stream, bare = find_row(record, "tensorrt", "stream"), find_row(record, "tensorrt", "enqueue")
    if stream is None or bare is None:
        return None
    return float(np.median([100 * a / b for a, b in zip(stream["fps_rounds"], bare["fps_rounds"], strict=False)]))


def overhead_us(record: Record) -> float | None:
    """Median latency of ``infer`` minus the bare call's with copies: compared round by round, then the median."""
    infer, bare = find_row(record, "tensorrt", "infer"), find_row(record, "tensorrt", "enqueue+copies")
    if infer is None or bare is None:
        return None
    return float(np.median([1e3 * (a - b) for a, b in zip(infer["p50_rounds"], bare["p50_rounds"], strict=False)]))


def soak_blocks(record: Record) -> float | None:
    """Python memory blocks that are still allocated after a streamed run."""
    blocks = record.get("soak", {}).get("python_blocks")
    return None if blocks is None else float(blocks)


def _compiled(main: Record) -> GoalResult:
    goal = "dw FP16 480x640: at least 1.3x torch.compile FP16 with CUDA graphs, the faster of the two ways"
    target = _least(goal, best_compile_ratio(main), 1.3, "x")
    missing = [method for method in COMPILED if ratio(main, method) is None]
    if len(missing) != 1:
        return target
    return replace(target, found=f"{target.found} ({missing[0]} not measured)")


def _accuracy(cases: Mapping[str, Record]) -> GoalResult:
    goal = "every frame within the accuracy bounds of its precision, every case"
    checked = {name: record["accuracy"] for name, record in cases.items() if record.get("accuracy")}
    if not checked:
        return GoalResult(goal, "-", NOT_MEASURED)
    wrong = {name: len(record["broken_frames"]) for name, record in checked.items() if record["broken_frames"]}
    broken = [f"{name}: {count} frames" for name, count in wrong.items()]
    found = "; ".join(broken) or f"{sum(one['frames'] for one in checked.values())} frames of {len(checked)} cases"
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
    return GoalResult(goal, f"{found[name]:.4g}{unit} at worst ({name})", MET if met else MISSED)


def _fps(record: Record, part: str, method: str) -> float | None:
    row = find_row(record, part, method)
    return None if row is None else float(row["fps"])


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
