"""The ring of slots: which frame goes where, what waits for what, and which state the next frame reads.

Frame ``s`` goes to slot ``s mod N`` and reads the state that frame ``s - 1`` wrote in the slot before; state is never
copied. A frame counts once its outputs have come down. Until then the state before it is kept: frame ``s`` overwrites
the state of frame ``s - N``, which frame ``s - N + 1`` would need to be done again, and so waits for the outputs of
that one. A frame that fails at any stage can therefore be taken back, with all that were in flight behind it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from time import perf_counter

import numpy as np
import numpy.typing as npt

from .input_loan import InputLoan
from .interfaces import DeviceFrame, Lane, Result, Stream
from .slot import Slot, Stage, Timing

_NEVER = sys.maxsize


class Ring:
    """The slots of one lane in use. One thread submits, one takes; ``request_reset`` and ``settle`` are for any.

    Whatever reaches the lane raises DeviceLostError once its device is lost; ``abandon`` and ``close`` are left then.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        try:
            with lane.active():
                self._serial = lane.open_streams(pipelined=False)
                self._slots = [self._make_slot(index) for index in range(lane.slots)]
        except BaseException:
            lane.close()
            raise
        self._streams = self._serial
        self._loan = InputLoan([lane.host_input(slot) for slot in range(lane.slots)])
        self._head = 0
        self._failed_at = _NEVER
        self._reset = False
        self._settled = True
        self._lost = False
        self._failing = threading.Lock()
        self._settling = threading.RLock()

    @property
    def settled(self) -> bool:
        """False while frames may be under way, and after one failed: ``settle`` comes before the next."""
        return self._settled

    def request_reset(self) -> None:
        """Let the next submitted frame start from zero state."""
        self._reset = True

    def open_pipeline(self) -> None:
        """Let frames overlap until the next ``settle``."""
        self._settled = False
        with self._lane.active():
            self._streams = self._lane.open_streams(pipelined=True)

    def lend(self) -> npt.NDArray[np.uint8]:
        """The host input of the next slot, to be written until the next ``submit``; its last result has been taken."""
        self._loan.lend()
        return self._lane.host_input(self._head % len(self._slots))

    def owns(self, frame: npt.NDArray[np.uint8]) -> bool:
        """True if ``frame`` is what ``lend`` gave, and so lies where ``submit`` would copy it.

        Raises:
            FrameError: it is in the host input of a slot, but was not lent for the next frame.
        """
        index = self._head % len(self._slots)
        return self._loan.covers(frame, index, self._lane.host_input(index))

    def adopt(self, frame: object) -> DeviceFrame:
        """Take a frame that is on the device; the copy-in stream waits for its producer.

        Raises:
            FrameError: it does not fit, or the lane takes none.
        """
        with self._lane.active():
            return self._lane.adopt(frame, self._streams.copy_in)

    def submit(
        self,
        frame: npt.NDArray[np.uint8] | DeviceFrame | None,
        frame_id: int,
        timestamp: object,
        handed_s: float,
    ) -> Slot:
        """Bring ``frame``, checked, adopted, or None if it is in its place, to the next slot; enqueue its stages.

        The slot's last result has been taken. What a stage raises is raised by ``take``.
        """
        self._settled = False
        self._loan.end()
        slot = self._slots[self._head % len(self._slots)]
        begun_s = perf_counter()
        slot.source = None
        if isinstance(frame, DeviceFrame):
            slot.source = frame
        elif frame is not None:
            np.copyto(self._lane.host_input(slot.index), frame)
        slot.copied_s = perf_counter() - begun_s
        slot.sequence, slot.error = self._head, None
        slot.frame_id, slot.timestamp, slot.handed_s = frame_id, timestamp, handed_s
        slot.reset = self._reset
        if slot.reset:
            self._reset = False  # after it is noted: a reset that comes in between is done by this very frame
        with self._lane.active():
            self._enqueue(slot)
        self._head += 1
        return slot

    def wait(self, slot: Slot, timeout_ms: float | None) -> bool:
        """Block until the slot's frame is done or failed; false if ``timeout_ms`` passes first."""
        with self._lane.active():
            return slot.copy_out.ended.wait(timeout_ms)

    def wait_copied(self, slot: Slot, timeout_ms: float | None) -> bool:
        """Block until the slot's frame has been copied from where it was; false if ``timeout_ms`` passes first."""
        with self._lane.active():
            return slot.copy_in.ended.wait(timeout_ms)

    def take(self, slot: Slot) -> tuple[Result, Timing]:
        """The outputs of a slot that is done, and where its time went; the slot is free after that.

        Raises:
            BaseException: what a stage of this frame raised, as it was.
        """
        with self._lane.active():
            slot.source = None
            error = slot.take_error()
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # else its traceback keeps it alive, and with it the frame that was handed in
            result, timing = self._lane.result(slot.index), slot.timing()
        if self._streams is self._serial:
            self._settled = True
        return result, timing

    def settle(self, timeout_ms: float | None) -> bool:
        """Wait for what is under way, end a pipeline, and take back a failed frame and all behind it.

        Results not taken are dropped, but without a failure the state stays the one after the last submitted frame.
        Returns false, and changes nothing, if ``timeout_ms`` passes first; call it again before the next frame.
        """
        with self._settling:
            if self._settled or self._lost:
                return True
            with self._lane.active():
                if self._streams is not self._serial:
                    self._streams.close()
                if not self._streams.drain(timeout_ms):
                    return False
                self._streams = self._serial
                self._take_back()
            self._settled = True
            return True

    def abandon(self) -> None:
        """The device is lost: nothing is under way any more, and nothing can be waited for."""
        self._lost = True

    def close(self) -> None:
        """Free the lane. The ring is settled or abandoned."""
        self._serial.close()
        self._lane.close()

    def _take_back(self) -> None:
        self._head = min(self._head, self._failed_at)
        self._failed_at = _NEVER
        for slot in self._slots:
            if slot.reset and slot.sequence >= self._head:
                self._reset = True
            slot.reset, slot.source, slot.error = False, None, None
            for event in slot.events:  # an interrupted submit may have left one announced and never reached
                self._serial.copy_in.record(event)

    def _make_slot(self, index: int) -> Slot:
        return Slot(
            index,
            copy_in=self._make_stage(index, self._upload),
            compute=self._make_stage(index, self._execute),
            copy_out=self._make_stage(index, self._lane.download),
        )

    def _make_stage(self, index: int, work: Callable[[int, Stream], None]) -> Stage:
        return Stage(self._lane.event(), partial(self._guarded, index, work), self._lane.event())

    def _enqueue(self, slot: Slot) -> None:
        copy_in, compute, copy_out = self._streams
        slot.copy_in.enqueue(copy_in)
        compute.wait(slot.copy_in.ended)
        compute.wait(self._slots[(slot.index + 1) % len(self._slots)].copy_out.ended)
        slot.compute.enqueue(compute)
        copy_out.wait(slot.compute.ended)
        slot.copy_out.enqueue(copy_out)

    def _upload(self, index: int, stream: Stream) -> None:
        source = self._slots[index].source
        if source is None:
            self._lane.upload(index, stream)
        else:
            self._lane.upload_from(index, source, stream)

    def _execute(self, index: int, stream: Stream) -> None:
        if self._slots[index].reset:
            self._lane.clear_state((index - 1) % len(self._slots), stream)
        self._lane.execute(index, stream)

    def _guarded(self, index: int, work: Callable[[int, Stream], None], stream: Stream) -> None:
        slot = self._slots[index]
        if slot.sequence >= self._failed_at:
            return
        try:
            work(index, stream)
        except BaseException as error:  # raised by ``take``, in the thread that asked for the frame
            with self._failing:
                slot.error = error
                self._failed_at = min(self._failed_at, slot.sequence)
