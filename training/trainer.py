"""The training loop: windows of frames, cut into chunks that hand their state on."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mostnet.contract import NoGpuError, TrainingError, write_bytes
from mostnet.model import Checkpoint, MostNet, State, initial_checkpoint, load_checkpoint, save_checkpoint

from .ablations import Stepper, remove_alignment
from .clips import Batch, ClipDataset, ClipOptions, FrameSource
from .dataset import index_split
from .losses import TASKS, LossOptions, Target, TaskWeights, frame_losses
from .options import TrainOptions
from .run_log import TRAIN_COLUMNS, VAL_COLUMNS, CsvLog, plot_curves
from .run_state import Position, load_run, save_run
from .schedule import AveragedWeights, learning_rate, progress
from .stopping import StopRequest, leave_stopping_to_the_parent
from .validate import validate

log = logging.getLogger("mostnet.training")

LAST, BEST, MODEL = "last.pt", "best.pt", "model.pt"
#: Steps in a row without a finite loss or gradient that end a run.
_MOST_BAD_STEPS = 20


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        steps: optimiser steps done.
        finished: false where a signal stopped it; it can be resumed.
        validation: figures of the last validation, by name; empty if there was none.
    """

    steps: int
    finished: bool
    validation: dict[str, float | None]


def train(
    data: Path,
    run_dir: Path,
    *,
    options: TrainOptions,
    init: Path | None = None,
    resume: bool = False,
    report: Callable[[str], None] = log.info,
) -> TrainResult:
    """Train a network on the ``train`` split of ``data``, validating on ``val``.

    ``run_dir`` gets ``last.pt`` (to resume from), ``model.pt`` (averaged weights, to evaluate and export), ``best.pt``
    (the same at the best validation), ``train.csv``, ``val.csv``, ``curves.png``, ``samples.png``, ``options.yaml``.

    Args:
        init: checkpoint to start from instead of seeded initial weights.
        resume: go on from ``last.pt``.
        report: takes the lines of progress.

    Raises:
        DatasetError: the data cannot be used.
        TrainingError: ``run_dir`` holds another run, nothing to resume, or the run diverged.
        CheckpointError: ``init`` cannot be used.
        NoGpuError: CUDA was asked for and is not there.
    """
    if not resume and (run_dir / LAST).exists():
        raise TrainingError(f"{run_dir}: already holds a run; go on with --resume, or choose another folder")
    with StopRequest() as stop:
        trainer = Trainer(data, run_dir, options=options, init=init, resume=resume, report=report)
        return trainer.run(stop)


