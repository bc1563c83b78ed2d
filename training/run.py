"""Train a network: the function that ``mostnet-train`` calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from mostnet.contract import TrainingError
from mostnet.contract.shipped import checkpoint_path
from mostnet.contract.stopping import StopRequest
from mostnet.model.threads import torch_settings_kept
from mostnet.video.threads import opencv_threads_kept

from .options import TrainOptions
from .run_state import load_run
from .trainer import LAST, Trainer, TrainResult, log
from .workers import failures_of_workers

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import TrainKeywords


def train(
    data: str | Path,
    out: str | Path,
    *,
    options: TrainOptions | None = None,
    photos: str | Path | None = None,
    paths: str | Path | None = None,
    init: str | Path | None = None,
    resume: bool = False,
    report: Callable[[str], None] | None = None,
    **changes: Unpack[TrainKeywords],
) -> TrainResult:
    """Train a network on the ``train`` split of ``data`` and on moving photographs, validating on ``val``.

    Args:
        data: folder of the data set, in the layout of ``mostnet.training.data.dataset``.
        out: folder for the files of the run; made if missing. ``last.pt`` is the state to resume from, ``model.pt``
            the averaged weights, to evaluate and export, and ``best.pt`` these at the best validation. ``train.csv``,
            ``val.csv``, ``curves.png`` and ``samples.png`` show the run, ``options.yaml`` holds its options.
            ``tensorboard`` holds event files if that option is set.
        options: options of the run; by default those of ``TrainOptions``, or of the run that is resumed.
        photos: folder of photographs with tooth masks; the share ``photo_share`` of every batch is made of them.
        paths: CSV file of recorded camera paths for the photographs.
        init: checkpoint to start from, maybe of a narrower variant, or the name of a shipped one such as ``nano``; by
            default the run starts from seeded initial weights.
        resume: continue from ``last.pt``.
        report: called with each line of progress: ``report=print``. By default the logger ``mostnet.training`` gets it.
        changes: fields of ``TrainOptions`` that replace those of ``options``: ``train(data, out, steps=200)``.

    Threads and random numbers of PyTorch, threads of OpenCV, and signal handlers are as before at the end.

    Raises:
        TrainingInterrupt: SIGINT, SIGTERM or SIGHUP came, and the run is saved; a ``KeyboardInterrupt``. A call from
            another thread than the main one hears no signal.
        DatasetError: the data cannot be used.
        TrainingError: an option is unknown or out of range, ``out`` holds another run or nothing to resume, the run
            diverged, or a library of the ``train`` extra is not installed.
        CheckpointError: ``init`` cannot be used.
        NoGpuError: CUDA was requested, but there is no GPU.
    """
    run_dir = Path(out)
    if not resume and (run_dir / LAST).exists():
        raise TrainingError(
            f"{run_dir}: already holds a run; continue it with --resume (Python: resume=True), or choose another folder"
        )
    if resume and init:
        raise TrainingError(
            f"both --resume and --init {init}: a resumed run keeps its own weights; drop one of the two"
        )
    chosen = first_options(run_dir, resume=resume) if options is None else options
    with torch_settings_kept(), opencv_threads_kept(), StopRequest() as stop:
        trainer = Trainer(
            Path(data),
            run_dir,
            options=chosen.updated(changes, source="train"),
            photos=None if photos is None else Path(photos),
            paths=None if paths is None else Path(paths),
            init=None if init is None else checkpoint_path(str(init)),
            resume=resume,
            report=report or log.info,
        )
        with closing(trainer), failures_of_workers() if trainer.options.workers else nullcontext():
            return trainer.run(stop)


def first_options(run_dir: Path, *, resume: bool) -> TrainOptions:
    """The options of a run before any are given: the defaults, or those of the run that is resumed.

    Raises:
        TrainingError: there is no run to resume.
    """
    return load_run(run_dir / LAST)[1] if resume else TrainOptions()
