"""Frames in GPU memory: copied on the device, after their producer and before their owner may write to them again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mostnet.bench.gpu.miniature.gpu import BASE, MiniatureStream
from mostnet.bench.gpu.standin.toy import SIZE_HW, frame_of, history, reference
from mostnet.contract import DeviceError, DeviceMemoryError, EngineClosedError, EngineTimeoutError, FrameError
from mostnet.engine import Engine
from mostnet.engine.cuda.dlpack import export_capsule
from mostnet.engine.cuda.frame import is_on_device
from tests.engine.backends import collect, shorten
from tests.engine.device_arrays import LEGACY, Produced, Tensor
from tests.engine.fake import fake_session
from tests.engine.plan_setup import Machine, machine_of
from tests.toy_graph import assert_reference, save_toy

SHAPE = (*SIZE_HW, 3)


class Library:
    """Another library on the same GPU, with a stream of its own."""

    def __init__(self, machine: Machine, handle: int | None = None) -> None:
        self.gpu = machine.gpu
        self.gpu.depth += 1  # its context
        self.stream: MiniatureStream | None = MiniatureStream(self.gpu, 1)
        if handle is not None:
            self.stream.handle = handle
            self.gpu.streams[handle] = self.stream

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream = None
        gc.collect()
        self.gpu.depth -= 1

    def frame(self, number: int, **options: object) -> Produced:
        """A frame whose writing is enqueued on this library's stream."""
        return Produced(self.gpu, SHAPE, stream=self.stream, **options).write(number)


@pytest.mark.parametrize("kind", ["interface", "dlpack"])
@pytest.mark.parametrize("seed", range(6))
def test_a_frame_is_copied_after_its_producer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, seed: int
) -> None:
    with machine_of(monkeypatch, tmp_path, seed=seed) as machine, machine.open() as engine, Library(machine) as other:
        outputs = []
        for number in range(12):
            frame = other.frame(number)
            outputs.append(engine.infer(frame if kind == "interface" else Tensor(frame), timestamp=number))
        assert_reference(outputs, [frame_of(number) for number in range(12)])
        assert outputs[5].timestamp == 5
        del frame


def slot_frames(machine: Machine, engine: Engine) -> list[int]:
    """Addresses of the frames of an engine's slots on the device, where uploads go."""
    del machine.gpu.log[:]
    list(engine.stream([frame_of(0)] * 3))
    addresses = [rest[0] for name, *rest in machine.gpu.log if name == "upload"]
    del machine.gpu.log[:]
    return addresses


def test_the_order_of_operations(machine: Machine) -> None:
    with machine.open() as engine, Library(machine) as other:
        (compute,) = machine.trt.streams
        addresses = slot_frames(machine, engine)
        frame = other.frame(3)
        engine.infer(frame)
        assert [name for name, *_ in machine.gpu.log] == ["follow", "copy", "launch", "download"]
        assert machine.gpu.log[0] == ("follow", compute, other.stream.handle)
        assert machine.gpu.log[1] == ("copy", addresses[0], frame.address, frame.nbytes)
        del machine.gpu.log[:]
        list(engine.stream([other.frame(4)]))
        follow, copy_in, producer = machine.gpu.log[0]
        assert (follow, producer) == ("follow", other.stream.handle)
        assert copy_in != compute
        tensor = Tensor(other.frame(5))
        del machine.gpu.log[:]
        list(engine.stream([tensor]))
        (gate,) = tensor.asked
        assert gate not in (copy_in, compute)
        assert machine.gpu.log[0] == ("follow", copy_in, gate)
        del frame, tensor


def test_only_frames_are_ever_copied_on_the_device(machine: Machine) -> None:
    """State never is, whether frames come from the device or the host, or a reset comes between them."""
    with machine.open(graphs=False, results="device") as engine, Library(machine) as other:
        inputs = set(slot_frames(machine, engine))
        for number in range(30):
            if number % 10 == 5:
                engine.reset()
            engine.infer(other.frame(number) if number % 3 else frame_of(number))
        list(engine.stream(other.frame(number) for number in range(10)))
        log = list(machine.gpu.log)
    copies = [operation for operation in log if operation[0] == "copy"]
    assert len(copies) == 20 + 10
    assert {(dest in inputs, nbytes) for _, dest, _, nbytes in copies} == {(True, frame_of(0).nbytes)}
    assert sum(operation[0] == "upload" for operation in log) == 10
    assert {operation[0] for operation in log} == {"follow", "copy", "upload", "enqueue", "zero", "download"}


