"""Which memory of the ring a caller may write a frame to, and which frames handed in are in such memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mostnet.contract import FrameError


class InputLoan:
    """The loan of one slot's host input: the next slot's, from ``lend`` until any frame is submitted."""

    def __init__(self, inputs: Sequence[npt.NDArray[np.uint8]]) -> None:
        # Addresses alone: the arrays would keep the memory of a closed lane.
        self._starts = [_address(frame) for frame in inputs]
        self._nbytes = inputs[0].nbytes
        self._lent = False
        self._ever = False

    def lend(self) -> None:
        """The next slot's input is lent."""
        self._lent = self._ever = True

    def end(self) -> None:
        """A frame is submitted: what was lent is the engine's again."""
        self._lent = False

    def covers(self, frame: npt.NDArray[np.uint8], slot: int, whole: npt.NDArray[np.uint8]) -> bool:
        """True if ``frame`` is ``whole``, the input of ``slot``, the next, as lent; false if it has to be copied there.

        Raises:
            FrameError: it is memory of a slot, and not lent.
        """
        if not self._ever:
            return False
        if self._lent and frame is whole:
            return True
        address = _address(frame)
        owners = [index for index, start in enumerate(self._starts) if start <= address < start + self._nbytes]
        if not owners:
            return False
        if not self._lent or owners[0] != slot:
            raise FrameError(
                "frame is an input buffer whose time is over: another frame was handed in since it was lent, so it may "
                "hold other pixels by now; ask input_buffer() for a new one for every frame, and write it anew"
            )
        return address == self._starts[slot] and frame.flags.c_contiguous


def _address(frame: npt.NDArray[np.uint8]) -> int:
    address: int = frame.__array_interface__["data"][0]
    return address
