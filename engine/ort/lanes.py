"""Lanes on ONNX Runtime: fixed buffers, bound to the graph once per slot and not for each frame."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from mostnet.contract import FINITE, FRAME, Frame, FrameError, Metadata, TensorSpec, input_spec, output_specs
from mostnet.engine.cuda.array import DeviceArray
from mostnet.engine.host_streams import HostEvent, host_streams
from mostnet.engine.interfaces import DeviceFrame, Result, Stream, Streams
from mostnet.engine.results import ResultPools

Array = npt.NDArray[Any]

_NOTHING = nullcontext()


class _OnnxLane:
    """The common part of both lanes: host input, bindings made once, runs in the calling thread, results."""

    _why_host_only = "runs on the CPU"

    def __init__(self, session: Any, metadata: Metadata, slots: int, outputs: Sequence[str]) -> None:
        self.slots = slots
        self._session = session
        self._states = metadata.states
        self._wanted = [spec for spec in output_specs(metadata.size_hw) if spec.name in (*outputs, FINITE)]
        self._frame = input_spec(metadata.size_hw)
        self._host_frames = [_zeros(self._frame) for _ in range(slots)]
        self._inputs: list[Frame] = [frame[0] for frame in self._host_frames]
        self._pictures: list[dict[str, Any]] = []
        self._memory: list[list[Any]] = []
        self._bindings: list[Any] = []
        self._results: list[Result | None] = [None] * slots

    def active(self) -> AbstractContextManager[None]:
        """Nothing to enter: ONNX Runtime manages its devices itself."""
        return _NOTHING

    def event(self) -> HostEvent:
        """A new event."""
        return HostEvent()

    def open_streams(self, *, pipelined: bool) -> Streams:
        """Inline streams, or worker threads, because a call of ONNX Runtime returns when its work is done."""
        return host_streams(pipelined=pipelined)

    def host_input(self, slot: int) -> Frame:
        """The frame in host memory."""
        return self._inputs[slot]

    def adopt(self, frame: object, stream: Stream) -> DeviceFrame:
        """Refuse a frame in GPU memory.

        Raises:
            FrameError: always.
        """
        raise FrameError(
            f"frame is a {type(frame).__name__} in GPU memory, and this engine {self._why_host_only}; expected a NumPy "
            "array: bring the frame to the host, or open a TensorRT plan, which copies it on the device"
        )

    def upload_from(self, slot: int, frame: DeviceFrame, stream: Stream) -> None:
        """Never called: ``adopt`` takes no frame."""
        raise AssertionError("a lane that adopts no frame copies none")

    def execute(self, slot: int, stream: Stream) -> None:
        """Run the network in this thread and in ONNX Runtime's threads."""
        self._session.run_with_iobinding(self._bindings[slot])

    def result(self, slot: int) -> Result:
        """Hand over the result that ``download`` made."""
        result, self._results[slot] = self._results[slot], None
        assert result is not None, "result is called once after download"
        return result

    def close(self) -> None:
        """Release bindings, then buffers."""
        self._bindings, self._session = [], None
        self._host_frames, self._inputs, self._pictures, self._memory = [], [], [], []


class HostLane(_OnnxLane):
    """Slots in host memory, bound by address: the frame is written where the graph reads it."""

    def __init__(
        self, session: Any, metadata: Metadata, slots: int, outputs: Sequence[str], *, results: str = "owned"
    ) -> None:
        super().__init__(session, metadata, slots, outputs)
        self._pictures = [{spec.name: _zeros(spec) for spec in self._wanted} for _ in range(slots)]
        self._lent = [_read_only(pictures) for pictures in self._pictures] if results == "borrowed" else []
        self._pools = ResultPools(spec for spec in self._wanted if spec.name != FINITE)
        self._memory = [[_zeros(pair.output) for pair in self._states] for _ in range(slots)]
        self._bindings = [self._bind(slot) for slot in range(slots)]

    def upload(self, slot: int, stream: Stream) -> None:
        """Do nothing: the graph reads the host input."""

    def clear_state(self, slot: int, stream: Stream) -> None:
        """Zero the state that ``slot`` wrote."""
        for state in self._memory[slot]:
            state.fill(0)

    def download(self, slot: int, stream: Stream) -> None:
        """Copy the wanted outputs out of the slot, unless they are borrowed."""
        pictures = self._pictures[slot]
        found = self._lent[slot] if self._lent else self._pools.copy({name: p[0] for name, p in pictures.items()})
        self._results[slot] = Result.of(found, finite=bool(pictures[FINITE][0]))

    def close(self) -> None:
        """Release bindings, then buffers."""
        super().close()
        self._lent = []
        self._pools.close()

    def _bind(self, slot: int) -> Any:
        binding = self._session.io_binding()
        inputs = [(self._frame, self._host_frames[slot])]
        inputs += [(pair.input, array) for pair, array in zip(self._states, self._memory[slot - 1], strict=True)]
        outputs = [(spec, self._pictures[slot][spec.name]) for spec in self._wanted]
        outputs += [(pair.output, array) for pair, array in zip(self._states, self._memory[slot], strict=True)]
        for bind, pairs in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
            for spec, array in pairs:
                bind(spec.name, "cpu", 0, array.dtype.type, spec.shape, array.ctypes.data)
        return binding


