"""An interrupted data set: no process lives on, nothing half is taken for whole, and the same command continues."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mostnet.contract import DatasetError
from mostnet.training.data.dataset import index_split
from mostnet.training.synth_cli import main

SMALL = ["--frames", "2", "--size", "64x96"]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads the processes of Linux")


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The command with two workers, stopped for a look when the first sequence is there."""
    command = [sys.executable, "-m", "mostnet.training.synth_cli", str(folder), "--workers", "2", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not list(folder.glob("train/0*")):
        assert process.poll() is None
        time.sleep(0.01)
    return process


def children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@linux_only
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent_and_the_command_continues(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path / "set", "--sequences", "40000", *SMALL)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)  # ends only when no worker holds the pipes
    for _ in range(50):
        if not any(map(lives, workers)):
            break
        time.sleep(0.1)
    assert not any(map(lives, workers))
    split = tmp_path / "set/train"
    there = sorted(path.name for path in split.glob("0*"))
    assert 0 < len(there) < 40000
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert errors.decode().splitlines()[-1].startswith("mostnet-synth: stopped; the same command continues")
        assert not list(split.glob(".*"))
    with pytest.raises(
        DatasetError, match=r"train: unfinished, .*; run its command again, or remove .*unfinished.json"
    ):
        index_split(tmp_path / "set", "train")


@linux_only
def test_signals_of_a_whole_process_group_end_in_order_too(tmp_path: Path) -> None:
    # More sequences than any machine draws in six seconds.
    command = [sys.executable, "-m", "mostnet.training.synth_cli", str(tmp_path / "set"), "--sequences", "40000"]
    done = subprocess.run(
        ["timeout", "6", *command, "--workers", "2", *SMALL], stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == 124
    assert "Traceback" not in done.stderr
    assert "mostnet-synth: stopped; " in done.stderr


def test_a_continued_set_is_that_of_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--sequences", "3", "--seed", "5", *SMALL]
    assert main([str(tmp_path / "whole"), *arguments]) == 0
    interrupt_after(2, monkeypatch)
    assert main([str(tmp_path / "set"), *arguments]) == 130
    monkeypatch.undo()
    split = tmp_path / "set/train"
    (split / "000001/mask/000001.png").write_bytes(b"")  # what a power cut can leave
    kept = (split / "000000/input/000000.jpg").stat().st_mtime_ns
    assert main([str(tmp_path / "set"), *arguments, "--workers", "2"]) == 0
    assert (split / "000000/input/000000.jpg").stat().st_mtime_ns == kept
    assert files_of(tmp_path / "set") == files_of(tmp_path / "whole")
    assert main([str(tmp_path / "set"), *arguments]) == 1  # a finished one is not written again


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (["--seed", "6"], "was begun with seeds [5, 7], and cannot be continued with [6, 8]"),
        (["--sequences", "4"], "was begun with seeds [5, 7], and cannot be continued with [5, 8]"),
        (["--frames", "3"], "was begun with frames 2, and cannot be continued with 3"),
        (["--size", "96x96"], "was begun with size_hw [64, 96], and cannot be continued with [96, 96]"),
    ],
)
def test_other_options_do_not_continue(
    other: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [str(tmp_path), "--sequences", "3", "--seed", "5", *SMALL]
    interrupt_after(1, monkeypatch)
    assert main(arguments) == 130
    monkeypatch.undo()
    before = files_of(tmp_path)
    assert main([*arguments, *other]) == 1
    assert f"{text}; give the same options, or remove {tmp_path / 'train'}" in capsys.readouterr().err
    assert files_of(tmp_path) == before


@linux_only
def test_two_processes_do_not_write_one_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = start(tmp_path, "--sequences", "400", *SMALL)
    try:
        assert main([str(tmp_path), "--sequences", "400", *SMALL]) == 1
        assert re.search(r"train: another process writes it now", capsys.readouterr().err)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


@linux_only
def test_a_killed_worker_is_named_and_the_command_continues(tmp_path: Path) -> None:
    process = start(tmp_path, "--sequences", "400", *SMALL)
    names = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children(process.pid)}
    os.kill(next(pid for pid, name in names.items() if "spawn_main" in name), signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.decode().splitlines()[-1] == (
        "mostnet-synth: one of 2 workers died, often for lack of memory; "
        "run the command again with fewer --workers to continue"
    )


def interrupt_after(sequences: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise ``KeyboardInterrupt`` when that many sequences have been written."""
    from mostnet.training.synth import files

    write, done = files.write_sequence, []

    def interrupted(*arguments: object) -> None:
        if len(done) == sequences:
            raise KeyboardInterrupt
        write(*arguments)  # type: ignore[arg-type]
        done.append(None)

    monkeypatch.setattr(files, "write_sequence", interrupted)
