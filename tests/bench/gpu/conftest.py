"""One small case and both warps, prepared once for all tests of the GPU report."""

from __future__ import annotations

from pathlib import Path

import pytest

from mostnet.bench.gpu.cases import Case
from mostnet.bench.gpu.prepare import main as prepare_main

#: At 64x96, the second of its frames has a mask on the edge of the threshold, which half precision moves.
CASE = Case("nano", (64, 112))
FRAMES = 12


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cases")
    assert prepare_main([str(root), "--only", "nano-64x112", "--frames", str(FRAMES)]) == 0
    return root


@pytest.fixture(scope="session")
def folder(cases: Path) -> Path:
    return cases / CASE.name
