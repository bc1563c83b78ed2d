"""Every command shows its help without the extras, and names the extra that it lacks."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mostnet.contract import BackendNotInstalledError
from mostnet.contract.extras import LIBRARIES, extras_named

from ..toy_graph import save_toy
from ..without_extras import without_extras

ROOT = Path(__file__).parent.parent.parent
SETUP = (ROOT / "setup.py").read_text(encoding="utf-8")

#: Modules of all commands: the scripts of setup.py, and ``python -m`` of the list of ``mostnet`` and of the Makefile.
SCRIPTS = dict(re.findall(r'"(mostnet[\w-]*) = ([\w.]+):main"', SETUP))
PAGES = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("api/__main__.py", "Makefile"))
MODULES = sorted({*SCRIPTS.values(), *re.findall(r"python -m (mostnet\.[\w.]+\w)", PAGES)})

#: Runs that need an extra: module, arguments, name of the command, and the extra that its message must name.
RUNS = [
    ("mostnet.export.cli", ["nano"], "mostnet-export", "export"),
    ("mostnet.training.cli", ["data", "--out", "run"], "mostnet-train", "train"),
    ("mostnet.training.evaluation.cli", ["nano", "data"], "mostnet-eval", "train"),
    ("mostnet.training.synth_cli", ["new", "--sequences", "1", "--photos", "photos"], "mostnet-synth", "train"),
    ("mostnet.training.labelling.cli", ["data", "--weights", "raft.pt"], "mostnet-label", "train"),
    ("mostnet.video.cli", ["demo", "--engine", "toy.onnx", "--output", "out.mp4"], "mostnet-run", "cpu"),
    ("mostnet.bench.cli", ["--engine", "toy.onnx"], "mostnet-bench", "cpu"),
    ("mostnet.bench.cli", ["--engine", "toy.onnx", "--plot", "plot.png"], "mostnet-bench", "plot"),
    ("mostnet.model", [], "mostnet.model", "export"),
    ("mostnet.model.table1", ["init", "raft", "raft.pt"], "mostnet.model.table1", "export"),
    ("mostnet.bench.gpu.prepare", ["cases"], "mostnet.bench.gpu.prepare", "export"),
    ("mostnet.bench.table1.report", ["table"], "mostnet.bench.table1.report", "export"),
]


def test_every_command_shows_its_help_without_any_extra(tmp_path: Path) -> None:
    assert len(MODULES) >= 15
    for module, (status, out, err) in zip(
        MODULES, without_extras(tmp_path, [(module, ["--help"]) for module in MODULES]), strict=True
    ):
        assert (status, err) == (0, ""), f"{module}: {err}"
        assert out.startswith("usage: "), module


def test_every_command_names_the_extra_that_it_lacks_in_one_line(tmp_path: Path) -> None:
    save_toy(tmp_path / "toy.onnx")
    for index in range(2):
        picture = tmp_path / "data" / "train" / "a" / "input" / f"{index}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(picture), np.zeros((64, 64, 3), np.uint8))
    before = sorted(tmp_path.rglob("*"))

    results = without_extras(tmp_path, [(module, arguments) for module, arguments, _, _ in RUNS])

    for (module, _, name, extra), (status, _, err) in zip(RUNS, results, strict=True):
        line = err.splitlines()[-1] if err else ""
        assert status == 1, f"{module}: {err}"
        assert line.startswith(f"{name}: ") and f"pip install 'mostnet[{extra}]'" in line, f"{module}: {err}"
        assert err.count(name) == 1 and "Traceback" not in err, f"{module}: {err}"
    written = [path.name for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert written == []


def test_the_extra_of_the_command_is_named_if_it_installs_the_library() -> None:
    def message(library: str, preferred: str) -> str:
        with pytest.raises(BackendNotInstalledError) as found, extras_named(preferred):
            raise ModuleNotFoundError(name=library)
        return str(found.value)

    assert message("torch", "train") == "PyTorch is not installed; pip install 'mostnet[train]'"
    assert message("torch", "") == "PyTorch is not installed; pip install 'mostnet[export]'"
    assert message("onnx", "train") == "onnx is not installed; pip install 'mostnet[export]'"
    with pytest.raises(ModuleNotFoundError, match=r"torch\._C"), extras_named("train"):  # installed, but broken
        raise ModuleNotFoundError("No module named 'torch._C'", name="torch._C")
    with pytest.raises(ModuleNotFoundError, match="a_module_of_ours"), extras_named():  # a defect keeps its traceback
        import a_module_of_ours  # noqa: F401


def test_every_extra_installs_the_libraries_that_it_is_named_for() -> None:
    extras = _extras_of_setup()
    distributions = {"yaml": "pyyaml", "pytriton": "nvidia-pytriton"}
    for library, (_, names) in LIBRARIES.items():
        wanted = distributions.get(library, library).replace("_", "-")
        for extra in names:
            found = [re.match(r"[\w-]+", requirement).group() for requirement in extras[extra]]
            assert any(name in (wanted, f"{wanted}-gpu") for name in found), f"{extra} does not install {library}"


def _extras_of_setup() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for node in ast.parse(SETUP).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("X86", "RTX", "CUDA", "EXTRAS"):
            names[ast.unparse(node.targets[0])] = eval(ast.unparse(node.value), {**names})
    return names["EXTRAS"]
