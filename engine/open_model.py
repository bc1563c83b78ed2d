"""Opens a model file with the backend of its suffix."""

from __future__ import annotations

from pathlib import Path

from mostnet.contract import ModelFileError

from .interfaces import Model
from .options import Options


def open_model(path: Path, options: Options) -> Model:
    """Open ``path`` with the backend of its suffix; only that backend is imported.

    Raises:
        ModelFileError: the file is missing, damaged, not a model file or not made by mostnet-export.
        BackendNotInstalledError, NoGpuError: this machine lacks a library or a GPU that the file needs.
        PlanMismatchError, DeviceError: this machine cannot run the plan.
    """
    if path.suffix not in (".onnx", ".plan"):
        raise ModelFileError(
            f"{path}: not a model file; expected .onnx or .plan, which mostnet-export makes from a checkpoint"
        )
    if not path.exists():
        raise ModelFileError(f"{path}: no such file{_neighbours(path)}; mostnet-export makes one from a checkpoint")
    if not path.is_file():
        raise ModelFileError(f"{path}: a folder, not a file; name the .onnx or .plan in it")
    if path.suffix == ".plan":
        from mostnet.engine.tensorrt.checks import open_plan

        return open_plan(path, options)
    from mostnet.engine.ort.model import open_onnx

    return open_onnx(path, options)


def _neighbours(path: Path) -> str:
    found = sorted(file.name for suffix in ("*.onnx", "*.plan") for file in path.parent.glob(suffix))
    return f" (that folder has {', '.join(found[:5])})" if found else ""
