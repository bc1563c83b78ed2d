"""The plan file of the stand-in: one self-contained file, and the description that every plan has beside it.

The file has three parts: a line that names its kind, a line of JSON, and the bytes of a checkpoint. A plan of the toy
network has no checkpoint. No TensorRT loads such a file, and the stand-in loads no other: their versions differ.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from mostnet.bench.gpu.cases import plan_path
from mostnet.contract import (
    ExportError,
    Metadata,
    ModelFileError,
    PlanInfo,
    TensorSpec,
    input_spec,
    output_specs,
    sha256,
    write_bytes,
    write_text,
)
from mostnet.engine.cuda.driver import gpu_architecture
from mostnet.export.plan.request import PlanRequest

from .toy import METADATA, NAN, frame_of, reference, toy_metadata

#: Version of the classic TensorRT that the stand-in resembles when it is installed.
VERSION = "8.6-standin"

_KIND = b"plan of the stand-in for TensorRT\n"

#: No pixel has this value, so every frame comes out finite.
_NEVER = 256

#: Frames of a toy case. Their numbers stay below those that come out "not finite".
_TOY_FRAMES = 60


@dataclass(frozen=True, kw_only=True)
class StandinPlan:
    """What the stand-in computes for one frame.

    Attributes:
        metadata: description of the graph.
        checkpoint: content of the checkpoint whose network runs; None for the toy network.
        compute_ms: duration of a kernel that runs after the network and does nothing else; 0 for none.
        nan: number of the first frame that the toy network reports as not finite; 256 for none.
    """

    metadata: Metadata
    checkpoint: bytes | None = None
    compute_ms: float = 0.0
    nan: int = NAN

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs of the graph, in its order."""
        return (input_spec(self.metadata.size_hw), *(pair.input for pair in self.metadata.states))

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs of the graph, in its order."""
        return (*output_specs(self.metadata.size_hw), *(pair.output for pair in self.metadata.states))

    def to_bytes(self) -> bytes:
        """The content of the plan file."""
        facts = {
            "metadata": asdict(self.metadata),
            "checkpoint_bytes": None if self.checkpoint is None else len(self.checkpoint),
            "compute_ms": self.compute_ms,
            "nan": self.nan,
        }
        return _KIND + json.dumps(facts).encode() + b"\n" + (self.checkpoint or b"")

    @classmethod
    def from_bytes(cls, content: bytes) -> StandinPlan:
        """Read what ``to_bytes`` wrote.

        Raises:
            ModelFileError: ``content`` is no plan of the stand-in, or only a part of one.
        """
        if not content.startswith(_KIND):
            raise ModelFileError("this is no plan of the stand-in; python -m mostnet.bench.gpu.standin.build makes one")
        line, newline, checkpoint = content[len(_KIND) :].partition(b"\n")
        try:
            facts = json.loads(line)
            metadata = Metadata.from_json(json.dumps(facts["metadata"]), source="plan of the stand-in")
            wanted, rest = facts["checkpoint_bytes"], {key: facts[key] for key in ("compute_ms", "nan")}
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFileError(f"this plan of the stand-in is damaged ({error!r}); build it again") from error
        if not newline or len(checkpoint) != (wanted or 0):
            raise ModelFileError(
                f"this plan of the stand-in is truncated: {len(checkpoint)} bytes of a checkpoint, expected "
                f"{wanted or 0}; build it again"
            )
        return cls(metadata=metadata, checkpoint=None if wanted is None else checkpoint, **rest)


def write_standin_plan(folder: Path, *, compute_ms: float | None = None, toy: bool = False) -> Path:
    """Write the stand-in's plan of a prepared case for the GPU of this machine, and return its path.

    Args:
        folder: the case, as ``mostnet.bench.gpu.prepare`` makes it.
        compute_ms: duration of an idle kernel after the network; None for none.
        toy: run the toy network at the case's frame size in place of the case's network: next to no work, so that
            ``compute_ms`` is the compute time.

    Raises:
        ExportError: the case is not prepared, or the stand-in does not run its precision.
        NoGpuError: there is no GPU, and the miniature GPU is not installed.
    """
    path = folder / "request.json"
    if not path.is_file():
        raise ExportError(f"{folder}: not prepared; run python -m mostnet.bench.gpu.prepare {folder.parent}")
    metadata = PlanRequest.from_json(path.read_text(encoding="utf-8"), source=str(path)).metadata
    if metadata is None:
        raise ExportError(f"{folder}: this is a part of a network, which the stand-in does not run; name a whole case")
    if metadata.precision == "int8":
        raise ExportError(f"{folder}: the stand-in runs fp32 and fp16, not int8; choose another case")
    if toy:
        plan = StandinPlan(metadata=toy_metadata(metadata.size_hw), compute_ms=compute_ms or 0.0, nan=_NEVER)
    else:
        checkpoint = (folder / "case.pt").read_bytes()
        plan = StandinPlan(metadata=metadata, checkpoint=checkpoint, compute_ms=compute_ms or 0.0)
    return write_plan_file(plan_path(folder, "standin"), plan, targets=(gpu_architecture(),))


def write_toy_plan(folder: Path, *, compute_ms: float = 0.0) -> Path:
    """Write a whole case of the toy network, with frames and reference, and return the path of its plan.

    It needs neither PyTorch nor a prepared case.

    Raises:
        NoGpuError: there is no GPU, and the miniature GPU is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames = [frame_of(number) for number in range(_TOY_FRAMES)]
    results = reference(frames)
    np.save(folder / "frames.npy", np.stack(frames))
    arrays: dict[str, Any] = {
        name: np.stack([result[name] for result in results]) for name in ("enhanced", "flow", "mask")
    }
    np.savez(folder / "reference.npz", **arrays)
    plan = StandinPlan(metadata=METADATA, compute_ms=compute_ms)
    return write_plan_file(plan_path(folder, "standin"), plan, targets=(gpu_architecture(),))


def write_plan_file(path: Path, plan: StandinPlan, *, targets: tuple[str, ...], **changes: object) -> Path:
    """Write ``plan`` and its description, whose fields ``changes`` replace; returns ``path``."""
    write_bytes(path, plan.to_bytes())
    values: dict[str, object] = {field.name: getattr(plan.metadata, field.name) for field in fields(Metadata)}
    values |= {"plan_sha256": sha256(path), "flavour": "tensorrt", "tensorrt_version": VERSION, "targets": targets}
    info = PlanInfo(**{**values, **changes})  # type: ignore[arg-type]
    write_text(path.with_name(f"{path.name}.json"), info.to_json())
    return path
