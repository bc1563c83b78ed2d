"""A GPU report as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mostnet.bench.paced import ENGINE_ONLY, PUBLISHED_DELAYS

from .cases import PART_NAMES
from .rows import Document, find_row
from .targets import (
    best_compile_ratio,
    evaluate,
    floor_ms,
    overhead_us,
    ratio,
    roofline_share,
    stream_share,
    without_tensorrt,
)

_METHODS = {
    "enqueue": "bare enqueue",
    "enqueue+copies": "bare enqueue with copies",
    "eager-fp32": "eager FP32, TF32 off",
    "eager-tf32": "eager FP32, TF32 on",
    "eager-fp16": "eager FP16",
    "compile-cuda-graph": "compiled FP16, own CUDA graph",
    "compile-reduce-overhead": "compiled FP16, reduce-overhead",
}

#: Percentiles of a run at a camera's rate, and their names.
DELAYS = {"p50_ms": "p50", "p90_ms": "p90", "p99_ms": "p99", "p999_ms": "p99.9", "max_ms": "max"}

#: Work in these states is not listed as missing.
_FINISHED = ("done", "not needed")

_REHEARSAL = "Rehearsal on a simulated GPU: no figure on this page means anything."

#: Half precision does half the work of TF32 or less. If it takes this share of the time, something else is the limit.
_LAUNCH_BOUND = 0.9

#: Longest text from elsewhere, such as an error, in characters.
_MOST_CHARACTERS = 200


def markdown(document: Document) -> str:
    """Machine, goals, a table per case, and what was not measured."""
    cases, peaks = document["cases"], document.get("peaks", {})
    mark = " (rehearsal)" if document.get("rehearsal") else ""
    headline = _REHEARSAL if mark else without_tensorrt(document)
    lines = [
        f"# {title(document)}",
        "",
        *([f"**{headline}**", ""] if headline else []),
        f"{document['created_utc']}, {_machine(document.get('machine', {}))}. Frames are synthetic. The methods of one "
        "case run in turn, round by round, each round in another order. A compiled method runs after the others, in "
        "turn with more rounds of `stream`.",
        "",
        f"- {_setting(document)}",
        *(f"- {PART_NAMES[part]}: {_versions(found)}" for part, found in document.get("versions", {}).items()),
        *(
            f"- {PART_NAMES[part]}, left out: {_one_line(reason)}"
            for part, reason in document.get("left_out", {}).items()
        ),
        f"- peaks: {_peaks(peaks)}",
        *_steps(document.get("steps", {})),
        "",
        f"| goal{mark} | found | verdict |",
        "|---|---|---|",
        *(f"| {target.goal} | {_one_line(target.found)} | **{target.verdict}** |" for target in evaluate(document)),
        "",
    ]
    for name, record in cases.items():
        if record["rows"] or record["accuracy"]:
            lines += _case(name, mark, record, peaks)
    lines += _missing(document["work"])
    if any(record["paced"] for record in cases.values()):
        lines += _about_cameras()
    lines += [
        "FPS include the copies, except for PyTorch and the bare enqueue loop. A latency is the time of one frame, "
        "copied in and out. GPU ms is the time of one frame by events on the GPU, with the gaps between kernels. "
        "VRAM is the memory that the GPU had in use after the method opened and not before. A dash: it took no "
        "more, because it uses what a method above it has opened.",
        "",
    ]
    return "\n".join(lines)


def title(document: Document) -> str:
    """Heading of the report: the name of the GPU, or that it is a rehearsal."""
    if document.get("rehearsal"):
        return "GPU report, REHEARSAL without a GPU"
    known = [found["gpu"] for found in document.get("versions", {}).values() if "gpu" in found]
    return f"GPU report: {document.get('machine', {}).get('name') or (known or ['no GPU seen'])[0]}"


def method_name(part: str, method: str) -> str:
    """How a method is called in tables and plots."""
    return f"{PART_NAMES[part]}: {_METHODS.get(method, method)}"


def camera_name(run: Mapping[str, Any]) -> str:
    """How a run at a camera's rate is called."""
    return f"{run['fps']:g} FPS, {run['how']}"


