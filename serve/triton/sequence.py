"""What the client knows of its camera's state, which lives in the server."""

from __future__ import annotations

import secrets

from mostnet.contract import ServerBusyError, ServerError, ServerUnavailableError, StateLostError

from .connection import ForgottenError, RequestRefusedError


class CameraSequence:
    """The sequence of one camera: its number in the server, and whether the next frame may go on from its state.

    The ring hands the slots round in order and may take frames back. A frame that the server has run cannot be taken
    back: the next frame then comes in another slot than expected, and the state is lost.

    Attributes:
        number: the server's name for the sequence, random and not 0.
        begun: the server has run a frame of it, so it may hold a place.
        next_slot: the slot of the frame that can go on.
    """

    def __init__(self, slots: int) -> None:
        self.number = 1 + secrets.randbelow(2**63 - 1)
        self.begun = False
        self.next_slot = 0
        self._slots = slots
        self._lost: str | None = None

    def starts(self, slot: int, *, reset: bool) -> bool:
        """Whether the frame in ``slot`` starts the sequence from zero state.

        Raises:
            StateLostError: it would go on from a state that is lost.
        """
        if reset or not self.begun:
            return True
        if self._lost is None and slot != self.next_slot:
            self._lost = "a frame that the server had run was taken back"
        if self._lost is not None:
            raise self._error()
        return False

    def ran(self, slot: int) -> None:
        """The server has run the frame in ``slot``."""
        self.begun, self._lost = True, None
        self.next_slot = (slot + 1) % self._slots

    def check_failure(self, error: ServerError, *, start: bool) -> None:
        """Note a frame that got no result; ``start``: it was to start the sequence.

        Raises:
            StateLostError: the server no longer has the state; otherwise ``error`` is for the caller.
        """
        if isinstance(error, ServerBusyError | RequestRefusedError) or not self.begun:
            return
        self._lost = str(error)
        if not start and isinstance(error, ServerUnavailableError | ForgottenError):
            raise self._error() from error

    def _error(self) -> StateLostError:
        return StateLostError(f"the state of this camera is lost ({self._lost}); call reset() to go on from zero state")
