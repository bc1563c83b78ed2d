"""Build a case's plan where it will run: ``python -m mostnet.bench.gpu.build CASES/NAME [--flavour tensorrt|rtx]``.

The steps of ``mostnet.export.builder``, but from a list of types in place of the onnx package, so that an environment
with TensorRT and numpy suffices.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from mostnet.contract import ExportError, InspectionError, Metadata, MostnetError, PlanInfo, sha256, write_bytes
from mostnet.engine.cuda.driver import gpu_architecture
from mostnet.export.plan_inspector import inspect_plan
from mostnet.export.plan_layers import match_convolutions
from mostnet.export.plan_report import report_json, summary

MODULES = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}


def build(trt: Any, folder: Path, *, target: str | None = None, timing_cache: Path | None = None) -> bytes:
    """The serialised plan of ``case.onnx``, for the GPU of this machine or for ``target`` (``sm_86``, RTX alone).

    Raises:
        ExportError: TensorRT refuses the graph, would sample it wrongly, or cannot build it.
    """
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    kinds = trt.NetworkDefinitionCreationFlag
    typed = hasattr(kinds, "STRONGLY_TYPED")
    network = builder.create_network(1 << int(kinds.STRONGLY_TYPED if typed else kinds.EXPLICIT_BATCH))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse((folder / "case.onnx").read_bytes()):
        errors = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise ExportError(f"{folder}: {trt.__name__} {trt.__version__} cannot parse the graph: {errors}")
    check_sampling(trt, network)
    config = builder.create_builder_config()
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if hasattr(trt, "ProfilingVerbosity"):
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # else ``inspect`` is told names alone
    if target is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, target.replace("sm_", "SM")), 0)
    if not typed:
        pin_types(trt, network, config, json.loads((folder / "types.json").read_text(encoding="utf-8")))
    cache = _load_cache(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ExportError(f"{folder}: {trt.__name__} {trt.__version__} could not build the plan; its log is above")
    if cache is not None and timing_cache is not None:
        write_bytes(timing_cache, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def check_sampling(trt: Any, network: Any) -> int:
    """Number of GridSample layers of a parsed network, all of them linear.

    Raises:
        ExportError: one is not: some versions silently sample the nearest pixel.
    """
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    samples = [layer for layer in layers if layer.type == trt.LayerType.GRID_SAMPLE]
    for layer in samples:
        layer.__class__ = trt.IGridSampleLayer  # how the bindings downcast a layer
        if layer.interpolation_mode != trt.InterpolationMode.LINEAR:
            raise ExportError(f"{layer.name} samples {layer.interpolation_mode}, not linear; export at opset 19 or 17")
    return len(samples)


def pin_types(trt: Any, network: Any, config: Any, types: dict[str, str]) -> None:
    """TensorRT 8.6: give every layer the types of its ONNX tensors."""
    if "HALF" not in types.values():
        return
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        wanted = [types.get(layer.get_output(i).name) for i in range(layer.num_outputs)]
        if any(wanted):
            layer.precision = getattr(trt.DataType, next(kind for kind in wanted if kind))
        for i, kind in enumerate(wanted):
            if kind:
                layer.set_output_type(i, getattr(trt.DataType, kind))


def is_built(folder: Path, flavour: str) -> bool:
    """Whether the plan of a whole network is there, described, and of ``flavour``; a warp's is built in no time."""
    path = folder / "case.plan.json"
    if not (folder / "case.plan").is_file() or not path.is_file():
        return False
    return PlanInfo.from_json(path.read_text(encoding="utf-8"), source=str(path)).flavour == flavour


def write_plan(trt: Any, folder: Path, flavour: str, plan: bytes, architecture: str) -> None:
    """Write ``case.plan``, and its description where the case is a whole network."""
    path = folder / "case.plan"
    write_bytes(path, plan)
    text = folder / "metadata.json"
    if not text.is_file():
        return
    metadata = Metadata.from_json(text.read_text(encoding="utf-8"), source=str(text))
    info = PlanInfo(
        **{**asdict(metadata), "states": metadata.states},
        plan_sha256=sha256(path),
        flavour=flavour,
        tensorrt_version=trt.__version__,
        targets=(architecture,),
    )
    write_bytes(folder / "case.plan.json", info.to_json().encode())


def inspect(trt: Any, folder: Path, plan: bytes, architecture: str) -> list[str]:
    """Write ``case.layers.json``; lines on the types that the plan's convolutions run in, or on why that is unknown.

    None of it where the case has no convolutions.
    """
    path = folder / "convolutions.json"
    if not path.is_file():
        return []
    try:
        layers = inspect_plan(trt, plan, targets=(architecture,))
    except InspectionError as error:
        return [f"what the convolutions run in was not looked at: {error}"]
    found = match_convolutions(layers, json.loads(path.read_text(encoding="utf-8")))
    tensorrt = f"{trt.__name__} {trt.__version__}"
    text = report_json(layers, found, plan_sha256=sha256(folder / "case.plan"), tensorrt=tensorrt)
    write_bytes(folder / "case.layers.json", text.encode())
    return summary(found)


def _load_cache(config: Any, path: Path | None) -> Any:
    """Measured tactics of earlier builds: sizes share many layers."""
    if path is None:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        raise ExportError(f"{path}: not a timing cache of this TensorRT and GPU; delete it")
    return cache


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mostnet.bench.gpu.build", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="CASES/NAME")
    parser.add_argument("--flavour", choices=MODULES, default="tensorrt", help="(default: %(default)s)")
    parser.add_argument("--target", metavar="sm_86", help="another GPU than this machine's; TensorRT for RTX alone")
    parser.add_argument("--again", action="store_true", help="build plans that are there once more")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    trt = importlib.import_module(MODULES[args.flavour])
    try:
        architecture = args.target or gpu_architecture()
        for folder in args.folders:
            if is_built(folder, args.flavour) and not args.again:
                continue
            begun_s = perf_counter()
            cache = None if args.flavour == "rtx" else folder.parent / "timing.cache"
            plan = build(trt, folder, target=args.target, timing_cache=cache)
            write_plan(trt, folder, args.flavour, plan, architecture)
            tool = f"{trt.__name__} {trt.__version__}"
            took_s = perf_counter() - begun_s
            print(f"{folder}: {len(plan) / 1e6:.1f} MB for {architecture} by {tool} in {took_s:.0f} s", flush=True)
            for line in inspect(trt, folder, plan, architecture):
                print(f"{folder}: {line}", flush=True)
    except (MostnetError, OSError) as error:
        print(f"gpu_build: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
