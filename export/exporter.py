"""Checkpoint -> ONNX -> plan, verified, and only then put in place."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType

import onnx
from rich.console import Console

from mostnet.contract import (
    ONNX_KEY,
    BackendNotInstalledError,
    ExportError,
    InspectionError,
    Metadata,
    NoGpuError,
    PlanInfo,
    PlanMismatchError,
    check_size,
    sha256,
)
from mostnet.engine import Engine
from mostnet.engine.cuda.driver import gpu_architecture, require_gpu
from mostnet.model import Checkpoint, load_checkpoint

from .builder import BuildOptions, build_plan
from .flavour import choose_flavour, load_tensorrt, resolve_targets
from .graph import float32_islands, save_graph
from .inspection import asked_types
from .options import ExportOptions
from .plan_inspector import inspect_plan
from .plan_layers import match_convolutions
from .plan_report import report_json, summary
from .precision import Preparation, Prepared, check_precision
from .progress import show_step
from .publish import publish
from .verify import Report, read_frames, verify


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote.

    Attributes:
        onnx: path of the graph.
        plan: path of the plan, its description beside it as ``.json``; None with ``onnx_only``.
        metadata: description of the graph.
        reports: one verification per backend that could run here; empty without ``verify_video``.
    """

    onnx: Path
    plan: Path | None
    metadata: Metadata
    reports: tuple[Report, ...]


def export(
    checkpoint: str | Path, options: ExportOptions | None = None, *, console: Console | None = None
) -> ExportResult:
    """Export a checkpoint to ``NAME.onnx``, ``NAME.plan`` and ``NAME.plan.json``, NAME being stem, size and precision.

    Where a GPU is that the plan fits, ``NAME.layers.json`` says in which type each of its convolutions runs.
    Nothing is put in place unless every step succeeded: a failed export leaves the files that were there.

    Args:
        checkpoint: path of a ``.pt`` that ``mostnet.model.save_checkpoint`` wrote.
        options: what to export.
        console: where progress is shown; None shows none.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        BackendNotInstalledError, NoGpuError: no TensorRT to build with (raised before any work).
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

    A plan is of one size. All files are put in place together: where one size fails, nothing of any is written.

    Raises:
        ExportError: no size; and whatever ``export`` raises, for the first size that fails.
    """
    if not sizes:
        raise ExportError("no size named; name at least one, as 480x640")
    if len(set(sizes)) > 1 and options.calibration is not None and options.calibration.cache is not None:
        raise ExportError("a range cache is of one frame size; export the sizes one by one, or leave --calib-cache out")
    console = console or Console(quiet=True)
    path = Path(checkpoint)
    each = [replace(options, size_hw=size_hw) for size_hw in dict.fromkeys(sizes)]
    builders = [_prepare(one) for one in each]
    builder = builders[0]
    loaded = load_checkpoint(path)
    check_whole(loaded, path)
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mostnet-export-", dir=options.output) as folder:
        results = [_stage(path, loaded, one, builder, Path(folder), console) for one in each]
        publish(Path(folder), options.output)
    for result in results:
        plan = result.onnx.with_suffix(".plan")
        if builder is None and plan.exists():
            console.print(f"{plan} is of an earlier export and was left as it is", soft_wrap=True)
    return tuple(results)


def _stage(
    path: Path, loaded: Checkpoint, options: ExportOptions, builder: _Builder | None, folder: Path, console: Console
) -> ExportResult:
    """Make and verify the files of one size in ``folder``; the result names them where they will be."""
    name = f"{path.stem}-{options.size_hw[0]}x{options.size_hw[1]}-{options.precision}"
    staged = folder / f"{name}.onnx"
    prepared = Preparation(
        checkpoint=loaded,
        checkpoint_sha256=sha256(path),
        size_hw=options.size_hw,
        precision=options.precision,
        opset=options.opset,
        calibration=options.calibration,
        range_report=options.range_report,
        staged=staged,
        console=console,
    ).run()
    save_graph(prepared.graph, staged)
    metadata = Metadata.from_json(_property(prepared.graph, ONNX_KEY), source=name)
    if builder is not None:
        plan_file = staged.with_suffix(".plan")
        _write_plan(builder, prepared, metadata, loaded, plan_file, options, console)
        _inspect(builder, prepared, plan_file, options, console)
    reports = _verify(loaded, staged, metadata, options, console)
    for report in reports:
        if report.failures:
            console.print(report.table())
        report.check()
    plan = None if builder is None else options.output / f"{name}.plan"
    return ExportResult(options.output / staged.name, plan, metadata, reports)


