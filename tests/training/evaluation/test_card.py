"""The model card, from a run's folder and from evaluations on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from mostnet.contract import MostnetError, sha256
from mostnet.model import Checkpoint, initial_checkpoint, save_checkpoint
from mostnet.training.evaluation.card import write_card
from mostnet.training.evaluation.tables import main
from tests.training.evaluation.documents import RECORD, document, written


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
    assert "| nano | 24.12 | 26.50 | 0.910 | 1.75 | 4.25 |\n" in text
    assert "| baseline | 17.80 | 21.00 | 0.910 | 1.75 | 4.25 |\n" in text
    assert "| baseline | 2.50 | 8.00 | - | 0.800 | 0.790 |\n" in text
    assert "| DIS | 0.50 | - | - | - | - |\n| nano | 2.50 | 0.25 | 0.980 | 0.800 | 0.790 |\n" in text
    assert "| nano, clean input | 35.00 |" in text and "| nano, clean input | 2.50 | 0.25 | 0.980 | - |" in text
    assert text.count("see 0.8 and half accept 1.8") == 1
    assert "4000 steps, wall time 90 minutes" in text
    assert (
        "Convention: ours." in text
        and "mostnet-train scenes --config recipe.yaml --out RUN_DIR" in text
        and "lr: 0.001" in text
    )
    assert '"seed": 11' in text and '"seed": 900' in text
    assert "Measured with `mostnet-eval run/model.pt data/scenes --threads 1 --out run/eval`; torch 2.13.0." in text
    assert "Not for clinical use" in text and sha256(run_dir / "model.pt") in text


def test_card_repeats_a_training_with_photographs(tmp_path: Path) -> None:
    photos = {"count": 3, "sha256": "ab", "recorded_paths": 1}
    record = {**RECORD, "data": {**RECORD["data"], "photos": photos}}
    save_checkpoint(Checkpoint("nano", initial_checkpoint("nano").model, record), tmp_path / "model.pt")
    evaluation = written(tmp_path / "e.json", document(sha256=sha256(tmp_path / "model.pt")))
    text = write_card(tmp_path, [evaluation], "nano", folder=tmp_path).read_text()
    assert "mostnet-train scenes --photos PHOTOS --paths paths.csv --config recipe.yaml --out RUN_DIR" in text


def test_card_takes_the_exact_command(run_dir: Path, tmp_path: Path) -> None:
    evaluation = written(tmp_path / "e.json", document(sha256=sha256(run_dir / "model.pt")))
    path = write_card(run_dir, [evaluation], "nano", folder=tmp_path, command="mostnet-train X --steps 9")
    assert "```sh\nmostnet-train X --steps 9\n```" in path.read_text()


def test_card_of_another_checkpoint_or_of_an_untrained_one_is_refused(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(MostnetError, match=r"no checkpoint here is the one .* \(model.pt, SHA-256 0000"):
        write_card(run_dir, [written(tmp_path / "e.json", document())], "nano", folder=tmp_path)
    untrained = document(sha256=sha256(run_dir / "untrained.pt"))
    with pytest.raises(MostnetError, match="no record of a training run"):
        write_card(run_dir, [written(tmp_path / "e.json", untrained)], "nano", folder=tmp_path)
    assert not (tmp_path / "nano.md").exists()


def test_card_has_the_tables_of_every_evaluation_in_order(run_dir: Path, tmp_path: Path) -> None:
    drawn, photographs = (document(sha256=sha256(run_dir / "model.pt")) for _ in range(2))
    photographs["data"] = {"name": "photos", "split": "val", "descriptions": {"val": {"seed": 77}}}
    photographs["rows"]["model"]["psnr_db"] = 22.25
    paths = [written(tmp_path / "a.json", drawn), written(tmp_path / "b.json", photographs)]
    arguments = [str(run_dir), *map(str, paths), "nano", "--folder", str(tmp_path), "--command", "mostnet-train A B"]
    assert main(["card", *arguments]) == 0
    text = (tmp_path / "nano.md").read_text()
    first, second = text.index("### `scenes/test`"), text.index("### `photos/val`")
    assert first < text.index("| nano | 24.12 |") < second < text.index("| nano | 22.25 |")
    assert text.count("| oracle colour |") == 2 and text.count("Measured with") == 2
    assert text.index('"seed": 900') < text.index('"seed": 77') < text.index("## Limits")
    assert text.count("Trained on:") == 1


def test_card_takes_evaluations_of_one_checkpoint_only(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = written(tmp_path / "a.json", document(sha256=sha256(run_dir / "model.pt")))
    other = written(tmp_path / "b.json", document(file="other.pt", sha256="f" * 64))
    assert main(["card", str(run_dir), str(one), str(other), "nano", "--folder", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "b.json is of other.pt (SHA-256 ffffffffffff...)" in error and "evaluate the same one" in error
    assert not (tmp_path / "nano.md").exists()


def test_card_names_the_makers_of_the_data_and_the_licence(run_dir: Path, tmp_path: Path) -> None:
    evaluation = written(tmp_path / "e.json", document(sha256=sha256(run_dir / "model.pt")))
    credit = tmp_path / "credit.md"
    credit.write_text("Photographs by **A. Šmid**, CC BY 4.0.\n\n", encoding="utf-8")
    arguments = [str(run_dir), str(evaluation), "nano", "--folder", str(tmp_path), "--attribution", str(credit)]
    assert main(["card", *arguments]) == 0
    text = (tmp_path / "nano.md").read_text(encoding="utf-8")
    heading = text.index("### Attribution and licence\n\nPhotographs by **A. Šmid**, CC BY 4.0.\n\n## Limits")
    assert text.index("## Data") < heading
    assert "Attribution" not in write_card(run_dir, [evaluation], "plain", folder=tmp_path).read_text()


@pytest.mark.parametrize(
    ("content", "text"), [(None, "no such file"), (b" \n", "is empty"), (b"\xff\xfe", "not UTF-8 text")]
)
def test_attribution_without_text_is_refused(content: bytes | None, text: str, run_dir: Path, tmp_path: Path) -> None:
    evaluation = written(tmp_path / "e.json", document(sha256=sha256(run_dir / "model.pt")))
    credit = tmp_path / "credit.md"
    if content is not None:
        credit.write_bytes(content)
    with pytest.raises(MostnetError, match=rf"credit\.md: {text}"):
        write_card(run_dir, [evaluation], "nano", folder=tmp_path, attribution=credit)
    assert not (tmp_path / "nano.md").exists()


def test_limits_fit_photographs_and_warn_of_shades(run_dir: Path, tmp_path: Path) -> None:
    evaluation = written(tmp_path / "e.json", document(sha256=sha256(run_dir / "model.pt")))
    limits = write_card(run_dir, [evaluation], "nano", folder=tmp_path).read_text().split("## Limits")[1]
    assert "A photograph that a program moves" in limits and "Do not read a shade" in limits
