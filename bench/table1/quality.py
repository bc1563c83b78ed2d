"""The quality of every row on the test split, in the source's convention."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mostnet.contract import sha256, write_text
from mostnet.training import EvalOptions, evaluate
from mostnet.training.evaluation.report import read_report

#: The figures of the table, by their names in an evaluation.
FIGURES = ("psnr_db", "ssim_whole", "epe_px", "iou_frame_mean")


@dataclass(frozen=True)
class Quality:
    """Figures in the source's convention; None for what a network does not do."""

    psnr_db: float | None = None
    ssim: float | None = None
    epe_px: float | None = None
    iou: float | None = None


def measure_quality(
    row: str, checkpoint: Path, data: Path, folder: Path, options: EvalOptions, *, report: Callable[[str], None]
) -> dict[str, Any]:
    """Evaluate a checkpoint, or read the evaluation of the same checkpoint and frames; returns its document.

    Raises:
        DatasetError, CheckpointError: see ``mostnet.training.evaluate``.
    """
    asked = {"split": options.split, "sequences": options.max_sequences, "frames": options.frames}
    request = folder / row / "request.json"
    found = folder / row / "evaluation.json"
    wanted = json.dumps({**asked, "data": data.resolve().name, "sha256": sha256(checkpoint)})
    if found.is_file() and request.is_file() and request.read_text(encoding="utf-8") == wanted:
        report(f"{row}: evaluated before")
        return read_report(found)
    report(f"{row}: evaluating")
    evaluation = evaluate(checkpoint, data, options=options, command=f"mostnet.bench.table1 {row}")
    found.parent.mkdir(parents=True, exist_ok=True)
    evaluation.report.write(found.parent)
    write_text(request, wanted)
    return read_report(found)


def quality_of(document: dict[str, Any], row: str = "model") -> Quality:
    """The figures of a row of an evaluation's document."""
    return Quality(*(document["rows"][row][name] for name in FIGURES))
