"""Names of checkpoints on a command line."""

from pathlib import Path

import pytest

from mostnet.contract import CheckpointError
from mostnet.model import checkpoint_path, load_checkpoint, shipped


def test_a_name_is_a_shipped_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "nano.pt").touch()
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path)
    assert checkpoint_path("nano") == tmp_path / "weights" / "nano.pt"
    with pytest.raises(CheckpointError, match=r"dw: neither a file nor a shipped checkpoint \(shipped: nano\)"):
        checkpoint_path("dw")


def test_a_file_takes_precedence_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nano").touch()
    assert checkpoint_path("nano") == Path("nano")


@pytest.mark.parametrize("name", ["nano.pt", "folder/nano"])
def test_a_path_stays_a_path(name: str) -> None:
    assert checkpoint_path(name) == Path(name)


def test_the_shipped_checkpoint_is_trained() -> None:
    checkpoint = load_checkpoint(checkpoint_path("nano"))
    assert checkpoint.variant == "nano"
    assert checkpoint.training is not None
    assert checkpoint_path("nano").stat().st_size < 3_000_000
