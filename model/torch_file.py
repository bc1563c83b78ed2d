"""Files of ``torch.save``, read without running code that they hold, and without more memory than they have bytes."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from mostnet.contract import CheckpointError

#: Values of ``format`` in the files that mostnet writes: weights, those of Table I, and the state of a training run.
CHECKPOINT_FORMAT = "mostnet-checkpoint"
BASELINE_FORMAT = "mostnet-baseline"
TRAINING_FORMAT = "mostnet-training"

_EXPORTED = (".onnx", ".plan", ".engine", ".trt")
_ZIP = b"PK"
_PICKLE = b"\x80"


def read_torch_file(path: Path) -> Any:
    """What ``torch.save`` wrote, with its tensors on the CPU.

    Raises:
        CheckpointError: not a file, truncated, of another kind, or it holds code; the message says which.
    """
    _check_kind(path)
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if not start:
        raise CheckpointError(f"{path}: empty, so not a PyTorch checkpoint; copy it again")
    if path.suffix.lower() in _EXPORTED:
        raise CheckpointError(
            f"{path}: an exported model, not a PyTorch checkpoint; give the .pt from which it was exported"
        )
    if start[8:10] == b'{"':
        raise CheckpointError(
            f"{path}: a safetensors file, not a PyTorch checkpoint: it has no config; load its weights into a "
            "mostnet.model.MostNet, and write that with mostnet.model.save_checkpoint"
        )
    if start.startswith(_ZIP):
        _check_archive(path)
    return _load(path, start)


def _check_kind(path: Path) -> None:
    if path.is_dir():
        model = path / "model.pt"
        raise CheckpointError(
            f"{path}: a folder; give a checkpoint in it, {model if model.is_file() else 'a .pt file'}"
        )
    if not path.is_file():
        raise CheckpointError(f"{path}: a pipe or a device, not a file; write the checkpoint to a file first")


def _check_archive(path: Path) -> None:
    """Refuse archives that ``torch.save`` does not write, and damaged ones: PyTorch looks at no checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(archive.infolist(), path)
            damaged = archive.testzip() is not None
    except (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, OSError) as error:
        raise _damaged(path) from error
    if damaged:
        raise _damaged(path)


def _check_entries(entries: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuse archives with code, and those that grow when they are read."""
    names = [entry.filename.partition("/")[2] for entry in entries]
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        raise CheckpointError(
            f"{path}: a TorchScript archive, whose loading would run code; refused. "
            "Give a checkpoint that mostnet.model.save_checkpoint wrote"
        )
    if "data.pkl" not in names:
        raise CheckpointError(f"{path}: a zip file, but not a PyTorch checkpoint; give the .pt that training wrote")
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError(
            f"{path}: a compressed archive, which torch.save does not write; refused, because it can fill the memory"
        )


def _load(path: Path, start: bytes) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower() or start.startswith(_PICKLE):  # a bare pickle
            raise CheckpointError(
                f"{path}: holds Python objects whose loading would run code; refused. "
                "A checkpoint holds only tensors and plain values"
            ) from error
        raise CheckpointError(f"{path}: not a PyTorch checkpoint") from error
    except Exception as error:  # a damaged pickle can raise any exception
        if start.startswith(_ZIP):
            raise _damaged(path) from error
        size = path.stat().st_size
        raise CheckpointError(f"{path}: not a PyTorch checkpoint ({size} bytes); copy it again") from error


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: truncated or damaged ({path.stat().st_size} bytes); copy it again")
