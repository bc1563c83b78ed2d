"""Evaluate a model's file on a dataset's folder and write the report: the function that ``mostnet-eval`` calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mostnet.contract import DatasetError, TrainingError
from mostnet.contract.shipped import checkpoint_path
from mostnet.contract.versions import installed_versions
from mostnet.model.threads import torch_settings_kept
from mostnet.training.data.dataset import SPLITS
from mostnet.training.data.published import OpenedSplit, open_split
from mostnet.training.extras import load_extra
from mostnet.video.threads import limit_opencv_threads, opencv_threads_kept

from .contact_sheet import pick_frames, run_picks, write_sheet
from .evaluate import check_files, check_sizes, evaluate_stream, frames_to_run
from .judged_video import judged_videos
from .open_model import open_model
from .options import EvalOptions
from .report import DataInfo, EvalReport

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import EvalKeywords

#: Called with the number of frames done and the total number of frames.
Progress = Callable[[int, int], None]

_PACKAGES = ("mostnet", "torch", "onnxruntime", "onnxruntime-gpu", "numpy", "opencv-python")


@dataclass(frozen=True)
class EvalResult:
    """The figures of an evaluation, and where they are written.

    Attributes:
        figures: figures of each row of the printed tables by name, such as ``figures["model"]["psnr_db"]``; None for a
            figure without labels. The rows are ``baseline`` (the input as it is), ``oracle colour`` (the input in its
            best colours), ``DIS`` (optical flow by OpenCV), ``model``, and ``clean input`` (the model on the reference
            frames).
        frames: number of frames.
        fps: frames per second of the model alone.
        files: files that were written; none without ``out``.
        report: all facts, down to each frame.
    """

    figures: Mapping[str, Mapping[str, float | None]]
    frames: int
    fps: float
    files: tuple[Path, ...]
    report: EvalReport = field(repr=False)


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    out: str | Path | None = None,
    options: EvalOptions | None = None,
    command: str = "",
    begin: Callable[[Sequence[str]], None] | None = None,
    progress: Progress | None = None,
    **changes: Unpack[EvalKeywords],
) -> EvalResult:
    """Evaluate a checkpoint or an exported model on a split, streaming with carried state.

    Args:
        model: ``.pt``, ``.onnx`` or ``.plan``, or the name of a shipped checkpoint such as ``nano``.
        data: folder of the data set, in the layout of ``mostnet.training.data.dataset``.
        out: folder for ``evaluation.json``, ``sequences.csv``, ``frames.csv``, ``warm_up.csv``, ``contact_sheet.png``
            and, with the option ``video``, ``video/SEQUENCE.mp4``; made if missing. None writes nothing.
        options: the part of the data set, and the device.
        command: the command line, for the report.
        begin: called before the measurement with what the split holds and lacks, a line each.
        progress: see ``Progress``.
        changes: fields of ``EvalOptions`` that replace those of ``options``: ``evaluate(model, data, split="val")``.

    Threads and random numbers of PyTorch, and threads of OpenCV, are as before at the end.

    Raises:
        DatasetError: no such split, or a file of it cannot be used.
        FrameError: the model is for frames of another size.
        CheckpointError, ModelFileError, BackendNotInstalledError, NoGpuError, DeviceError: the model cannot be opened
            or run.
        TrainingError: Matplotlib, which draws the contact sheet, is not installed, or a video has no folder to go to.
        VideoError: a video cannot be written.
        ValueError: an option is out of range.
        OSError: a file cannot be written.
    """
    chosen = replace(options or EvalOptions(), **changes)
    folder = None if out is None else Path(out)
    if folder is None and chosen.video:
        raise TrainingError("--video writes into the folder of --out; give --out DIR too")
    if folder is not None:
        load_extra("matplotlib")  # for the contact sheet
        folder.mkdir(parents=True, exist_ok=True)  # fails here rather than after the measurement
    with torch_settings_kept(), opencv_threads_kept():
        limit_opencv_threads()
        path = checkpoint_path(str(model))
        opened = open_split(Path(data), chosen.split, most=chosen.max_sequences)
        if begin is not None:
            begin(opened.lines)
        report, files = _measured(path, Path(data), opened, folder, chosen, command, progress)
    report = replace(report, named=str(model))
    evaluation = report.evaluation
    return EvalResult(report.figures, len(evaluation.rows.model), evaluation.fps, tuple(files), report)


def _measured(
    model: Path,
    data: Path,
    opened: OpenedSplit,
    out: Path | None,
    options: EvalOptions,
    command: str,
    progress: Progress | None,
) -> tuple[EvalReport, list[Path]]:
    """The report, and the files that were written."""
    sequences = opened.sequences
    check_files(sequences, options.frames)
    total = frames_to_run(sequences, options.frames)
    descriptions = {split: found for split in SPLITS if (found := _description(data / split)) is not None}
    with open_model(model, device=options.device, threads=options.threads) as (stream, info):
        check_sizes(sequences, info)
        tick = None if progress is None else lambda done: progress(done, total)
        with judged_videos(out / "video" if out is not None and options.video else None) as videos:
            evaluation = evaluate_stream(
                stream, sequences, frames=options.frames, tasks=info.tasks, progress=tick, watch=videos.add
            )
        report = EvalReport(
            command=command,
            created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            model=info,
            data=DataInfo(data.resolve().name, options.split, descriptions, opened.lines),
            versions=installed_versions(_PACKAGES),
            evaluation=evaluation,
            convention=options.convention,
        )
        if out is None:
            return report, []
        files = [*report.write(out), *videos.files]
        shown = run_picks(stream, sequences, evaluation, pick_frames(evaluation), tasks=info.tasks)
        if shown:
            title = f"{info.file} ({info.precision}, {info.runs_in}) on {report.data.name}/{options.split}"
            write_sheet(out / "contact_sheet.png", shown, evaluation, title=title)
            files.append(out / "contact_sheet.png")
        return report, files


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
