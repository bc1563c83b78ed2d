"""Say before the download if pip would take PyTorch's CUDA build: the Makefile runs this in its new environment.

It needs only the standard library and pip, downloads no package, and never fails: without an answer it says nothing.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

#: Seconds to stop the installation in, at a terminal.
GRACE_S = 10

NOTICE = """\
pip will take PyTorch's CUDA build: a download of about 2.9 GB.
For the CPU build, of about 0.2 GB, stop with Ctrl-C and run

    make demo TORCH_INDEX=URL

URL is the index that the install page of pytorch.org shows for pip and CPU."""


def takes_cuda_build(available: str, pinned: str, system: str) -> bool:
    """Whether pip would take the CUDA build of torch.

    Args:
        available: output of ``pip index versions torch``.
        pinned: version that the constraints demand, such as ``2.13.0``.
        system: name of the operating system, as ``platform.system`` gives it. Only Linux has CUDA in the usual build.
    """
    found = re.search(r"^Available versions: (.*)$", available, re.MULTILINE)
    versions = found.group(1).split(", ") if found else []
    return system == "Linux" and pinned in versions and f"{pinned}+cpu" not in versions


def pinned_torch(constraints: str) -> str:
    """The version of torch in the text of ``constraints.txt``; empty without one."""
    found = re.search(r"^torch==([^\s;]+)", constraints, re.MULTILINE)
    return found.group(1) if found else ""


def main() -> int:
    """Print the notice if it applies, and wait a while at a terminal; returns 1 only if the user stopped it."""
    if importlib.util.find_spec("torch") is not None:
        return 0
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--retries",
        "0",
        "index",
        "versions",
        "torch",
    ]
    try:
        answer = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=60)
        constraints = Path(__file__).with_name("constraints.txt").read_text(encoding="utf-8")
        if not takes_cuda_build(answer.stdout, pinned_torch(constraints), platform.system()):
            return 0
        print(NOTICE, flush=True)
        if sys.stdout.isatty():
            print(f"The CUDA build follows in {GRACE_S} seconds.", flush=True)
            time.sleep(GRACE_S)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    except KeyboardInterrupt:
        print("stopped; nothing was downloaded")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
