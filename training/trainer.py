"""The training loop: windows of frames, cut into chunks with the state carried from each to the next."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mostnet.contract import DatasetError, TrainingError, sha256, write_text
from mostnet.contract.stopping import StopRequest
from mostnet.model import State
from mostnet.model.threads import limit_torch_threads
from mostnet.training.data.clips import Batch, ClipDataset, ClipOptions
from mostnet.training.data.dataset import TASKS
from mostnet.training.data.frame_source import FrameSource
from mostnet.training.data.oddities import say_masks
from mostnet.training.data.published import open_split
from mostnet.training.photos import PhotoClips, PhotoOptions
from mostnet.training.photos.folder import photos_sha256, read_photos
from mostnet.training.photos.recorded import read_paths
from mostnet.video.threads import limit_opencv_threads

from .batches import BatchSource, photo_clips
from .extras import load_extra
from .learner import Learner
from .networks import write_checkpoint
from .options import TrainOptions
from .run_log import TRAIN_COLUMNS, VAL_COLUMNS, CsvLog, plot_curves
from .run_state import Position, load_run, save_run
from .same_run import check_same_photos, check_same_run
from .schedule import learning_rate, progress
from .validate import validate
from .workers import WorkersError, failures_of_workers

log = logging.getLogger("mostnet.training")

LAST, BEST, MODEL = "last.pt", "best.pt", "model.pt"
#: A run ends after this many steps in a row without a finite loss or gradient.
_MOST_BAD_STEPS = 20


@dataclass(frozen=True)
class TrainResult:
    """The end of a run.

    Attributes:
        steps: optimiser steps done.
        finished: false if a signal stopped it; then it can be resumed.
        validation: figures of the last validation, by name; empty without validation.
    """

    steps: int
    finished: bool
    validation: dict[str, float | None]


def train(
    data: Path,
    run_dir: Path,
    *,
    options: TrainOptions,
    photos: Path | None = None,
    paths: Path | None = None,
    init: Path | None = None,
    resume: bool = False,
    report: Callable[[str], None] = log.info,
) -> TrainResult:
    """Train a network on the ``train`` split of ``data`` and on moving photographs, validating on ``val``.

    The files in ``run_dir`` are ``last.pt`` (to resume from), ``model.pt`` (averaged weights, to evaluate and export),
    ``best.pt`` (the same at the best validation), ``train.csv``, ``val.csv``, ``curves.png``, ``samples.png`` and
    ``options.yaml``.

    Args:
        photos: folder of photographs with tooth masks; the share ``photo_share`` of every batch is made of them.
        paths: recorded camera paths for the photographs.
        init: checkpoint to start from instead of seeded initial weights.
        resume: continue from ``last.pt``.
        report: called with each line of progress.

    Raises:
        DatasetError: the data cannot be used.
        TrainingError: ``run_dir`` holds another run or nothing to resume, or the run diverged.
        CheckpointError: ``init`` cannot be used.
        NoGpuError: CUDA was requested, but there is no GPU.
    """
    if not resume and (run_dir / LAST).exists():
        raise TrainingError(f"{run_dir}: already holds a run; continue it with --resume, or choose another folder")
    if resume and init:
        raise TrainingError(
            f"both --resume and --init {init}: a resumed run keeps its own weights; drop one of the two"
        )
    with StopRequest() as stop:
        trainer = Trainer(
            data, run_dir, options=options, photos=photos, paths=paths, init=init, resume=resume, report=report
        )
        with failures_of_workers():
            return trainer.run(stop)


class Trainer:
    """One run: its data, network, optimiser and logs."""

    def __init__(
        self,
        data: Path,
        run_dir: Path,
        *,
        options: TrainOptions,
        photos: Path | None,
        paths: Path | None,
        init: Path | None,
        resume: bool,
        report: Callable[[str], None],
    ) -> None:
        self.options, self.run_dir, self.report = options, run_dir, report
        self.position = Position()
        self.state: State | None = None
        self.validation: dict[str, float | None] = {}
        self._data_name, self._data_record = data.resolve().name, _data_record(data)
        if options.validate_every:
            load_extra("matplotlib")  # fails here rather than at the first validation
        limit_opencv_threads()
        if options.threads:
            torch.set_num_threads(options.threads)
        else:
            limit_torch_threads()
        torch.manual_seed(options.seed)
        self.learner = Learner(options, init)
        self._init = None if init is None else {"file": init.name, "sha256": sha256(init)}
        self._open_data(data)
        self._batches = BatchSource(self.dataset, self._open_photos(photos, paths), options, device=self.learner.device)
        if resume:
            self._restore()
        self._open_logs()
        self._sums, self._bad_steps = _LogSums(), 0

    def run(self, stop: StopRequest) -> TrainResult:
        """Train until the schedule ends or a signal comes, and save."""
        started = time.monotonic() - self.position.minutes * 60
        finished = self._finished()
        for batch, chunk in () if finished else self._chunks():
            self.position.minutes = (time.monotonic() - started) / 60
            self._step(batch, chunk)
            self.position.minutes = (time.monotonic() - started) / 60
            finished = self._finished()
            self._after_step(finished)
            if finished or stop:
                break
        if finished:
            self.report(
                f"done: {self.position.step} steps, {self.position.minutes:.1f} minutes; {self.run_dir / MODEL}"
            )
        else:
            self._save()
            assert stop.signal is not None
            self.report(f"stopped by {stop.signal.name} after step {self.position.step}; continue with --resume")
        return TrainResult(self.position.step, finished, self.validation)

    def _open_data(self, data: Path) -> None:
        options = self.options
        opened = open_split(data, "train")
        sequences = opened.sequences[: options.overfit] if options.overfit else opened.sequences
        validates = bool(options.validate_every)
        validation = None if not validates or options.overfit else open_split(data, "val", direction=opened.direction)
        held_out = validation.sequences if validation is not None else sequences if validates else ()
        for line in dict.fromkeys((*opened.lines, *(() if validation is None else validation.lines))):
            self.report(line)
        for split in (sequences, held_out):
            if split:
                masks = [path for sequence in split for path in sequence.labels.get("mask", ()) if path]
                say_masks(str(split[0].folder.parent), masks)
        self.dataset = ClipDataset(FrameSource(sequences, cache=options.cache), _clip_options(options))
        self.held_out = FrameSource(held_out[: options.val_sequences], cache="ram", most_bad=0.2) if validates else None
        self.report(f"{data}: {len(sequences)} training sequences, {sum(map(len, sequences))} frames")

    def _open_photos(self, photos: Path | None, paths: Path | None) -> PhotoClips | None:
        if photos is None:
            if paths is not None:
                raise TrainingError(f"--paths {paths} moves photographs; give their folder with --photos, or drop it")
            return None
        options = self.options
        found, recorded = read_photos(photos), [] if paths is None else read_paths(paths)
        self._data_record["photos"] = {
            "count": len(found),
            "sha256": photos_sha256(photos),
            "recorded_paths": len({path.name for path in recorded}),
            "paths_sha256": None if paths is None else sha256(paths),
        }
        self.report(
            f"{photos}: {len(found)} photographs, {photo_clips(options)} of {options.batch} clips of every batch"
        )
        clip = PhotoOptions(frames=options.clip * options.chunks, size_hw=options.crop_hw, seed=options.seed)
        return PhotoClips(found, clip, recorded=recorded, device=self.learner.device)

    def _open_logs(self) -> None:
        at = self.position.step
        self.train_log = CsvLog(self.run_dir / "train.csv", TRAIN_COLUMNS, resume_step=at)
        self.val_log = CsvLog(self.run_dir / "val.csv", VAL_COLUMNS, resume_step=at)
        text = load_extra("yaml").safe_dump(self.options.to_dict(), sort_keys=False)
        write_text(self.run_dir / "options.yaml", text)

    def _finished(self) -> bool:
        return progress(self.options, step=self.position.step, minutes=self.position.minutes) >= 1

    def _chunks(self) -> Iterator[tuple[Batch, int]]:
        """Yield each batch from the current position on, once for each of its chunks that is not done."""
        options, position = self.options, self.position
        if position.chunk >= options.chunks:  # saved at the end of a window
            self._next_window()
        for batch in self._save_on_failure(self._batches.batches(position.window)):
            while position.chunk < options.chunks:
                yield batch, position.chunk
            self._next_window()

    def _next_window(self) -> None:
        self.position.window, self.position.chunk, self.state = self.position.window + 1, 0, None

    def _save_on_failure(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches; if the data cannot be read or a worker fails, save the run before the error is raised."""
        try:
            yield from batches
        except (DatasetError, WorkersError) as error:
            if self.position.step or isinstance(error, DatasetError):
                self._save()
            raise

    def _step(self, batch: Batch, chunk: int) -> None:
        """One optimiser step on one chunk. If loss or gradient is not finite, the rest of the window is skipped."""
        options, position = self.options, self.position
        rate = learning_rate(options, step=position.step, minutes=position.minutes)
        frames = batch.frames(chunk * options.clip, (chunk + 1) * options.clip)
        position.step += 1
        result = self.learner.step(frames, self.state, rate=rate, number=position.step)
        if not result.is_sound:
            self._skip()
            return
        self._bad_steps, self.state = 0, result.state
        position.chunk += 1
        self._sums.add(result.values)

    def _skip(self) -> None:
        self.position.skipped += 1
        self._bad_steps += 1
        self.position.chunk, self.state = self.options.chunks, None
        last = self.run_dir / LAST
        if self._bad_steps >= _MOST_BAD_STEPS:
            raise TrainingError(
                f"{self._bad_steps} steps in a row had no finite loss or gradient; "
                + (
                    f"{last} was saved before them: resume it with a lower --lr"
                    if last.exists()
                    else "start with a lower --lr"
                )
            )

    def _after_step(self, finished: bool) -> None:
        options, step = self.options, self.position.step
        if step % options.log_every == 0 or finished:
            self._log()
        if options.validate_every and (step % options.validate_every == 0 or finished):
            self._validate()
        if finished or (self._bad_steps == 0 and step % options.save_every == 0):
            self._save()

    def _log(self) -> None:
        position, means = self.position, self._sums.means()
        rate = learning_rate(self.options, step=position.step, minutes=position.minutes)
        row = {"step": position.step, "minutes": position.minutes, "lr": rate, "skipped": position.skipped, **means}
        self.train_log.append(row)
        shown = " ".join(f"{name} {means[name]:.4f}" for name in ("loss", *TASKS) if name in means)
        self.report(f"step {position.step} {position.minutes:.1f} min lr {rate:.2e} {shown} skipped {position.skipped}")

    def _validate(self) -> None:
        assert self.held_out is not None
        options, position = self.options, self.position
        self.validation = validate(
            self.learner.average.model,
            self.held_out,
            frames=options.val_frames,
            tasks=self.learner.tasks,
            recurrence=options.recurrence,
            samples=self.run_dir / "samples.png",
        )
        self.val_log.append({"step": position.step, "minutes": position.minutes, **self.validation})
        shown = " ".join(f"{name} {value:.4f}" for name, value in self.validation.items() if value is not None)
        self.report(f"validation at step {position.step}: {shown}")
        plot_curves(self.train_log, self.val_log, self.run_dir / "curves.png")
        score = self.validation["score"]
        if score is not None and (position.best is None or score > position.best):
            position.best = score
            self._write_weights(BEST)

    def _save(self) -> None:
        state = None if self.state is None else list(self.state)
        parts = {
            **self.learner.state_dict(),
            "state": state,
            "init": self._init,
            "photos": self._data_record.get("photos"),
            "torch_rng": torch.get_rng_state(),
        }
        save_run(self.run_dir / LAST, position=self.position, options=self.options, parts=parts)
        self._write_weights(MODEL)

    def _restore(self) -> None:
        self.position, saved, parts = load_run(self.run_dir / LAST)
        check_same_run(saved, self.options, self.run_dir)
        if "photos" in parts:  # a run of an earlier version has no such part
            check_same_photos(parts["photos"], self._data_record.get("photos"), self.run_dir)
        try:
            self._take(parts)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            found = " ".join(str(error).split())[:200]
            raise TrainingError(
                f"{self.run_dir / LAST}: damaged ({found}); start again without --resume, in another folder"
            ) from error
        self.report(f"resumed at step {self.position.step}")

    def _take(self, parts: dict[str, Any]) -> None:
        """Continue from the parts that ``_save`` wrote."""
        self.learner.load_state_dict(parts)
        self._init = parts.get("init")
        self.state = None if parts["state"] is None else tuple(part.to(self.learner.device) for part in parts["state"])
        torch.set_rng_state(parts["torch_rng"])

    def _write_weights(self, name: str) -> None:
        """Write the averaged weights, with a record of the run in plain values."""
        position = self.position
        record = {
            "steps": position.step,
            "minutes": round(position.minutes, 2),
            "skipped_steps": position.skipped,
            "data": {"name": self._data_name, **self._data_record},
            "options": {**self.options.to_dict(), "tasks": list(self.learner.tasks)},
            "init": self._init,
            "validation": dict(self.validation),
            "torch": str(torch.__version__),
        }
        write_checkpoint(self.learner.averaged_copy(), self.options, record, self.run_dir / name)


class _LogSums:
    """Sums of values since the last line of the log, kept on the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, values: dict[str, Tensor]) -> None:
        self._sums = {name: self._sums.get(name, 0) + value.detach() for name, value in values.items()}
        self._count += 1

    def means(self) -> dict[str, float]:
        """The means since the last call."""
        means = {name: float(value) / self._count for name, value in self._sums.items()}
        self._sums, self._count = {}, 0
        return means


def _clip_options(options: TrainOptions) -> ClipOptions:
    return ClipOptions(
        frames=options.clip * options.chunks,
        step=options.frame_step,
        crop_hw=options.crop_hw,
        scale=(options.scale_min, options.scale_max),
        augment=not options.overfit,
        seed=options.seed,
    )


def _data_record(data: Path) -> dict[str, Any]:
    """The content of ``train/dataset.json``, if there is one."""
    path = data / "train" / "dataset.json"
    if not path.is_file():
        return {}
    try:
        return {"description": json.loads(path.read_text(encoding="utf-8-sig"))}
    except ValueError as error:
        raise TrainingError(f"{path}: not JSON ({error}); make the data set again, or remove the file") from error
