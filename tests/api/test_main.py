"""``mostnet``: the list of commands, and the versions."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import mostnet
from mostnet.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[2]


def test_every_command_is_listed_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for name, does in COMMANDS.items():
        assert re.search(rf"^  {re.escape(name)} +{re.escape(does)}$", printed, re.MULTILINE), name


def test_the_list_holds_every_script_and_every_command_of_the_readme() -> None:
    scripts = re.findall(r'"(mostnet[\w-]*) = ', (ROOT / "setup.py").read_text(encoding="utf-8"))
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Commands")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `((?:mostnet|python -m)[^`]*)`", table, re.MULTILINE)
    assert len(scripts) >= 8 and len(named) >= 10
    assert {*scripts, *named} - {"mostnet"} <= COMMANDS.keys()


def test_the_versions_are_those_of_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    found = dict(line.rsplit(maxsplit=1) for line in lines)
    assert first == f"mostnet {mostnet.__version__}"
    assert found["numpy"] == np.__version__
    assert re.fullmatch(r"\d\S+", found["ffmpeg"]), "the FFmpeg inside PyAV"
    assert {"python", "torch", "onnxruntime", "tensorrt", "tensorrt-rtx", "nvidia driver"} <= found.keys()


def test_a_missing_hyphen_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    for word, advice in (("run", "; run mostnet-run"), ("walk", "")):
        with pytest.raises(SystemExit) as end:
            main([word, "a.mp4", "-o", "b.mp4"])
        assert end.value.code == 2
        assert (
            capsys.readouterr().err
            == f"mostnet: unknown command '{word}'{advice}; mostnet --help lists the arguments\n"
        )


def test_help_is_a_command_and_doctor_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    assert "commands (each has --help):" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: mostnet doctor ") and "mostnet-run" not in printed
