"""The Makefile's choice of PyTorch's build, and what it says before a download of gigabytes."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_SPEC = importlib.util.spec_from_file_location("tell_torch_build", ROOT / "tell_torch_build.py")
script = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(script)

_USUAL = "torch (2.15.0)\nAvailable versions: 2.15.0, 2.14.1, 2.13.0, 2.12.1\n  INSTALLED: 2.13.0"
_WITH_CPU = _USUAL.replace("2.13.0,", "2.13.0+cpu, 2.13.0,")


def find_make() -> str:
    make = shutil.which("make")
    if make is None:
        pytest.skip("needs make")
    return make


def commands(tmp_path: Path, *settings: str, target: str = "demo") -> list[str]:
    """The commands of ``make demo``, or another target, in a new environment, without running them."""
    done = subprocess.run(
        [find_make(), "--no-print-directory", "-n", target, f"VENV={tmp_path / 'new'}", *settings],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout.splitlines()


def test_torch_index_takes_only_torch_from_that_index_and_first(tmp_path: Path) -> None:
    lines = commands(tmp_path, "TORCH_INDEX=https://index.invalid/cpu")
    pip = [line for line in lines if " install " in line]
    assert pip[0].endswith(" --constraint constraints.txt --no-deps --index-url 'https://index.invalid/cpu' torch")
    assert "[cpu,export,rtx,train]" in pip[2]
    assert not any("index-url" in line for line in pip[1:])
    assert not any("tell_torch_build" in line for line in lines)


def test_without_torch_index_the_user_is_told_before_the_first_package(tmp_path: Path) -> None:
    lines = commands(tmp_path)
    told, first = (next(i for i, line in enumerate(lines) if text in line) for text in ("tell_torch", " install "))
    assert told < first
    assert not any("index-url" in line for line in lines)


def test_triton_has_an_environment_of_its_own_with_its_versions(tmp_path: Path) -> None:
    lines = commands(tmp_path, f"TRITON_VENV={tmp_path / 'triton'}", target="test-triton")
    (pins,) = (line for line in lines if line.startswith("grep "))
    (install,) = (line for line in lines if "[cpu,triton-server" in line)
    assert f"--constraint {tmp_path / 'triton'}/constraints.txt" in "".join(lines)
    assert install.endswith(" pytest pytest-timeout")
    assert lines[-1].startswith("MOSTNET_REQUIRE_TRITON=1 ") and lines[-1].endswith(" -m pytest tests/serve/triton")
    (tmp_path / "triton").mkdir()
    subprocess.run(pins, shell=True, cwd=ROOT, check=True)
    found = (tmp_path / "triton" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    names = [line.partition("==")[0] + line.partition(";")[2] for line in found if "==" in line and line[0] != "#"]
    assert len(names) == len(set(names)), "a package has two versions"
    assert [line for line in found if line.startswith("numpy")] == ["numpy==1.26.4"]


def test_triton_is_refused_for_another_python_in_one_line(tmp_path: Path) -> None:
    python = tmp_path / "python"
    newer = "import sys; sys.version_info = (3, 13); exec(sys.argv.pop(1))"
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{newer}' \"$2\"\n", encoding="utf-8")
    python.chmod(0o755)
    command = [find_make(), "test-triton", f"PYTHON={python}", f"TRITON_VENV={tmp_path / 'triton'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode != 0
    assert not (tmp_path / "triton").exists()
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert lines == [
        "test-triton: nvidia-pytriton needs NumPy 1.26, which has no wheel for Python 3.13; give PYTHON=python3.12"
    ]


@pytest.mark.parametrize(
    ("available", "system", "cuda"),
    [
        (_USUAL, "Linux", True),
        (_WITH_CPU, "Linux", False),
        (_USUAL, "Darwin", False),
        (_USUAL, "Windows", False),
        (_USUAL.replace("2.13.0,", ""), "Linux", False),  # only "INSTALLED", after the list
        ("", "Linux", False),  # offline
    ],
)
def test_the_cuda_build_is_known_by_the_versions_that_pip_finds(available: str, system: str, cuda: bool) -> None:
    assert script.takes_cuda_build(available, "2.13.0", system) is cuda


def test_the_pin_is_read_from_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\ntorch=={script.pinned_torch(lines)}\n" in lines
    assert script.pinned_torch("torchmetrics==1.9.0\n") == ""


@pytest.mark.parametrize(("answer", "told"), [(_USUAL, True), (_WITH_CPU, False), ("", False)])
def test_the_notice_names_the_way_out_and_never_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str, told: bool
) -> None:
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(script.platform, "system", lambda: "Linux")
    monkeypatch.setattr(script, "pinned_torch", lambda text: "2.13.0")
    monkeypatch.setattr(script.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, answer))
    assert script.main() == 0
    printed = capsys.readouterr().out
    assert ("2.9 GB" in printed and "make demo TORCH_INDEX=URL" in printed) is told
    assert bool(printed) is told