class Trainer:
    """One run: data, network, optimiser, log. ``run`` does the rest."""

    def __init__(
        self,
        data: Path,
        run_dir: Path,
        *,
        options: TrainOptions,
        init: Path | None,
        resume: bool,
        report: Callable[[str], None],
    ) -> None:
        self.options, self.run_dir, self.report = options, run_dir, report
        self.position = Position()
        self.state: State | None = None
        self.validation: dict[str, float | None] = {}
        self._data_name, self._data_record = data.resolve().name, _data_record(data)
        self.device = choose_device(options)
        if options.threads:
            torch.set_num_threads(options.threads)
        self._open_data(data)
        self._build(init)
        if resume:
            self._restore()
        self._open_logs()
        self._sums, self._bad_steps = _LogSums(), 0

    def run(self, stop: StopRequest) -> TrainResult:
        """Train until the schedule ends or a signal comes; either way everything is saved."""
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
            self.report(f"stopped by {stop.name} after step {self.position.step}; go on with the same command --resume")
        return TrainResult(self.position.step, finished, self.validation)

    def _open_data(self, data: Path) -> None:
        options = self.options
        sequences = index_split(data, "train")
        sequences = sequences[: options.overfit] if options.overfit else sequences
        validates = bool(options.validate_every)
        held_out = () if not validates else sequences if options.overfit else index_split(data, "val")
        self.dataset = ClipDataset(FrameSource(sequences, cache=options.cache), _clip_options(options))
        self.held_out = FrameSource(held_out[: options.val_sequences], cache="ram", most_bad=0.2) if validates else None
        self.report(f"{data}: {len(sequences)} training sequences, {sum(map(len, sequences))} frames")

    def _build(self, init: Path | None) -> None:
        options = self.options
        torch.manual_seed(options.seed)
        checkpoint = load_checkpoint(init) if init else initial_checkpoint(options.variant, seed=options.seed)
        if checkpoint.variant != options.variant:
            raise TrainingError(f"{init}: is a {checkpoint.variant}, the run is to train a {options.variant}")
        self.model = checkpoint.model.to(self.device).train().requires_grad_(True)
        if options.channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if not options.alignment:
            remove_alignment(self.model)
        losses = LossOptions(options.tasks, enhance=options.w_enhance, flow=options.w_flow, mask=options.w_mask)
        self.weights = TaskWeights(losses, learned=options.learned_weights).to(self.device)
        self.optimiser = make_optimiser(self.model, self.weights, options)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=options.amp == "fp16")
        self.average = AveragedWeights(self.model, options.ema)
        self.stepper = Stepper(self.model, recurrence=options.recurrence, compiled=options.compile)

    def _open_logs(self) -> None:
        at = self.position.step
        self.train_log = CsvLog(self.run_dir / "train.csv", TRAIN_COLUMNS, resume_step=at)
        self.val_log = CsvLog(self.run_dir / "val.csv", VAL_COLUMNS, resume_step=at)
        write_bytes(self.run_dir / "options.yaml", yaml.safe_dump(self.options.to_dict(), sort_keys=False).encode())

    def _finished(self) -> bool:
        return progress(self.options, step=self.position.step, minutes=self.position.minutes) >= 1

    def _chunks(self) -> Iterator[tuple[Batch, int]]:
        """Every batch from the current position on, once per chunk of it that is still to be done."""
        options, position = self.options, self.position
        windows = options.steps + 1  # every chunk of a window may be skipped but the first
        loader: DataLoader[Batch] = DataLoader(
            self.dataset,
            batch_size=options.batch,
            sampler=range(position.window * options.batch, windows * options.batch),
            num_workers=options.workers,
            worker_init_fn=leave_stopping_to_the_parent,
            pin_memory=self.device.type == "cuda",
        )
        for batch in loader:
            on_device = batch.to(self.device)
            while position.chunk < options.chunks:
                yield on_device, position.chunk
            position.window, position.chunk, self.state = position.window + 1, 0, None

    def _step(self, batch: Batch, chunk: int) -> None:
        """One optimiser step on one chunk; a chunk whose loss or gradient is not finite is skipped with its window."""
        options, position = self.options, self.position
        rate = learning_rate(options, step=position.step, minutes=position.minutes)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        losses, state = self._losses(batch.frames(chunk * options.clip, (chunk + 1) * options.clip))
        total = self.weights(losses)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), options.clip_norm)
        is_sound = bool(torch.isfinite(total) & torch.isfinite(norm))
        if is_sound:
            self.scaler.step(self.optimiser)
        self.scaler.update()
        position.step += 1
        if not is_sound:
            self._skip()
            return
        self._bad_steps = 0
        self.average.update(self.model, position.step)
        self.state = None if state is None else tuple(part.detach() for part in state)
        position.chunk += 1
        self._sums.add({"loss": total, "grad_norm": norm, **losses})

    def _losses(self, batch: Batch) -> tuple[dict[str, Tensor], State | None]:
        """Mean loss of each task over the frames of a chunk, and the state after it."""
        options, state = self.options, self.state
        sums: dict[str, Tensor] = {}
        count = batch.input.shape[1]
        for t in range(count):
            frame = batch.input[:, t].permute(0, 3, 1, 2).float() / 255
            with torch.autocast(self.device.type, _AMP_TYPES[options.amp], enabled=options.amp != "off"):
                prediction, state = self.stepper(frame, state)
            losses = frame_losses(prediction, frame_target(batch, t), self.weights.options)
            sums = {task: sums.get(task, 0) + loss / count for task, loss in losses.items()}
        return sums, state

    def _skip(self) -> None:
        self.position.skipped += 1
        self._bad_steps += 1
        self.position.chunk, self.state = self.options.chunks, None
        if self._bad_steps >= _MOST_BAD_STEPS:
            raise TrainingError(
                f"{self._bad_steps} steps in a row had no finite loss or gradient; "
                f"{self.run_dir / LAST} is from before: resume it with a lower --lr"
            )

    def _after_step(self, finished: bool) -> None:
        options, step = self.options, self.position.step
        if step % options.log_every == 0 or finished:
            self._log()
        if options.validate_every and (step % options.validate_every == 0 or finished):
            self._validate()
        if self._bad_steps == 0 and (step % options.save_every == 0 or finished):
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
            self.average.model,
            self.held_out,
            frames=options.val_frames,
            tasks=options.tasks,
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
            save_checkpoint(self._checkpoint(), self.run_dir / BEST)

    def _save(self) -> None:
        parts: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "weights": self.weights.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "state": None if self.state is None else list(self.state),
            "torch_rng": torch.get_rng_state(),
        }
        save_run(self.run_dir / LAST, position=self.position, options=self.options, parts=parts)
        save_checkpoint(self._checkpoint(), self.run_dir / MODEL)

    def _restore(self) -> None:
        self.position, saved, parts = load_run(self.run_dir / LAST)
        _check_same_run(saved, self.options, self.run_dir)
        self.model.load_state_dict(parts["model"])
        self.average.model.load_state_dict(parts["average"])
        self.weights.load_state_dict(parts["weights"])
        self.optimiser.load_state_dict(parts["optimiser"])
        self.scaler.load_state_dict(parts["scaler"])
        self.state = None if parts["state"] is None else tuple(part.to(self.device) for part in parts["state"])
        torch.set_rng_state(parts["torch_rng"])
        self.report(f"resumed at step {self.position.step}")

    def _checkpoint(self) -> Checkpoint:
        """The averaged weights, on the CPU, with a record of the run in plain values."""
        model = MostNet(self.model.config)
        model.load_state_dict({name: value.cpu() for name, value in self.average.model.state_dict().items()})
        position = self.position
        record = {
            "steps": position.step,
            "minutes": round(position.minutes, 2),
            "skipped_steps": position.skipped,
            "data": {"name": self._data_name, **self._data_record},
            "options": self.options.to_dict(),
            "validation": dict(self.validation),
            "torch": str(torch.__version__),
        }
        return Checkpoint(self.options.variant, model, record)


