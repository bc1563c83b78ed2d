"""The script that trains on a lent GPU: what it runs, in which order, with options that the commands know."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mostnet.model.__main__ import _parser as model_parser
from mostnet.training import cli, synth_cli
from mostnet.training.evaluation import cli as evaluation_cli

SCRIPT = Path(__file__).parents[2] / "training" / "on_gpu.sh"

#: Takes Python's place: notes its arguments, and leaves the files that the real commands would leave.
_PYTHON = """#!/usr/bin/env bash
echo "$@" >> "$LOG"
case "$2 $*" in
    mostnet.training.synth_cli*"$FAILS"*) exit 3 ;;
    mostnet.training.synth_cli*) mkdir -p "$3/$5"; touch "$3/$5/dataset.json" ;;
    mostnet.training.cli*) mkdir -p "$5"; touch "$5/last.pt"; if [ -n "$SLOW" ]; then sleep 30; fi ;;
esac
"""


class Script:
    """The script in a folder of its own, with a Python that only notes what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.out, self.log = folder / "out", folder / "log"
        self.python = folder / "python"
        self.python.write_text(_PYTHON, encoding="utf-8")
        self.python.chmod(0o755)

    def run(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One call, for 12 minutes of ``dw``."""
        settings = {
            "PYTHON": str(self.python),
            "LOG": str(self.log),
            "FAILS": "no such word",
            "SLOW": "",
            **environment,
        }
        command = ["bash", str(SCRIPT), str(self.out), "dw", "12", "PHOTOS", "PATHS.csv", *options]
        self.log.write_text("", encoding="utf-8")
        return subprocess.run(
            command, env={"PATH": "/usr/bin:/bin", **settings}, capture_output=True, text=True, check=False
        )

    def asked(self, module: str) -> list[list[str]]:
        """The arguments of each call of ``python -m mostnet.MODULE``."""
        lines = [line.split() for line in self.log.read_text(encoding="utf-8").splitlines()]
        assert all(line[0] == "-m" for line in lines)
        return [line[2:] for line in lines if line[1] == f"mostnet.{module}"]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def test_data_run_weights_and_figures(script: Script) -> None:
    done = script.run("--batch", "32")
    assert done.returncode == 0, done.stderr
    made = [synth_cli._parser().parse_args(arguments) for arguments in script.asked("training.synth_cli")]
    assert sorted((str(one.out.relative_to(script.out)), one.split) for one in made) == [
        ("drawn", "train"),
        ("drawn", "val"),
        ("mouths", "val"),
    ]
    (arguments,) = script.asked("training.cli")
    args = cli._parser().parse_args(arguments)
    options = cli.chosen_options(args)
    assert (args.init, args.resume, args.data, args.out) == ("nano", False, script.out / "drawn", script.out / "run")
    assert (options.variant, options.max_minutes, options.cuda_graph, options.batch) == ("dw", 12.0, True, 32)
    assert options.validate_every == 0, "a validation draws with Matplotlib"
    (arguments,) = script.asked("model")
    half = model_parser().parse_args(arguments)
    assert (half.checkpoint, half.output) == (script.out / "run" / "model.pt", script.out / "dw.pt")
    (arguments,) = script.asked("training.evaluation.cli")
    assert evaluation_cli._parser().parse_args(arguments).model == str(script.out / "dw.pt")


def test_the_same_command_continues_a_run_that_ran_out_of_time(script: Script) -> None:
    done = script.run(CALL_SECONDS="1", SLOW="yes")
    assert done.returncode == 0, done.stderr
    assert "1 s are over; run the same command again to continue" in done.stdout
    assert script.asked("model") == []
    assert script.run().returncode == 0
    assert script.asked("training.synth_cli") == [], "the data is there already"
    (arguments,) = script.asked("training.cli")
    assert cli._parser().parse_args(arguments).resume
    assert len(script.asked("training.evaluation.cli")) == 1


def test_nothing_is_trained_without_its_data(script: Script) -> None:
    assert script.run(FAILS="train").returncode == 3
    assert script.asked("training.cli") == []


def test_it_says_how_it_is_called(tmp_path: Path) -> None:
    done = subprocess.run(["bash", str(SCRIPT), "OUT"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("Train a wide variant from the weights of nano")
    assert "bash training/on_gpu.sh OUT VARIANT MINUTES PHOTOS PATHS.csv" in done.stderr
