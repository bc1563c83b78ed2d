"""Evaluate a model's file on a dataset's folder and write the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mostnet.contract import DatasetError
from mostnet.contract.versions import installed_versions
from mostnet.training.data.dataset import SPLITS
from mostnet.training.data.published import open_split

from .contact_sheet import pick_frames, run_picks, write_sheet
from .evaluate import check_files, check_sizes, evaluate, frames_to_run
from .figures import CONVENTIONS
from .open_model import open_model
from .report import DataInfo, EvalReport

#: Called with the number of frames done and the total number of frames.
Progress = Callable[[int, int], None]

_PACKAGES = ("mostnet", "torch", "onnxruntime", "onnxruntime-gpu", "numpy", "opencv-python")


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """The data and the device of an evaluation.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        max_sequences: number of sequences to take from the start of the split; None for all.
        frames: number of frames to take from the start of each sequence; None for all.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA if there is a GPU.
        threads: CPU threads of the network; None for the library's own choice.
        convention: the way to count that is shown, of ``figures.CONVENTIONS``.

    Raises:
        ValueError: a number is below 1, or there is no such convention.
    """

    split: str = "test"
    max_sequences: int | None = None
    frames: int | None = None
    device: str = "auto"
    threads: int | None = None
    convention: str = "ours"

    def __post_init__(self) -> None:
        for name in ("max_sequences", "frames", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; expected 1 or more")
        if self.convention not in CONVENTIONS:
            raise ValueError(f"convention is {self.convention!r}; expected one of {', '.join(CONVENTIONS)}")


def evaluate_file(
    model: Path,
    data: Path,
    options: EvalOptions | None = None,
    *,
    out: Path | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> EvalReport:
    """Evaluate a checkpoint or an exported model on a split.

    Args:
        model: ``.pt``, ``.onnx`` or ``.plan``.
        data: root of the dataset; see ``mostnet.training.data.dataset``.
        options: the part of the dataset, and the device.
        out: folder for ``evaluation.json``, ``sequences.csv``, ``warm_up.csv`` and ``contact_sheet.png``; None writes
            nothing.
        command: the command line, for the report.
        progress: see ``Progress``.

    Raises:
        DatasetError: no such split, or a file of it cannot be used.
        FrameError: the model is for frames of another size.
        CheckpointError, ModelFileError, BackendNotInstalledError, NoGpuError, DeviceError: the model cannot be opened
            or run.
    """
    options = options or EvalOptions()
    opened = open_split(data, options.split, most=options.max_sequences)
    sequences = opened.sequences
    check_files(sequences, options.frames)
    total = frames_to_run(sequences, options.frames)
    descriptions = {split: found for split in SPLITS if (found := _description(data / split)) is not None}
    with open_model(model, device=options.device, threads=options.threads) as (stream, info):
        check_sizes(sequences, info)
        tick = None if progress is None else lambda done: progress(done, total)
        evaluation = evaluate(stream, sequences, frames=options.frames, tasks=info.tasks, progress=tick)
        report = EvalReport(
            command=command,
            created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            model=info,
            data=DataInfo(data.resolve().name, options.split, descriptions, opened.lines),
            versions=installed_versions(_PACKAGES),
            evaluation=evaluation,
            convention=options.convention,
        )
        if out is not None:
            report.write(out)
            shown = run_picks(stream, sequences, evaluation, pick_frames(evaluation), tasks=info.tasks)
            if shown:
                title = f"{info.file} ({info.precision}, {info.runs_in}) on {report.data.name}/{options.split}"
                write_sheet(out / "contact_sheet.png", shown, evaluation, title=title)
    return report


def _description(split: Path) -> dict[str, Any] | None:
    """Content of ``dataset.json``, which generated data has; None if there is none."""
    path = split / "dataset.json"
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DatasetError(f"{path}: not JSON ({error}); write it again, or remove it") from error
    if not isinstance(document, dict):
        raise DatasetError(f"{path}: not a JSON object; write it again, or remove it")
    return document
