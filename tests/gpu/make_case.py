"""Graph, frames and float32 PyTorch reference for ``tests/gpu``: ``python -m tests.gpu.make_case DIR``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import onnx

from mostnet.export import ExportOptions, export
from mostnet.export.verify import reference_stream
from mostnet.model import initial_checkpoint, load_checkpoint, save_checkpoint
from mostnet.video import scene

#: What TensorRT 8.6 must be told of every tensor.
_TYPES = {onnx.TensorProto.FLOAT: "FLOAT", onnx.TensorProto.FLOAT16: "HALF"}


def tensor_types(graph: Path) -> dict[str, str]:
    """Type of each floating-point tensor of an ONNX file, by its name."""
    inferred = onnx.shape_inference.infer_shapes(onnx.load(graph)).graph
    return {
        value.name: _TYPES[value.type.tensor_type.elem_type]
        for value in (*inferred.value_info, *inferred.output)
        if value.type.tensor_type.elem_type in _TYPES
    }


def make_case(folder: Path, *, variant: str, size_hw: tuple[int, int], precision: str, opset: int, count: int) -> None:
    """Write ``case.onnx``, ``types.json``, ``frames.npy`` and ``reference.npz`` to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "case.pt"
    save_checkpoint(initial_checkpoint(variant, seed=1, random_head=True), checkpoint)
    made = export(
        checkpoint,
        ExportOptions(precision=precision, size_hw=size_hw, opset=opset, output=folder, onnx_only=True),
    )
    graph = made.onnx.replace(folder / "case.onnx")
    (folder / "types.json").write_text(json.dumps(tensor_types(graph)), encoding="utf-8")
    (folder / "metadata.json").write_text(made.metadata.to_json(), encoding="utf-8")
    frames = [cv2.resize(frame, size_hw[::-1], interpolation=cv2.INTER_AREA) for frame in scene.frames(count)]
    np.save(folder / "frames.npy", np.stack(frames))
    outputs = [output for _, output in reference_stream(load_checkpoint(checkpoint), frames)]
    np.savez_compressed(
        folder / "reference.npz",
        **{name: np.stack([getattr(output, name) for output in outputs]) for name in ("enhanced", "flow", "mask")},
    )


def main() -> None:
    """Parse and make."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--variant", default="nano")
    parser.add_argument("--size", default="480x640")
    parser.add_argument("--precision", default="fp16", choices=("fp16", "fp32"))
    parser.add_argument("--opset", type=int, default=17, help="17 is for TensorRT 8.6 (default: 17)")
    parser.add_argument("--frames", type=int, default=100)
    args = parser.parse_args()
    height, width = (int(side) for side in args.size.split("x"))
    make_case(
        args.folder,
        variant=args.variant,
        size_hw=(height, width),
        precision=args.precision,
        opset=args.opset,
        count=args.frames,
    )


if __name__ == "__main__":
    main()
