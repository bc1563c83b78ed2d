"""Lends a slot's input memory to the caller, and checks frames that are in such memory."""

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
        self._ever_lent = False

    def lend(self) -> None:
        """Begin the loan of the next slot's input."""
        self._lent = self._ever_lent = True

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
            FrameError: ``frame`` is in the input of a slot that is not lent.
        """
        if not self._ever_lent:
            return False
        if self._lent and frame is whole:
            return True
        address = _address(frame)
        owners = [index for index, start in enumerate(self._starts) if start <= address < start + self._nbytes]
        if not owners:
            return False
        if not self._lent or owners[0] != slot:
            raise FrameError(
                "frame is an input buffer whose loan has ended: another frame was handed in after the loan began, so "
                "the buffer may hold other pixels by now; call input_buffer() for every frame, and fill that buffer"
            )
        return address == self._starts[slot] and frame.flags.c_contiguous


def _address(frame: Frame) -> int:
    address: int = frame.__array_interface__["data"][0]
    return address
