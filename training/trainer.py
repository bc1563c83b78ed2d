"""The training loop: windows of frames, cut into chunks with the state carried from each to the next."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mostnet.contract import DatasetError, TrainingError, sha256, write_text
from mostnet.contract.stopping import SignalInterrupt, StopRequest
from mostnet.contract.terminal import counted
from mostnet.model import State
from mostnet.model.threads import TorchThreads
from mostnet.training.data.clips import Batch
from mostnet.training.data.dataset import TASKS
from mostnet.video.threads import limit_opencv_threads

from .batches import BatchSource, photo_clips
from .extras import load_extra
from .learner import Learner
from .networks import write_checkpoint
from .options import TrainOptions
from .run_data import data_record, open_data, open_photos
from .run_log import TRAIN_COLUMNS, VAL_COLUMNS, CsvLog, EventLog, load_writer, plot_curves
from .run_state import Position, load_run, save_run
from .same_run import check_same_photos, check_same_run
from .schedule import SETTLING_STEPS, end_step, learning_rate, longer, progress, steps_of_epochs, warm_up_line, warmth
from .validate import validate
from .workers import WorkersError

log = logging.getLogger("mostnet.training")

LAST, BEST, MODEL = "last.pt", "best.pt", "model.pt"
#: A run ends after this many steps in a row without a finite loss or gradient.
_MOST_BAD_STEPS = 20


@dataclass(frozen=True)
class TrainResult:
    """The end of a run.

    Attributes:
        steps: optimiser steps done, those before a resume included.
        minutes: wall-clock time spent training and validating, likewise.
        validation: figures of the last validation by name: ``psnr_db``, ``epe_px``, ``iou`` and their ``score``; None
            for a figure without labels. Empty without validation.
        model: checkpoint of the averaged weights, to evaluate and export.
        best: the same at the best validation; None if no validation had a score.
        bad_frames: frames of the ``train`` split that this process could not read, since the start or the resume. The
            processes of ``workers`` count their own, in the log.
    """

    steps: int
    minutes: float
    validation: Mapping[str, float | None]
    model: Path
    best: Path | None
    bad_frames: int = 0


class TrainingInterrupt(SignalInterrupt):
    """SIGINT, SIGTERM or SIGHUP stopped a run, which is saved and can be resumed.

    Attributes:
        steps: optimiser steps done.
    """

    def __init__(self, number: int, steps: int) -> None:
        super().__init__(number)
        self.args = (f"{self.number.name} after step {steps}, and the run is saved; continue with resume=True",)
        self.steps = steps


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
        self._data_name, self._data_record = data.resolve().name, data_record(data)
        if options.validate_every:
            load_extra("matplotlib")  # fails here rather than at the first validation
        if options.tensorboard:
            load_writer()
        limit_opencv_threads()
        self._threads = TorchThreads(options.threads)
        self._said_threads = self._threads.most
        self._say_threads()
        torch.manual_seed(options.seed)
        self.learner = Learner(options, init)
        self._init = None if init is None else {"file": init.name, "sha256": sha256(init)}
        self.dataset, self.held_out = open_data(
            data, options, tasks=self.learner.tasks, photos=photos is not None, report=report
        )
        moving, record = open_photos(photos, paths, options, device=self.learner.device, report=report)
        if moving is not None:
            self._data_record["photos"] = record
        self._set_length()
        self._batches = BatchSource(self.dataset, moving, self.options, device=self.learner.device)
        if resume:
            self._restore()
        if line := warm_up_line(self.options, step=self.position.step):
            report(line)
        self._open_logs()
        self._sums, self._bad_steps = _LogSums(), 0
        self._paced_from: tuple[int, float] | None = (self.position.step, self.position.minutes)
        self._rate = 0.0

    def run(self, stop: StopRequest) -> TrainResult:
        """Train until the schedule ends or a signal comes, and save.

        Raises:
            TrainingInterrupt: a signal came.
        """
        started = time.monotonic() - self.position.minutes * 60
        finished = self._finished()
        if finished:
            self.report(f"this run was already finished; {longer(self.options, step=self.position.step)} continues it")
        first_step = self.position.step
        for batch, chunk in () if finished else self._chunks():
            if self._paced_from is None:  # a validation does not count as time of steps
                self._paced_from = (self.position.step, (time.monotonic() - started) / 60)
            if not self.options.compile:  # another number of threads would compile the network again
                self._threads.follow()
            self._step(batch, chunk)
            counts = self.position.step - first_step > SETTLING_STEPS
            now = (time.monotonic() - started) / 60
            if line := end_step(self.options, self.position, minutes=now, counts=counts):
                self.report(line)
            finished = self._finished()
            self._after_step(finished)
            if finished or stop:
                break
        steps, minutes, model = self.position.step, self.position.minutes, self.run_dir / MODEL
        if not finished:
            self._save()
            assert stop.signal is not None
            stopped = f"stopped by {stop.signal.name} after step {steps}"
            self.report(f"{stopped}; continue with --resume (Python: resume=True)")
            raise TrainingInterrupt(stop.signal, steps)
        if warmth(self.options, self.position) < 1:
            self.report("the minutes ended within the warm-up; raise --max-minutes, or lower --warmup")
        bad = len(self.dataset.source.bad)
        unread = f"; {counted(bad, 'frame')} could not be read" if bad else ""
        self.report(f"done: {steps} steps, {minutes:.1f} minutes; {model}{unread}")
        best = None if self.position.best is None else self.run_dir / BEST
        return TrainResult(steps, minutes, self.validation, model, best, bad)

    def close(self) -> None:
        """Finish the event file; closing twice does nothing."""
        if self._events is not None:
            self._events.close()

    def _set_length(self) -> None:
        """Turn epochs into steps."""
        options = self.options
        if options.epochs:
            sequences = self.dataset.source.sequences
            photos = self._data_record.get("photos")
            steps = steps_of_epochs(
                options,
                sequences=len(sequences),
                frames=sum(map(len, sequences)),
                photos=photos["count"] if photos else 0,
                photo_clips=photo_clips(options) if photos else 0,
            )
            self.report(f"{options.epochs} epoch{'s are' if options.epochs > 1 else ' is'} {steps} steps")
            self.options = replace(options, steps=steps, epochs=0)

    def _say_threads(self) -> None:
        """Say how many CPU threads are used, if the number has changed."""
        count, most = torch.get_num_threads(), self._threads.most
        if count != self._said_threads:
            self._said_threads = count
            self.report(
                f"{count} of {most} CPU threads now" + (", because other processes use the CPU" if count < most else "")
            )

    def _open_logs(self) -> None:
        at = self.position.step
        self.train_log = CsvLog(self.run_dir / "train.csv", TRAIN_COLUMNS, resume_step=at)
        self.val_log = CsvLog(self.run_dir / "val.csv", VAL_COLUMNS, resume_step=at)
        self._events = EventLog(self.run_dir / "tensorboard", resume_step=at) if self.options.tensorboard else None
        text = load_extra("yaml").safe_dump(self.options.to_dict(), sort_keys=False)
        write_text(self.run_dir / "options.yaml", text)

    def _progress(self) -> float:
        return progress(self.options, step=self.position.step, minutes=self.position.minutes)

    def _finished(self) -> bool:
        return self._progress() >= 1

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
        self._rate = learning_rate(options, position)
        frames = batch.frames(chunk * options.clip, (chunk + 1) * options.clip)
        position.step += 1
        result = self.learner.step(frames, self.state, rate=self._rate, number=position.step)
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
            self._paced_from = None
        if finished or (self._bad_steps == 0 and step % options.save_every == 0):
            self._save()

    def _log(self) -> None:
        position, means = self.position, self._sums.means()
        from_step, from_minutes = self._paced_from or (position.step, position.minutes)
        pace_s = (position.minutes - from_minutes) * 60 / max(1, position.step - from_step)
        self._paced_from = (position.step, position.minutes)
        self._say_threads()
        row = {"step": position.step, "minutes": position.minutes, "lr": self._rate}
        row |= {"skipped": position.skipped, **means}
        self.train_log.append(row)
        if self._events is not None:
            self._events.append(row)
        shown = " ".join(f"{name} {means[name]:.4f}" for name in ("loss", *TASKS) if name in means)
        self.report(
            f"step {position.step} {position.minutes:.1f} min {pace_s:.2f} s/step lr {self._rate:.2e} {shown} "
            f"skipped {position.skipped}"
        )

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
        row = {"step": position.step, "minutes": position.minutes, **self.validation}
        self.val_log.append(row)
        if self._events is not None:
            self._events.append(row)
            if (self.run_dir / "samples.png").is_file():
                self._events.append_picture(position.step, self.run_dir / "samples.png")
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
