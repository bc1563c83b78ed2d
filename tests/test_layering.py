"""Imports go one way between the folders, and the engine stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
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
    "bench": {"contract", "engine", "video", "model", "calibration", "export", "training"},
}
#: Libraries that must stay out of a folder, even inside its functions.
FORBIDDEN = {
    "contract": {"torch", "onnx", "cv2", "av", "onnxruntime", "rich"},
    "engine": {"torch", "onnx", "cv2", "av", "rich"},
    "video": {"torch", "onnx", "onnxruntime"},
    "model": {"onnx", "cv2", "av", "onnxruntime"},
}


def imported(path: Path) -> set[str]:
    """Absolute names that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level > 1:
            names.add(f"{path}: relative import out of its folder")
    return names


def files(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).glob("**/*.py"))
    assert found, f"no Python files in {folder}/"
    return found


@pytest.mark.parametrize("folder", ALLOWED)
def test_folders_import_only_what_they_may(folder: str) -> None:
    for path in files(folder):
        used = {name.split(".")[1] for name in imported(path) if name.startswith("mostnet.")}
        used &= ALLOWED.keys()
        assert used <= ALLOWED[folder] | {folder}, f"{path} imports {used - ALLOWED[folder]}"
        assert not [name for name in imported(path) if "relative import" in name]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_libraries_stay_where_they_belong(folder: str) -> None:
    for path in files(folder):
        used = {name.split(".")[0] for name in imported(path)}
        assert not used & FORBIDDEN[folder], f"{path} imports {used & FORBIDDEN[folder]}"


def test_every_folder_is_listed() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == ALLOWED.keys()
    assert not (ROOT / "mostnet").exists(), "a root folder called mostnet shadows the installed package"


def test_importing_the_engine_loads_no_backend() -> None:
    heavy = ["torch", "onnx", "onnxruntime", "cv2", "av", "tensorrt", "tensorrt_rtx", "pycuda", "rich"]
    code = f"import sys, mostnet, mostnet.engine; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
