"""The description of an exported model, kept in the ONNX ``metadata_props`` and in ``model.plan.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from .errors import ModelFileError
from .tensors import MIN_SIDE, StatePair

FORMAT_VERSION = 1

#: Key of the one JSON document kept in the ONNX ``metadata_props``.
ONNX_KEY = "mostnet"

#: Key of the digest of the rest of an ONNX file, as ``mostnet.engine.ort.file.onnx_digest`` computes it.
ONNX_DIGEST_KEY = "mostnet_sha256"

PRECISIONS = ("fp32", "fp16", "int8")

#: Python type that a JSON value must have, by the annotation of its field.
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
        trained: false if the checkpoint holds only seeded initial weights.
        states: the recurrent tensors, in graph order.
        checkpoint_sha256: digest of the checkpoint file the graph was made from.
        tools: version of each tool used in the export, by name.
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
        """Read the output of ``to_json``; ``source`` names the file in errors.

        Raises:
            ModelFileError: not JSON, of another format version, or with missing, unknown or ill-typed fields.
        """
        try:
            values = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ModelFileError(f"{source}: its description is not JSON ({error}); export the model again") from error
        if not isinstance(values, dict):
            raise ModelFileError(f"{source}: its description is not a JSON object; export the model again")
        return cls(**_checked(cls, values, source))


@dataclass(frozen=True, kw_only=True)
class PlanInfo(Metadata):
    """Description of a TensorRT plan: the metadata of its graph, the library that built it, and the target GPUs.

    Attributes:
        plan_sha256: digest of the plan file.
        flavour: ``rtx`` (TensorRT for RTX) or ``tensorrt`` (classic).
        tensorrt_version: version of the library that built the plan; only that version loads it.
        targets: GPU architectures that the plan runs on, such as ``sm_86``.
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
        raise ModelFileError(
            f"{source}: missing fields {missing}, unknown fields {unknown} in its description; export the model again"
        )
    kinds = {f.name: _SCALARS.get(str(f.type)) for f in fields(cls)}
    wrong = [name for name, kind in kinds.items() if kind is not None and type(values[name]) is not kind]
    wrong += [name for name, is_right in _FIELD_CHECKS.items() if name in values and not is_right(values[name])]
    if wrong:
        raise ModelFileError(
            f"{source}: ill-formed description: {wrong[0]} is {values[wrong[0]]!r}; export the model again"
        )
    converted: dict[str, Any] = {
        "size_hw": tuple(values["size_hw"]),
        "states": tuple(StatePair(s["name"], tuple(s["shape"]), s["dtype"]) for s in values["states"]),
    }
    if "targets" in values:
        converted["targets"] = tuple(values["targets"])
    return {**values, **converted}


def _is_size_list(value: object, least: int) -> bool:
    return isinstance(value, list) and all(type(side) is int and side >= least for side in value)


def _is_state(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"name", "shape", "dtype"}
        and isinstance(value["name"], str)
        and _is_size_list(value["shape"], 1)
        and value["dtype"] in ("float32", "float16", "int8")
    )


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


#: Checks of the JSON values of fields that are not plain scalars.
_FIELD_CHECKS: dict[str, Callable[[Any], bool]] = {
    "precision": lambda value: value in PRECISIONS,
    "size_hw": lambda value: _is_size_list(value, MIN_SIDE) and len(value) == 2,
    "states": lambda value: isinstance(value, list) and all(_is_state(item) for item in value),
    "tools": lambda value: isinstance(value, dict) and _is_text_list(list(value.values())),
    "targets": _is_text_list,
}
