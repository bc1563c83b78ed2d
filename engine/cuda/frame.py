"""Frames that are in GPU memory already: recognises and checks them, and makes the copying stream wait for them."""

from __future__ import annotations

from typing import Any, NamedTuple

from mostnet.contract import FrameError
from mostnet.engine.interfaces import DeviceFrame

from .dlpack import CUDA, describe_capsule
from .foreign import ForeignStreams

_UINT8 = (1, 8, 1)

#: Handle of the legacy default stream: a producer that names no stream works on it.
_LEGACY = 1


class _Found(NamedTuple):
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    dtype: str
    owner: object


def is_on_device(frame: object) -> bool:
    """True if ``frame`` has ``__cuda_array_interface__``, or DLPack on a CUDA device."""
    if hasattr(frame, "__cuda_array_interface__"):
        return True
    ask = getattr(frame, "__dlpack_device__", None)
    return ask is not None and ask()[0] == CUDA


def adopt_frame(frame: Any, size_hw: tuple[int, int], *, ours: int, streams: ForeignStreams) -> DeviceFrame:
    """Check ``frame`` and make the stream ``ours`` wait for its producer.

    DLPack is preferred: PyTorch's ``__cuda_array_interface__`` names no stream, while its ``__dlpack__`` waits.

    Raises:
        FrameError: wrong device, dtype, shape or strides; the producer does not export its memory; or a CUDA graph of
            its stream is being captured.
    """
    found = (
        _from_dlpack(frame, ours, streams) if hasattr(frame, "__dlpack__") else _from_interface(frame, ours, streams)
    )
    shape = (*size_hw, 3)
    wanted = f"expected uint8 BGR of shape {shape} on GPU {streams.number}"
    if found.dtype != "uint8":
        raise FrameError(f"frame on the device has dtype {found.dtype}; {wanted}: scale it to 0..255 and convert it")
    if found.shape != shape:
        raise FrameError(f"frame on the device has shape {found.shape}; {wanted}: permute or resize it")
    if found.strides not in (None, (3 * size_hw[1], 3, 1)):
        raise FrameError(
            f"frame on the device has strides {found.strides} (elements); {wanted}, row by row without gaps: make it "
            "contiguous"
        )
    _check_place(found.address, streams)
    return DeviceFrame(found.address, found.owner)


def _check_place(address: int, streams: ForeignStreams) -> None:
    device = streams.device_of(address)
    if device is None:
        raise FrameError(f"frame at {address:#x} is not in GPU memory; expected memory of GPU {streams.number}")
    if device != streams.number:
        raise FrameError(
            f"frame at {address:#x} is on GPU {device}; expected memory of GPU {streams.number}, on which the engine "
            "runs: copy it there, or open the Engine with the device of the frame"
        )


def _from_dlpack(frame: Any, ours: int, streams: ForeignStreams) -> _Found:
    device = tuple(int(part) for part in frame.__dlpack_device__())
    if device != (CUDA, streams.number):
        raise FrameError(
            f"frame is on DLPack device {device}; expected {(CUDA, streams.number)}, GPU {streams.number}, on which "
            "the engine runs: copy it there, or open the Engine with the device of the frame"
        )
    gate = streams.gate
    try:
        capsule = frame.__dlpack__(stream=gate)
        tensor = describe_capsule(capsule)
    except Exception as error:  # each library raises its own kind
        raise FrameError(f"{type(frame).__name__} does not export its memory through DLPack: {error}") from error
    streams.follow(ours, gate)
    dtype = "uint8" if tensor.dtype == _UINT8 else f"of DLPack type {tensor.dtype}"
    return _Found(tensor.address, tensor.shape, tensor.strides, dtype, (capsule, frame))


def _from_interface(frame: Any, ours: int, streams: ForeignStreams) -> _Found:
    interface = frame.__cuda_array_interface__
    try:
        address, shape = int(interface["data"][0]), tuple(interface["shape"])
        dtype, strides = str(interface["typestr"]), interface.get("strides")
        steps = None if strides is None else tuple(int(step) for step in strides)
        # Before version 3 the interface had no stream: such producers work on the legacy one.
        theirs = interface.get("stream", _LEGACY)
        theirs = None if theirs is None else int(theirs)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise FrameError(f"{type(frame).__name__} has an ill-formed __cuda_array_interface__: {error!r}") from error
    if interface.get("mask") is not None:
        raise FrameError("frame on the device has a mask of valid pixels; hand in a whole picture")
    if theirs == 0:
        raise FrameError("frame on the device names stream 0, which is ambiguous; name 1, 2 or the stream's handle")
    _check_place(address, streams)  # before its stream, which another GPU does not know
    if theirs is not None:
        streams.follow(ours, theirs)
    return _Found(address, shape, steps, "uint8" if dtype.lstrip("|<>=") == "u1" else dtype, frame)
