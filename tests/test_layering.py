"""Imports go one way between the folders, no two modules import each other, and the engine stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Sub-packages of mostnet that each folder may import, beside itself.
ALLOWED = {
    "contract": set(),
    "engine": {"contract"},
    "api": {"contract", "engine"},
    "video": {"contract", "engine"},
    "model": {"contract"},
    "calibration": {"contract", "video"},
    "export": {"contract", "model", "calibration", "engine", "video"},
    "training": {"contract", "model", "video", "engine"},
    "serve": {"contract", "engine", "api", "video"},
    "bench": {"contract", "engine", "video", "model", "calibration", "export", "training", "serve"},
}
#: Sub-packages, and which of their siblings each may import beside the folder that holds it.
SIBLINGS = {
    "engine.cuda": set(),
    "engine.tensorrt": {"engine.cuda"},
    "engine.ort": {"engine.cuda"},
    "engine.streams": {"engine.cuda"},
    "video.camera": set(),
    "video.command": {"video.files", "video.steady"},
    "video.decoding": set(),
    "video.files": set(),
    "video.sound": set(),
    "video.spans": {"video.decoding", "video.files", "video.sound"},
    "video.steady": set(),
    "export.plan": set(),
    "export.triton": set(),
    "model.table1": set(),
    "training.data": set(),
    "training.synth": {"training.data"},
    "training.photos": {"training.data", "training.synth"},
    "training.evaluation": {"training.data"},
    "training.labelling": {"training.data", "training.evaluation"},
    "training.losses": {"training.data"},
    "serve.archive": set(),
    "serve.triton": set(),
    "bench.gpu": set(),
    "bench.scale": {"bench.steady"},
    "bench.steady": set(),
    "bench.table1": set(),
}
#: The most modules that one folder may hold, ``__init__.py`` included.
MOST_MODULES = 20
#: Libraries that must stay out of a folder, even inside its functions.
FORBIDDEN = {
    "contract": {"torch", "onnx", "cv2", "av", "onnxruntime", "rich"},
    "engine": {"torch", "onnx", "cv2", "av", "rich"},
    "video": {"torch", "onnx", "onnxruntime"},
    "model": {"onnx", "cv2", "av", "onnxruntime"},
    "serve": {"torch", "onnx"},
}


def module_name(path: Path) -> str:
    """The dotted name below ``mostnet`` of a source file; ``api/`` is ``mostnet`` itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "api" else parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for folder in ALLOWED for path in sorted((ROOT / folder).glob("**/*.py"))}


def imported(path: Path) -> set[str]:
    """Absolute dotted names that a file imports, at its top, in functions and for type checking alike."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level < 2, f"{path}:{node.lineno}: use an absolute import across folders"
            parts = ["mostnet", package] if node.level else []
            source = ".".join(part for part in [*parts, node.module] if part)
            names |= {f"{source}.{alias.name}" for alias in node.names}
    return names


def imported_modules(path: Path) -> set[str]:
    """Modules of mostnet that a file imports, below ``mostnet``: the longest part of each name that is a module."""
    found = set()
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "mostnet":
            tries = (".".join(parts[1:end]) for end in range(len(parts), 0, -1))
            found.add(next(module for module in tries if module in MODULES))
    return found


def files(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).glob("**/*.py"))
    assert found, f"no Python files in {folder}/"
    return found


@pytest.mark.parametrize("folder", ALLOWED)
def test_folders_import_only_what_they_may(folder: str) -> None:
    for path in files(folder):
        used = {module.split(".")[0] for module in imported_modules(path)} & ALLOWED.keys()
        assert used <= ALLOWED[folder] | {folder}, f"{path} imports {used - ALLOWED[folder]}"


@pytest.mark.parametrize("package", SIBLINGS)
def test_sub_packages_import_only_the_siblings_they_may(package: str) -> None:
    for path in files(package.replace(".", "/")):
        used = {".".join(module.split(".")[:2]) for module in imported_modules(path)} & SIBLINGS.keys()
        siblings = {name for name in used if name.split(".")[0] == package.split(".")[0]}
        assert siblings <= SIBLINGS[package] | {package}, f"{path} imports {siblings - SIBLINGS[package]}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: imported_modules(path) - {module} for module, path in MODULES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_libraries_stay_where_they_belong(folder: str) -> None:
    for path in files(folder):
        used = {name.split(".")[0] for name in imported(path)}
        assert not used & FORBIDDEN[folder], f"{path} imports {used & FORBIDDEN[folder]}"


def test_every_folder_is_listed() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == ALLOWED.keys()
    assert {module_name(path) for folder in ALLOWED for path in ROOT.glob(f"{folder}/*/__init__.py")} == SIBLINGS.keys()
    assert not (ROOT / "mostnet").exists(), "a root folder called mostnet shadows the installed package"


def test_no_folder_is_crowded() -> None:
    counts = Counter(path.parent for path in MODULES.values())
    assert max(counts.values()) <= MOST_MODULES, counts.most_common(3)


def test_no_two_classes_share_a_name() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in MODULES.values()]
    counts = Counter(node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef))
    assert max(counts.values()) == 1, counts.most_common(3)


def test_importing_the_engine_loads_no_backend() -> None:
    heavy = ["torch", "onnx", "onnxruntime", "cv2", "av", "tensorrt", "tensorrt_rtx", "pycuda", "rich"]
    code = f"import sys, mostnet, mostnet.engine; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
