"""The report's JSON: one record per case with one row per method, rewritten after every round."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mostnet.contract import MeasurementError, write_text

FORMAT_VERSION = 2
FILE = "gpu_report.json"

#: Nested as in the JSON: ``machine``, ``versions``, ``peaks``, and ``cases`` by name with their ``rows``.
Document = dict[str, Any]


class MethodRow:
    """One method on one case, with the results of its rounds so far."""

    def __init__(self, part: str, method: str, *, vram_mib: float | None = None, error: str | None = None) -> None:
        self.part = part
        self.method = method
        self.vram_mib = vram_mib
        self.error = error
        self.rounds: list[Mapping[str, Any]] = []

    def to_json(self) -> dict[str, Any]:
        """Medians over rounds, percentiles over all samples; None if not measured."""
        samples = [sample for one in self.rounds for sample in one.get("samples_ms", ())]
        p50, p99 = (float(p) for p in np.percentile(samples, (50, 99))) if samples else (None, None)
        return {
            "part": self.part,
            "method": self.method,
            "rounds": len(self.rounds),
            "fps": self._median("fps"),
            "fps_with_copies": self._median("fps_with_copies"),
            "p50_ms": p50,
            "p99_ms": p99,
            "samples": len(samples),
            "gpu_ms": self._median("gpu_ms"),
            "vram_mib": self.vram_mib,
            "fps_rounds": [one["fps"] for one in self.rounds],
            "p50_rounds": [float(np.median(one["samples_ms"])) for one in self.rounds if one.get("samples_ms")],
            "split_ms": next((one["split_ms"] for one in reversed(self.rounds) if "split_ms" in one), None),
            "error": self.error,
        }

    def _median(self, key: str) -> float | None:
        values = [one[key] for one in self.rounds if one.get(key) is not None]
        return float(np.median(values)) if values else None


def save(document: Document, path: Path) -> None:
    """Write the JSON, whole or not at all."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False))


def load(path: Path) -> Document:
    """Read what ``save`` wrote.

    Raises:
        MeasurementError: missing, not JSON, or of another format.
    """
    try:
        document: Document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MeasurementError(f"{path}: not a report ({error}); name the {FILE} of a report") from error
    if not isinstance(document, dict) or document.get("format_version") != FORMAT_VERSION:
        raise MeasurementError(f"{path}: not a report of format {FORMAT_VERSION}; measure again into another folder")
    return document


def has_results(document: Document) -> bool:
    """Whether anything was measured."""
    records = document["cases"].values()
    return bool(document["peaks"]) or any(
        record["accuracy"] or record["paced"] or record["soak"] or any(row["rounds"] for row in record["rows"])
        for record in records
    )


def find_row(record: Mapping[str, Any], part: str, method: str) -> dict[str, Any] | None:
    """The row of a method in a case's record, if it was measured."""
    rows: list[dict[str, Any]] = record.get("rows", [])
    return next((r for r in rows if (r["part"], r["method"]) == (part, method) and r["fps"] is not None), None)


def put_rows(rows: Iterable[MethodRow], record: dict[str, Any]) -> None:
    """Write ``rows`` into a case's record, in place of earlier ones of the same methods.

    Figures of an earlier row stay until the new one has some.
    """
    kept = {(row["part"], row["method"]): row for row in record["rows"]}
    for row in rows:
        key = row.part, row.method
        has_figures = row.rounds or not kept.get(key, {}).get("rounds")
        kept[key] = row.to_json() if has_figures else {**kept[key], "error": row.error}
    record["rows"] = list(kept.values())
