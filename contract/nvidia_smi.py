"""What ``nvidia-smi`` says of the GPUs of this machine."""

from __future__ import annotations

import shutil
import subprocess

_LIMIT_S = 10.0


def query_gpus(*fields: str) -> list[list[str]]:
    """The values of ``fields``, such as ``name`` and ``driver_version``, for each GPU; empty without an answer."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [[value.strip() for value in line.split(",")] for line in done.stdout.strip().splitlines()]
    return rows if done.returncode == 0 and all(len(row) == len(fields) for row in rows) else []
