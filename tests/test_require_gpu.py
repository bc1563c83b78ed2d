"""The tests of ``tests/gpu`` on a machine without a GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("required", [False, True])
def test_all_skip_without_a_gpu_and_all_fail_where_one_is_required(required: bool) -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "MOSTNET_REQUIRE_GPU": "1" if required else ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    outcomes = re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])
    assert {outcome for _, outcome in outcomes} == ({"failed", "errors"} if required else {"skipped"}), done.stdout
    assert done.returncode == (1 if required else 0)
    assert ("MOSTNET_REQUIRE_GPU=1: " in done.stdout) == required