class _LogSums:
    """Sums of values since the last line of the log, kept on the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, values: dict[str, Tensor]) -> None:
        self._sums = {name: self._sums.get(name, 0) + value.detach() for name, value in values.items()}
        self._count += 1

    def means(self) -> dict[str, float]:
        """The means, and start over."""
        means = {name: float(value) / self._count for name, value in self._sums.items()}
        self._sums, self._count = {}, 0
        return means


_AMP_TYPES = {"off": torch.bfloat16, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(options: TrainOptions) -> torch.device:
    """The device that the options ask for.

    Raises:
        NoGpuError: CUDA was asked for and is not there.
        TrainingError: half precision without CUDA.
    """
    if options.device == "cuda" and not torch.cuda.is_available():
        raise NoGpuError(
            "device is cuda, and PyTorch finds no GPU; take --device cpu, or install a CUDA build of torch"
        )
    name = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    if options.amp == "fp16" and name != "cuda":
        raise TrainingError("amp is fp16, which needs CUDA; take --amp bf16 on the CPU")
    return torch.device(name)


def make_optimiser(model: nn.Module, weights: nn.Module, options: TrainOptions) -> torch.optim.AdamW:
    """AdamW with weight decay on kernels alone: not on biases, the softmax's sharpness or the task weights."""
    kernels = [value for value in model.parameters() if value.dim() > 1]
    others = [*(value for value in model.parameters() if value.dim() <= 1), *weights.parameters()]
    groups = [
        {"params": kernels, "weight_decay": options.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.lr)


def frame_target(batch: Batch, t: int) -> Target:
    """Labels of frame ``t`` of every clip."""
    return Target(
        reference=batch.reference[:, t].permute(0, 3, 1, 2).float() / 255,
        mask=batch.mask[:, t, None].float() / 255,
        flow=batch.flow[:, t],
        valid=batch.valid[:, t, None].float(),
        has_reference=batch.has_reference.float(),
        has_mask=batch.has_mask.float(),
    )


def _clip_options(options: TrainOptions) -> ClipOptions:
    return ClipOptions(
        frames=options.clip * options.chunks,
        crop_hw=options.crop_hw,
        scale=(options.scale_min, options.scale_max),
        augment=not options.overfit,
        seed=options.seed,
    )


def _check_same_run(saved: TrainOptions, options: TrainOptions, run_dir: Path) -> None:
    """What the state in the file depends on must not change between a run and its resumption."""
    for name in ("variant", "batch", "clip", "chunks", "crop_hw", "seed", "learned_weights", "overfit"):
        before, now = getattr(saved, name), getattr(options, name)
        if before != now:
            raise TrainingError(f"{run_dir}: was begun with {name} {before}, and cannot be resumed with {now}")


def _data_record(data: Path) -> dict[str, Any]:
    """What the data set says of itself in ``dataset.json``, where it has one."""
    path = data / "dataset.json"
    if not path.is_file():
        return {}
    try:
        return {"description": json.loads(path.read_text(encoding="utf-8"))}
    except ValueError as error:
        raise TrainingError(f"{path}: not JSON ({error}); make the data set again, or remove the file") from error
