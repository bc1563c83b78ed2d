"""Checkpoint -> ONNX -> plan, verified, and only then put in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from mostnet.contract import (
    BackendNotInstalledError,
    ExportError,
    Metadata,
    NoGpuError,
    PlanMismatchError,
    VideoError,
    check_size,
    sha256,
    staging_folder,
)
from mostnet.engine import Engine
from mostnet.engine.cuda.driver import require_gpu
from mostnet.export.plan.flavour import Toolchain, find_toolchain
from mostnet.export.plan.request import PlanRequest
from mostnet.export.plan.writer import write_plan
from mostnet.export.triton.repository import ModelFiles, staged_repository
from mostnet.model import Checkpoint
from mostnet.model.table1 import AnyCheckpoint, load_either
from mostnet.model.threads import limit_torch_threads

from .evidence import require_chart
from .graph import graph_metadata, save_graph
from .options import ExportOptions
from .precision import Preparation, calibration_data
from .progress import say, show_step
from .publish import publish
from .verification import VerificationReport, read_frames, verify


@dataclass(frozen=True)
class ExportResult:
    """The files of one size that an export wrote.

    Attributes:
        onnx: path of the graph.
        plan: path of the plan, its description beside it as ``.json``; None with ``onnx_only``.
        metadata: description of the graph.
        request: what TensorRT must build from the graph.
        reports: one verification per backend that could run here; empty without ``verify_video``.
    """

    onnx: Path
    plan: Path | None
    metadata: Metadata
    request: PlanRequest
    reports: tuple[VerificationReport, ...]


def export(
    checkpoint: str | Path, options: ExportOptions | None = None, *, console: Console | None = None
) -> ExportResult:
    """Export a checkpoint to ``NAME.onnx``, ``NAME.plan`` and ``NAME.plan.json``, NAME being stem, size and precision.

    ``NAME.layers.json`` names the type in which each convolution of the plan runs; it is written if the plan fits the
    GPU of this machine. Nothing is put in place unless every step succeeds: a failed export leaves earlier files.

    Args:
        checkpoint: path of a ``.pt`` that ``mostnet.model.save_checkpoint`` wrote.
        options: what to export.
        console: shows progress; None shows none.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        BackendNotInstalledError, NoGpuError: no TensorRT to build with (raised before any work).
        CalibrationError, VideoError: the calibration data or the video of ``verify_video`` cannot be used; what their
            first frames show, before any work.
        ExportError: options that do not go together, or TensorRT failed.
        VerificationError: the exported graph breaks a bound.
    """
    options = options or ExportOptions()
    return export_sizes(checkpoint, options, [options.size_hw], console=console)[0]


def export_sizes(
    checkpoint: str | Path,
    options: ExportOptions,
    sizes: Sequence[tuple[int, int]],
    *,
    console: Console | None = None,
) -> tuple[ExportResult, ...]:
    """As ``export``, once for each of ``sizes`` (height and width in pixels) in place of ``options.size_hw``.

    A plan has one frame size. All files are put in place together: if one size fails, none is written.

    Raises:
        ExportError: ``sizes`` is empty. Every error of ``export`` is raised for the first size that fails.
    """
    if not sizes:
        raise ExportError("no frame size given; give at least one, such as 480x640")
    if len(set(sizes)) > 1 and options.calibration is not None and options.calibration.cache is not None:
        raise ExportError(
            "a range cache is for one frame size; export the sizes one by one, or leave --calib-cache out"
        )
    console = console or Console(quiet=True)
    path = Path(checkpoint)
    for size_hw in sizes:
        check_size(size_hw)
    limit_torch_threads()
    toolchain = _prepare(options)
    loaded = load_either(path)
    check_exportable(loaded, path, options)
    _check_calibration(options, sizes)
    with staging_folder(options.output) as folder:
        each = [replace(options, size_hw=size_hw) for size_hw in dict.fromkeys(sizes)]
        results = [_stage(path, loaded, one, toolchain, folder, console) for one in each]
        notes = _publish(folder, options, results)
    for result in results:
        plan = result.onnx.with_suffix(".plan")
        if toolchain is None and plan.exists():
            say(console, f"{plan} is from an earlier export and was not changed")
    for line in notes:
        say(console, line)
    return tuple(results)


def _publish(staged: Path, options: ExportOptions, results: Sequence[ExportResult]) -> list[str]:
    """Put the staged files in place, and with ``options.triton`` a model repository, both or none.

    Returns lines to print on the repository.
    """
    if options.triton is None:
        publish(staged, options.output)
        return []
    plans = [None if result.plan is None else staged / result.plan.name for result in results]
    models = [ModelFiles(staged / result.onnx.name, plan) for result, plan in zip(results, plans, strict=True)]
    with staged_repository(options.triton, models) as place:
        return place(lambda: publish(staged, options.output))


def check_exportable(checkpoint: AnyCheckpoint, path: Path, options: ExportOptions) -> None:
    """Refuse a network that was trained without a part of the method, and INT8 of a network of Table I.

    The graph of a network that lacks a part would still have it.

    Raises:
        ExportError: names the missing parts.
    """
    if not isinstance(checkpoint, Checkpoint):
        if options.precision == "int8" or options.range_report:
            raise ExportError(f"{path}: holds {checkpoint.name} of Table I, which is exported as --fp16 or --fp32 only")
        return
    trained = (checkpoint.training or {}).get("options", {})
    missing = [part for part in ("recurrence", "alignment") if trained.get(part) is False]
    missing += [task for task in ("enhance", "flow", "mask") if task not in trained.get("tasks", (task,))]
    if missing:
        raise ExportError(
            f"{path}: trained without {', '.join(missing)}, for comparison; an exported graph has the whole method, so "
            "its outputs would differ; export a checkpoint that was trained with the whole method"
        )


def _prepare(options: ExportOptions) -> Toolchain | None:
    """Refuse options that cannot succeed, before any work; find the TensorRT that builds the plan, if one is wanted."""
    options.check()
    if options.calibration is not None and options.calibration.accuracy_budget:
        require_chart()
    if options.verify_video is not None:
        from mostnet.video import VideoReader  # only a verification needs PyAV

        if options.verify_video.is_fifo():
            raise ExportError(f"{options.verify_video}: a pipe; the video is opened twice, so give a file")
        try:
            with VideoReader(options.verify_video):
                pass
        except VideoError as error:
            sequence = _first_sequence(options.verify_video)
            if sequence is None:
                raise
            raise ExportError(
                f"{options.verify_video}: no video; give one sequence of it, such as {sequence}"
            ) from error
    if options.onnx_only:
        return None
    toolchain = find_toolchain(options.flavour, options.targets)
    if options.timing_cache is not None and toolchain.flavour == "rtx":
        raise ExportError(
            "TensorRT for RTX measures no tactics when it builds: a timing cache is for --flavour tensorrt"
        )
    return toolchain


def _check_calibration(options: ExportOptions, sizes: Sequence[tuple[int, int]]) -> None:
    """Refuse calibration data that cannot be used, before a graph is made."""
    if options.calibration is not None:
        for size_hw in sizes:
            calibration_data(size_hw, options.calibration).check()


def _first_sequence(folder: Path) -> Path | None:
    """The frames of a sequence in a data set, preferably unseen ones, in a split, or in the folder of a sequence."""
    for pattern in ("val/*/input", "*/*/input", "*/input", "input"):
        found = min((path for path in folder.glob(pattern) if path.is_dir()), default=None)
        if found is not None:
            return found
    return None


def _stage(
    path: Path,
    loaded: AnyCheckpoint,
    options: ExportOptions,
    toolchain: Toolchain | None,
    folder: Path,
    console: Console,
) -> ExportResult:
    """Make and verify the files of one size in ``folder``; the result has the paths to which they will be moved."""
    name = f"{path.stem}-{options.size_hw[0]}x{options.size_hw[1]}-{options.precision}"
    staged = folder / f"{name}.onnx"
    graph, request = Preparation(loaded, sha256(path), options, staged, console).run()
    save_graph(graph, staged)
    metadata = graph_metadata(graph)
    if toolchain is not None:
        _build(toolchain, staged, request, options, console)
    reports = _verify(loaded, staged, metadata, options, console)
    for report in reports:
        if report.failures:
            console.print(report.table())
        report.check()
    plan = None if toolchain is None else options.output / f"{name}.plan"
    return ExportResult(options.output / staged.name, plan, metadata, request, reports)


def _build(toolchain: Toolchain, graph: Path, request: PlanRequest, options: ExportOptions, console: Console) -> None:
    """Build the plan of a staged graph beside it."""
    with show_step(console, f"{toolchain.name} plan") as step:
        lines = write_plan(
            toolchain,
            graph,
            request,
            timing_cache=options.timing_cache,
            progress=lambda phase, done, total, _: step.update(done, total, phase=phase),
        )
    for line in lines:
        say(console, f"{graph.stem}.plan: {line}")
    layers = graph.with_suffix(".layers.json")
    if not layers.exists() and (options.output / layers.name).exists():
        say(console, f"{layers.name} is from an earlier plan and was not changed")


def _verify(
    checkpoint: AnyCheckpoint, staged: Path, metadata: Metadata, options: ExportOptions, console: Console
) -> tuple[VerificationReport, ...]:
    """Verify the staged graph and plan on every backend that can run here."""
    if options.verify_video is None:
        return ()
    reports = []
    for path in (staged, staged.with_suffix(".plan")):
        if not path.exists():
            continue
        try:
            if path.suffix == ".plan":
                require_gpu()
            engine = Engine(path)
        except (NoGpuError, BackendNotInstalledError, PlanMismatchError) as error:
            if path.suffix == ".onnx":
                raise
            say(console, f"{path.name} was built and checked, but not run: {error}")
            continue
        with engine, show_step(console, f"verify {path.name}") as step:
            frames = read_frames(options.verify_video, size_hw=metadata.size_hw, limit=options.verify_frames)
            reports.append(
                verify(
                    checkpoint,
                    engine,
                    frames,
                    precision=metadata.precision,
                    name=path.name,
                    progress=lambda done: step.update(done, options.verify_frames),
                )
            )
    return tuple(reports)
