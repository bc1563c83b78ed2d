"""A model on a Triton server: its description, and the check that it is one of ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mostnet.contract import (
    ONNX_KEY,
    Metadata,
    ModelFileError,
    ServerError,
    ServerUnavailableError,
    TensorSpec,
    input_spec,
    output_specs,
)
from mostnet.contract.terminal import one_line

from .addresses import is_local
from .carriers import TYPES, can_share
from .connection import Connection, RequestRefusedError
from .lane import CameraLane


class ServedModel:
    """A model that a server has ready. Each lane made from it is a camera with a connection of its own."""

    provider = "triton"
    device = None

    def __init__(self, address: str, name: str, *, share: bool | None, connect_s: float) -> None:
        """Read the description of the model ``name``; ``share`` is as in ``CameraLane``, and None means only nearby.

        Raises:
            ServerUnavailableError: no server answers within ``connect_s``.
            ServerError: the server has no such model, or it is not one of mostnet's.
        """
        self.address, self.name = address, name
        self._share = share if share is not None or (is_local(address) and can_share()) else False
        connection = Connection(address)
        try:
            self.metadata = _described(connection, name, connect_s)
        finally:
            connection.close()

    @property
    def path(self) -> Path:
        """Address and name, in the form of a path."""
        return Path(self.address, self.name)

    def lane(self, slots: int, outputs: Sequence[str], *, results: str = "owned") -> CameraLane:
        """A new camera. It begins its sequence with its first frame."""
        return CameraLane(self.address, self.name, self.metadata, slots, outputs, results=results, share=self._share)

    def close(self) -> None:
        """Nothing to close: the model is the server's."""


def _described(connection: Connection, name: str, limit_s: float) -> Metadata:
    messages, where = connection.messages, f"{connection.address}: model {name!r}"
    try:
        ready = connection.ask("ModelReady", messages.ModelReadyRequest(name=name), limit_s).ready
    except RequestRefusedError:
        ready = False
    if not ready:
        raise ServerError(f"{where} is not ready; {_offered(connection, limit_s)}")
    config = connection.ask("ModelConfig", messages.ModelConfigRequest(name=name), limit_s).config
    if ONNX_KEY not in config.parameters:
        raise ServerError(
            f"{where} is no mostnet model: its configuration has no parameter {ONNX_KEY!r}, but "
            f"{sorted(config.parameters) or 'none at all'}; mostnet-export --triton writes one"
        )
    try:
        metadata = Metadata.from_json(config.parameters[ONNX_KEY].string_value, source=where)
    except ModelFileError as error:
        raise ServerError(str(error)) from error
    _check_config(config, metadata, where)
    return metadata


def _check_config(config: Any, metadata: Metadata, where: str) -> None:
    if config.max_batch_size or not config.HasField("sequence_batching"):
        found = f"batches of {config.max_batch_size}" if config.max_batch_size else "no sequence_batching"
        raise ServerError(f"{where} has {found}; expected max_batch_size 0 and sequence_batching, as its state needs")
    for kind, found, expected in (
        ("inputs", config.input, [input_spec(metadata.size_hw)]),
        ("outputs", config.output, output_specs(metadata.size_hw)),
    ):
        have, want = sorted(_told(found)), sorted(_wanted(expected))
        if have != want:
            raise ServerError(f"{where} has {kind} {', '.join(have)}; expected {', '.join(want)}; export it again")


def _told(tensors: Iterable[Any]) -> Iterable[str]:
    from tritonclient.grpc import model_config_pb2

    for tensor in tensors:
        kind = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
        yield one_line(f"{tensor.name} {kind} {list(tensor.dims)}")


def _wanted(specs: Iterable[TensorSpec]) -> Iterable[str]:
    return (f"{spec.name} {TYPES[spec.dtype]} {list(spec.shape)}" for spec in specs)


def _offered(connection: Connection, limit_s: float) -> str:
    """What the server has, for an error."""
    try:
        answer = connection.ask("RepositoryIndex", connection.messages.RepositoryIndexRequest(), limit_s)
    except ServerUnavailableError:
        raise
    except ServerError as error:
        return f"the server does not tell which models it has ({error})"
    told = [one_line(f"{model.name} ({_state_of(model)})") for model in answer.models]
    return f"the server has {', '.join(told) or 'no model'}"


def _state_of(model: Any) -> str:
    return " ".join([model.state.lower() or "not loaded", model.reason]).strip()
