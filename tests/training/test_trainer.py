"""The training loop: it learns, resumes to the same weights, stops on a signal, and refuses bad options."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch

from mostnet.contract import CheckpointError, DatasetError, TrainingError, sha256
from mostnet.model import initial_checkpoint, load_checkpoint, save_checkpoint
from mostnet.training import TrainingInterrupt, TrainOptions, learner, train, trainer
from mostnet.training.cli import main
from mostnet.training.run_state import load_run

from .moving_scenes import write_dataset

SMALL = TrainOptions(
    steps=6,
    batch=2,
    clip=2,
    chunks=2,
    crop_hw=(64, 80),
    warmup=2,
    threads=1,
    log_every=1,
    save_every=3,
    validate_every=0,
    val_frames=3,
    device="cpu",
)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=3, val=1, frames=5, size_hw=(80, 96))


@pytest.fixture(scope="session")
def whole_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(data, folder, options=SMALL)
    return folder


def losses(run: Path) -> list[dict[str, str]]:
    with (run / "train.csv").open(newline="") as file:
        return [{**row, "minutes": ""} for row in csv.DictReader(file)]


class StopAfter:
    """Receives the lines of progress, and sends this process a signal at one of them."""

    def __init__(self, start: str, number: signal.Signals) -> None:
        self.lines: list[str] = []
        self._start, self._number = start, number

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith(self._start):
            os.kill(os.getpid(), self._number)


@pytest.mark.parametrize("at", [3, 4])
def test_interrupted_run_resumes_to_the_same_weights_and_log(
    data: Path, whole_run: Path, tmp_path: Path, at: int
) -> None:
    """At step 3 a window is half done, with its state; at step 4 it is done."""
    lines = StopAfter(f"step {at} ", signal.SIGTERM)
    with pytest.raises(TrainingInterrupt, match="SIGTERM") as stopped:
        train(data, tmp_path / "run", options=SMALL, report=lines)
    assert stopped.value.steps == at
    assert lines.lines[-1] == f"stopped by SIGTERM after step {at}; continue with --resume (Python: resume=True)"
    torch.manual_seed(99)
    assert train(data, tmp_path / "run", options=SMALL, resume=True).steps == 6
    assert losses(tmp_path / "run") == losses(whole_run)
    parts, expected = (load_run(run / "last.pt")[2] for run in (tmp_path / "run", whole_run))
    for kind in ("model", "average"):
        for name, value in expected[kind].items():
            assert torch.equal(parts[kind][name], value), f"{kind} {name}"


def test_the_state_in_the_middle_of_a_window_matters_to_the_resumed_run(
    data: Path, whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: without the carried state, the next losses differ."""
    with pytest.raises(TrainingInterrupt):
        train(data, tmp_path / "run", options=SMALL, report=StopAfter("step 3 ", signal.SIGINT))
    original = trainer.load_run
    monkeypatch.setattr(trainer, "load_run", lambda path: (*original(path)[:2], {**original(path)[2], "state": None}))
    train(data, tmp_path / "run", options=SMALL, resume=True)
    assert losses(tmp_path / "run")[:3] == losses(whole_run)[:3]
    assert losses(tmp_path / "run")[3] != losses(whole_run)[3]


def test_files_of_a_run(data: Path, tmp_path: Path) -> None:
    options = replace(SMALL, steps=2, validate_every=1, channels_last=True, learned_weights=True, amp="bf16", ema=0.5)
    result = train(data, tmp_path / "run", options=options)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    pictures = {"curves.png", "samples.png"}
    assert names == {"last.pt", "best.pt", "model.pt", "options.yaml", "train.csv", "val.csv", *pictures}
    assert TrainOptions().updated(TrainOptions.values_from_yaml(tmp_path / "run/options.yaml"), source="") == options
    checkpoint = load_checkpoint(tmp_path / "run" / "model.pt")
    assert checkpoint.variant == "nano"
    assert checkpoint.training is not None
    assert checkpoint.training["steps"] == 2
    assert checkpoint.training["options"] == options.to_dict()
    assert checkpoint.training["validation"] == result.validation
    assert set(result.validation) == {"psnr_db", "epe_px", "iou", "score"}
    average = load_run(tmp_path / "run" / "last.pt")[2]["average"]
    assert all(torch.equal(value, average[name]) for name, value in checkpoint.model.state_dict().items())


