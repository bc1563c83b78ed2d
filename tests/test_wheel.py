"""The wheel holds every module of the checkout, each of them imports from it, and its files run unpacked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .test_layering import MODULES, ROOT

#: Imports every module named on standard input, and prints the folder that each came from.
_IMPORT_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
from importlib import import_module
for name in sys.stdin.read().split():
    print(import_module(name).__file__)
"""

#: Runs a module from the folder in the first argument, and hides mostnet's distribution.
_RUN_UNPACKED = """
import runpy, sys
from importlib import metadata

def find(name, find=metadata.Distribution.from_name):
    if name == "mostnet":
        raise metadata.PackageNotFoundError(name)
    return find(name)

metadata.Distribution.from_name = find
folder, module, *arguments = sys.argv[1:]
sys.path.insert(0, folder)
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__")
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a wheel that was built from a copy of the checkout."""
    tmp_path = tmp_path_factory.mktemp("wheel")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "build", "demo", "tests", "docs", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=ignored)
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([sys.executable, *build, str(source)], check=True)
    (wheel,) = tmp_path.glob("mostnet-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def test_the_wheel_holds_every_module(unpacked: Path) -> None:
    found = {path.relative_to(unpacked / "mostnet") for path in (unpacked / "mostnet").glob("**/*.py")}
    wanted = {path.relative_to(ROOT) for path in MODULES.values()}
    assert found == {Path(*path.parts[1:]) if path.parts[0] == "api" else path for path in wanted}


def test_the_wheel_holds_weights_clip_and_type_marker(unpacked: Path) -> None:
    for name in (
        "VERSION",
        "py.typed",
        "weights/nano.pt",
        "weights/nano.md",
        "video/demo.mp4",
        "training/recipes/vident.yaml",
    ):
        assert (unpacked / "mostnet" / name).is_file(), name


def test_every_module_imports_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    names = [f"mostnet.{module}".rstrip(".") for module in MODULES]
    code = [sys.executable, "-I", "-c", _IMPORT_ALL, str(unpacked)]
    done = subprocess.run(code, input=" ".join(names), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(str(unpacked)) for line in done.stdout.splitlines()), done.stdout
    assert len(done.stdout.splitlines()) == len(MODULES)


def run_unpacked(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", _RUN_UNPACKED, str(folder), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_cases_are_made_and_described_without_an_installed_distribution(unpacked: Path, tmp_path: Path) -> None:
    folder, cases = tmp_path / "tree", tmp_path / "cases"
    shutil.copytree(unpacked / "mostnet", folder / "mostnet")  # without the description of the distribution
    run_unpacked(folder, "mostnet.bench.gpu.prepare", str(cases), "--only", "nano-64x96", "--frames", "4")
    request = json.loads((cases / "nano-64x96-fp16" / "request.json").read_text())
    assert request["metadata"]["tools"]["mostnet"] == (ROOT / "api" / "VERSION").read_text().strip()


def test_synthetic_sequences_are_made_without_an_installed_distribution(unpacked: Path, tmp_path: Path) -> None:
    folder, data = tmp_path / "tree", tmp_path / "data"
    shutil.copytree(unpacked / "mostnet", folder / "mostnet")
    words = ["--split", "test", "--sequences", "1", "--frames", "2", "--size", "64x96"]
    run_unpacked(folder, "mostnet.training.synth_cli", str(data), *words)
    description = json.loads((data / "test" / "dataset.json").read_text())
    assert description["versions"]["mostnet"] == (ROOT / "api" / "VERSION").read_text().strip()