@dataclass(frozen=True)
class _Builder:
    trt: ModuleType
    flavour: str
    targets: tuple[str, ...]


def _prepare(options: ExportOptions) -> _Builder | None:
    """Refuse what cannot succeed before any work is done; find the TensorRT to build with."""
    check_size(options.size_hw)
    check_precision(options.precision, options.calibration, range_report=options.range_report)
    if options.verify_video is not None:
        from mostnet.video import VideoReader  # an export that verifies on no video needs no PyAV

        with VideoReader(options.verify_video):
            pass
    if options.onnx_only:
        if options.targets or options.timing_cache:
            raise ExportError("targets and a timing cache are for a plan; leave them out with onnx_only")
        return None
    flavour = choose_flavour(options.flavour)
    if options.timing_cache is not None and flavour == "rtx":
        raise ExportError(
            "TensorRT for RTX measures no tactics when it builds: a timing cache is for --flavour tensorrt"
        )
    trt = load_tensorrt(flavour)
    return _Builder(trt, flavour, resolve_targets(trt, flavour, options.targets))


def check_whole(checkpoint: Checkpoint, path: Path) -> None:
    """Return unless the network was trained without a part of the method, which the graph would have all the same.

    Raises:
        ExportError: it was; says without which.
    """
    options = (checkpoint.training or {}).get("options", {})
    missing = [part for part in ("recurrence", "alignment") if options.get(part) is False]
    missing += [task for task in ("enhance", "flow", "mask") if task not in options.get("tasks", (task,))]
    if missing:
        raise ExportError(
            f"{path}: trained without {', '.join(missing)}, for comparison; an exported graph has the whole method, so "
            "its outputs would be others; export a checkpoint that was trained with all of it"
        )


def _property(graph: onnx.ModelProto, key: str) -> str:
    return str(next(p.value for p in graph.metadata_props if p.key == key))


def _write_plan(
    builder: _Builder,
    prepared: Prepared,
    metadata: Metadata,
    checkpoint: Checkpoint,
    path: Path,
    options: ExportOptions,
    console: Console,
) -> None:
    title = f"{builder.trt.__name__} {builder.trt.__version__} plan"
    with show_step(console, title) as step:
        plan = build_plan(
            builder.trt,
            prepared.graph,
            BuildOptions(
                targets=builder.targets,
                precision=prepared.floats,
                islands=float32_islands(checkpoint),
                kept=prepared.kept,
                int8=prepared.int8,
                timing_cache=options.timing_cache,
                progress=lambda phase, done, total, _: step.update(done, total, phase=phase),
            ),
        )
    path.write_bytes(plan)
    values = {field: getattr(metadata, field) for field in asdict(metadata)}
    info = PlanInfo(
        **{**values, "tools": {**metadata.tools, builder.trt.__name__: builder.trt.__version__}},
        plan_sha256=sha256(path),
        flavour=builder.flavour,
        tensorrt_version=builder.trt.__version__,
        targets=builder.targets or (gpu_architecture(),),
    )
    path.with_name(f"{path.name}.json").write_text(info.to_json(), encoding="utf-8")


def _inspect(builder: _Builder, prepared: Prepared, plan: Path, options: ExportOptions, console: Console) -> None:
    """Say in which type each convolution of the plan runs, and write that beside it; or say why that is not known."""
    beside = plan.with_suffix(".layers.json")
    try:
        layers = inspect_plan(builder.trt, plan.read_bytes(), targets=builder.targets)
    except InspectionError as error:
        console.print(
            f"{plan.name}: what its convolutions run in was not looked at: {error}", soft_wrap=True, markup=False
        )
        if (options.output / beside.name).exists():
            console.print(f"{beside.name} is of an earlier plan and was left as it is", soft_wrap=True)
        return
    asked = asked_types(prepared.graph, floats=prepared.floats, int8=prepared.int8, kept=prepared.kept)
    found = match_convolutions(layers, asked)
    for line in summary(found):
        console.print(f"{plan.name}: {line}", soft_wrap=True, markup=False)
    tensorrt = f"{builder.trt.__name__} {builder.trt.__version__}"
    text = report_json(layers, found, plan_sha256=sha256(plan), tensorrt=tensorrt)
    beside.write_text(text, encoding="utf-8")


def _verify(
    checkpoint: Checkpoint, staged: Path, metadata: Metadata, options: ExportOptions, console: Console
) -> tuple[Report, ...]:
    """Verify what was staged on every backend that can run here."""
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
            console.print(f"{path.name} was built and checked, but not run: {error}", soft_wrap=True)
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