@pytest.mark.parametrize("interface", ["version 2", "legacy"])
def test_a_producer_that_names_no_stream_is_on_the_legacy_one(machine: Machine, interface: str) -> None:
    with machine.open() as engine, Library(machine, LEGACY) as other:
        frame = other.frame(8, handle=LEGACY if interface == "legacy" else "absent")
        assert history(engine.infer(frame).mask) == [8]
        assert machine.gpu.log[-4][0::2] == ("follow", LEGACY)
        del frame


def test_no_wait_for_a_producer_that_is_done(machine: Machine) -> None:
    with machine.open() as engine:
        del machine.gpu.log[:]
        frame = Produced(machine.gpu, SHAPE, stream=None, handle=None).write(6)
        assert history(engine.infer(frame).mask) == [6]
        assert "follow" not in {name for name, *_ in machine.gpu.log}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("slots", [2, 3])
def test_a_source_may_write_to_its_frame_again_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, slots: int, seed: int
) -> None:
    with machine_of(monkeypatch, tmp_path, seed=seed) as machine, machine.open(slots=slots) as engine:

        def source() -> Iterator[Produced]:
            frame = Produced(machine.gpu, SHAPE, stream=None, handle=None)
            for number in range(30):
                yield frame.write(number)  # at once: a copy that is not done would be torn

        outputs = list(engine.stream(source()))
    assert_reference(outputs, [frame_of(number) for number in range(30)])


@pytest.mark.parametrize("call", ["infer", "stream"])
def test_memory_is_released_once_it_is_copied(machine: Machine, call: str) -> None:
    deleted: list[int] = []

    class Owner(Produced):
        def __del__(self) -> None:
            deleted.append(1)

    with machine.open() as engine:

        def frames() -> Iterator[Tensor]:
            for number in range(5):
                yield Tensor(Owner(machine.gpu, SHAPE, stream=None).write(number))

        if call == "infer":
            for frame in frames():
                engine.infer(frame)
            del frame
        else:
            list(engine.stream(frames()))
        assert len(deleted) == 5


def test_memory_that_only_a_capsule_keeps_lives_until_it_is_copied(machine: Machine) -> None:
    """A producer may hand over a temporary copy, for instance to make its picture contiguous."""

    class Temporary(Produced):
        def __del__(self) -> None:
            self.write(99)  # another owner writes to the memory

    class Lazy:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

        def __dlpack__(self, *, stream: int) -> object:
            made = Temporary(machine.gpu, SHAPE, stream=None).write(7)
            return export_capsule(made.address, SHAPE, np.dtype(np.uint8), made)

    with machine.open() as engine:
        assert_reference([engine.infer(Lazy())], [frame_of(7)])


def test_a_result_of_the_device_is_a_frame_of_the_next(machine: Machine) -> None:
    frames = [frame_of(number) for number in range(8)]
    with machine.open(results="device") as engine, engine.session() as second:
        for frame, wanted in zip(frames, reference([255 - frame for frame in frames]), strict=True):
            chained = second.infer(engine.infer(frame).enhanced)
            assert np.array_equal(machine.fetch(chained.mask), wanted["mask"])
        del chained


