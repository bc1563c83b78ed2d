"""Commands in a process that cannot import any library of an extra."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mostnet.contract.extras import LIBRARIES

_CHILD = """
import contextlib, importlib, io, json, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in json.loads(sys.argv[1]):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())

def called(module, arguments):
    try:  # of a package, the commands are in its __main__
        module = importlib.import_module(f"{module}.__main__")
    except ModuleNotFoundError:
        module = importlib.import_module(module)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = module.main(arguments)
        except SystemExit as end:
            status = end.code
    return [status, out.getvalue(), err.getvalue()]

print(json.dumps([called(*call) for call in json.loads(sys.argv[2])]))
"""


def without_extras(folder: Path, calls: list[tuple[str, list[str]]]) -> list[tuple[int, str, str]]:
    """Exit status, output and errors of each call of a command, in a process that cannot import any extra's library."""
    arguments = [json.dumps([*LIBRARIES]), json.dumps(calls)]
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=True
    )
    return [tuple(result) for result in json.loads(done.stdout.splitlines()[-1])]
