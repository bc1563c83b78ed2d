"""Names, dtypes and shapes of the inputs and outputs of an exported graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import FrameError

#: A picture on the host: uint8 ``(H, W, 3)``, BGR.
Frame: TypeAlias = npt.NDArray[np.uint8]

FRAME = "frame"
ENHANCED: Final = "enhanced"
FLOW: Final = "flow"
MASK: Final = "mask"
FINITE = "finite"

#: Outputs that a caller may ask for; ``finite`` is always among the results.
OutputName: TypeAlias = Literal["enhanced", "flow", "mask"]
OUTPUTS: tuple[OutputName, ...] = (ENHANCED, FLOW, MASK)

#: Smallest side of a frame that the network accepts, in pixels.
MIN_SIDE = 64

#: Smallest mask value that counts as tooth; the mask is the tooth probability times 255.
FOREGROUND = 128

_STATE_IN = "state_in_"
_STATE_OUT = "state_out_"


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and NumPy dtype name of one tensor of a graph."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Size of the tensor in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class StatePair:
    """One recurrent tensor: read as ``state_in_<name>``, written as ``state_out_<name>``. Zeros mean no history."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def input(self) -> TensorSpec:
        """The graph input that carries the previous frame's value."""
        return TensorSpec(_STATE_IN + self.name, self.shape, self.dtype)

    @property
    def output(self) -> TensorSpec:
        """The graph output that carries this frame's value."""
        return TensorSpec(_STATE_OUT + self.name, self.shape, self.dtype)


def input_spec(size_hw: tuple[int, int]) -> TensorSpec:
    """The ``frame`` input: uint8 ``(1, H, W, 3)``, BGR."""
    return TensorSpec(FRAME, (1, *size_hw, 3), "uint8")


def output_specs(size_hw: tuple[int, int]) -> tuple[TensorSpec, ...]:
    """The picture outputs of a graph, in graph order.

    ``enhanced`` uint8 ``(1, H, W, 3)`` BGR; ``flow`` float32 ``(1, 2, H, W)`` in pixels; ``mask`` uint8 ``(1, H, W)``,
    the tooth probability times 255; ``finite`` bool ``(1,)``, false if this frame came out NaN or infinite.
    """
    height, width = size_hw
    return (
        TensorSpec(ENHANCED, (1, height, width, 3), "uint8"),
        TensorSpec(FLOW, (1, 2, height, width), "float32"),
        TensorSpec(MASK, (1, height, width), "uint8"),
        TensorSpec(FINITE, (1,), "bool"),
    )


def check_frame(frame: object, size_hw: tuple[int, int]) -> Frame:
    """Return ``frame`` if it is a uint8 ``(H, W, 3)`` array of the given size.

    Raises:
        FrameError: not an array, or of another dtype or shape; says what was found, what was expected and what to do.
    """
    wanted = f"expected uint8 BGR of shape ({size_hw[0]}, {size_hw[1]}, 3)"
    if not isinstance(frame, np.ndarray):
        raise FrameError(f"{_no_array(frame)}; {wanted}{_array_hint(frame)}")
    if frame.dtype != np.uint8:
        raise FrameError(f"frame has dtype {frame.dtype}; {wanted}: scale it to 0..255 and convert it")
    if frame.shape != (*size_hw, 3):
        raise FrameError(f"frame has shape {frame.shape}; {wanted}: {_shape_hint(frame.shape)}")
    return frame


def _no_array(frame: object) -> str:
    name = type(frame).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    return "frame is None" if frame is None else f"frame is {article} {name}, not a numpy array"


def _array_hint(frame: object) -> str:
    if frame is None:
        return ": the read of the picture failed, so check its path or the camera"
    if isinstance(frame, tuple | bool):  # a stream takes a pair as (frame, timestamp), and finds a bool
        return ": ok, frame = capture.read() gives a pair, so hand in its frame"
    return ""


def _shape_hint(shape: tuple[int, ...]) -> str:
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        return "it is grey, so hand in cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)"
    if len(shape) == 4:
        return "it has a batch axis, so hand in one picture per call, such as frame[0]"
    if len(shape) == 3 and shape[2] == 4:
        return "it has an alpha channel, so hand in cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)"
    if len(shape) == 3 and shape[0] == 3 and shape[2] != 3:
        return "its channels come first, so hand in frame.transpose(1, 2, 0), in the order BGR"
    return "resize it, or export the model with --size"


def check_size(size_hw: tuple[int, int]) -> tuple[int, int]:
    """Return ``size_hw`` if the network accepts frames of that size.

    Raises:
        FrameError: a side is below ``MIN_SIDE``.
    """
    if min(size_hw) < MIN_SIDE:
        raise FrameError(f"frame size is {size_hw[0]}x{size_hw[1]}; each side must be at least {MIN_SIDE} pixels")
    return size_hw