WRONG = {
    "shape": ({"shape": (64, 81, 3)}, r"has shape \(64, 81, 3\); expected uint8 BGR of shape \(64, 80, 3\) on GPU 0"),
    "planes": ({"shape": (3, 64, 80)}, r"has shape \(3, 64, 80\).*: permute or resize it"),
    "dtype": ({"typestr": "<f4"}, "has dtype <f4; expected uint8 BGR .*: scale it to 0..255 and convert it"),
    "pitch": ({"strides": (256, 3, 1)}, r"has strides \(256, 3, 1\) .*, row by row without gaps: make it contiguous"),
    "address": ({"data": (0x1000, False)}, "frame at 0x1000 is not in GPU memory; expected memory of GPU 0"),
    "stream": ({"stream": 0}, "names stream 0, which is ambiguous"),
    "mask": ({"mask": object()}, "has a mask of valid pixels"),
    "no data": ({"data": "absent"}, "Produced has an ill-formed __cuda_array_interface__: KeyError"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_frame_that_does_not_fit(machine: Machine, case: str) -> None:
    changes, text = WRONG[case]
    with machine.open() as engine:
        engine.infer(frame_of(1))
        frame = Produced(machine.gpu, SHAPE, stream=None, handle=None).write(2)
        frame.interface.update(changes)
        with pytest.raises(FrameError, match=text):
            engine.infer(frame)
        outputs, error = collect(engine.stream([frame_of(3), frame, frame_of(4)]))
        assert isinstance(error, FrameError)
        assert [output.frame_id for output in outputs] == [1]
        assert history(engine.infer(frame_of(5)).mask) == [1, 3, 5]


def test_strides_of_a_compact_frame_are_no_gaps(machine: Machine) -> None:
    with machine.open() as engine:
        frame = Produced(machine.gpu, SHAPE, stream=None, handle=None).write(2)
        frame.interface["strides"] = (240, 3, 1)
        assert history(engine.infer(frame).mask) == [2]


def test_a_frame_on_another_gpu(machine: Machine) -> None:
    with machine.open() as engine:
        frame = Produced(machine.gpu, SHAPE, stream=None, handle=None).write(2)
        with pytest.raises(FrameError, match=r"on DLPack device \(2, 1\); expected \(2, 0\), GPU 0"):
            engine.infer(Tensor(frame, device=(2, 1)))
        known = machine.library.cuPointerGetAttribute

        def second_gpu(value: object, *rest: object) -> int:
            status: int = known(value, *rest)
            value._obj.value = 1
            return status

        machine.library.cuPointerGetAttribute = second_gpu
        with pytest.raises(
            FrameError, match="is on GPU 1; expected memory of GPU 0, on which the engine runs: copy it there"
        ):
            engine.infer(frame)


def test_a_tensor_that_refuses_to_be_handed_over(machine: Machine) -> None:
    class Refuses(Tensor):
        def __dlpack__(self, *, stream: int) -> object:
            raise BufferError("Can't export tensors that require gradient")

    with machine.open() as engine:
        frame = Produced(machine.gpu, SHAPE, stream=None)
        with pytest.raises(FrameError, match="Refuses does not export its memory through DLPack: Can't export tensors"):
            engine.infer(Refuses(frame))
        with pytest.raises(FrameError, match=r"has dtype of DLPack type \(2, 32, 1\)"):
            engine.infer(Tensor(frame, dtype="float32"))


def test_a_stream_that_does_not_exist(machine: Machine) -> None:
    with machine.open() as engine:
        frame = Produced(machine.gpu, SHAPE, stream=None, handle=0xDEAD)
        with pytest.raises(DeviceError, match="refused a call: cuStreamIsCapturing failed: invalid resource handle"):
            engine.infer(frame)
        assert history(engine.infer(frame_of(1)).mask) == [1]


@pytest.mark.parametrize("kind", ["interface", "dlpack"])
def test_a_frame_whose_stream_is_being_captured(machine: Machine, kind: str) -> None:
    with machine.open(timeout_ms=300) as engine, Library(machine) as other:
        engine.infer(frame_of(1))
        other.stream.capture = []
        written = other.frame(2)
        frame = written if kind == "interface" else Tensor(written)
        for _ in range(2):
            with pytest.raises(FrameError, match="written in a stream whose CUDA graph is being captured, so nothing"):
                engine.infer(frame)
        assert history(engine.infer(frame_of(3)).mask) == [1, 3]
        captured = list(other.stream.capture)
        for stream in machine.gpu.streams.values():
            stream.capture = None  # the capture ends, and with it those of all streams that joined it
        for work in captured:
            other.stream.put(work)
        assert history(engine.infer(frame).mask) == [1, 3, 2]
        assert len(captured) == 1, "nothing of the engine is in the graph"
        del captured, written, frame, stream, work


def test_the_legacy_stream_while_a_blocking_stream_is_captured(machine: Machine) -> None:
    with machine.open() as engine:
        machine.library.cuStreamIsCapturing = lambda stream, captured: 906
        frame = Produced(machine.gpu, SHAPE, stream=None, handle=LEGACY)
        with pytest.raises(FrameError, match="whose CUDA graph is being captured"):
            engine.infer(frame)
        assert history(engine.infer(frame_of(3)).mask) == [3]


def test_a_failed_copy_costs_one_frame(machine: Machine) -> None:
    with machine.open() as engine:
        engine.infer(frame_of(1))
        machine.gpu.failures["cuMemcpyDtoDAsync"] = (0, machine.driver.LogicError("odd failed: invalid value"))
        frame = Produced(machine.gpu, SHAPE, stream=None, handle=None).write(2)
        with pytest.raises(DeviceError, match="odd failed"):
            engine.infer(frame)
        assert history(engine.infer(frame).mask) == [1, 2]


def test_a_lost_gpu_while_a_frame_is_taken(machine: Machine) -> None:
    engine = machine.open()
    frame = Produced(machine.gpu, SHAPE, stream=None, handle=LEGACY)
    machine.gpu.lost = "an illegal memory access was encountered"
    with pytest.raises(DeviceError, match="context is lost"):
        engine.infer(frame)
    with pytest.raises(EngineClosedError):
        engine.infer(frame)
    engine.close()


def test_a_copy_that_hangs_does_not_keep_the_stream(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, "_COPY_POLL_MS", 5.0)
    with machine.open() as engine:
        frame = Produced(machine.gpu, SHAPE, stream=None, handle=None).write(2)
        machine.gpu.stuck = True
        with pytest.raises(EngineTimeoutError):
            list(engine.stream([frame, frame_of(3)], timeout_ms=30))
        machine.gpu.stuck = False
        assert history(engine.infer(frame_of(4)).mask) == [2, 4]


def test_a_device_frame_ends_the_loan_of_a_buffer(machine: Machine) -> None:
    with machine.open() as engine:
        buffer = engine.input_buffer()
        engine.infer(Produced(machine.gpu, SHAPE, stream=None, handle=None).write(2))
        with pytest.raises(FrameError, match="input buffer whose loan has ended"):
            engine.infer(buffer)


def test_no_device_frames_on_the_cpu(tmp_path: Path) -> None:
    array = SimpleNamespace(__cuda_array_interface__={"data": (BASE, False)})
    with Engine(save_toy(tmp_path / "toy.onnx"), provider="cpu") as engine:
        with pytest.raises(FrameError, match=r"in GPU memory, and this engine runs on the CPU; expected a NumPy array"):
            engine.infer(array)
        assert engine.infer(np.zeros((*engine.metadata.size_hw, 3), np.uint8)).frame_id == 0


@pytest.mark.parametrize("wrong", [{"data": ("x", False)}, {"data": ()}, {"stream": "main"}, {"strides": 5}], ids=str)
def test_an_ill_formed_interface(machine: Machine, wrong: dict[str, object]) -> None:
    with machine.open() as engine:
        frame = Produced(machine.gpu, SHAPE, stream=None)
        frame.interface.update(wrong)
        with pytest.raises(FrameError, match="Produced has an ill-formed __cuda_array_interface__"):
            engine.infer(frame)
        assert history(engine.infer(frame_of(3)).mask) == [3]


def test_frames_that_are_not_on_a_device() -> None:
    class CpuTensor:
        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    session, _ = fake_session()
    assert not is_on_device(CpuTensor())
    assert not is_on_device([1, 2])
    with session, pytest.raises(FrameError, match="frame is a CpuTensor, not a numpy array"):
        session.infer(CpuTensor())


def test_a_failure_to_make_the_stream_that_waits_for_producers(machine: Machine) -> None:
    with machine.open() as engine:
        made = machine.gpu.alive["stream"]
        tensor = Tensor(Produced(machine.gpu, SHAPE, stream=None).write(2))
        machine.gpu.failures["Stream"] = (0, machine.driver.MemoryError("cuStreamCreate failed: out of memory"))
        with pytest.raises(DeviceMemoryError, match="cuStreamCreate failed: out of memory"):
            engine.infer(tensor)
        for number in (2, 3):
            tensor.produced.write(number)
            engine.infer(tensor)
            assert machine.gpu.alive["stream"] == made + 1
        assert history(engine.infer(tensor).mask) == [2, 3, 3]
