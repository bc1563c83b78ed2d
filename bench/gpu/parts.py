"""Finds out which parts of a GPU report can be measured on this machine, each in its Python.

``python -m mostnet.bench.gpu.parts PART`` prints what a part lacks in this Python, or nothing.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Mapping
from importlib import import_module

from mostnet.bench.gpu.workers.serve import claim_stdout
from mostnet.contract import NoGpuError
from mostnet.contract.stopping import end_with_parent, parent_environment
from mostnet.contract.terminal import CommandParser, one_line
from mostnet.engine.cuda.driver import require_gpu

from .cases import PARTS

#: Modules that each part imports, besides numpy.
_MODULES = {
    "tensorrt": ("tensorrt", "pycuda.driver"),
    "rtx": ("tensorrt_rtx", "pycuda.driver"),
    "standin": ("torch", "pycuda.driver"),
    "ort": ("onnxruntime",),
    "torch": ("torch",),
}
_PROBE_S = 90.0


def find_parts(wanted: Collection[str], pythons: Mapping[str, str], *, rehearse: bool) -> dict[str, str]:
    """What each of the ``wanted`` parts lacks, in one line; empty for a usable part.

    Args:
        pythons: interpreter of each part, if not this one.
        rehearse: look for the libraries of a rehearsal, which needs no GPU.
    """
    probes = {part: _start(part, pythons.get(part, sys.executable), rehearse) for part in wanted}
    return {part: _answer(probe) for part, probe in probes.items()}


def lacking(part: str, *, rehearse: bool) -> str:
    """What ``part`` lacks in this Python, in one line; empty if it is usable."""
    if rehearse and part in ("tensorrt", "rtx"):
        return "a rehearsal has the stand-in instead"
    modules = [name for name in ("numpy", *_MODULES[part]) if not (rehearse and name.startswith("pycuda"))]
    for name in modules:
        try:
            import_module(name)
        except Exception as error:  # a library that is there but broken raises anything
            return f"{name} cannot be imported: {one_line(error)}"
    return "" if rehearse else _lacking_on_gpu(part)


def _lacking_on_gpu(part: str) -> str:
    try:
        require_gpu()
    except NoGpuError as error:
        return str(error)
    if part in ("torch", "standin") and not sys.modules["torch"].cuda.is_available():
        return "this PyTorch has no CUDA"
    if part == "ort" and "CUDAExecutionProvider" not in sys.modules["onnxruntime"].get_available_providers():
        return "this ONNX Runtime has no CUDA; it needs onnxruntime-gpu"
    return ""


def _start(part: str, python: str, rehearse: bool) -> subprocess.Popen[str] | OSError:
    """A probe in a process of its own, because a library that does not fit may crash it."""
    command = [python, "-m", "mostnet.bench.gpu.parts", part, *(["--rehearse"] if rehearse else [])]
    try:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=parent_environment(),
        )
    except OSError as error:
        return error


def _answer(probe: subprocess.Popen[str] | OSError) -> str:
    if isinstance(probe, OSError):
        return f"its Python does not start: {probe}"
    try:
        out, errors = probe.communicate(timeout=_PROBE_S)
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.communicate()
        return f"its Python did not say within {_PROBE_S:.0f} s what it has"
    if probe.returncode == 0:
        return out.strip()
    last = one_line(errors.strip().rpartition("\n")[2]) or "it printed nothing"
    return f"its Python failed with status {probe.returncode}: {last}"


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = CommandParser(prog="python -m mostnet.bench.gpu.parts", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--rehearse", action="store_true", help="say what a rehearsal without a GPU lacks")
    args = parser.parse_args(argv)
    end_with_parent()
    answers = claim_stdout()  # libraries may print while they are imported
    print(lacking(args.part, rehearse=args.rehearse), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
