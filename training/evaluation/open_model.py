"""Open a checkpoint or an exported model for an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from mostnet.contract import BackendNotInstalledError, ModelFileError, sha256
from mostnet.engine import Engine, Provider
from mostnet.model import VARIANTS, MostNet
from mostnet.model.table1 import NETWORKS, load_either, network_stream
from mostnet.model.threads import TorchThreads
from mostnet.training.ablations import remove_alignment
from mostnet.training.data.dataset import TASKS

from .streams import CheckpointStream, InferenceStream, ModelInfo


@contextmanager
def open_model(
    path: Path, *, device: Provider = "auto", threads: int | None = None
) -> Iterator[tuple[InferenceStream, ModelInfo]]:
    """Open a ``.pt`` in PyTorch, or an ``.onnx`` or ``.plan`` in the engine, for the length of the block.

    A checkpoint that was trained without recurrence or alignment runs without them; exported graphs always have both.

    Args:
        device: ``cpu``, ``cuda``, or ``auto``: CUDA if there is a GPU.
        threads: CPU threads of the network; None for as many as cores are free (PyTorch) or usable (engine).

    Raises:
        CheckpointError, ModelFileError, BackendNotInstalledError, NoGpuError, DeviceError: the file cannot be opened
            or run.
    """
    if path.suffix == ".pt":
        yield _open_checkpoint(path, device, threads)
    elif path.suffix in (".onnx", ".plan"):
        with Engine(path, provider=device, threads=threads) as engine:
            yield engine, _describe_engine(path, engine)
    else:
        raise ModelFileError(f"{path}: expected a checkpoint (.pt) or an exported model (.onnx, .plan)")


def _open_checkpoint(path: Path, device: str, threads: int | None) -> tuple[CheckpointStream, ModelInfo]:
    checkpoint = load_either(path)
    torch_threads = TorchThreads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    network = checkpoint.model
    info = ModelInfo(
        file=path.name,
        sha256=sha256(path),
        runs_in=f"PyTorch on {device}",
        variant=checkpoint.variant,
        precision="fp32",
        parameters_m=_parameters_m(network),
        trained=checkpoint.training is not None,
        size_hw=None,
        training=checkpoint.training,
        network_tasks=TASKS if isinstance(network, MostNet) else network.tasks,
    )
    if isinstance(network, MostNet) and not info.alignment:
        remove_alignment(network)
    return CheckpointStream(network_stream(network, device=device, recurrence=info.recurrence), torch_threads), info


def _describe_engine(path: Path, engine: Engine) -> ModelInfo:
    metadata = engine.metadata
    baseline = NETWORKS.get(metadata.variant)
    return ModelInfo(
        file=path.name,
        sha256=sha256(path),
        runs_in=f"engine on {engine.provider}",
        variant=metadata.variant,
        precision=metadata.precision,
        parameters_m=_known_parameters_m(metadata.variant),
        trained=metadata.trained,
        size_hw=metadata.size_hw,
        network_tasks=TASKS if baseline is None else baseline.tasks,
    )


def _known_parameters_m(variant: str) -> float | None:
    """Millions of parameters of a variant; None if it is unknown, or made of a library that is not installed."""
    try:
        with torch.device("meta"):
            if variant in VARIANTS:
                return _parameters_m(MostNet(VARIANTS[variant]))
            return _parameters_m(NETWORKS[variant]()) if variant in NETWORKS else None
    except BackendNotInstalledError:
        return None


def _parameters_m(network: nn.Module) -> float:
    return sum(p.numel() for p in network.parameters()) / 1e6
