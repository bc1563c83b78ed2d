"""The files of an evaluation: one JSON document, and CSV files of the sequences, the frames and the warm-up."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mostnet.contract import MostnetError, write_text

from .evaluate import Evaluation
from .rows import ROW_FIGURES, RowScores
from .scores import FrameScore
from .shade import JUST_ACCEPTED_DE00, JUST_SEEN_DE00
from .streams import ModelInfo

FORMAT = "mostnet-evaluation"
FORMAT_VERSION = 2


@dataclass(frozen=True)
class DataInfo:
    """The data of an evaluation.

    Attributes:
        name: name of the dataset's folder.
        split: ``train``, ``val`` or ``test``.
        descriptions: ``dataset.json`` (seeds and options of generated data) of each split that has one, by split. The
            entries show that the splits have different seeds.
        found: what the split holds and lacks, a line each.
    """

    name: str
    split: str
    descriptions: Mapping[str, Any]
    found: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvalReport:
    """One evaluation, and the facts needed to repeat it.

    Attributes:
        command: the command line.
        created_utc: ISO 8601.
        versions: version of each package that was used, by name.
        convention: the way to count that is shown, of ``figures.CONVENTIONS``. The JSON holds the figures of all.
        named: the model as the caller named it, a path or a shipped checkpoint.
    """

    command: str
    created_utc: str
    model: ModelInfo
    data: DataInfo
    versions: Mapping[str, str]
    evaluation: Evaluation
    convention: str = "ours"
    named: str = ""

    @property
    def row_name(self) -> str:
        """The name of the model in printed tables: ``nano``, or ``run/model.pt (nano)``, which tells files apart."""
        variant, name = self.model.variant, "/".join(Path(self.named).parts[-2:])
        return variant if name in ("", variant) else f"{name} ({variant})"

    @property
    def figures(self) -> dict[str, dict[str, float | None]]:
        """The figures of each row by name; None for a figure without a label, or not of its row."""
        return _figures(self.evaluation.rows)

    def to_json(self) -> str:
        """The report as a JSON object; a figure without a label, or not of its row, is null."""
        evaluation = self.evaluation
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "command": self.command,
            "created_utc": self.created_utc,
            "convention": self.convention,
            "model": asdict(self.model),
            "data": asdict(self.data),
            "versions": dict(self.versions),
            "frames": len(evaluation.rows.model),
            "labelled_frames": labelled_frames(evaluation.rows.model),
            "healed_frames": sum(sequence.healed for sequence in evaluation.sequences),
            "fps": evaluation.fps,
            "shade_limits_de00": {"just_seen": JUST_SEEN_DE00, "just_accepted": JUST_ACCEPTED_DE00},
            "rows": self.figures,
            "sequences": [
                {"name": s.name, "frames": len(s.rows.model), "rows": _figures(s.rows)} for s in evaluation.sequences
            ],
            "warm_up": [
                {"frame": t, "sequences": len(rows.model), "rows": _figures(rows)}
                for t, rows in enumerate(evaluation.warm_up())
            ],
        }
        return json.dumps(document, indent=1, allow_nan=False, default=str)

    def write(self, folder: Path) -> list[Path]:
        """Write ``evaluation.json``, ``sequences.csv``, ``frames.csv`` and ``warm_up.csv``, each whole or not at all.

        Returns:
            Their paths.
        """
        sequences = [
            {"sequence": s.name, "frames": len(s.rows.model), **_flat(s.rows)} for s in self.evaluation.sequences
        ]
        warm_up = [
            {"frame": t, "sequences": len(rows.model), **_flat(rows)}
            for t, rows in enumerate(self.evaluation.warm_up())
        ]
        frames = [
            {"sequence": s.name, "frame": t, **_flat(s.rows.only(t), without="iou_frame_mean")}
            for s in self.evaluation.sequences
            for t in range(len(s.rows.model))
        ]
        files = {
            folder / "evaluation.json": self.to_json(),
            folder / "sequences.csv": _csv(sequences),
            folder / "frames.csv": _csv(frames),
            folder / "warm_up.csv": _csv(warm_up),
        }
        for path, text in files.items():
            write_text(path, text)
        return list(files)


def read_report(path: Path) -> dict[str, Any]:
    """Read an ``evaluation.json`` written by ``EvalReport.write``.

    Raises:
        MostnetError: no such file, or not an evaluation that this mostnet reads.
    """
    if not path.is_file():
        raise MostnetError(f"{path}: no such file; mostnet-eval writes evaluation.json into its --out folder")
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MostnetError(f"{path}: not JSON ({error}); give an evaluation.json that mostnet-eval wrote") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise MostnetError(f"{path}: not an evaluation; give an evaluation.json that mostnet-eval wrote")
    if document.get("format_version") != FORMAT_VERSION:
        raise MostnetError(
            f"{path}: evaluation format {document.get('format_version')!r}, this mostnet reads {FORMAT_VERSION}; "
            "evaluate again"
        )
    return document


def labelled_frames(frames: Sequence[FrameScore]) -> dict[str, int]:
    """Number of frames that each kind of figure was measured on."""
    return {
        "picture": sum(f.psnr_db is not None for f in frames),
        "shade": sum(f.shade is not None for f in frames),
        "flow": sum(f.flow is not None and f.flow.pixels > 0 for f in frames),
        "mask": sum(f.overlap is not None for f in frames),
        "motion": sum(f.motion is not None for f in frames),
    }


def _figures(rows: RowScores) -> dict[str, dict[str, float | None]]:
    return {name: asdict(scores) for name, scores in rows.summary().items()}


def _flat(rows: RowScores, *, without: str = "") -> dict[str, str]:
    """One CSV cell per row and figure, that figure left out; empty for None."""
    cells = {}
    for row, scores in rows.summary().items():
        for figure in (name for name in ROW_FIGURES[row] if name != without):
            value = getattr(scores, figure)
            cells[f"{row.replace(' ', '_').lower()}_{figure}"] = "" if value is None else f"{value:.6g}"
    return cells


def _csv(records: Sequence[Mapping[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
