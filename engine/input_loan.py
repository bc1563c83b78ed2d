"""The loan of a slot's input memory to the caller, and the check of frames that lie in such memory."""

from __future__ import annotations

from collections.abc import Sequence

from mostnet.contract import Frame, FrameError


class InputLoan:
    """Lends the host input of the next slot, from ``lend`` until any frame is submitted."""

    def __init__(self, inputs: Sequence[Frame]) -> None:
        # Addresses only: arrays would keep the memory of a closed lane alive.
        self._starts = [_address(frame) for frame in inputs]
        self._nbytes = inputs[0].nbytes
        self._lent = False
        self._ever = False

    def lend(self) -> None:
        """Begin the loan of the next slot's input."""
        self._lent = self._ever = True

    def end(self) -> None:
        """End the loan: a frame is submitted."""
        self._lent = False

    def covers(self, frame: Frame, slot: int, whole: Frame) -> bool:
        """True if ``frame`` is all of the lent input; false if it must be copied there.

        Args:
            frame: the frame that was handed in.
            slot: the next slot.
            whole: the input of ``slot``.

        Raises:
            FrameError: ``frame`` lies in the input of a slot, but that is not lent.
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
                "frame is an input buffer whose time is over: a frame was handed in since it was lent, so it may hold "
                "other pixels by now; call input_buffer() for every frame, and fill the buffer anew"
            )
        return address == self._starts[slot] and frame.flags.c_contiguous


def _address(frame: Frame) -> int:
    address: int = frame.__array_interface__["data"][0]
    return address
