"""The tests that need a Triton server, on a machine without one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEST = "tests/serve/triton/test_real_life.py"


@pytest.mark.skipif(find_spec("pytriton") is not None, reason="nvidia-pytriton is installed")
@pytest.mark.parametrize("required", [False, True])
def test_all_skip_without_a_server_and_all_fail_where_one_is_required(required: bool) -> None:
    environment = {**os.environ, "MOSTNET_REQUIRE_TRITON": "1" if required else ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", TEST]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8")
    outcomes = {outcome.rstrip("s") for _, outcome in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}
    assert outcomes <= ({"failed", "error"} if required else {"skipped"}), done.stdout
    assert done.returncode == (1 if required else 0)
    assert ("MOSTNET_REQUIRE_TRITON=1: nvidia-pytriton is not installed" in done.stdout) == required
    assert ("`make test-triton` runs these tests" in done.stdout) != required
