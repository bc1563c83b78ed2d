"""A small stateful network with the tensors of a real export, in NumPy.

A frame's number is the blue value of its first pixel. The states have every type, and each one shows in an output, so
that a stale, swapped or half-cleared one is seen:

========== ======================================= =====================================
state      after a frame                           shows in
========== ======================================= =====================================
``seen``   the numbers of the last 24 frames       the first 24 values of ``mask``
``length`` minus their number                      the next 3 values of ``mask``
``sum``    the sum of all numbers                  the first channel of ``flow``
``last``   the blue channel of the frame           the second channel of the next ``flow``
========== ======================================= =====================================

``enhanced`` is the negative of the frame. A frame whose number is 250 or more comes out "not finite". So does a frame
that reads a state with a value that is not finite; the value becomes zero, as in the real network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mostnet.contract import Metadata, StatePair, input_spec, output_specs

SIZE_HW = (64, 80)
HISTORY = 24

#: Number of a frame that comes out "not finite".
NAN = 250

#: A state value of this magnitude or more counts as infinite.
BOUND = 1e30


def toy_metadata(size_hw: tuple[int, int]) -> Metadata:
    """The description of the toy network for frames of a size."""
    return Metadata(
        variant="toy",
        size_hw=size_hw,
        precision="fp32",
        opset=19,
        trained=False,
        states=(
            StatePair("seen", (1, 1, 1, HISTORY), "float16"),
            StatePair("length", (1, 1, 1, 3), "int8"),
            StatePair("sum", (1, 1, 1, 1), "float32"),
            StatePair("last", (1, *size_hw, 1), "float16"),
        ),
        checkpoint_sha256="0" * 64,
    )


METADATA = toy_metadata(SIZE_HW)
STATES = METADATA.states
INPUTS = (input_spec(SIZE_HW), *(pair.input for pair in STATES))
OUTPUTS = (*output_specs(SIZE_HW), *(pair.output for pair in STATES))

_PATTERN = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3), np.uint8)
_PATTERN[0, 0, 0] = 0


def frame_of(number: int) -> npt.NDArray[np.uint8]:
    """The frame of a number: a picture that tells every pixel from its neighbours."""
    picture: npt.NDArray[np.uint8] = _PATTERN + np.uint8(number)
    return picture


def step(tensors: Mapping[str, npt.NDArray[Any]], *, nan: int = NAN) -> dict[str, npt.NDArray[Any]]:
    """The outputs of the graph for its inputs, both by their names. Numbers from ``nan`` on come out "not finite"."""
    frame = tensors["frame"]
    height, width = frame.shape[1:3]
    number = float(frame[0, 0, 0, 0])
    (seen_before, total_before, last), finite = _sound(tensors)
    seen = np.append(seen_before.ravel()[1:], np.float16(min(number, 254) + 1))
    length = np.maximum(tensors["state_in_length"] - np.int8(1), np.int8(-HISTORY))
    total = total_before + np.float32(number)
    flow = np.empty((1, 2, height, width), np.float32)
    flow[:, 0], flow[:, 1] = total, last[..., 0]
    mask = np.zeros((1, height, width), np.uint8)
    mask.ravel()[:HISTORY] = seen
    mask.ravel()[HISTORY : HISTORY + 3] = -length.ravel()
    return {
        "enhanced": 255 - frame,
        "flow": flow,
        "mask": mask,
        "finite": np.array([finite and number < nan]),
        "state_out_seen": seen.reshape(1, 1, 1, HISTORY),
        "state_out_length": length,
        "state_out_sum": total,
        "state_out_last": frame[..., :1].astype(np.float16),
    }


def _sound(tensors: Mapping[str, npt.NDArray[Any]]) -> tuple[list[npt.NDArray[Any]], bool]:
    """The float states, with zeros for values that are not finite, and whether all values were finite."""
    states = [tensors[f"state_in_{name}"] for name in ("seen", "sum", "last")]
    sound = [np.abs(state.astype(np.float32)) < BOUND for state in states]
    clean = [np.where(ok, state, state.dtype.type(0)) for ok, state in zip(sound, states, strict=True)]
    return clean, all(bool(ok.all()) for ok in sound)


def zero_state() -> dict[str, npt.NDArray[Any]]:
    """The state before the first frame, by the names of the graph's inputs."""
    return {pair.input.name: np.zeros(pair.shape, pair.dtype) for pair in STATES}


def reference(frames: Iterable[npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """``enhanced``, ``flow``, ``mask`` and ``finite`` of each frame, as in ``Output``; from zero state."""
    results, state = [], zero_state()
    for frame in frames:
        made = step({"frame": frame[None], **state})
        state = {pair.input.name: made[pair.output.name] for pair in STATES}
        results.append({name: made[name][0] for name in ("enhanced", "flow", "mask", "finite")})
    return results


def history(mask: npt.NDArray[Any]) -> list[int]:
    """The numbers of the last 24 frames that the state behind ``mask`` has seen."""
    seen = [int(value) - 1 for value in mask.ravel()[:HISTORY] if value]
    assert (mask.ravel()[HISTORY : HISTORY + 3] == len(seen)).all(), "the states are of different frames"
    return seen