def _case(name: str, mark: str, record: Mapping[str, Any], peaks: Mapping[str, Any]) -> list[str]:
    about = [
        _about(record, peaks),
        *_accuracy(record["accuracy"]),
        _derived(record, peaks),
        _launch_bound(record),
        _clocks(record["gpu"]),
    ]
    lines = [f"## {name}{mark}", "", *(f"- {text}" for text in about if text)]
    if record["rows"]:
        lines += [
            "",
            "| method | FPS | p50 ms | p99 ms | GPU ms | VRAM MiB | rounds |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [_row(row) for row in record["rows"]]
    if record["paced"]:
        heads = " | ".join(f"{label} ms" for label in DELAYS.values())
        lines += ["", f"| camera | {heads} | late | frames | GPU MHz |", "|---|---|---|---|---|---|---|---|---|"]
        lines += [_paced(run) for run in record["paced"]]
    return [*lines, ""]


def _about_cameras() -> list[str]:
    """How to read the tables of the camera, and delays to compare with."""
    return [
        "Camera: milliseconds from a frame's arrival to its result. A frame is late if that takes longer than a "
        "period. A run of fewer than 1,000 frames has no p99.9. GPU MHz: lowest, median and highest clock.",
        "",
        *(f"- Published: {text} ({source})." for text, source in PUBLISHED_DELAYS),
        f"- {ENGINE_ONLY}",
        "",
    ]


def _about(record: Mapping[str, Any], peaks: Mapping[str, Any]) -> str:
    """Size and weights of the network, if one runs."""
    if record["compute_ms"] is not None:
        return f"The runtime alone: the stand-in computes for at least {record['compute_ms']:g} ms and runs no network."
    facts = record["facts"]
    floor = floor_ms(record, peaks)
    roof = "" if floor is None else f"; roofline {floor:.3f} ms"
    weights = f"; {facts['weights']}" if "weights" in facts else ""
    return f"{facts['flops'] / 1e9:.1f} GFLOP, at least {facts['least_bytes'] / 1e6:.1f} MB a frame{roof}{weights}."


def _row(row: Mapping[str, Any]) -> str:
    label = method_name(row["part"], row["method"])
    if row["fps"] is None:
        return f"| {label} | {_one_line(row['error'] or 'not measured')} | | | | | 0 |"
    cells = [_number(row[key]) for key in ("fps", "p50_ms", "p99_ms", "gpu_ms")]
    vram_mib = row["vram_mib"] or 0.0
    cells.append(_number(vram_mib if vram_mib > 0 else None))  # reports before "steps" hold differences below 0
    failed = f" (then failed: {_one_line(row['error'])})" if row["error"] else ""
    return f"| {label}{failed} | {' | '.join(cells)} | {row['rounds']} |"


def _paced(run: Mapping[str, Any]) -> str:
    delays = " | ".join(_number(run[key]) for key in DELAYS)
    clock = "-" if run["clock_mhz"] is None else " / ".join(f"{value:.0f}" for value in run["clock_mhz"])
    label = f"{PART_NAMES[run['part']]}: {camera_name(run)}"
    return f"| {label} | {delays} | {100 * run['late_share']:.1f} % | {run['frames']} | {clock} |"


def _accuracy(checked: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    for part, found in checked.items():
        psnr = "infinite" if found["psnr_db"] is None else f"{found['psnr_db']:.2f} dB"
        lines.append(
            f"{PART_NAMES[part]}, worst of {found['frames']} frames: PSNR {psnr}, EPE {_number(found['epe_px'])} px, "
            f"IoU {found['iou']:.4f}; {len(found['broken_frames'])} frames beyond the bounds."
        )
    return lines


def _derived(record: Mapping[str, Any], peaks: Mapping[str, Any]) -> str:
    share = roofline_share(record, peaks)
    figures = (
        ("`stream` over bare enqueue", stream_share(record), " %"),
        ("`infer` beyond copies and compute", overhead_us(record), " us"),
        ("share of the roofline", None if share is None else 100 * share, " %"),
        ("over eager FP32, TF32 off", ratio(record, "eager-fp32"), "x"),
        ("over eager FP32, TF32 on", ratio(record, "eager-tf32"), "x"),
        ("over torch.compile FP16", best_compile_ratio(record), "x"),
    )
    known = [f"{label} {value:.4g}{unit}" for label, value, unit in figures if value is not None]
    return "; ".join(known) + "." if known else ""


def _launch_bound(record: Mapping[str, Any]) -> str:
    """How to read eager PyTorch where the host is slower than the GPU."""
    half, single = (find_row(record, "torch", method) for method in ("eager-fp16", "eager-tf32"))
    if (
        half is None
        or single is None
        or not half["gpu_ms"]
        or half["gpu_ms"] < _LAUNCH_BOUND * (single["gpu_ms"] or 0.0)
    ):
        return ""
    return (
        f"Eager PyTorch takes {half['gpu_ms']:.3g} ms in FP16 and {single['gpu_ms']:.3g} ms in FP32 with TF32 on: the "
        "host launches kernels more slowly than the GPU runs them. These figures, p99 included, tell of the host."
    )


def _clocks(states: list[Mapping[str, Any]]) -> str:
    """Clock and temperature of the GPU after the rounds."""
    ranges = []
    for key, unit in (("clock_mhz", "MHz"), ("temperature_c", "degrees Celsius")):
        values = [state[key] for state in states if state.get(key) is not None]
        if values:
            ranges.append(f"{min(values):.0f} to {max(values):.0f} {unit}")
    return f"GPU after each round: {', '.join(ranges)}." if ranges else ""


def _missing(work: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [(key, one["state"], one["note"]) for key, one in work.items() if one["state"] not in _FINISHED]
    if not rows:
        return []
    return [
        "## Not measured, or not completely",
        "",
        "| work | state | why |",
        "|---|---|---|",
        *(f"| {key} | {state} | {_one_line(note)} |" for key, state, note in rows),
        "",
    ]


def _machine(machine: Mapping[str, Any]) -> str:
    clock = machine.get("clock_mhz")
    return f"driver {machine.get('driver', '-')}{'' if clock is None else f', GPU at {clock:.0f} MHz before the run'}"


def _setting(document: Document) -> str:
    """What measured on which processor, in how much time."""
    machine, minutes = document.get("machine", {}), document.get("minutes")
    limit = "no time limit" if minutes is None else f"{minutes:g} min at most"
    cores = machine.get("cores", "-")
    return f"mostnet {document.get('mostnet', '-')}; CPU: {machine.get('cpu', '-')}, {cores} cores usable; {limit}"


def _peaks(peaks: Mapping[str, Any]) -> str:
    if not peaks:
        return "not measured"
    tflops, copies = _number(peaks.get("matmul_tflop_s")), _number(peaks.get("memcpy_gb_s"))
    return f"{tflops} TFLOP/s in FP16 matrix products, {copies} GB/s copying ({peaks.get('source', '-')})"


def _steps(steps: Mapping[str, Mapping[str, list[float]]]) -> list[str]:
    """Where the time of the report went, the longest first."""
    found = {kind: [took_s for each in subjects.values() for took_s in each] for kind, subjects in steps.items()}
    ordered = sorted(found.items(), key=lambda item: -sum(item[1]))
    texts = [f"{kind} {sum(each):.1f} s" + (f" ({len(each)} times)" if len(each) > 1 else "") for kind, each in ordered]
    return [f"- time: {', '.join(texts)}"] if texts else []


def _versions(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _one_line(text: str) -> str:
    """Text from elsewhere for a line or a cell of a table."""
    line = " ".join(text.split()).replace("|", "/")
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 3]}..."


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
