"""Names of checkpoints on a command line."""

from pathlib import Path

import pytest

from mostnet.contract import CheckpointError, sha256, shipped
from mostnet.contract.shipped import checkpoint_path, shipped_checkpoints
from mostnet.model import load_checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with the weights of ``nano`` and the cards of ``nano`` and ``dw``, and an empty working directory."""
    weights = tmp_path / "site-packages" / "mostnet" / "weights"
    weights.mkdir(parents=True)
    for name in ("nano.pt", "nano.md", "dw.md"):
        (weights / name).touch()
    monkeypatch.setattr(shipped, "files", lambda package: weights.parent)
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
    with pytest.raises(CheckpointError, match=r"sw: neither a file nor a shipped checkpoint \(shipped: nano\)"):
        checkpoint_path("sw")


def test_an_installed_package_says_where_large_weights_are(package: Path) -> None:
    with pytest.raises(CheckpointError, match=r"dw: .* a checkout of mostnet has them as weights/dw\.pt: run this in"):
        checkpoint_path("dw")
    assert shipped_checkpoints() == {"nano": package / "nano.pt"}


@pytest.mark.parametrize("folder", [".", "docs/deep"])
def test_large_weights_are_found_anywhere_in_a_checkout(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    large = make_checkout(tmp_path / "checkout")
    here = tmp_path / "checkout" / folder
    here.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(here)
    assert checkpoint_path("dw") == large
    assert shipped_checkpoints() == {"nano": package / "nano.pt", "dw": large}


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


def test_a_file_takes_precedence_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nano").touch()
    assert checkpoint_path("nano") == Path("nano")


@pytest.mark.parametrize("name", ["nano.pt", "folder/nano"])
def test_a_path_stays_a_path(name: str) -> None:
    assert checkpoint_path(name) == Path(name)


def test_the_package_is_small() -> None:
    assert checkpoint_path("nano").stat().st_size < 3_000_000


@pytest.mark.parametrize("card", sorted((ROOT / "api" / "weights").glob("*.md")), ids=lambda card: card.stem)
def test_every_model_card_is_of_trained_weights_that_ship(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    path = checkpoint_path(card.stem)
    assert f"SHA-256 of the checkpoint that was evaluated: `{sha256(path)}`" in card.read_text(encoding="utf-8")
    checkpoint = load_checkpoint(path)
    assert checkpoint.variant == card.stem and checkpoint.training is not None
