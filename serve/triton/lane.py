"""The lane of a camera whose network runs in a server: ``execute`` sends one frame and waits for its answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from mostnet.contract import (
    FINITE,
    Frame,
    FrameError,
    Metadata,
    ServerError,
    ServerUnavailableError,
    TensorSpec,
    input_spec,
    output_specs,
)
from mostnet.engine.host_streams import HostEvent, ThreadStream
from mostnet.engine.interfaces import DeviceFrame, Result, Stream, Streams
from mostnet.engine.results import ResultPools

from .carriers import Carrier, MessageCarrier, SharedCarrier
from .connection import Connection, ForgottenError
from .sequence import CameraSequence

_LOG = logging.getLogger(__name__)
_NOTHING = nullcontext()

#: No frame takes this long. A server that still has not answered hangs.
_ANSWER_S = 60.0

#: How long the first frame of a sequence may wait in the server for a place, in microseconds. Without a limit, Triton
#: keeps it waiting until another camera leaves.
_PLACE_US = 1_000_000

#: ``close`` waits this long for the server to give the place free; then the server's idle time does it.
_END_S = 2.0


class LastingStream(ThreadStream):
    """A stream that a lane has for all its time."""

    def close(self) -> None:
        """Go on: the ring closes the streams of a pipeline, and the lane still needs this one."""

    def end(self) -> None:
        """Let the thread end after the queued work."""
        super().close()


class CameraLane:
    """One camera's slots and its sequence in the server. The state is there, and frames go there one at a time."""

    def __init__(
        self,
        address: str,
        model: str,
        metadata: Metadata,
        slots: int,
        outputs: Sequence[str],
        *,
        results: str = "owned",
        share: bool | None = None,
    ) -> None:
        """``share``: True shares memory with the server or fails, False does not, and None tries.

        Raises:
            ServerError: ``share`` is True, and the server cannot map memory of this machine.
        """
        self.slots = slots
        self._address, self._model = address, model
        self._frame = input_spec(metadata.size_hw)
        self._wanted = [spec for spec in output_specs(metadata.size_hw) if spec.name in (*outputs, FINITE)]
        self._finite = [spec for spec in self._wanted if spec.name == FINITE]
        self._inputs = [np.zeros((*metadata.size_hw, 3), np.uint8) for _ in range(slots)]
        self._pools = ResultPools(spec for spec in self._wanted if spec.name != FINITE)
        self._borrowed = results == "borrowed"
        self._answers: list[tuple[Carrier, Any] | None] = [None] * slots
        self._results: list[Result | None] = [None] * slots
        self._sequence = CameraSequence(slots)
        self._reset = self._closed = False
        self._stale = False  # the server may have forgotten the shared memory, or still write an answer to it
        self._share = share
        self._connection = Connection(address)
        try:
            self._carrier = self._new_carrier()
            self._worker = LastingStream("camera")
        except BaseException:
            self._connection.close()
            raise

    @property
    def shares_memory(self) -> bool:
        """Frames and results are in memory that the server maps too."""
        return self._carrier.is_shared

    def active(self) -> AbstractContextManager[None]:
        """Nothing to enter."""
        return _NOTHING

    def event(self) -> HostEvent:
        """A new event."""
        return HostEvent()

    def open_streams(self, *, pipelined: bool) -> Streams:
        """Worker threads, so that a late answer is reported in time. A single frame needs only one of them.

        The first thread is the same in both cases: what the ring records there comes before the frames of a pipeline.
        """
        if not pipelined:
            return Streams(self._worker, self._worker, self._worker)
        return Streams(self._worker, ThreadStream("request"), ThreadStream("copy-out"))

    def host_input(self, slot: int) -> Frame:
        """The frame in memory of this process."""
        return self._inputs[slot]

    def upload(self, slot: int, stream: Stream) -> None:
        """Do nothing: ``execute`` sends the frame, once it knows by which way."""

    def adopt(self, frame: object, stream: Stream) -> DeviceFrame:
        """Refuse a frame in GPU memory.

        Raises:
            FrameError: always.
        """
        raise FrameError(
            f"frame is a {type(frame).__name__} in GPU memory, and this session sends frames to a server; expected a "
            "NumPy array: bring the frame to the host"
        )

    def upload_from(self, slot: int, frame: DeviceFrame, stream: Stream) -> None:
        """Never called: ``adopt`` takes no frame."""
        raise AssertionError("a lane that adopts no frame copies none")

    def clear_state(self, slot: int, stream: Stream) -> None:
        """Let the frame that is executed next start the sequence anew."""
        self._reset = True

    def execute(self, slot: int, stream: Stream) -> None:
        """Send the frame to the server and wait for the answer.

        Raises:
            StateLostError: the frame would go on from a state that the server no longer has.
            ServerError, ServerBusyError, ServerUnavailableError: the server refused the frame, failed, or is not there.
        """
        reset, self._reset = self._reset, False
        start = self._sequence.starts(slot, reset=reset)
        try:
            answer = self._run(slot, self._inputs[slot], self._sequence.number, start=start)
        except ServerError as error:
            self._sequence.check_failure(error, start=start)
            raise
        self._sequence.ran(slot)
        self._answers[slot] = self._carrier, answer

    def download(self, slot: int, stream: Stream) -> None:
        """Take the outputs out of the answer, and copy them unless they are borrowed."""
        kept, self._answers[slot] = self._answers[slot], None
        assert kept is not None, "download comes after execute"
        carrier, answer = kept
        arrays = carrier.arrays(answer, slot, self._wanted)
        finite = bool(arrays.pop(FINITE))
        self._results[slot] = Result.of(arrays if self._borrowed else self._pools.copy(arrays), finite=finite)

    def result(self, slot: int) -> Result:
        """Hand over the result that ``download`` made."""
        result, self._results[slot] = self._results[slot], None
        assert result is not None, "result is called once after download"
        return result

    def warm_up(self) -> None:
        """Run the network on a black frame, in a sequence of its own that begins and ends with it.

        It uses the slot of the next frame, so a borrowed result there expires.

        Raises:
            ServerBusyError: there is no place for one more sequence.
            ServerError: as ``execute``.
        """
        number = CameraSequence(self.slots).number
        self._run(self._sequence.next_slot, None, number, start=True, end=True)

    def close(self) -> None:
        """Give up the place in the server, and all memory here and there. May be called twice."""
        if self._closed:
            return
        answers = self._end() if self._sequence.begun else True
        self._carrier.close(answers=answers)
        self._connection.close()
        self._pools.close()
        self._inputs, self._answers, self._results = [], [], []
        self._worker.end()
        self._closed = True

    def _end(self) -> bool:
        """End the sequence, so that its place is free at once; false if nobody answers.

        It needs a frame, and asks for next to no result.
        """
        try:
            slot = self._sequence.next_slot
            self._ask(slot, None, self._finite, self._sequence.number, end=True, limit_s=_END_S)
        except ServerError as error:
            _LOG.info("close: the server frees the place of this camera by its idle time (%s)", error)
            return not isinstance(error, ServerUnavailableError)
        return True

    def _run(
        self, slot: int, frame: Frame | None, number: int, *, start: bool, end: bool = False, again: bool = True
    ) -> Any:
        """Ask for all outputs of a frame. One that starts a sequence is sent ``again`` to a server that forgot us."""
        try:
            if self._stale:
                self._renew()
            return self._ask(slot, frame, self._wanted, number, start=start, end=end)
        except ServerUnavailableError:
            self._stale = True
            raise
        except ForgottenError as error:
            self._stale = True
            if not start:
                raise
            if again:
                return self._run(slot, frame, number, start=start, end=end, again=False)
            raise ServerError(str(error)) from error

    def _ask(
        self,
        slot: int,
        frame: Frame | None,
        outputs: Sequence[TensorSpec],
        number: int,
        *,
        start: bool = False,
        end: bool = False,
        limit_s: float | None = None,
    ) -> Any:
        request = self._connection.messages.ModelInferRequest(model_name=self._model)
        parameters = request.parameters
        parameters["sequence_id"].int64_param = number
        parameters["sequence_start"].bool_param = start
        parameters["sequence_end"].bool_param = end
        if start:
            parameters["timeout"].int64_param = _PLACE_US
        self._carrier.fill(request, slot, frame, outputs)
        return self._connection.ask("ModelInfer", request, _ANSWER_S if limit_s is None else limit_s)

    def _renew(self) -> None:
        before = self._carrier
        self._carrier, self._stale = self._new_carrier(), False
        before.close()

    def _new_carrier(self) -> Carrier:
        if self._share is not False:
            try:
                return SharedCarrier(self._connection, self.slots, self._frame, self._wanted)
            except ServerUnavailableError:
                raise
            except (ServerError, OSError) as error:
                if self._share:
                    raise ServerError(
                        f"{self._address}: no memory can be shared with the server ({error}); run both on one machine "
                        "and with the same /dev/shm, or leave shared_memory out"
                    ) from error
                _LOG.warning("frames go to %s in messages, because no memory can be shared (%s)", self._address, error)
        return MessageCarrier(self._frame)
