"""The published layout and the networks of Table I, from the commands: train, resume, evaluate, export."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from mostnet.export.cli import main as export_main
from mostnet.model import load_checkpoint
from mostnet.model.table1 import TRAINABLE, load_baseline
from mostnet.training.cli import main as train_main
from mostnet.training.data.clips import Batch, ClipDataset, ClipOptions
from mostnet.training.data.frame_source import FrameSource
from mostnet.training.data.published import open_split
from mostnet.training.evaluation.cli import main as eval_main
from mostnet.training.learner import Learner
from mostnet.training.options import TrainOptions
from tests.model.table1.needs import need
from tests.training.vident_tree import write_tree

SIZE = (128, 160)
SMALL = ["--batch", "2", "--clip", "2", "--chunks", "2", "--crop", "128x128", "--warmup", "1", "--threads", "1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vident")
    write_tree(root, sequences={"train": 2, "val": 1, "test": 1}, frames=5, size_hw=SIZE)
    return root


def test_our_network_on_the_published_tree(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    command = [str(made), "--out", run, *SMALL, "--val-frames", "2", "--log-every", "1"]
    assert train_main([*command, "--steps", "2"]) == 0
    shown = capsys.readouterr().out
    assert f"{made.name}/train: layout of Vident-real, 2 sequences, 10 frames; labels: GT in 2 seq" in shown
    assert f"{made.name}/val: layout of Vident-real, 1 sequence, 5 frames" in shown
    assert shown.count("homo_4df.pkl: matrix t maps frame t-1 to frame t (residual ") == 1
    assert train_main([*command, "--steps", "3", "--resume"]) == 0
    assert "resumed at step 2" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "run/model.pt").training["steps"] == 3

    out = str(tmp_path / "eval")
    assert eval_main([f"{run}/model.pt", str(made), "--convention", "source", "--threads", "1", "--out", out]) == 0
    shown = capsys.readouterr().out
    assert "Convention: source" in shown and "layout of Vident-real" in shown and "matrix t maps" in shown
    figures = json.loads((tmp_path / "eval/evaluation.json").read_text())["rows"]["model"]
    assert all(figures[name] is not None for name in ("psnr_db", "ssim_whole", "epe_px", "iou_frame_mean", "motion_px"))

    assert export_main([f"{run}/model.pt", "--fp32", "--size", "128x160", "--onnx-only", "--output", run]) == 0
    assert (tmp_path / "run/model-128x160-fp32.onnx").is_file()


def test_the_recipes_of_the_yaml_file_train(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the file is found beside the package
    for recipe in ("source", "ours"):
        command = [str(made), "--out", recipe, "--config", "vident.yaml", "--recipe", recipe, "--variant", "nano"]
        small = ["--steps", "2", "--batch", "1", "--crop", "64x64", "--validate-every", "0", "--threads", "1"]
        fitting = ["--chunks", "2"] if recipe == "source" else ["--clip", "2"]
        assert train_main([*command, *small, *fitting]) == 0
        options = load_checkpoint(tmp_path / recipe / "model.pt").training["options"]
        assert options["losses"] == recipe and options["frame_step"] == {"source": 2, "ours": 1}[recipe]
    assert capsys.readouterr().out.count("done: 2 steps") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "vident.yaml"], "vident.yaml: choose one with --recipe: source, ours"),
        (["--config", "vident.yaml", "--recipe", "theirs"], "no recipe 'theirs'; choose one with --recipe: source"),
        (["--recipe", "source"], "--recipe source chooses from a file; give it with --config, such as vident.yaml"),
        (["--config", "plain.yaml", "--recipe", "source"], "plain.yaml: has no recipes to choose from; drop --recipe"),
        (["--config", "none.yaml", "--recipe", "source"], "none.yaml: cannot be read"),
        (
            ["--network", "estrnn", "--no-alignment"],
            "alignment is False, but network estrnn has no choice; leave it",
        ),
        (["--network", "deeplabv3+", "--batch", "1"], "batch is 1, but network deeplabv3+ normalises over the batch"),
        (["--network", "estrnn", "--tasks", "mask"], "tasks are mask, but network estrnn has none of them"),
        (["--network", "pwc"], "network is 'pwc'; expected one of mostnet, flownet, raft"),
        (["--frame-step", "4"], "a training window takes 13; these flags fit: --clip 2 --chunks 1"),
        (["--network", "estrnn", "--init", "nano"], "nano.pt: not a checkpoint of estrnn; give one that mostnet-train"),
    ],
)
def test_refusals_are_one_line(
    made: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain.yaml").write_text("steps: 3\n")
    assert train_main([str(made), "--out", "run", *SMALL, "--steps", "2", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and not Path("run/model.pt").exists()


def test_a_network_of_table_1_trains_resumes_is_evaluated_and_exported(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    command = [str(made), "--out", run, "--network", "estrnn", *SMALL, "--val-frames", "2"]
    assert train_main([*command, "--steps", "2"]) == 0
    assert train_main([*command, "--steps", "3", "--resume"]) == 0
    assert train_main([*command, "--steps", "4", "--resume", "--network", "flownet"]) == 1
    assert "was started with network estrnn, and cannot be resumed with flownet" in capsys.readouterr().err
    loaded = load_baseline(tmp_path / "run/model.pt")
    assert loaded.name == "estrnn" and loaded.training["steps"] == 3
    assert loaded.training["options"]["tasks"] == ["enhance"] and loaded.training["validation"]["psnr_db"] > 10

    assert (
        train_main(
            [str(made), "--out", run + "2", "--network", "estrnn", *SMALL, "--steps", "1", "--init", f"{run}/model.pt"]
        )
        == 0
    )
    capsys.readouterr()
    assert eval_main([f"{run}/model.pt", str(made), "--threads", "1"]) == 0
    shown = capsys.readouterr().out
    assert "EPE: '-' for the model, which was not trained for them (only enhance)" in shown
    row = next(line for line in shown.splitlines() if "estrnn" in line and "|" in line)
    assert row.split("|")[2].strip() != "-"

    folder = ["--size", "64x96", "--onnx-only", "--output", run]
    assert export_main([f"{run}/model.pt", "--fp16", *folder]) == 0
    assert (tmp_path / "run/model-64x96-fp16.onnx").is_file()
    assert export_main([f"{run}/model.pt", "--int8", "--calib", str(made), *folder]) == 1
    assert "model.pt: holds estrnn of Table I, which is exported as --fp16 or --fp32 only" in capsys.readouterr().err


@pytest.mark.parametrize("network", TRAINABLE)
def test_every_network_of_table_1_takes_a_step(made: Path, tmp_path: Path, network: str) -> None:
    need(network)
    command = [str(made), "--out", str(tmp_path), "--network", network, "--validate-every", "0"]
    assert train_main([*command, *SMALL, "--steps", "2"]) == 0
    loaded = load_baseline(tmp_path / "model.pt")
    assert loaded.name == network and loaded.training["steps"] == 2 and loaded.training["skipped_steps"] == 0
    shutil.rmtree(tmp_path)  # hundreds of megabytes


def test_a_step_that_is_not_sound_leaves_no_trace_in_the_statistics(made: Path) -> None:
    """Otherwise a NaN in the running mean of a batch normalisation would get into every later checkpoint."""
    need("deeplabv3+")
    options = TrainOptions(network="deeplabv3+", batch=2, clip=1, chunks=1, crop_hw=(64, 64), threads=1, device="cpu")
    learner = Learner(options)
    source = FrameSource(open_split(made, "train").sequences)
    clips = ClipDataset(source, ClipOptions(frames=1, crop_hw=(64, 64)))
    batch = Batch(*(torch.stack(parts) for parts in zip(clips[0], clips[1], strict=True)))

    def statistics() -> list[torch.Tensor]:
        return [buffer.clone() for buffer in learner.model.buffers()]

    assert learner.step(batch, None, rate=1e-4, number=1).is_sound
    sound, plain = statistics(), learner._losses
    learner._losses = lambda batch, state: tuple_of_nan(plain(batch, state))
    assert not learner.step(batch, None, rate=1e-4, number=2).is_sound
    assert all(torch.equal(a, b) for a, b in zip(sound, statistics(), strict=True))
    averaged = list(learner.average.model.buffers())
    assert all(torch.equal(a, b) for a, b in zip(sound, averaged, strict=True))
    learner._losses = plain
    assert learner.step(batch, None, rate=1e-4, number=3).is_sound
    assert not all(torch.equal(a, b) for a, b in zip(sound, statistics(), strict=True))


def tuple_of_nan(found: tuple) -> tuple:
    losses, state = found
    return {task: loss * float("nan") for task, loss in losses.items()}, state
