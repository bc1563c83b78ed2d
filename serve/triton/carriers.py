"""How frames and results travel: inside of the messages, or in memory shared with a server on this machine."""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame, ServerError, TensorSpec

from .connection import Connection

Array = npt.NDArray[Any]

#: Triton's names of the types of our tensors.
TYPES = {"uint8": "UINT8", "float32": "FP32", "bool": "BOOL"}

_SHARED = Path("/dev/shm")
_ALIGNMENT = 64
_REGISTER_S = 5.0
_UNREGISTER_S = 0.5


class Carrier(Protocol):
    """Moves the tensors of one session's slots."""

    @property
    def is_shared(self) -> bool:
        """The memory is shared with the server."""

    def fill(self, request: Any, slot: int, frame: Frame | None, outputs: Sequence[TensorSpec]) -> None:
        """Add ``frame``, or a black one, and the wish for ``outputs`` to a ``ModelInferRequest``."""

    def arrays(self, answer: Any, slot: int, outputs: Sequence[TensorSpec]) -> dict[str, Array]:
        """The ``outputs`` in ``answer`` without their batch axis: read-only, and good until the slot is filled again.

        Raises:
            ServerError: one is missing, or has another type or shape.
        """

    def close(self, *, answers: bool = True) -> None:
        """Give back what the server holds, unless it gives no ``answers``. May be called twice."""


class MessageCarrier:
    """Tensors as bytes in the messages, at any distance. Results are arrays of their own, not of the slots."""

    is_shared = False

    def __init__(self, frame: TensorSpec) -> None:
        self._frame = frame

    def fill(self, request: Any, slot: int, frame: Frame | None, outputs: Sequence[TensorSpec]) -> None:
        """See ``Carrier``."""
        _add(request.inputs, self._frame)
        request.raw_input_contents.append(bytes(self._frame.nbytes) if frame is None else frame.tobytes())
        for spec in outputs:
            request.outputs.add(name=spec.name)

    def arrays(self, answer: Any, slot: int, outputs: Sequence[TensorSpec]) -> dict[str, Array]:
        """See ``Carrier``."""
        places = {output.name: place for place, output in enumerate(answer.outputs)}
        found = {}
        for spec in outputs:
            place = _checked(answer, places, spec)
            content = b"".join(answer.raw_output_contents[place : place + 1])  # the server may send less than it tells
            if len(content) != spec.nbytes:
                raise ServerError(f"the server sent {len(content)} bytes of {spec.name}; expected {spec.nbytes}")
            found[spec.name] = np.frombuffer(content, spec.dtype).reshape(spec.shape)[0, ...]
        return found

    def close(self, *, answers: bool = True) -> None:
        """Nothing to give back."""


class SharedCarrier:
    """Tensors in POSIX shared memory, which the server maps too. Messages then only say where each tensor is.

    The memory loses its name as soon as the server has mapped it, so that no file stays behind, however this process
    ends. It is freed when the server has let go of it and no array is left here.
    """

    is_shared = True

    def __init__(self, connection: Connection, slots: int, frame: TensorSpec, outputs: Sequence[TensorSpec]) -> None:
        """Take memory for all ``slots`` and register it.

        Raises:
            ServerError: the server cannot map memory of this machine.
            OSError: there is not enough of it.
        """
        self._connection = connection
        self._name = f"mostnet-camera-{os.getpid()}-{secrets.token_hex(16)}"
        self._frame = frame
        self._offsets: list[dict[str, int]] = []
        end = 0
        for _ in range(slots):
            places = {}
            for spec in (frame, *outputs):
                places[spec.name] = end
                end += -(-spec.nbytes // _ALIGNMENT) * _ALIGNMENT
            self._offsets.append(places)
        memory = self._register(end)
        whole = np.frombuffer(memory, np.uint8)
        self._frames = [_part(whole, places, frame) for places in self._offsets]
        self._arrays = [{spec.name: _part(whole, places, spec) for spec in outputs} for places in self._offsets]
        for array in (array for arrays in self._arrays for array in arrays.values()):
            array.flags.writeable = False  # callers get them

    def fill(self, request: Any, slot: int, frame: Frame | None, outputs: Sequence[TensorSpec]) -> None:
        """See ``Carrier``."""
        self._frames[slot][...] = 0 if frame is None else frame
        self._place(_add(request.inputs, self._frame), slot, self._frame)
        for spec in outputs:
            self._place(request.outputs.add(name=spec.name), slot, spec)

    def arrays(self, answer: Any, slot: int, outputs: Sequence[TensorSpec]) -> dict[str, Array]:
        """See ``Carrier``."""
        places = {output.name: place for place, output in enumerate(answer.outputs)}
        for spec in outputs:
            _checked(answer, places, spec)
        return {spec.name: self._arrays[slot][spec.name] for spec in outputs}

    def close(self, *, answers: bool = True) -> None:
        """Let go of the memory, here and in the server; arrays that callers hold stay good."""
        self._frames, self._arrays = [], []
        if not answers:
            return
        with suppress(ServerError):  # a server that is gone, or was restarted, holds nothing
            request = self._connection.messages.SystemSharedMemoryUnregisterRequest(name=self._name)
            self._connection.ask("SystemSharedMemoryUnregister", request, _UNREGISTER_S)

    def _register(self, nbytes: int) -> mmap.mmap:
        file = _SHARED / self._name
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            os.posix_fallocate(handle, 0, nbytes)  # or a full /dev/shm would end the process at the first write
            memory = mmap.mmap(handle, nbytes)
            request = self._connection.messages.SystemSharedMemoryRegisterRequest(
                name=self._name, key=f"/{self._name}", offset=0, byte_size=nbytes
            )
            self._connection.ask("SystemSharedMemoryRegister", request, _REGISTER_S)
            return memory
        finally:
            os.close(handle)
            file.unlink()

    def _place(self, tensor: Any, slot: int, spec: TensorSpec) -> None:
        tensor.parameters["shared_memory_region"].string_param = self._name
        tensor.parameters["shared_memory_offset"].int64_param = self._offsets[slot][spec.name]
        tensor.parameters["shared_memory_byte_size"].int64_param = spec.nbytes


def can_share() -> bool:
    """Whether this system has POSIX shared memory as files."""
    return _SHARED.is_dir()


def _add(inputs: Any, spec: TensorSpec) -> Any:
    return inputs.add(name=spec.name, datatype=TYPES[spec.dtype], shape=spec.shape)


def _checked(answer: Any, places: Mapping[str, int], spec: TensorSpec) -> int:
    """The place of an output in ``answer``."""
    place = places.get(spec.name)
    if place is None:
        raise ServerError(f"the server sent no {spec.name}, which was asked for")
    output = answer.outputs[place]
    if (output.datatype, tuple(output.shape)) != (TYPES[spec.dtype], spec.shape):
        raise ServerError(
            f"the server sent {spec.name} as {output.datatype} {list(output.shape)}; expected {TYPES[spec.dtype]} "
            f"{list(spec.shape)}"
        )
    return place


def _part(whole: Array, places: Mapping[str, int], spec: TensorSpec) -> Array:
    """The memory of a tensor, without its batch axis."""
    start = places[spec.name]
    return whole[start : start + spec.nbytes].view(spec.dtype).reshape(spec.shape)[0, ...]
