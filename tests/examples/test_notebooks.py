"""The notebooks run from their first cell to their last, as a reader runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from mostnet import Engine

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(notebook: Path, folder: Path) -> Any:
    """The notebook with its outputs, executed by a kernel of this Python in a folder."""
    document = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        document, kernel_name="python3", startup_timeout=180, timeout=300, resources={"metadata": {"path": str(folder)}}
    )
    return client.execute()


@pytest.mark.slow
def test_the_first_engine_is_made_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, name in (("TMPDIR", "temporary"), ("IPYTHONDIR", "ipython"), ("JUPYTER_RUNTIME_DIR", "runtime")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))  # the kernel starts in this environment
    (tmp_path / "here").mkdir()
    document = run(EXAMPLES / "first_engine.ipynb", tmp_path / "here")
    outputs = [output for cell in document.cells for output in cell.get("outputs", ())]
    printed = "".join(output["text"] for output in outputs if output["output_type"] == "stream")
    assert "done: 40 steps" in printed and "this run" in printed and "20 frames" in printed
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert list((tmp_path / "here").iterdir()) == []
    (graph,) = (tmp_path / "temporary").glob("first-engine-*/*.onnx")
    with Engine(graph, provider="cpu", threads=1) as engine:
        frame = np.random.default_rng(0).integers(0, 256, (*engine.metadata.size_hw, 3), dtype=np.uint8)
        output = engine.infer(frame)
    assert output.finite and np.isfinite(output.flow).all()
    assert engine.metadata.trained and output.enhanced.std() > 1


@pytest.mark.parametrize("notebook", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_stored_without_outputs(notebook: Path) -> None:
    """Outputs would change with every run, and pictures would fill the repository."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
