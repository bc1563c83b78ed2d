"""An export that is stopped leaves nothing, and the next one removes what a killed one left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and locks of Linux")


def start(output: Path) -> subprocess.Popen[str]:
    """An export that has begun to write."""
    arguments = ["nano", "--fp32", "--onnx-only", "--size", "64x96", "--output", str(output)]
    process = subprocess.Popen(
        [sys.executable, "-m", "mostnet.export.cli", *arguments], stderr=subprocess.PIPE, text=True
    )
    while not list(output.glob(".*")):
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.mark.usefixtures("hang_ups_are_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_cleans_up_and_is_the_exit_status(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors.splitlines()[-1] == "mostnet-export: interrupted; nothing was written"
    assert list(tmp_path.iterdir()) == []


def test_the_next_export_removes_what_a_killed_one_left_beside_a_living_one(tmp_path: Path) -> None:
    killed = start(tmp_path)
    killed.kill()
    killed.communicate()
    left = next(tmp_path.glob(".*"))
    following = [start(tmp_path) for _ in range(2)]
    assert all(process.wait(timeout=120) == 0 for process in following)
    assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["nano-64x96-fp32.onnx"]
