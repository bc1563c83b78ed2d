"""Input buffers, borrowed and device results, and frames of the device, on a real GPU."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.contract import EngineClosedError, FrameError
from mostnet.engine import DeviceArray, Engine, Output
from mostnet.engine.cuda.device import cuda_device
from mostnet.engine.cuda.streams import CudaStream

from .conftest import COUNT, FRAMES, MINIATURE, Case, cuda_torch, same, settle

PICTURES = ("enhanced", "flow", "mask")

#: Zeros that a stream writes before a frame. Without a wait the engine would read the frame too early.
BALLAST_BYTES = 1 << (20 if MINIATURE else 28)


class Uploaded:
    """A frame that pycuda brings to the GPU on ``stream``, as ``__cuda_array_interface__`` of version 3."""

    def __init__(self, frame: np.ndarray, stream: CudaStream | None) -> None:
        driver = cuda_device().driver
        with cuda_device():
            self.memory = driver.mem_alloc(frame.nbytes)
            if stream is None:
                driver.memcpy_htod(self.memory, frame)
                settle()  # the copy may still be under way, and no stream waits for it
            else:
                self.ballast = driver.mem_alloc(BALLAST_BYTES)
                for _ in range(8):
                    driver.memset_d8_async(int(self.ballast), 0, BALLAST_BYTES, stream.raw)
                self.host = driver.pagelocked_empty(frame.shape, np.uint8)
                self.host[:] = frame
                driver.memcpy_htod_async(int(self.memory), self.host, stream.raw)
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": frame.shape,
            "typestr": "|u1",
            "data": (int(self.memory), False),
            "strides": None,
            "stream": None if stream is None else stream.handle,
        }

    def free(self) -> None:
        """Free all memory, with its context pushed."""
        with cuda_device():
            for name in ("memory", "ballast", "host"):
                self.__dict__.pop(name, None)


@pytest.fixture
def producer(case: Case) -> Iterator[CudaStream]:
    """A stream of another library."""
    with cuda_device():
        stream = CudaStream(cuda_device())
    yield stream
    with cuda_device():
        stream.free()


def test_a_camera_writes_into_pinned_memory(case: Case, alone: list[Output]) -> None:
    with Engine(case.plan) as engine:

        def camera() -> Iterator[np.ndarray]:
            for frame in case.frames[:COUNT]:
                buffer = engine.input_buffer()
                buffer[:] = frame
                yield buffer

        assert all(map(same, engine.stream(camera()), alone))
        engine.reset()
        for frame, wanted in zip(camera(), alone, strict=True):
            assert same(engine.infer(frame), wanted)


def test_a_stale_buffer_is_refused(case: Case) -> None:
    with Engine(case.plan) as engine:
        buffer = engine.input_buffer()
        buffer[:] = case.frames[0]
        engine.infer(buffer)
        with pytest.raises(FrameError, match="input buffer whose loan has ended"):
            engine.infer(buffer)


@pytest.mark.parametrize("results", ["borrowed", "device"])
@pytest.mark.parametrize("graphs", [True, False])
def test_results_are_the_same_and_good_as_long_as_said(
    case: Case, alone: list[Output], results: str, graphs: bool
) -> None:
    with Engine(case.plan, results=results, graphs=graphs) as engine:
        outputs: list[Output] = []
        for frame in case.frames[:COUNT]:
            outputs.append(engine.infer(frame))
            assert all(map(same, outputs[-3:], alone[max(0, len(outputs) - 3) :]))
        engine.reset()
        for output, wanted in zip(engine.stream(case.frames[:COUNT]), alone, strict=True):
            threading.Event().wait(0.002)  # the frames read ahead are done by now
            assert same(output, wanted)


def test_frames_of_the_device(case: Case, alone: list[Output], producer: CudaStream) -> None:
    with Engine(case.plan) as engine:
        for index, wanted in enumerate(alone[:10]):
            frame = Uploaded(case.frames[index], producer if index % 2 else None)
            assert same(engine.infer(frame), wanted), index
            frame.free()


def test_frames_of_the_device_in_a_stream(case: Case, alone: list[Output], producer: CudaStream) -> None:
    def source() -> Iterator[Uploaded]:
        for index in range(10):
            frame = Uploaded(case.frames[index], producer)
            yield frame
            frame.free()  # it is copied when the next is asked for

    with Engine(case.plan) as engine:
        assert all(map(same, engine.stream(source()), alone))


def test_a_frame_that_is_not_on_the_gpu(case: Case) -> None:
    with Engine(case.plan) as engine:
        frame = Uploaded(case.frames[0], None)
        frame.__cuda_array_interface__["data"] = (0x1000, False)
        with pytest.raises(FrameError, match="is not in GPU memory"):
            engine.infer(frame)
        frame.free()


def test_engines_chained_on_the_gpu(case: Case) -> None:
    with Engine(case.plan) as first, Engine(case.plan) as second:
        wanted = [second.infer(first.infer(frame).enhanced) for frame in case.frames[:10]]
    with Engine(case.plan, results="device") as first, Engine(case.plan) as second:
        for frame, right in zip(case.frames, wanted, strict=False):
            assert same(second.infer(first.infer(frame).enhanced), right)


@pytest.mark.parametrize("results", ["borrowed", "device"])
def test_memory_outlives_the_engine_and_is_given_back(case: Case, alone: list[Output], results: str) -> None:
    def free_mb() -> float:
        with cuda_device():
            return cuda_device().free_mb()

    Engine(case.plan).close()
    before_mb = free_mb()
    for _ in range(3):
        with Engine(case.plan, results=results) as engine:
            output = engine.infer(case.frames[0])
            capsules = [] if results == "borrowed" else [output.mask.__dlpack__() for _ in range(5)]
        assert same(output, alone[0])
        drop = threading.Thread(target=capsules.clear)  # no context is pushed in this thread, as in a consumer's
        drop.start()
        drop.join()
        del output
        gc.collect()
    assert free_mb() == pytest.approx(before_mb, abs=2.5)


def test_frames_take_no_memory(case: Case) -> None:
    slots = 3
    with Engine(case.plan, results="device", slots=slots) as engine:
        for frame in case.frames[:slots]:  # a slot may take memory in its first frame
            engine.infer(frame)
        with cuda_device():
            before_mb = cuda_device().free_mb()
        for output in engine.stream(itertools.islice(itertools.cycle(case.frames), min(FRAMES, 1000))):
            output.mask.__dlpack__()
        with cuda_device():
            assert cuda_device().free_mb() == pytest.approx(before_mb, abs=2.5)


def test_closing_while_the_source_waits(case: Case) -> None:
    engine = Engine(case.plan)

    def camera() -> Iterator[np.ndarray]:
        while True:
            yield engine.input_buffer()

    stream = engine.stream(camera())
    next(stream)
    engine.close()
    with pytest.raises(EngineClosedError):
        next(stream)


def test_torch_reads_results_and_hands_in_frames(case: Case, alone: list[Output]) -> None:
    torch = cuda_torch()
    side = torch.cuda.Stream()
    with Engine(case.plan, results="device") as engine, torch.cuda.stream(side):
        for frame, wanted in zip(case.frames[:10], alone, strict=False):
            tensor = torch.from_numpy(frame).cuda()
            tensor = (tensor.to(torch.int32) + 0).to(torch.uint8)  # kernels that the engine must wait for
            output = engine.infer(tensor)
            assert isinstance(output.enhanced, DeviceArray)
            for name in PICTURES:
                for read in (torch.from_dlpack, lambda array: torch.as_tensor(array, device="cuda")):
                    assert np.array_equal(read(getattr(output, name)).cpu().numpy(), getattr(wanted, name))
        kept = torch.from_dlpack(output.mask)
    assert np.array_equal(kept.cpu().numpy(), alone[9].mask), "the tensor keeps the memory of a closed engine"
