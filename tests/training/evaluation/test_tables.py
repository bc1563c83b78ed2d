"""The ablation table and the model card, from evaluations on disk."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from mostnet.contract import MostnetError, sha256
from mostnet.model import Checkpoint, initial_checkpoint, save_checkpoint
from mostnet.training.evaluation.report import read_report
from mostnet.training.evaluation.tables import main, write_card

FIGURES = {
    "psnr_db": 24.123,
    "ssim": 0.91,
    "epe_px": 2.5,
    "iou": 0.8,
    "iou_frame_mean": 0.79,
    "motion_px": 0.25,
    "slope": 0.98,
}
RECORD = {
    "steps": 4000,
    "minutes": 90.0,
    "data": {"name": "scenes", "seed": 11},
    "options": {"variant": "nano", "lr": 0.001},
    "torch": "2.13.0",
}


def document(**model: object) -> dict:
    """The parts of an ``evaluation.json`` that the tables read."""
    return {
        "format": "mostnet-evaluation",
        "format_version": 1,
        "command": "mostnet-eval run/model.pt data/scenes --threads 1 --out run/eval",
        "versions": {"torch": "2.13.0"},
        "frames": 20,
        "model": {
            "file": "model.pt",
            "sha256": "0" * 64,
            "variant": "nano",
            "precision": "fp32",
            "runs_in": "PyTorch on cpu",
            "parameters_m": 0.5535,
            "training": RECORD,
            **model,
        },
        "data": {"name": "scenes", "split": "test", "descriptions": {"test": {"seed": 900}}},
        "rows": {
            "baseline": {**FIGURES, "psnr_db": 17.8, "motion_px": 8.0, "slope": 0.0},
            "oracle colour": {name: 21.0 if name == "psnr_db" else None for name in FIGURES},
            "model": dict(FIGURES),
        },
        "sequences": [{"name": "a", "frames": 10}, {"name": "b", "frames": 10}],
    }


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_ablation_table_compares_with_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = document()
    other["rows"]["model"] |= {"psnr_db": 23.5, "epe_px": None}
    full = written(tmp_path / "full.json", document())
    out = tmp_path / "table.md"
    part = written(tmp_path / "part.json", other)
    assert main(["ablation", f"full={full}", f"no-flow={part}", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == [
        "| baseline |  | 17.80 |  | 0.910 | 2.50 | 0.800 | 8.00 |",
        "| oracle colour |  | 21.00 |  | - | - | - | - |",
        "| full | 4000 | 24.12 |  | 0.910 | 2.50 | 0.800 | 0.25 |",
        "| no-flow | 4000 | 23.50 | -0.62 | 0.910 | - | 0.800 | 0.25 |",
    ]
    assert out.read_text().splitlines() == lines


def test_evaluations_on_different_frames_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = copy.deepcopy(document())
    other["sequences"] = other["sequences"][:1]
    paths = [written(tmp_path / "a.json", document()), written(tmp_path / "b.json", other)]
    assert main(["ablation", f"a={paths[0]}", f"b={paths[1]}"]) == 1
    error = capsys.readouterr().err
    assert "b was evaluated on scenes/test, 1 sequences, 10 frames, a on scenes/test, 2 sequences, 20 frames" in error


def test_evaluations_on_data_made_differently_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copy.deepcopy(document())
    other["data"]["descriptions"]["test"]["seed"] = 901
    paths = [written(tmp_path / "a.json", document()), written(tmp_path / "b.json", other)]
    assert main(["ablation", f"a={paths[0]}", f"b={paths[1]}"]) == 1
    assert "b and a were evaluated on two data sets scenes/test that were made differently" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["full"], ["=a.json"], ["a=x.json", "a=y.json"]])
def test_ablation_needs_distinct_names(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["ablation", *arguments])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"format": "other"}, "not an evaluation"),
        ({"format": "mostnet-evaluation", "format_version": 9}, "evaluation format 9, this mostnet reads 1"),
        ([], "not an evaluation"),
    ],
)
def test_other_files_are_no_evaluations(tmp_path: Path, content: object, text: str) -> None:
    with pytest.raises(MostnetError, match=text):
        read_report(written(tmp_path / "x.json", content))


def test_missing_and_broken_files_are_no_evaluations(tmp_path: Path) -> None:
    with pytest.raises(MostnetError, match="no such file"):
        read_report(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(MostnetError, match="not JSON"):
        read_report(tmp_path / "broken.json")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with a trained checkpoint and one without a record."""
    folder = tmp_path_factory.mktemp("run")
    network = initial_checkpoint("nano").model
    save_checkpoint(Checkpoint("nano", network, RECORD), folder / "model.pt")
    save_checkpoint(Checkpoint("nano", network), folder / "untrained.pt")
    return folder


def test_card_says_what_was_trained_how_and_how_good_it_is(run_dir: Path, tmp_path: Path) -> None:
    evaluation = written(tmp_path / "e.json", document(sha256=sha256(run_dir / "model.pt")))
    folder = tmp_path / "weights"
    assert main(["card", str(run_dir), str(evaluation), "nano", "--folder", str(folder)]) == 0
    text = (folder / "nano.md").read_text()
    assert "| nano | 24.12 | 0.910 | 2.50 | 0.800 | 0.25 | 0.980 |" in text
    assert "| baseline | 17.80 | 0.910 | 2.50 | 0.800 | 8.00 | - |" in text
    assert "4000 steps, wall time 90 minutes" in text
    assert "mostnet-train scenes --config recipe.yaml --out RUN_DIR" in text and "lr: 0.001" in text
    assert '"seed": 11' in text and '"seed": 900' in text
    assert "Measured with `mostnet-eval run/model.pt data/scenes --threads 1 --out run/eval`; torch 2.13.0." in text
    assert "Not for clinical use" in text and sha256(run_dir / "model.pt") in text


def test_card_takes_the_exact_command(run_dir: Path, tmp_path: Path) -> None:
    evaluation = written(tmp_path / "e.json", document(sha256=sha256(run_dir / "model.pt")))
    path = write_card(run_dir, evaluation, "nano", folder=tmp_path, command="mostnet-train X --steps 9")
    assert "```sh\nmostnet-train X --steps 9\n```" in path.read_text()


def test_card_of_another_checkpoint_or_of_an_untrained_one_is_refused(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(MostnetError, match=r"no checkpoint here is the one .* \(model.pt, SHA-256 0000"):
        write_card(run_dir, written(tmp_path / "e.json", document()), "nano", folder=tmp_path)
    untrained = document(sha256=sha256(run_dir / "untrained.pt"))
    with pytest.raises(MostnetError, match="no record of a training run"):
        write_card(run_dir, written(tmp_path / "e.json", untrained), "nano", folder=tmp_path)
    assert not (tmp_path / "nano.md").exists()
