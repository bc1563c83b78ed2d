"""Opens a model file with the backend of its suffix."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from mostnet.contract import ModelFileError, ModelMissingError
from mostnet.contract.shipped import shipped_names

from .interfaces import Model
from .options import Options


def open_model(path: Path, options: Options) -> Model:
    """Open ``path`` with the backend of its suffix; only that backend is imported.

    Raises:
        ModelMissingError: there is no such file.
        ModelFileError: the file is damaged, not a model file or not made by mostnet-export.
        BackendNotInstalledError, NoGpuError: this machine lacks a library or a GPU that the file needs.
        PlanMismatchError, DeviceError: this machine cannot run the plan.
    """
    if path.is_dir():
        raise ModelFileError(f"{path}: a folder, not a file; name the .onnx or .plan in it{_models_in(path)}")
    if path.suffix not in (".onnx", ".plan"):
        raise ModelFileError(f"{path}: not a model file; expected .onnx or .plan, which {_export_of(path)}")
    if not path.exists():
        near = _models_in(path.parent)
        raise ModelMissingError(f"{path}: no such file{near}; mostnet-export makes one from a checkpoint")
    if path.suffix == ".plan":
        from mostnet.engine.tensorrt.checks import open_plan

        return open_plan(path, options)
    from mostnet.engine.ort.model import open_onnx

    return open_onnx(path, options)


def _models_in(folder: Path) -> str:
    found = sorted(file.name for suffix in ("*.onnx", "*.plan") for file in folder.glob(suffix) if file.is_file())
    return f" (that folder has {', '.join(found[:5])})" if found else ""


def _export_of(path: Path) -> str:
    if path.suffix == ".pt":
        return f"this command makes: mostnet-export {quote(str(path))}"
    if str(path) in shipped_names():
        return f"this command makes: mostnet-export {path} (mostnet-run --engine {path} does it by itself)"
    return "mostnet-export makes from a checkpoint"
