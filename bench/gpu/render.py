"""A GPU report as Markdown and as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from .rows import Document, find_row
from .targets import best_compile_ratio, evaluate, floor_ms, overhead_us, ratio, roofline_share, stream_share

#: Bars of the plot, top to bottom: part and method of the row, label, colour.
_BARS = (
    ("tensorrt", "stream", "stream", "#1f4e8c"),
    ("tensorrt", "enqueue", "bare enqueue", "#9db8d9"),
    ("ort", "stream", "ONNX Runtime stream", "#2a9d4a"),
    ("torch", "compile-cuda-graph", "torch.compile + graph", "#d1791e"),
    ("torch", "compile-reduce-overhead", "torch.compile reduce-overhead", "#e9b072"),
    ("torch", "eager-fp16", "eager FP16", "#b3202a"),
    ("torch", "eager-tf32", "eager FP32, TF32", "#d98a90"),
    ("torch", "eager-fp32", "eager FP32", "#6b6b6b"),
)


def markdown(document: Document) -> str:
    """Machine, goals, and a table per case."""
    machine = document.get("machine", {})
    lines = [
        f"# GPU report: {machine.get('name', 'no GPU seen')}",
        "",
        f"{document['created_utc']}, driver {machine.get('driver', '-')}. Weights are seeded and untrained, frames "
        "synthetic. Methods of one case run in turn, round by round, in one session.",
        "",
        *(f"- {part}: {_versions(found)}" for part, found in document.get("versions", {}).items()),
        f"- peaks: {_peaks(document.get('peaks', {}))}",
        "",
        "| goal | found | verdict |",
        "|---|---|---|",
        *(f"| {target.goal} | {target.found} | **{target.verdict}** |" for target in evaluate(document)),
        "",
    ]
    for name, record in document["cases"].items():
        lines += _case(name, record, document.get("peaks", {}))
    lines += [
        "FPS include the copies for `stream` and `infer`, but not for PyTorch and the bare enqueue loop. Latencies are "
        "of one frame, copied in and out. VRAM is the memory that opening the method added; methods that share an "
        "engine show it at the first of them.",
        "",
    ]
    return "\n".join(lines)


def draw(document: Document) -> bytes | None:
    """PNG of the throughput of every case; None if nothing has been measured."""
    from matplotlib.figure import Figure  # without pyplot: no window system, no state kept between calls

    cases = {name: record for name, record in document["cases"].items() if _bars(record)}
    if not cases:
        return None
    figure = Figure(figsize=(10, 1.2 + 1.9 * len(cases)), layout="constrained")
    machine = document.get("machine", {}).get("name", "no GPU seen")
    figure.suptitle(f"Throughput on {machine}, frames per second", fontsize=12)
    grid = figure.subplots(len(cases), 1, squeeze=False)
    for axes, (name, record) in zip(grid[:, 0], cases.items(), strict=True):
        bars = _bars(record)
        values = [fps for _, fps, _ in bars]
        drawn = axes.barh([label for label, _, _ in bars], values, color=[colour for _, _, colour in bars])
        axes.bar_label(drawn, labels=[f"{value:.4g}" for value in values], padding=3, fontsize=8)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.tick_params(labelsize=8)
        axes.set_title(name, fontsize=9, loc="left")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return png.getvalue()


def _bars(record: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    found = ((find_row(record, part, method), label, colour) for part, method, label, colour in _BARS)
    return [(label, float(row["fps"]), colour) for row, label, colour in found if row is not None]


def _case(name: str, record: Mapping[str, Any], peaks: Mapping[str, Any]) -> list[str]:
    facts = record.get("facts", {})
    lines = [f"## {name}", ""]
    if facts:
        floor = floor_ms(record, peaks)
        roof = "" if floor is None else f"; roofline {floor:.3f} ms"
        lines += [f"{facts['flops'] / 1e9:.1f} GFLOP, at least {facts['least_bytes'] / 1e6:.1f} MB a frame{roof}."]
    lines += [_accuracy(record.get("accuracy")), _derived(record, peaks), ""]
    lines += [f"- {note}" for note in record.get("notes", [])] + ([""] if record.get("notes") else [])
    if not record.get("rows"):
        return [*lines, "Nothing measured.", ""]
    lines += ["| method | FPS | p50 ms | p99 ms | GPU ms | VRAM MiB | rounds |", "|---|---|---|---|---|---|---|"]
    lines += [_row(row) for row in record["rows"]]
    return [*lines, ""]


def _row(row: Mapping[str, Any]) -> str:
    if row["fps"] is None:
        return f"| {row['part']}: {row['method']} | {row['error'] or 'not measured'} | | | | | 0 |"
    cells = (_number(row[key]) for key in ("fps", "p50_ms", "p99_ms", "gpu_ms", "vram_mib"))
    failed = f" (then failed: {row['error']})" if row["error"] else ""
    return f"| {row['part']}: {row['method']}{failed} | {' | '.join(cells)} | {row['rounds']} |"


def _accuracy(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "Accuracy: not checked."
    psnr = "infinite" if found["psnr_db"] is None else f"{found['psnr_db']:.2f} dB"
    return (
        f"Accuracy, worst of {found['frames']} frames: PSNR {psnr}, EPE {_number(found['epe_px'])} px, IoU "
        f"{found['iou']:.4f}; {len(found['broken_frames'])} frames beyond the bounds."
    )


def _derived(record: Mapping[str, Any], peaks: Mapping[str, Any]) -> str:
    share = roofline_share(record, peaks)
    figures = (
        ("`stream` over bare enqueue", stream_share(record), " %"),
        ("`infer` beyond copies and compute", overhead_us(record), " us"),
        ("share of the roofline", None if share is None else 100 * share, " %"),
        ("over eager FP32", ratio(record, "eager-fp32"), "x"),
        ("over eager FP32 with TF32", ratio(record, "eager-tf32"), "x"),
        ("over torch.compile FP16", best_compile_ratio(record), "x"),
    )
    known = [f"{label} {value:.4g}{unit}" for label, value, unit in figures if value is not None]
    return "; ".join(known) + "." if known else ""


def _peaks(peaks: Mapping[str, Any]) -> str:
    if not peaks:
        return "not measured"
    tflops, copies = _number(peaks.get("matmul_tflop_s")), _number(peaks.get("memcpy_gb_s"))
    return f"{tflops} TFLOP/s in FP16 matrix products, {copies} GB/s copying ({peaks.get('source', '-')})"


def _versions(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
