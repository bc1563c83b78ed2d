"""The measured table: JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mostnet.training.evaluation.figures import cell, markdown

from .quality import Quality
from .rows import COMBINATION, Cost, published
from .speed import ONNX, PLAN, PYTORCH, Speed

_COLUMNS = (
    "method",
    "PSNR dB",
    "SSIM",
    "EPE px",
    "IoU",
    "P (M)",
    "GFLOP",
    *(f"FPS, {w}" for w in (PYTORCH, ONNX, PLAN)),
)
_RATIOS = ("method", "source", *(f"here, {way}" for way in (PYTORCH, ONNX, PLAN)))


@dataclass(frozen=True)
class TableRow:
    """One row.

    Attributes:
        name: of the row.
        quality: None if it was not measured.
        steps: optimiser steps of its training; None for the combination, or without training.
        cost: size and work; None for the row without a method.
        speed: by the way to run it.
    """

    name: str
    quality: Quality | None
    steps: int | None
    cost: Cost | None
    speed: Mapping[str, Speed]

    def fps(self, way: str) -> float | None:
        """Frames per second; None if the row does not run in this way."""
        return self.speed[way].fps if way in self.speed else None


@dataclass(frozen=True)
class MeasuredTable:
    """The whole table.

    Attributes:
        rows: in order.
        facts: what is needed to repeat it: command, machine, versions, data, budget, size.
        notes: sentences for people on how to read it.
    """

    rows: tuple[TableRow, ...]
    facts: Mapping[str, Any]
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """Every figure and every sample."""
        rows = [
            {
                **asdict(row),
                "published": asdict(published(row.name)),
                "fps": {way: s.fps for way, s in row.speed.items()},
            }
            for row in self.rows
        ]
        document = {"format": "mostnet-table1", "facts": dict(self.facts), "notes": self.notes, "rows": rows}
        return json.dumps(document, indent=1)

    def to_csv(self) -> str:
        """The table as it is shown, with the minutes and steps of the training."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((*_COLUMNS, "minutes of training", "steps"))
        minutes = self.facts.get("budget", {}).get("minutes", "")
        for row in self.rows:
            trained = ("", "") if row.steps is None else (minutes, row.steps)
            writer.writerow((*_cells(row), *trained))
        return text.getvalue()

    def to_markdown(self) -> str:
        """The table, what the source publishes, the ratios of speed, and the notes."""
        figures = ("psnr_db", "ssim", "epe_px", "iou", "parameters_m", "fps")
        digits = (2, 3, 2, 3, 1, 1)
        source = [
            [row.name, *(cell(getattr(published(row.name), name), n) for name, n in zip(figures, digits, strict=True))]
            for row in self.rows
            if any(value is not None for value in asdict(published(row.name)).values())
        ]
        parts = [
            "Measured:",
            markdown(_COLUMNS, [_cells(row) for row in self.rows]),
            "Published by the source, for Vident-real on a GPU that it does not name:",
            markdown(("method", "PSNR dB", "SSIM", "EPE px", "IoU", "P (M)", "FPS"), source),
            f"Speed over that of the {COMBINATION} in PyTorch:",
            markdown(_RATIOS, self._ratios()),
            "\n".join(f"- {note}" for note in self.notes),
        ]
        return "\n".join(f"{part.rstrip()}\n" for part in parts)

    def _ratios(self) -> list[list[str]]:
        base = next((row.fps(PYTORCH) for row in self.rows if row.name == COMBINATION), None)
        source = published(COMBINATION).fps
        assert source is not None
        rows = []
        for row in self.rows:
            theirs = published(row.name).fps
            ours = [row.fps(way) for way in (PYTORCH, ONNX, PLAN)]
            if base is not None and any(ours):
                cells = [cell(None if fps is None else fps / base, 2) for fps in ours]
                rows.append([row.name, cell(None if theirs is None else theirs / source, 2), *cells])
        return rows


def _cells(row: TableRow) -> list[str]:
    quality, cost = row.quality or Quality(), row.cost
    return [
        row.name,
        cell(quality.psnr_db, 2),
        cell(quality.ssim, 3),
        cell(quality.epe_px, 2),
        cell(quality.iou, 3),
        cell(None if cost is None else cost.parameters_m, 2),
        cell(None if cost is None else cost.gflop, 1),
        *(cell(row.fps(way), 2) for way in (PYTORCH, ONNX, PLAN)),
    ]
