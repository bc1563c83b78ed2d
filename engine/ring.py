"""A ring of slots: assigns frames to slots, orders their work, and links each slot to the state of the one before.

Frame ``s`` goes to slot ``s mod N`` and reads the state that frame ``s - 1`` wrote in the slot before; state is never
copied. A frame counts once its outputs are on the host, and until then the state before it is kept. Frame ``s``
overwrites the state of frame ``s - N``, which frame ``s - N + 1`` reads. So frame ``s`` waits for the outputs of frame
``s - N + 1``. The ring can therefore take back a frame that fails at any stage, with all frames in flight behind it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from time import perf_counter

import numpy as np

from mostnet.contract import Frame

from .input_loan import InputLoan
from .interfaces import DeviceFrame, Lane, Result, Stream, Streams
from .slot import Slot, Stage, Timing

_NEVER = sys.maxsize


class Ring:
    """The slots of one lane in use. One thread submits, one takes; any may call ``request_reset`` and ``settle``.

    Once the device is lost, every call that reaches the lane raises DeviceLostError, except ``abandon`` and ``close``.
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
        """False while frames may be in flight, and after one failed: call ``settle`` before the next frame."""
        return self._settled

    def request_reset(self) -> None:
        """Let the next submitted frame start from zero state."""
        self._reset = True

    def open_pipeline(self) -> Streams:
        """Let frames overlap until the next ``settle``. The caller closes the streams after its last frame."""
        self._settled = False
        with self._lane.active():
            self._streams = self._lane.open_streams(pipelined=True)
            return self._streams

    def lend(self) -> Frame:
        """Lend the host input of the next slot, whose last result must have been taken, until the next ``submit``."""
        self._loan.lend()
        return self._lane.host_input(self._head % len(self._slots))

    def owns(self, frame: Frame) -> bool:
        """True if ``frame`` is the input that ``lend`` gave, so that ``submit`` need not copy it.

        Raises:
            FrameError: it is in the host input of a slot, but was not lent for the next frame.
        """
        index = self._head % len(self._slots)
        return self._loan.covers(frame, index, self._lane.host_input(index))

    def adopt(self, frame: object) -> DeviceFrame:
        """Check a frame on the device, and make the copy-in stream wait for its producer.

        Raises:
            FrameError: the frame does not fit, or the lane takes no frames on the device.
        """
        with self._lane.active():
            return self._lane.adopt(frame, self._streams.copy_in)

    def submit(self, frame: Frame | DeviceFrame | None, frame_id: int, timestamp: object, handed_s: float) -> Slot:
        """Copy a frame to the next slot, whose last result must have been taken, and enqueue its stages.

        ``take`` raises the error of a stage.

        Args:
            frame: a checked frame on the host, an adopted one on the device, or None if it is already in the slot.
            frame_id, timestamp: as in ``Output``.
            handed_s: when the caller or the source handed it in.
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
            self._reset = False  # after the line above: this frame also covers a reset requested in between
        with self._lane.active():
            self._enqueue(slot)
        self._head += 1
        return slot

    def rehearse(self) -> None:
        """Run the network once on what is in the next slot, and forget the result. The ring must be settled.

        It writes only to that slot, whose state no frame needs any more, and the next frame gets the same slot.
        """
        self._settled = False
        slot = self._slots[self._head % len(self._slots)]
        slot.sequence, slot.error, slot.source, slot.reset = self._head, None, None, False
        with self._lane.active():
            self._enqueue(slot)
        self.wait(slot, None)
        self.take(slot)

    def wait(self, slot: Slot, timeout_ms: float | None) -> bool:
        """Block until the slot's frame is done or failed; false if ``timeout_ms`` passes first."""
        with self._lane.active():
            return slot.copy_out.ended.wait(timeout_ms)

    def wait_copied(self, slot: Slot, timeout_ms: float | None) -> bool:
        """Block until the slot's frame has been copied from its source; false if ``timeout_ms`` passes first."""
        with self._lane.active():
            return slot.copy_in.ended.wait(timeout_ms)

    def take(self, slot: Slot) -> tuple[Result, Timing]:
        """Return the outputs and the timing of a slot that is done, and free the slot.

        Raises:
            BaseException: the error of a stage of this frame, unchanged.
        """
        with self._lane.active():
            slot.source = None
            error = slot.take_error()
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # its traceback would keep it alive, and with it the frame that was handed in
            result, timing = self._lane.result(slot.index), slot.timing()
        if self._streams is self._serial:
            self._settled = True
        return result, timing

    def settle(self, timeout_ms: float | None) -> bool:
        """Wait for frames in flight, end a pipeline, and take back a failed frame with all frames behind it.

        Results not taken are dropped. Without a failure the state stays that of the last submitted frame. Returns false
        if ``timeout_ms`` passes first, and changes nothing: call it again before the next frame.
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
        """Wait for nothing more: the device is lost and no frame is in flight."""
        self._lost = True

    def close(self) -> None:
        """Free the lane. The ring must be settled or abandoned."""
        self._serial.close()
        self._lane.close()

    def _take_back(self) -> None:
        self._head = min(self._head, self._failed_at)
        self._failed_at = _NEVER
        for slot in self._slots:
            if slot.reset and slot.sequence >= self._head:
                self._reset = True
            slot.reset, slot.source, slot.error = False, None, None
            for event in slot.events:  # an interrupted submit may have announced a record that is never reached
                self._serial.copy_in.record(event)

    def _make_slot(self, index: int) -> Slot:
        return Slot(index, copy_in=self._make_stage(), compute=self._make_stage(), copy_out=self._make_stage())

    def _make_stage(self) -> Stage:
        return Stage(self._lane.event(), self._lane.event())

    def _enqueue(self, slot: Slot) -> None:
        copy_in, compute, copy_out = self._streams
        slot.copy_in.enqueue(copy_in, self._guarded(slot, self._upload))
        compute.wait(slot.copy_in.ended)
        compute.wait(self._slots[(slot.index + 1) % len(self._slots)].copy_out.ended)
        slot.compute.enqueue(compute, self._guarded(slot, self._execute))
        copy_out.wait(slot.compute.ended)
        slot.copy_out.enqueue(copy_out, self._guarded(slot, self._lane.download))

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

    def _guarded(self, slot: Slot, work: Callable[[int, Stream], None]) -> Callable[[Stream], None]:
        """``work`` for ``slot``. No slot keeps it: it would keep the ring, and a dropped ring its memory."""
        return partial(self._run, slot, work)

    def _run(self, slot: Slot, work: Callable[[int, Stream], None], stream: Stream) -> None:
        if slot.sequence >= self._failed_at:
            return
        try:
            work(slot.index, stream)
        except BaseException as error:  # ``take`` raises it, in the thread that asked for the frame
            with self._failing:
                slot.error = error
                self._failed_at = min(self._failed_at, slot.sequence)
