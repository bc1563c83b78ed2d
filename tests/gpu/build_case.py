"""Build the plan of a case where it will run: ``python -m tests.gpu.build_case DIR [--flavour tensorrt|rtx]``.

The same steps as ``mostnet.export.builder``, but from a list of types in place of the onnx package, so that a runtime
environment with TensorRT and numpy suffices.
"""

from __future__ import annotations

import argparse
import importlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mostnet.contract import Metadata, PlanInfo, sha256
from mostnet.engine.driver import gpu_architecture

MODULES = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}


def build(trt: Any, folder: Path) -> bytes:
    """The serialised plan of ``case.onnx``."""
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    kinds = trt.NetworkDefinitionCreationFlag
    typed = hasattr(kinds, "STRONGLY_TYPED")
    flag = kinds.STRONGLY_TYPED if typed else kinds.EXPLICIT_BATCH
    network = builder.create_network(1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse((folder / "case.onnx").read_bytes()):
        raise SystemExit("; ".join(str(parser.get_error(index)) for index in range(parser.num_errors)))
    config = builder.create_builder_config()
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if not typed:
        pin_types(trt, network, config, json.loads((folder / "types.json").read_text(encoding="utf-8")))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise SystemExit(f"{trt.__name__} {trt.__version__} could not build the plan; its log is above")
    return bytes(plan)


def pin_types(trt: Any, network: Any, config: Any, types: dict[str, str]) -> None:
    """TensorRT 8.6: give every layer the types of its ONNX tensors."""
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


def main() -> None:
    """Build, and describe the plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--flavour", choices=MODULES, default="tensorrt")
    args = parser.parse_args()
    trt = importlib.import_module(MODULES[args.flavour])
    plan = args.folder / "case.plan"
    plan.write_bytes(build(trt, args.folder))
    metadata = Metadata.from_json((args.folder / "metadata.json").read_text(encoding="utf-8"), source="metadata.json")
    info = PlanInfo(
        **{**asdict(metadata), "states": metadata.states},
        plan_sha256=sha256(plan),
        flavour=args.flavour,
        tensorrt_version=trt.__version__,
        targets=(gpu_architecture(),),
    )
    (args.folder / "case.plan.json").write_text(info.to_json(), encoding="utf-8")
    print(f"{plan}: {plan.stat().st_size / 1e6:.1f} MB, {trt.__name__} {trt.__version__}, {info.targets[0]}")


if __name__ == "__main__":
    main()