def test_overfitting_one_clip_drives_every_loss_down(data: Path, tmp_path: Path) -> None:
    options = replace(SMALL, overfit=1, batch=1, clip=3, chunks=1, steps=30, lr=4e-3, warmup=3, save_every=30)
    train(data, tmp_path / "run", options=options)
    rows = losses(tmp_path / "run")
    for task, fraction in (("loss", 0.4), ("enhance", 0.4), ("flow", 0.4), ("mask", 0.7)):
        assert float(rows[-1][task]) < fraction * float(rows[0][task]), task


def test_minutes_end_a_run_and_anneal_its_rate(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is a counter of seconds: the budget of one minute is spent after some steps of many."""
    clock = iter(range(0, 10000, 5))
    monkeypatch.setattr(trainer.time, "monotonic", lambda: float(next(clock)))
    result = train(data, tmp_path / "run", options=replace(SMALL, steps=1000, max_minutes=1, warmup=0))
    assert result.steps == 12
    rates = [float(row["lr"]) for row in losses(tmp_path / "run")]
    assert rates == sorted(rates, reverse=True) and rates[-1] == pytest.approx(2.687e-5, rel=1e-3), "at 55 s of 60"


def test_steps_without_finite_loss_are_skipped_and_counted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison_steps(monkeypatch, {2, 3})
    train(data, tmp_path / "run", options=SMALL)
    assert [row["skipped"] for row in losses(tmp_path / "run")] == ["0", "1", "2", "2", "2", "2"]
    weights = load_checkpoint(tmp_path / "run" / "model.pt").model.state_dict()
    assert all(bool(value.isfinite().all()) for value in weights.values())


def test_twenty_steps_without_finite_loss_end_the_run_and_keep_its_last_state(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison_steps(monkeypatch, set(range(4, 100)))
    with pytest.raises(TrainingError, match=r"20 steps in a row had no finite loss.*last\.pt was saved before them"):
        train(data, tmp_path / "run", options=replace(SMALL, steps=100, batch=1, clip=1))
    assert load_run(tmp_path / "run" / "last.pt")[0].step == 3


def test_a_run_that_diverges_is_an_error(data: Path, tmp_path: Path) -> None:
    """These weights make the flow NaN, and its gradient through grid_sample would end the process."""
    with pytest.raises(
        TrainingError, match="20 steps in a row had no finite loss or gradient; start with a lower --lr"
    ):
        train(data, tmp_path / "run", options=replace(SMALL, steps=100, save_every=100, lr=1e3))


def test_resumed_runs_take_the_new_weight_decay_and_no_other_weights(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", options=replace(SMALL, steps=1))
    train(data, tmp_path / "run", options=replace(SMALL, steps=2, weight_decay=0.5), resume=True)
    groups = load_run(tmp_path / "run" / "last.pt")[2]["optimiser"]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    with pytest.raises(TrainingError, match=r"both --resume and --init .*drop one of the two"):
        train(data, tmp_path / "run", options=SMALL, init=tmp_path / "run" / "model.pt", resume=True)


def test_sigterm_to_the_whole_group_saves_too(data: Path, tmp_path: Path) -> None:
    flags = "--steps 100000 --batch 1 --clip 2 --chunks 1 --crop 64x80 --threads 1 --workers 1 --validate-every 0"
    command = [sys.executable, "-m", "mostnet.training.cli", str(data), "--out", str(tmp_path / "run")]
    with subprocess.Popen(
        [*command, *flags.split(), "--device", "cpu", "--log-every", "1"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step 2 "):
                os.killpg(process.pid, signal.SIGTERM)
            elif line.startswith("stopped by SIGTERM"):
                break
    assert process.returncode == 0
    assert load_run(tmp_path / "run" / "last.pt")[0].step >= 2


def poison_steps(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Make the loss of some steps (from 1) NaN."""
    count, forward = [0], learner.TaskWeights.forward

    def poisoned(self: learner.TaskWeights, values: dict[str, torch.Tensor]) -> torch.Tensor:
        count[0] += 1
        return forward(self, values) * (float("nan") if count[0] in steps else 1.0)

    monkeypatch.setattr(learner.TaskWeights, "forward", poisoned)


def test_ablations(data: Path, tmp_path: Path) -> None:
    one_step = replace(SMALL, steps=1, chunks=1)
    names = {
        "full": {},
        "still": {"recurrence": False},
        "unaligned": {"alignment": False},
        "single": {"tasks": ("mask",)},
    }
    rows = {}
    for name, change in names.items():
        train(data, tmp_path / name, options=replace(one_step, **change))
        rows[name] = losses(tmp_path / name)[0]
    assert len({row["mask"] for row in rows.values()}) == 3, "single-task differs from the full net in its losses alone"
    assert rows["single"]["mask"] == rows["full"]["mask"]
    assert rows["single"]["flow"] == rows["single"]["enhance"] == "0"
    assert load_checkpoint(tmp_path / "unaligned" / "model.pt").training["options"]["alignment"] is False


def test_start_from_a_checkpoint(data: Path, tmp_path: Path) -> None:
    start = initial_checkpoint("nano", seed=5, random_head=True)
    save_checkpoint(start, tmp_path / "start.pt")
    frozen = replace(SMALL, steps=1, lr=1e-12, weight_decay=0.0)
    train(data, tmp_path / "run", options=frozen, init=tmp_path / "start.pt")
    weights = load_checkpoint(tmp_path / "run" / "model.pt").model.state_dict()
    assert all(torch.allclose(value, weights[name], atol=1e-6) for name, value in start.model.state_dict().items())
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        train(data, tmp_path / "none", options=SMALL, init=tmp_path / "none.pt")


def test_refusals(data: Path, whole_run: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"already holds a run; continue it with --resume \(Python: resume=True\)"):
        train(data, whole_run, options=SMALL)
    with pytest.raises(TrainingError, match=r"was started with batch 2, and cannot be resumed with 4"):
        train(data, whole_run, options=replace(SMALL, batch=4), resume=True)
    with pytest.raises(TrainingError, match=r"last\.pt: nothing to resume"):
        train(data, tmp_path, options=SMALL, resume=True)
    with pytest.raises(TrainingError, match="amp is fp16, which needs CUDA"):
        train(data, tmp_path, options=replace(SMALL, amp="fp16"))
    with pytest.raises(
        DatasetError, match=r"5 frames, but a training window takes 12; these flags fit: --clip 2 --chunks 2"
    ):
        train(data, tmp_path, options=replace(SMALL, clip=6))
    (tmp_path / "test").mkdir()
    (tmp_path / "train").symlink_to(data / "train")
    with pytest.raises(DatasetError, match=r"val: no such split; .* found test, train"):
        train(tmp_path, tmp_path / "run", options=replace(SMALL, validate_every=1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"garbage", "damaged, or not the state of a run"),
        (None, "not the state of a run; a run is resumed from its last.pt"),
    ],
)
def test_states_that_cannot_be_resumed(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is None:
        save_checkpoint(initial_checkpoint("nano"), tmp_path / "last.pt")
    else:
        (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        load_run(tmp_path / "last.pt")


@pytest.mark.parametrize(
    "change",
    [
        {"position": None},
        {"position": {"step": "many"}},
        {"position": {"step": -1}},
        {"position": {"moon": 1}},
        {"options": 5},
        {"options": {"steps": "many"}},
        {"parts": [1]},
        {"format_version": torch.ones(2)},
    ],
)
def test_a_state_with_nonsense_is_refused(whole_run: Path, tmp_path: Path, change: dict[str, object]) -> None:
    document = torch.load(whole_run / "last.pt", weights_only=True)
    torch.save({**document, **change}, tmp_path / "last.pt")
    with pytest.raises(TrainingError, match=r"last\.pt: "):
        load_run(tmp_path / "last.pt")


@pytest.mark.parametrize(
    "change", [{"model": {}}, {"torch_rng": 5}, {"state": [1]}, {"optimiser": {"param_groups": 1}}]
)
def test_parts_that_do_not_fit_are_refused(
    data: Path, whole_run: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    document = torch.load(whole_run / "last.pt", weights_only=True)
    torch.save({**document, "parts": {**document["parts"], **change}}, tmp_path / "last.pt")
    with pytest.raises(TrainingError, match=r"last\.pt: damaged .*; start again without --resume"):
        train(data, tmp_path, options=SMALL, resume=True)


def test_a_checkpoint_or_a_file_in_place_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(initial_checkpoint("nano"), tmp_path / "last.pt")
    assert main([str(tmp_path), "--out", str(tmp_path), "--resume"]) == 1
    assert "a checkpoint like model.pt, weights alone" in capsys.readouterr().err
    assert main([str(tmp_path), "--out", str(tmp_path / "last.pt"), "--resume"]) == 1
    assert (
        f"{tmp_path / 'last.pt'}: a file; a run is resumed by its folder: --out {tmp_path}" in capsys.readouterr().err
    )


def test_the_state_of_a_run_is_no_start_for_another(data: Path, whole_run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"only for mostnet-train --resume; its weights are in model\.pt: give "):
        train(data, tmp_path / "next", options=SMALL, init=whole_run / "last.pt")


def test_the_state_of_an_older_network_is_refused(whole_run: Path, tmp_path: Path) -> None:
    document = torch.load(whole_run / "last.pt", weights_only=True)
    torch.save({**document, "format_version": 1}, tmp_path / "last.pt")
    with pytest.raises(TrainingError, match="state format 1, this mostnet reads 2; resume with the version of mostnet"):
        load_run(tmp_path / "last.pt")


def test_command_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    yaml = tmp_path / "small.yaml"
    yaml.write_text("steps: 50\nbatch: 2\nclip: 2\nlr: 1e-4\ncrop_hw: [64, 80]\nvalidate_every: 0\n")
    command = [str(data), "--out", str(tmp_path / "run"), "--threads", "1"]
    assert main([*command, "--config", str(yaml), "--steps", "1", "--no-recurrence", "--log-every", "1"]) == 0
    saved = load_run(tmp_path / "run" / "last.pt")[1]
    assert (saved.steps, saved.lr, saved.recurrence, saved.crop_hw) == (1, 1e-4, False, (64, 80)), "flags win"
    assert "done: 1 steps" in capsys.readouterr().out
    assert main([*command, "--resume", "--steps", "2"]) == 0, "the options come from the run"
    assert load_run(tmp_path / "run" / "last.pt")[1] == replace(saved, steps=2)
    assert main(command) == 1
    assert capsys.readouterr().err.startswith(f"mostnet-train: {tmp_path / 'run'}: already holds a run")


def test_worker_processes_give_the_same_losses(data: Path, whole_run: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", options=replace(SMALL, steps=6, workers=1))
    assert losses(tmp_path / "run") == losses(whole_run)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_with_too_many_bad_files_is_saved_and_raises_one_line(tmp_path: Path, workers: int) -> None:
    spoilt = write_dataset(tmp_path / "data", train=3, val=1, frames=5, size_hw=(80, 96))
    for index in range(5):
        (spoilt / "train" / "0001" / "input" / f"00000{index}.png").write_bytes(b"")
    with pytest.raises(DatasetError) as caught:
        train(spoilt, tmp_path / "run", options=replace(SMALL, workers=workers))
    assert re.fullmatch(
        r"\d frames? cannot be read, but the run tolerates 0; the last: .*input/00000\d.png.*", str(caught.value)
    )
    assert load_run(tmp_path / "run" / "last.pt")[0].step < SMALL.steps


def test_the_record_keeps_the_initial_weights_after_a_resume(data: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.pt"
    save_checkpoint(initial_checkpoint("nano", seed=3), start)
    train(data, tmp_path / "run", options=replace(SMALL, steps=2), init=start)
    train(data, tmp_path / "run", options=replace(SMALL, steps=3), resume=True)
    record = load_checkpoint(tmp_path / "run" / "model.pt").training
    assert record["init"] == {"file": "start.pt", "sha256": sha256(start)}


def test_a_missing_library_is_named_before_the_run(monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(TrainingError, match=r"matplotlib is not installed; pip install 'mostnet\[train\]'"):
        train(data, tmp_path / "run", options=replace(SMALL, validate_every=1))


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_without_a_readable_clip_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    data = write_dataset(tmp_path / "data", train=1, val=1, frames=40, size_hw=(80, 96))
    bad = data / "train/0000/input/000020.png"
    bad.unlink()
    os.mkfifo(bad)  # opening it would wait for a writer for ever
    flags = "--batch 1 --clip 20 --chunks 2 --crop 64x80 --threads 1 --validate-every 0 --workers"
    assert main([str(data), "--out", str(tmp_path / "run"), *flags.split(), workers]) == 1
    printed = capsys.readouterr().err.splitlines()
    reason = f"{bad}: a folder, pipe or device"
    assert printed[-1].startswith(f"mostnet-train: no sequence has a readable clip; the last error: {reason}")
    assert workers == "1" or printed[-2].startswith(f"mostnet-train: bad file 1: {reason}")


def test_masks_of_0_and_1_are_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_dataset(tmp_path / "data", train=2, val=1, frames=5, size_hw=(80, 96))
    for path in data.glob("train/*/mask/*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) // 255)
    flags = "--steps 1 --batch 1 --clip 2 --chunks 1 --crop 64x80 --threads 1 --validate-every 0"
    assert main([str(data), "--out", str(tmp_path / "run"), *flags.split()]) == 0
    first = data / "train/0000/mask/000000.png"
    assert capsys.readouterr().err == (
        f"mostnet-train: {data / 'train'}: the masks, such as {first}, have 1 on teeth instead of 255; all but "
        "black is read as tooth\n"
    )
