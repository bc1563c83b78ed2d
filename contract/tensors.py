"""Names, dtypes and shapes of the tensors that cross the boundary of an exported graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import FrameError

#: A picture on the host: uint8 ``(H, W, 3)``, BGR.
Frame: TypeAlias = npt.NDArray[np.uint8]

FRAME = "frame"
ENHANCED = "enhanced"
FLOW = "flow"
MASK = "mask"
FINITE = "finite"

#: What a caller may ask for; ``finite`` always comes along.
OUTPUTS = (ENHANCED, FLOW, MASK)

#: Smallest frame side the network takes, in pixels.
MIN_SIDE = 64

#: A mask value of at least this is tooth: the mask is the tooth probability times 255.
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
    the tooth probability times 255; ``finite`` bool ``(1,)``, false where this frame came out NaN or infinite.
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
        FrameError: not an array, or another dtype or shape; says what was found and what is wanted.
    """
    wanted = f"expected uint8 BGR of shape ({size_hw[0]}, {size_hw[1]}, 3)"
    if not isinstance(frame, np.ndarray):
        raise FrameError(f"frame is a {type(frame).__name__}, not a numpy array; {wanted}")
    if frame.dtype != np.uint8:
        raise FrameError(f"frame has dtype {frame.dtype}; {wanted}: scale it to 0..255 and convert it")
    if frame.shape != (*size_hw, 3):
        raise FrameError(f"frame has shape {frame.shape}; {wanted}: resize it, or export the model with --size")
    return frame


def check_size(size_hw: tuple[int, int]) -> tuple[int, int]:
    """Return ``size_hw`` if the network takes frames of that size.

    Raises:
        FrameError: a side is below ``MIN_SIDE``.
    """
    if min(size_hw) < MIN_SIDE:
        raise FrameError(f"frame size is {size_hw[0]}x{size_hw[1]}; each side must be at least {MIN_SIDE} pixels")
    return size_hw
