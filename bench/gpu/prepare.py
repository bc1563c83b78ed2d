"""Make graphs, frames and float32 PyTorch references for a GPU machine: ``python -m mostnet.bench.gpu.prepare CASES``.

This needs PyTorch and onnx, but no TensorRT. A GPU makes it faster. The weights are the shipped ones, or made from a
seed, so that no large file must be copied to the machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mostnet.contract import OUTPUTS, input_spec, output_specs, sha256, staging_folder, write_text
from mostnet.contract.stopping import end_with_parent
from mostnet.contract.terminal import CommandParser, command
from mostnet.export.accuracy import Activity
from mostnet.export.options import SUPPORTED_OPSETS, ExportOptions

from .cases import ALL_CASES, COMBINATION, FACTS, GRAPH, REQUEST, Case, is_prepared, parse_cases, read_facts

if TYPE_CHECKING:
    from .content import Content


def prepare(
    root: Path,
    case: Case,
    *,
    opset: int,
    count: int | None = None,
    device: str = "cpu",
    combination: Path | None = None,
) -> Path:
    """Write the folder of ``case`` under ``root``, whole or not at all. An earlier one is replaced.

    Args:
        combination: trained checkpoint for a case of the combination; None makes one from a seed.

    Raises:
        BackendNotInstalledError: a library that the combination is made of is not installed.
        ExportError: the graph cannot be exported.
        MeasurementError: the reference proves little.
    """
    folder = root / case.name
    with staging_folder(root) as temporary:
        staged = temporary / case.name
        staged.mkdir()
        _write(staged, case, opset, count, device, combination)
        if folder.exists():
            shutil.rmtree(folder)
        staged.rename(folder)
    return folder


def _write(folder: Path, case: Case, opset: int, count: int | None, device: str, combination: Path | None) -> None:
    import onnx  # --help does without it and torch
    import torch

    from mostnet.export import export
    from mostnet.model.cost import module_flops
    from mostnet.model.table1 import load_either

    from .content import make_content

    checkpoint = folder / "case.pt"
    content = make_content(case, checkpoint, case.reference_frames if count is None else count, combination=combination)
    np.save(folder / "frames.npy", np.stack(content.frames))
    activity = _write_reference(folder, case, content, device)
    made = export(
        checkpoint,
        ExportOptions(precision=case.precision, size_hw=case.size_hw, opset=opset, output=folder, onnx_only=True),
    )
    model = onnx.load(made.onnx.replace(folder / GRAPH))
    (folder / REQUEST).write_text(made.request.to_json(), encoding="utf-8")
    weights = sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer)
    states = sum(pair.output.nbytes for pair in made.metadata.states)
    pictures = sum(spec.nbytes for spec in (input_spec(case.size_hw), *output_specs(case.size_hw)))
    facts = {
        "flops": module_flops(load_either(checkpoint).model.to("meta"), case.size_hw),
        "weight_bytes": weights,
        "least_bytes": weights + 2 * states + pictures,  # weights and state read once, state and pictures written once
        "opset": opset,
        "weights": content.weights,
        "checkpoint_sha256": sha256(checkpoint),
        "scene": content.scene,
        "frames": len(content.frames),
        "reference": f"PyTorch {torch.__version__} float32 on {device}, TF32 off",
        "activity": asdict(activity),
    }
    write_text(folder / FACTS, json.dumps(facts, indent=1))


def _write_reference(folder: Path, case: Case, content: Content, device: str) -> Activity:
    from mostnet.model.table1 import load_either, network_stream

    from .content import require_activity

    stream = network_stream(load_either(folder / "case.pt").model, device=device)
    outputs = [stream.infer(frame) for frame in content.frames]
    arrays: dict[str, Any] = {name: np.stack([getattr(output, name) for output in outputs]) for name in OUTPUTS}
    np.savez(folder / "reference.npz", **arrays)
    return require_activity(case, content.frames, outputs, weights=content.weights)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m mostnet.bench.gpu.prepare", description=__doc__)
    parser.add_argument("root", type=Path, metavar="CASES", help="folder for the folders of the cases")
    parser.add_argument(
        "--only", type=parse_cases, default=ALL_CASES, metavar="dw-480x640,...", help="cases to make (default: all)"
    )
    parser.add_argument(
        "--opset",
        type=int,
        default=17,
        choices=SUPPORTED_OPSETS,
        help="ONNX opset; every TensorRT reads 17 (default: %(default)s)",
    )
    parser.add_argument("--frames", type=int, metavar="N", help="frames of the reference (default: 200 at 480x640)")
    parser.add_argument(
        "--combination",
        type=Path,
        metavar="CKPT.pt",
        help="weights for a case of the combination, such as combination-480x640 (default: seeded, untrained)",
    )
    parser.add_argument("--again", action="store_true", help="make complete cases again")
    parser.add_argument("--no-warps", action="store_true", help="leave out the graphs of one warp for tests/gpu")
    return parser


def _is_of_others(folder: Path, case: Case, combination: Path | None) -> bool:
    """Whether a prepared case of the combination has other weights than those that are given now."""
    given = combination is not None and case.variant == COMBINATION
    return given and read_facts(folder)["checkpoint_sha256"] != sha256(cast(Path, combination))


@command("mostnet.bench.gpu.prepare", extra="export")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.combination is not None and all(case.variant != COMBINATION for case in args.only):
        parser.error("--combination is for a case of it: --only combination-480x640")
    import torch  # --help does without it

    from .warp import prepare_warps

    end_with_parent()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if not args.no_warps:
        prepare_warps(args.root, opset=args.opset)
    for case in args.only:
        folder = args.root / case.name
        if not args.again and is_prepared(folder) and not _is_of_others(folder, case, args.combination):
            print(f"{folder}: kept, with {read_facts(folder)['frames']} frames; --again makes it again", flush=True)
            continue
        folder = prepare(
            args.root, case, opset=args.opset, count=args.frames, device=device, combination=args.combination
        )
        print(f"{folder}: opset {args.opset}, reference on {device}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
