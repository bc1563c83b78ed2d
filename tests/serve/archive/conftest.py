"""What the tests of archives share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mostnet.serve.archive import cli

from ...toy_graph import save_toy
from .clips import InlineWorkers


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine that needs no model."""
    return save_toy(tmp_path_factory.mktemp("toy") / "toy.onnx")


@pytest.fixture
def archive(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command, with workers in this process; it takes SOURCE, DEST and other arguments, and returns its status."""
    monkeypatch.setattr(cli, "LocalWorkers", InlineWorkers)

    def run(source: Path, out: Path, *others: str) -> int:
        return cli.main([str(source), "--out", str(out), "--engine", str(toy), *others])

    return run
