"""A report as tables for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from .paced import ENGINE_ONLY, PUBLISHED_DELAYS
from .report import (
    BUDGET_MS,
    CAMERA_FPS,
    OVERHEAD_TARGET_MS,
    BenchReport,
    Comparison,
    Memory,
    Overhead,
    PacedPart,
    PrecisionTimings,
)
from .timings import P999_FRAMES, Timings

#: INT8 counts as no faster if it takes at least this share of another precision's time; the rest may be noise.
_NO_FASTER = 0.97


def print_report(report: BenchReport, console: Console) -> None:
    """Print a table of latencies, then the other figures line by line."""
    console.print(_latencies(report))
    facts = Table.grid(padding=(0, 2))
    for name, text in _facts(report):
        facts.add_row(name, text)
    console.print(facts)
    if report.paced is not None:
        console.print()
        spoiled = {"back to back", *(run.name for run in report.paced.runs)} & set(report.disturbed)
        print_paced(report.paced, console, spoiled=bool(spoiled))


def print_paced(paced: PacedPart, console: Console, *, spoiled: bool = False) -> None:
    """Print the runs of a paced camera as a table, with notes on how to read it.

    ``spoiled`` is true if other processes disturbed them, as printed before.
    """
    console.print(_paces(paced))
    notes = Table.grid(padding=(0, 2))
    if spoiled:
        notes.add_row("DISTURBED", "see above: repeat on a quiet machine")
    for name, text in _paced_notes(paced):
        notes.add_row(name, text)
    console.print(notes)


def _latencies(report: BenchReport) -> Table:
    table = Table(title=f"{report.engine.file} on {report.engine.provider}, ms", title_justify="left")
    table.add_column("")
    for column in ("p50", "p90", "p99", "max", "mean"):
        table.add_column(column, justify="right")
    _add(table, "infer", report.latency)
    _add(table, "stream, between results", report.stream.intervals, end_section=True)
    _add(table, "in turn: infer", report.overhead.engine)
    _add(table, "in turn: bare backend call", report.overhead.raw, end_section=True)
    if report.comparison is not None:
        _add(table, "in blocks: infer", report.comparison.engine)
        _add(table, "in blocks: PyTorch eager, FP32", report.comparison.pytorch, end_section=True)
        for other in report.comparison.precisions:
            _add(table, f"in blocks: {other.precision.upper()}, {other.megabytes:.1f} MB", other.timings)
    return table


def _add(table: Table, name: str, timings: Timings, *, end_section: bool = False) -> None:
    values = (timings.p50_ms, timings.p90_ms, timings.p99_ms, timings.max_ms, timings.mean_ms)
    table.add_row(name, *(f"{value:.3f}" for value in values), end_section=end_section)


def _paces(paced: PacedPart) -> Table:
    title = f"Paced camera: ms from a frame's arrival to its result, {paced.runs[0].arrived} frames each"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for column in ("p50", "p90", "p99", "p99.9", "max", "late", "held", "slower", "CPU ms"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_row("back to back", *_percentiles(paced.back_to_back))
    for run in paced.runs:
        figures = (f"{run.late_share:.1%}", f"{run.held}", f"{paced.slowdown(run):.2f}x", f"{run.cpu_ms:.1f}")
        table.add_row(run.name, *_percentiles(run.latency), *figures)
    return table


def _percentiles(timings: Timings) -> tuple[str, ...]:
    values = (timings.p50_ms, timings.p90_ms, timings.p99_ms, timings.p999_ms, timings.max_ms)
    return tuple("-" if value is None else f"{value:.2f}" if value < 1000 else f"{value:.0f}" for value in values)


def _paced_notes(paced: PacedPart) -> list[tuple[str, str]]:
    """What the columns mean, what is missing, and published delays to compare with."""
    notes = [
        ("late", "no result one frame period after the arrival"),
        ("held", "frames that arrived before the engine was ready for them"),
        ("slower", "p50 divided by the p50 of infer back to back, without gaps between frames"),
        ("CPU ms", "CPU time of this process per frame, all threads but the simulated camera's"),
    ]
    if any(run.latency.p999_ms is None for run in paced.runs):
        notes.append(("p99.9", f"needs {P999_FRAMES:,} frames in a run: raise --minutes"))
    for run in paced.runs:
        if run.unserved:
            text = f"{run.name}: {run.unserved} frames still waited at the end. They are late, but in no percentile"
            notes.append(("TOO SLOW", text))
        if run.gpu_clock is not None:
            clock = run.gpu_clock
            text = f"{run.name}: median {clock.median_mhz:.0f} MHz, {clock.min_mhz:.0f} to {clock.max_mhz:.0f}"
            notes.append(("SM clock", text))
    notes += [("published", f"{text} ({source})") for text, source in PUBLISHED_DELAYS]
    return [*notes, ("note", ENGINE_ONLY)]


def _facts(report: BenchReport) -> list[tuple[str, str]]:
    metadata, split, machine = report.engine.metadata, report.split, report.machine
    height, width = metadata.size_hw
    yes_no = "yes" if report.real_time else "no"
    sign = "<=" if report.real_time else ">"
    facts = [
        ("real time", f"{yes_no}: p99 of infer {report.latency.p99_ms:.2f} ms {sign} {BUDGET_MS:g} ms"),
        ("stream", f"{report.stream.fps:.1f} FPS = {report.stream.factor:.2f} x {CAMERA_FPS:g} FPS"),
        (
            "split of infer",
            f"copy in {split.copy_in_ms:.3f}, compute {split.compute_ms:.3f}, copy out {split.copy_out_ms:.3f}, "
            f"host {split.host_ms:.3f} ms",
        ),
        ("overhead", _overhead(report.overhead)),
    ]
    if report.comparison is not None:
        spoiled = "DISTURBED, see below: " if "comparison" in report.disturbed else ""
        facts.append(("PyTorch", spoiled + _comparison(report.comparison)))
        if report.comparison.precisions:
            spoiled = "DISTURBED, see below: " if "precisions" in report.disturbed else ""
            facts.append(("precisions", spoiled + _precisions(report.comparison.precisions)))
    facts += [
        ("memory", _memory(report.memory)),
        (
            "engine",
            f"{metadata.variant}, {height}x{width}, {metadata.precision}, "
            f"{'trained' if metadata.trained else 'untrained'}",
        ),
        ("frames", f"{report.settings['frames']} of {report.settings['source']}, {report.settings['threads']} threads"),
        ("machine", f"{machine.cpu}, {machine.usable_cores} of {machine.cores} cores, {machine.system}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in report.versions.items())),
    ]
    if report.disturbed:
        taken = ", ".join(f"{report.other_cores[part]:.1f} cores in {part}" for part in report.disturbed)
        facts.append(("DISTURBED", f"other processes took {taken}: repeat on a quiet machine"))
    if machine.gpu is not None:
        facts.append(("GPU", machine.gpu))
    return facts


def _overhead(overhead: Overhead) -> str:
    low, high = overhead.beyond_copies_95_ms
    verdict = "met" if high <= OVERHEAD_TARGET_MS else "missed" if low > OVERHEAD_TARGET_MS else "undecided"
    return (
        f"{overhead.difference_ms:+.3f} ms over the bare call ({overhead.ratio:.3f} x), copies "
        f"{overhead.copy_in_ms + overhead.copy_out_ms:.3f} ms; beyond copies {overhead.beyond_copies_ms:+.3f} ms "
        f"[{low:+.3f}, {high:+.3f}], target {OVERHEAD_TARGET_MS:g}: {verdict}"
    )


def _comparison(found: Comparison) -> str:
    psnr = "equal" if found.psnr_db is None else f"{found.psnr_db:.1f} dB"
    text = (
        f"the engine is {found.speed_ratio:.2f} x as fast as eager FP32 on {found.device}, {found.threads} threads; "
        f"worst of {found.checked_frames} frames: PSNR {psnr}, EPE {found.epe_px:.4f} px, IoU {found.iou:.4f}"
    )
    return text + (f" (trivial: {'; '.join(found.trivial)})" if found.trivial else "")


def _precisions(found: tuple[PrecisionTimings, ...]) -> str:
    """Precisions from fast to slow, the types that plans run in, and a warning if INT8 gains no speed."""
    ranked = sorted(found, key=lambda one: one.timings.p50_ms)
    text = ", ".join(f"{one.precision.upper()} {one.timings.p50_ms:.2f} ms{_convolutions(one)}" for one in ranked)
    slow = [
        f"{other.precision.upper()} ({int8.timings.p50_ms / other.timings.p50_ms:.2f} x its time)"
        for int8 in ranked
        for other in ranked
        if int8.precision == "int8" != other.precision and int8.timings.p50_ms >= _NO_FASTER * other.timings.p50_ms
    ]
    return text + (f"; INT8 IS NO FASTER HERE than {' and '.join(slow)}" if slow else "")


def _convolutions(one: PrecisionTimings) -> str:
    if one.convolutions is None:
        return ""
    return f" ({', '.join(f'{count} {kind}' for kind, count in one.convolutions.items())} convolutions)"


def _memory(memory: Memory) -> str:
    parts = (
        ("before opening", memory.before_opening_mib),
        ("opened", memory.opened_mib),
        ("with the clip", memory.clip_loaded_mib),
        ("after the run", memory.after_run_mib),
        ("peak", memory.peak_mib),
    )
    return ", ".join(f"{name} {'?' if mib is None else f'{mib:.0f}'}" for name, mib in parts) + " MiB resident"
