"""The reasons why convolutions of an INT8 graph stay float."""

from __future__ import annotations

from pathlib import Path

import onnx

from mostnet.calibration import convolutions
from mostnet.calibration.quantise import EXACT_PIXELS, SINGLE_CELL
from mostnet.export.graph import float32_islands
from mostnet.export.left_float import BY_HAND, ISLAND, PUT_BACK, by_reason, left_float, reason_lines
from mostnet.model import load_checkpoint

STEM, HEAD = "network.extractor.stem.0", "network.branches.0.head"


def test_each_convolution_has_its_reason(half: onnx.ModelProto, checkpoint_path: Path) -> None:
    islands = float32_islands(load_checkpoint(checkpoint_path))
    reasons = left_float(half, islands=islands, by_hand=[STEM], put_back=[HEAD])
    assert by_reason(reasons) == {
        EXACT_PIXELS: ["read", "network.extractor.shrink", "network.branches.0.upsample"],
        SINGLE_CELL: [
            "network.branches.2.fuse.squeeze",
            "network.branches.2.fuse.excite",
            "network.colour.weigh",
            "network.colour.decide",
            "network.branches.1.fuse.squeeze",
            "network.branches.1.fuse.excite",
            "network.branches.0.fuse.squeeze",
            "network.branches.0.fuse.excite",
        ],
        ISLAND: ["network.branches.1.gradient_step"],
        BY_HAND: [STEM],
        PUT_BACK: [HEAD],
    }
    fixed = reasons.keys() - {STEM, HEAD}
    every = {node.name.rpartition("/")[0] for node in half.graph.node if node.op_type == "Conv"}
    assert fixed | convolutions(half).keys() == every


def test_a_line_for_each_reason_with_the_first_names() -> None:
    reasons = {f"network.a.{i}": "too fast" for i in range(8)} | {"read": "exact"}
    first, second = reason_lines(reasons, all_in="x.json")
    assert first == "  8 float: too fast: a.0, a.1, a.2, a.3, a.4, a.5 and 2 more, in x.json"
    assert second == "  1 float: exact: read"