class DeviceLane(_OnnxLane):
    """Slots in a device's memory, held by ONNX Runtime: frames and outputs are copied, the state stays there."""

    _why_host_only = "runs an ONNX file, whose frames come from the host"

    def __init__(
        self,
        session: Any,
        metadata: Metadata,
        slots: int,
        outputs: Sequence[str],
        *,
        device: str,
        number: int = 0,
        results: str = "owned",
    ) -> None:
        """``device`` is ONNX Runtime's name of a kind of device, and ``number`` says which one."""
        super().__init__(session, metadata, slots, outputs)
        self._device, self._number = device, number
        self._on_device = results == "device"
        self._blank = [_zeros(pair.output) for pair in self._states]
        self._frames = [self._allocate(self._frame) for _ in range(slots)]
        self._pictures = [{spec.name: self._allocate(spec) for spec in self._wanted} for _ in range(slots)]
        self._memory = [[self._allocate(pair.output) for pair in self._states] for _ in range(slots)]
        self._bindings = [self._bind(slot) for slot in range(slots)]

    def upload(self, slot: int, stream: Stream) -> None:
        """Copy the frame to the device."""
        self._frames[slot].update_inplace(self._host_frames[slot])

    def clear_state(self, slot: int, stream: Stream) -> None:
        """Zero the state that ``slot`` wrote."""
        for state, blank in zip(self._memory[slot], self._blank, strict=True):
            state.update_inplace(blank)

    def download(self, slot: int, stream: Stream) -> None:
        """Copy the wanted outputs to fresh host arrays, unless they stay on the device."""
        values = self._pictures[slot]
        lend = self._device_array if self._on_device else _host_array
        found = {spec.name: lend(values[spec.name], spec) for spec in self._wanted if spec.name != FINITE}
        self._results[slot] = Result.of(found, finite=bool(values[FINITE].numpy()[0]))

    def close(self) -> None:
        """Release bindings, then buffers."""
        super().close()
        self._frames = []

    def _device_array(self, value: Any, spec: TensorSpec) -> DeviceArray:
        return DeviceArray(value.data_ptr(), spec.shape[1:], spec.dtype, value, self._number)

    def _allocate(self, spec: TensorSpec) -> Any:
        from onnxruntime import OrtValue

        value = OrtValue.ortvalue_from_shape_and_type(spec.shape, np.dtype(spec.dtype).type, self._device, self._number)
        value.update_inplace(_zeros(spec))
        return value

    def _bind(self, slot: int) -> Any:
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(FRAME, self._frames[slot])
        for pair, value in zip(self._states, self._memory[slot - 1], strict=True):
            binding.bind_ortvalue_input(pair.input.name, value)
        for spec in self._wanted:
            binding.bind_ortvalue_output(spec.name, self._pictures[slot][spec.name])
        for pair, value in zip(self._states, self._memory[slot], strict=True):
            binding.bind_ortvalue_output(pair.output.name, value)
        return binding


def _host_array(value: Any, spec: TensorSpec) -> Array:
    """An array that owns its memory: ``OrtValue.numpy`` copies device memory, but returns a view of host memory."""
    array: Array = value.numpy()
    picture: Array = (array if array.flags.owndata else array.copy())[0]
    return picture


def _read_only(pictures: dict[str, Array]) -> dict[str, Array]:
    """Read-only views of a slot's outputs, for callers."""
    views = {name: picture[0, ...].view() for name, picture in pictures.items()}
    for view in views.values():
        view.flags.writeable = False
    return views


def _zeros(spec: TensorSpec) -> Array:
    return np.zeros(spec.shape, spec.dtype)
