"""The Makefile's choice of PyTorch's build, and what it says before a download of gigabytes."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_SPEC = importlib.util.spec_from_file_location("tell_torch_build", ROOT / "tell_torch_build.py")
script = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(script)

_USUAL = "torch (2.15.0)\nAvailable versions: 2.15.0, 2.14.1, 2.13.0, 2.12.1\n  INSTALLED: 2.13.0"
_WITH_CPU = _USUAL.replace("2.13.0,", "2.13.0+cpu, 2.13.0,")


def commands(tmp_path: Path, *settings: str) -> list[str]:
    """The commands of ``make demo`` in a new environment, without running them."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("needs make")
    done = subprocess.run(
        [make, "-n", "demo", f"VENV={tmp_path / 'new'}", *settings],
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
