"""What an exported model says of itself: in the ONNX ``metadata_props`` and in ``model.plan.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from .errors import ModelFileError
from .tensors import StatePair

FORMAT_VERSION = 1

#: Key of the one JSON document kept in the ONNX ``metadata_props``.
ONNX_KEY = "mostnet"

PRECISIONS = ("fp32", "fp16", "int8")

#: Types that JSON has too, by their annotation.
_SCALARS = {"str": str, "int": int, "bool": bool}

T = TypeVar("T", bound="Metadata")


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Description of an exported graph.

    Attributes:
        variant: network variant (``sw``, ``dw``, ``nano``).
        size_hw: frame height and width in pixels.
        precision: ``fp32``, ``fp16`` or ``int8``: the type of the convolutions.
        opset: ONNX opset of the graph.
        trained: false for a checkpoint that holds seeded initial weights only.
        states: the recurrent tensors, in graph order.
        checkpoint_sha256: digest of the checkpoint file the graph was made from.
        tools: version of each tool that took part, by name.
        format_version: version of this description.
    """

    variant: str
    size_hw: tuple[int, int]
    precision: str
    opset: int
    trained: bool
    states: tuple[StatePair, ...]
    checkpoint_sha256: str
    tools: Mapping[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """The description as a JSON object."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls: type[T], text: str, *, source: str) -> T:
        """Read what ``to_json`` wrote; ``source`` names the file in errors.

        Raises:
            ModelFileError: not JSON, of another format version, or with missing, unknown or ill-typed fields.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ModelFileError(f"{source}: its description is not JSON ({error}); export the model again") from error
        if not isinstance(values, dict):
            raise ModelFileError(f"{source}: its description is not a JSON object; export the model again")
        return cls(**_checked(cls, values, source))


@dataclass(frozen=True, kw_only=True)
class PlanInfo(Metadata):
    """Description of a TensorRT plan: its graph's metadata and what it was built with and for.

    Attributes:
        plan_sha256: digest of the plan file.
        flavour: ``rtx`` (TensorRT for RTX) or ``tensorrt`` (classic).
        tensorrt_version: version of the library that built the plan; a plan loads in that version.
        targets: GPU architectures the plan runs on, as ``sm_86``.
    """

    plan_sha256: str
    flavour: str
    tensorrt_version: str
    targets: tuple[str, ...]


def _checked(cls: type[Metadata], values: dict[str, Any], source: str) -> dict[str, Any]:
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"{source}: description format {version!r}, this mostnet reads {FORMAT_VERSION}; "
            "export the model again with the installed mostnet"
        )
    known = {f.name for f in fields(cls)}
    missing, unknown = sorted(known - values.keys()), sorted(values.keys() - known)
    if missing or unknown:
        raise ModelFileError(f"{source}: description lacks {missing} and has unknown {unknown}; export the model again")
    for known_field in fields(cls):
        kind = _SCALARS.get(str(known_field.type))
        if kind is not None and type(values[known_field.name]) is not kind:
            raise ModelFileError(
                f"{source}: ill-formed description: {known_field.name} is {values[known_field.name]!r}, "
                f"expected {known_field.type}; export the model again"
            )
    try:
        height, width = (int(side) for side in values["size_hw"])
        converted = {
            "size_hw": (height, width),
            "states": tuple(StatePair(s["name"], tuple(map(int, s["shape"])), s["dtype"]) for s in values["states"]),
            "tools": dict(values["tools"]),
        }
        if "targets" in values:
            converted["targets"] = tuple(values["targets"])
    except (TypeError, ValueError, KeyError) as error:
        raise ModelFileError(f"{source}: ill-formed description ({error!r}); export the model again") from error
    return {**values, **converted}
