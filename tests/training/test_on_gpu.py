"""The script that trains on a lent GPU: what it runs, in which order, with options that the commands know."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mostnet.model.__main__ import _parser as model_parser
from mostnet.training import cli, synth_cli
from mostnet.training.evaluation import cli as evaluation_cli

SCRIPT = Path(__file__).parents[2] / "training" / "on_gpu.sh"

#: Takes Python's place: notes its arguments, and leaves the files that the real commands would leave.
_PYTHON = """#!/usr/bin/env bash
printf '%q ' "$@" >> "$LOG"; echo >> "$LOG"
case "$2" in
    mostnet.training.synth_cli)
        if [ "$5" = "$FAILS" ]; then exit 3; fi
        sleep "$MAKING"
        mkdir -p "$3/$5"; touch "$3/$5/dataset.json" ;;
    mostnet.training.cli)
        mkdir -p "$5"; touch "$5/last.pt"
        if [ -n "$SLOW" ]; then trap 'echo saved >> "$LOG"; exit 0' TERM; while true; do sleep 0.05; done; fi ;;
    mostnet.training.evaluation.cli) echo "the figures"; if [ "$FAILS" = eval ]; then exit 4; fi ;;
esac
"""


class Script:
    """The script in a folder of its own, with a Python that only notes what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.out, self.log = folder / "out put", folder / "log"
        self.photos = folder / "my photos"
        self.python = folder / "python"
        self.python.write_text(_PYTHON, encoding="utf-8")
        self.python.chmod(0o755)

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        """Begin one call, for 12 minutes of ``dw``."""
        settings = {
            "PYTHON": str(self.python),
            "LOG": str(self.log),
            "FAILS": "",
            "MAKING": "0",
            "SLOW": "",
            **environment,
        }
        command = ["bash", str(SCRIPT), str(self.out), "dw", "12", str(self.photos), "PATHS.csv", *options]
        self.log.write_text("", encoding="utf-8")
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, env={"PATH": os.environ["PATH"], **settings}, stdout=pipe, stderr=pipe, text=True
        )

    def run(self, *options: str, **environment: str) -> tuple[int, str]:
        """Exit status and standard output of one call."""
        with self.start(*options, **environment) as script:
            out, err = script.communicate(timeout=60)
        assert not err, err
        return script.returncode, out

    def lines(self) -> list[list[str]]:
        """What Python was asked, and what it noted."""
        return [shlex.split(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def asked(self, module: str) -> list[list[str]]:
        """The arguments of each call of this module of mostnet."""
        return [line[2:] for line in self.lines() if line[:2] == ["-m", f"mostnet.{module}"]]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def test_data_run_weights_and_figures(script: Script) -> None:
    assert script.run("--batch", "32") == (0, "the figures\n")
    made = [synth_cli._parser().parse_args(arguments) for arguments in script.asked("training.synth_cli")]
    assert sorted((one.out, one.split, one.photos) for one in made) == [
        (script.out / "drawn", "train", None),
        (script.out / "mouths", "val", script.photos / "val"),
    ]
    (arguments,) = script.asked("training.cli")
    args = cli._parser().parse_args(arguments)
    options = cli.chosen_options(args)
    assert (args.init, args.resume, args.data, args.out) == ("nano", False, script.out / "drawn", script.out / "run")
    assert (options.variant, options.max_minutes, options.cuda_graph, options.batch) == ("dw", 12.0, True, 32)
    assert options.validate_every == 0, "a validation draws with Matplotlib, and there is no split for it"
    (arguments,) = script.asked("model")
    half = model_parser().parse_args(arguments)
    assert (half.checkpoint, half.output) == (str(script.out / "run" / "model.pt"), script.out / "dw.pt")
    (arguments,) = script.asked("training.evaluation.cli")
    args = evaluation_cli._parser().parse_args(arguments)
    assert (args.model, args.out) == (str(script.out / "dw.pt"), None), "a contact sheet is drawn with Matplotlib"
    assert (script.out / "figures.txt").read_text(encoding="utf-8") == "the figures\n"


def test_a_signal_saves_the_run_and_the_same_command_resumes_it(script: Script) -> None:
    with script.start(SLOW="yes") as first:
        while not (script.out / "run" / "last.pt").exists():
            time.sleep(0.02)
        first.send_signal(signal.SIGTERM)
        assert first.wait(timeout=60) == 143
    assert script.lines()[-1] == ["saved"], "the script waits for the run"
    assert script.asked("model") == []
    status, out = script.run()
    assert status == 0 and f"{script.out}/mouths/val: kept as it is" in out
    assert script.asked("training.synth_cli") == []
    (arguments,) = script.asked("training.cli")
    args = cli._parser().parse_args(arguments)
    assert args.resume and args.init is None
    assert len(script.asked("training.evaluation.cli")) == 1


@pytest.mark.parametrize("split", ["train", "val"])
def test_nothing_is_trained_without_its_data(script: Script, split: str) -> None:
    assert script.run(FAILS=split, MAKING="0.2")[0] == 3
    assert script.asked("training.cli") == []


def test_figures_are_written_whole_or_not_at_all(script: Script) -> None:
    assert script.run(FAILS="eval") == (4, "")
    assert not (script.out / "figures.txt").exists()


def test_it_says_how_it_is_called() -> None:
    done = subprocess.run(["bash", str(SCRIPT), "OUT"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("Train a wide variant from the weights of nano")
    assert "bash training/on_gpu.sh OUT VARIANT MINUTES PHOTOS PATHS.csv" in done.stderr
