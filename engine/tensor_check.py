"""Compares the tensors of an opened model with its description."""

from __future__ import annotations

from pathlib import Path

from mostnet.contract import Metadata, ModelFileError, TensorSpec, input_spec, output_specs


def check_tensors(path: Path, metadata: Metadata, inputs: set[TensorSpec], outputs: set[TensorSpec]) -> None:
    """Check that a model has exactly the ``inputs`` and ``outputs`` that its description names.

    Raises:
        ModelFileError: tensors are missing or unexpected; lists both.
    """
    states = metadata.states
    for kind, found, expected in (
        ("inputs", inputs, {input_spec(metadata.size_hw), *(pair.input for pair in states)}),
        ("outputs", outputs, {*output_specs(metadata.size_hw), *(pair.output for pair in states)}),
    ):
        if found != expected:
            raise ModelFileError(
                f"{path}: the model's {kind} do not fit its description: missing {_text(expected - found)}, "
                f"unexpected {_text(found - expected)}; export the checkpoint again"
            )


def _text(specs: set[TensorSpec]) -> str:
    return ", ".join(sorted(f"{spec.name} {spec.dtype}{list(spec.shape)}" for spec in specs)) or "none"
