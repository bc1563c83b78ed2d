"""Names of checkpoints on a command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mostnet.contract import CheckpointError, sha256, shipped
from mostnet.contract.shipped import checkpoint_path, packaged_checkpoints
from mostnet.model import load_checkpoint

ROOT = Path(__file__).parents[2]
CARDS = sorted((ROOT / "api" / "weights").glob("*.md"))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with the weights of ``nano`` and the cards of ``nano`` and ``dw``, and an empty working directory."""
    weights = tmp_path / "venv" / "site-packages" / "mostnet" / "weights"
    weights.mkdir(parents=True)
    for name in ("nano.pt", "nano.md", "dw.md"):
        (weights / name).touch()
    monkeypatch.setattr(shipped, "files", lambda package: weights.parent)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return weights


def make_checkout(root: Path) -> Path:
    """A checkout of mostnet with the weights of ``dw``; returns their path."""
    for name in ("api/weights/dw.md", "api/VERSION", "weights/dw.pt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root / "weights" / "dw.pt"


def test_a_name_is_a_shipped_checkpoint(package: Path) -> None:
    assert checkpoint_path("nano") == package / "nano.pt"
    assert packaged_checkpoints() == {"nano": package / "nano.pt"}
    text = r"sw: neither a file nor a shipped checkpoint \(shipped: dw, nano\)"
    with pytest.raises(CheckpointError, match=text):
        checkpoint_path("sw")


def test_an_installed_package_says_where_large_weights_are(package: Path) -> None:
    text = r"dw: its weights are too large .* a checkout of mostnet has them as weights/dw\.pt: give the path"
    with pytest.raises(CheckpointError, match=text):
        checkpoint_path("dw")


def test_a_checkout_that_lacks_them_is_named(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_checkout(tmp_path / "checkout").unlink()
    monkeypatch.chdir(tmp_path / "checkout")
    with pytest.raises(CheckpointError, match=r"\(missing here: \S*checkout/weights/dw\.pt\): give the path"):
        checkpoint_path("dw")


@pytest.mark.parametrize("folder", [".", "docs/deep"])
def test_large_weights_are_found_anywhere_in_a_checkout(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    large = make_checkout(tmp_path / "checkout")
    here = tmp_path / "checkout" / folder
    here.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(here)
    assert checkpoint_path("dw") == large


def test_large_weights_are_found_from_the_environment_of_a_checkout(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``make demo`` installs into the checkout's ``.venv``; the user may stand in another checkout."""
    large = make_checkout(tmp_path / "checkout")
    make_checkout(tmp_path / "other")
    monkeypatch.chdir(tmp_path / "other")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "checkout" / ".venv"))
    assert checkpoint_path("dw") == large
    large.unlink()
    assert checkpoint_path("dw") == tmp_path / "other" / "weights" / "dw.pt"


def test_large_weights_are_found_from_an_editable_install(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = make_checkout(tmp_path / "checkout")
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path / "checkout" / "api")
    assert checkpoint_path("dw") == large


def test_weights_in_a_folder_that_is_no_checkout_are_not_taken(package: Path) -> None:
    Path("weights").mkdir()
    Path("weights", "dw.pt").touch()
    with pytest.raises(CheckpointError, match="too large for the package"):
        checkpoint_path("dw")


def test_a_file_takes_precedence_over_a_name_and_a_name_over_a_folder(package: Path) -> None:
    Path("nano").mkdir()
    Path("dw").mkdir()
    assert checkpoint_path("nano") == package / "nano.pt"
    assert checkpoint_path("dw") == Path("dw"), "its weights are not here, and the reader of checkpoints knows folders"
    Path("nano").rmdir()
    Path("nano").touch()
    assert checkpoint_path("nano") == Path("nano")


@pytest.mark.parametrize("name", ["run", "runs/a", "run.1"])
def test_the_folder_of_a_run_is_no_checkpoint(package: Path, name: str) -> None:
    Path(name).mkdir(parents=True)
    Path(name, "model.pt").touch()
    with pytest.raises(CheckpointError, match=f"^{name} is the folder of a training run: give {name}/model.pt$"):
        checkpoint_path(name)


@pytest.mark.parametrize("name", ["nano.pt", "folder/nano"])
def test_a_path_stays_a_path(name: str) -> None:
    assert checkpoint_path(name) == Path(name)


def test_the_package_is_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "api" / "weights").iterdir()) < 3_000_000


def test_all_weights_have_a_card() -> None:
    weights = [*(ROOT / "api" / "weights").glob("*.pt"), *(ROOT / "weights").glob("*.pt")]
    assert sorted(path.stem for path in weights) == [card.stem for card in CARDS] and CARDS


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_every_model_card_is_of_trained_weights_that_ship(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    path = checkpoint_path(card.stem)
    assert f"SHA-256 of the checkpoint that was evaluated: `{sha256(path)}`" in card.read_text(encoding="utf-8")
    checkpoint = load_checkpoint(path)
    assert checkpoint.variant == card.stem and checkpoint.training is not None
