"""Run mypy on the installed package, and see that it read every file of it.

A root folder called ``mostnet`` would shadow the installed package, and mypy would then check next to nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("api", "contract", "engine", "video", "model", "calibration", "export", "training", "serve", "bench")


def main() -> int:
    """Exit status of mypy, or 1 where it checked fewer files than there are."""
    expected = sum(len(list((ROOT / folder).glob("**/*.py"))) for folder in FOLDERS)
    # From an empty folder, so that only the installed package can be found.
    with tempfile.TemporaryDirectory() as empty:
        config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
        done = subprocess.run(
            [sys.executable, "-m", "mypy", *config, "-p", "mostnet"], cwd=empty, capture_output=True, text=True
        )
    print(done.stdout, done.stderr, sep="", end="")
    if done.returncode != 0:
        return done.returncode
    checked = int(re.search(r"no issues found in (\d+) source files", done.stdout)[1])
    print(f"mypy checked {checked} of {expected} files of the package")
    return 0 if checked == expected else 1


if __name__ == "__main__":
    sys.exit(main())
