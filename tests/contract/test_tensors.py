"""Bad frames and sizes are refused with a message that says why; the outputs of a graph."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.contract import FrameError, check_frame, check_size, output_specs

SIZE = (480, 640)


def test_a_right_frame_is_handed_back() -> None:
    frame = np.zeros((*SIZE, 3), np.uint8)
    assert check_frame(frame, SIZE) is frame


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (None, "frame is None; expected uint8 BGR of shape (480, 640, 3): the read of the picture failed"),
        ([0], "frame is a list, not a numpy array; expected uint8 BGR of shape (480, 640, 3)"),
        (5, "frame is an int, not a numpy array"),
        ((True, np.zeros((*SIZE, 3), np.uint8)), "ok, frame = capture.read() gives a pair, so hand in its frame"),
        (True, "ok, frame = capture.read() gives a pair"),
        (np.zeros((*SIZE, 3), np.float32), "frame has dtype float32"),
        (np.zeros((640, 480, 3), np.uint8), "frame has shape (640, 480, 3)"),
        (np.zeros((240, 320, 3), np.uint8), "resize it, or export the model with --size"),
        (np.zeros(SIZE, np.uint8), "it is grey, so hand in cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)"),
        (np.zeros((*SIZE, 1), np.uint8), "it is grey, so hand in cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)"),
        (np.zeros((*SIZE, 4), np.uint8), "it has an alpha channel, so hand in cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)"),
        (np.zeros((3, *SIZE), np.uint8), "its channels come first, so hand in frame.transpose(1, 2, 0)"),
        (np.zeros((1, *SIZE, 3), np.uint8), "it has a batch axis, so hand in one picture per call"),
    ],
)
def test_refused(frame: object, text: str) -> None:
    with pytest.raises(FrameError) as refused:
        check_frame(frame, SIZE)
    assert text in str(refused.value)


def test_sizes() -> None:
    assert check_size((64, 64)) == (64, 64)
    with pytest.raises(FrameError, match="64x63; each side must be at least 64"):
        check_size((64, 63))


def test_outputs_of_a_graph() -> None:
    assert [(s.name, s.dtype, s.shape) for s in output_specs((4, 6))] == [
        ("enhanced", "uint8", (1, 4, 6, 3)),
        ("flow", "float32", (1, 2, 4, 6)),
        ("mask", "uint8", (1, 4, 6)),
        ("finite", "bool", (1,)),
    ]
