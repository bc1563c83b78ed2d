"""Results that are not the caller's own: what is copied for them, how long they are good, what keeps their memory."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import NoGpuError
from mostnet.engine import DeviceArray, Engine, Output, Session
from mostnet.engine.cuda.dlpack import describe_capsule
from mostnet.engine.options import Options
from mostnet.engine.ort.model import OnnxModel

from .fake import SIZE_HW, frame_of
from .fake_cuda import BASE, Gpu
from .fake_tensorrt import GENERATIONS, NAN, history
from .plan_setup import Machine, machine_of
from .toy_graph import save_toy, toy_frames

PICTURES = ("enhanced", "flow", "mask")
SHAPES = {"enhanced": (*SIZE_HW, 3), "flow": (2, *SIZE_HW), "mask": SIZE_HW}
DTYPES = {"enhanced": "uint8", "flow": "float32", "mask": "uint8"}


@pytest.fixture(params=GENERATIONS)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    with machine_of(monkeypatch, tmp_path, generation=request.param) as made:
        yield made


@pytest.fixture
def classic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    with machine_of(monkeypatch, tmp_path) as made:
        yield made


def on_host(gpu: Gpu, found: object) -> np.ndarray:
    """What is in a result now: read off the GPU for a device array, with no operation of the GPU before it."""
    if isinstance(found, np.ndarray):
        return found.copy()
    interface = found.__cuda_array_interface__
    return gpu.array(interface["data"][0], interface["shape"], interface["typestr"]).copy()


def check(gpu: Gpu, output: Output, number: int) -> None:
    """``output`` is that of frame ``number`` of the frames 0, 1, 2, ..."""
    assert (on_host(gpu, output.enhanced) == number).all()
    assert (on_host(gpu, output.flow) == sum(range(number + 1))).all()
    assert history(on_host(gpu, output.mask)) == list(range(number + 1))[-24:]


@pytest.mark.parametrize("results", ["borrowed", "device"])
@pytest.mark.parametrize("graphs", [True, False])
def test_infer_gives_the_same_and_it_is_good_for_slots_less_one_more_frames(
    machine: Machine, results: str, graphs: bool
) -> None:
    with machine.open(results=results, graphs=graphs, slots=4) as engine:
        outputs: list[Output] = []
        for number in range(14):
            outputs.append(engine.infer(frame_of(number)))
            for age in range(min(number + 1, 4)):
                check(machine.gpu, outputs[number - age], number - age)
            if number >= 4:
                assert (on_host(machine.gpu, outputs[number - 4].enhanced) == number).all(), "the slot's next frame"
        assert [output.finite for output in outputs] == [True] * 14
        outputs.clear()


@pytest.mark.parametrize("results", ["borrowed", "device"])
@pytest.mark.parametrize("slots", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_a_streams_result_is_good_until_the_next_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, results: str, slots: int, seed: int
) -> None:
    with (
        machine_of(monkeypatch, tmp_path, generation="10.0", seed=seed) as machine,
        machine.open(results=results, slots=slots) as engine,
    ):
        for number, output in enumerate(engine.stream(map(frame_of, range(30)))):
            if number % 7 == 3:
                threading.Event().wait(0.01)  # the reader runs as far ahead as it may
                machine.gpu.advance(1000)
            check(machine.gpu, output, number)
        del output


def test_owned_results_stay_as_they_are(classic: Machine) -> None:
    with classic.open() as engine:
        outputs = [*engine.stream(map(frame_of, range(10)))]
    for number, output in enumerate(outputs):
        check(classic.gpu, output, number)


def test_borrowed_results_are_views_of_the_slots(classic: Machine) -> None:
    with classic.open(results="borrowed") as engine:
        outputs = [engine.infer(frame_of(number)) for number in range(4)]
        for name in PICTURES:
            arrays = [getattr(output, name) for output in outputs]
            assert arrays[0] is arrays[3]
            assert not np.may_share_memory(arrays[0], arrays[1])
            assert (arrays[0].shape, arrays[0].dtype) == (SHAPES[name], DTYPES[name])
            with pytest.raises(ValueError, match="read-only"):
                arrays[0][...] = 0
            with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
                arrays[0].flags.writeable = True
        del outputs, arrays


def test_device_results_never_come_down(classic: Machine) -> None:
    with classic.open(results="device", graphs=False) as engine:
        del classic.gpu.log[:]
        outputs = [engine.infer(frame_of(number)) for number in (1, NAN, 2)]
        assert [output.finite for output in outputs] == [True, False, True]
        assert [nbytes for name, _, nbytes in (x for x in classic.gpu.log if x[0] == "download")] == [256] * 3
        assert {name for name, *_ in classic.gpu.log} == {"upload", "enqueue", "download"}
        output = engine.infer(frame_of(3))
        assert isinstance(output.mask, DeviceArray)
        assert engine.stats.heals == 1
        del output, outputs


def test_only_wanted_results_are_lent(classic: Machine) -> None:
    for results in ("borrowed", "device"):
        with classic.open(results=results, outputs=("mask",)) as engine:
            output = engine.infer(frame_of(9))
            assert output.enhanced is None
            assert output.flow is None
            assert history(on_host(classic.gpu, output.mask)) == [9]
            del output


@pytest.mark.parametrize("name", PICTURES)
def test_both_protocols_say_the_same(classic: Machine, name: str) -> None:
    with classic.open(results="device") as engine:
        found = getattr(engine.infer(frame_of(4)), name)
        interface = found.__cuda_array_interface__
        assert interface == {
            "version": 3,
            "shape": SHAPES[name],
            "typestr": np.dtype(DTYPES[name]).str,
            "data": (found.address, False),
            "strides": None,
            "stream": None,
        }
        assert found.__dlpack_device__() == (2, 0)
        told = describe_capsule(found.__dlpack__(stream=2))
        steps = np.empty(SHAPES[name], DTYPES[name]).strides
        assert (told.address, told.device, told.shape) == (found.address, (2, 0), SHAPES[name])
        assert told.strides == tuple(step // found.dtype.itemsize for step in steps)
        assert told.dtype == ((2, 32, 1) if name == "flow" else (1, 8, 1))
        assert found.nbytes == np.prod(SHAPES[name]) * found.dtype.itemsize
        assert found.address > BASE
        assert f"dtype={DTYPES[name]}" in repr(found)
        del found


def test_no_stream_has_to_wait_for_a_result(classic: Machine) -> None:
    """It is complete when it is handed out, and stays so while later frames are under way."""
    with classic.open(results="device") as engine:
        stream = engine.stream(map(frame_of, range(9)))
        output = next(stream)
        classic.gpu.stuck = True
        del classic.gpu.log[:]
        for consumer in (None, 1, 2, -1, 0x1234):
            output.enhanced.__dlpack__(stream=consumer)
        check(classic.gpu, output, 0)
        assert [operation for operation in classic.gpu.log if operation[0] == "follow"] == []
        classic.gpu.stuck = False
        del output
        stream.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"stream": 0}, "stream 0 is ambiguous; give 1 for the legacy"),
        ({"copy": True}, "lent without a copy; copy the array"),
        ({"dl_device": (1, 0)}, r"is on device \(2, 0\), not on \(1, 0\)"),
    ],
)
def test_what_a_result_refuses(options: dict[str, object], text: str) -> None:
    array = DeviceArray(BASE, (4, 5), "uint8", None)
    with pytest.raises(BufferError, match=text):
        array.__dlpack__(**options)
    array.__dlpack__(copy=False, dl_device=(2, 0), max_version=(1, 1))


class Consumer:
    """What takes a capsule over as the standard says: renames it, and deletes what it holds when it has done."""

    def __init__(self, array: DeviceArray) -> None:
        capsule = array.__dlpack__()
        api = ctypes.pythonapi
        get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", api))
        rename = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_SetName", api))
        self._pointer = get(capsule, b"dltensor")
        self._name = ctypes.c_char_p(b"used_dltensor")
        rename(capsule, self._name)
        with pytest.raises(ValueError, match="PyCapsule"):
            describe_capsule(capsule)

    def delete(self) -> None:
        """Call the deleter, from another thread and with no context pushed."""
        deleter_at = ctypes.c_void_p.from_address(self._pointer + 56).value
        deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter_at)
        thread = threading.Thread(target=deleter, args=(self._pointer,))
        thread.start()
        thread.join()


@pytest.mark.parametrize("holder", ["array", "capsule", "consumer", "view"])
def test_memory_lives_until_the_last_who_holds_it(classic: Machine, holder: str) -> None:
    kind = "pinned memory" if holder == "view" else "device memory"
    engine = classic.open(results="borrowed" if holder == "view" else "device")
    output = engine.infer(frame_of(7))
    if holder == "consumer":
        held = Consumer(output.mask)
    else:
        held = {"array": output.mask, "capsule": None, "view": output.mask}[holder]
        held = output.mask.__dlpack__() if holder == "capsule" else held
    del output
    engine.close()
    engine.close()
    assert +classic.gpu.alive == {kind: 1}
    if holder in ("array", "view"):
        assert history(on_host(classic.gpu, held)) == [7]
    if holder == "consumer":
        held.delete()
    del held
    assert +classic.gpu.alive == {}


def test_a_capsule_that_nobody_takes_and_many_of_one_array(classic: Machine) -> None:
    with classic.open(results="device") as engine:
        array = engine.infer(frame_of(7)).mask
        capsules = [array.__dlpack__() for _ in range(100)]
        consumers = [Consumer(array) for _ in range(3)]
    del array, capsules[50:]
    assert classic.gpu.alive["device memory"] == 1
    capsules.clear()
    for consumer in consumers:
        assert classic.gpu.alive["device memory"] == 1
        consumer.delete()
    assert classic.gpu.alive["device memory"] == 0


def test_memory_that_cannot_be_given_back_is_a_warning(classic: Machine, caplog: pytest.LogCaptureFixture) -> None:
    with classic.open(results="device") as engine:
        array = engine.infer(frame_of(7)).mask
    memory = array._owner
    free = memory._allocation.free

    def fail() -> None:
        classic.gpu.lost = "an illegal memory access was encountered"
        raise classic.driver.LogicError("cuMemFree failed")

    memory._allocation.free = fail
    del array, memory
    assert "memory of the GPU is not given back: the GPU failed and its context is lost" in caplog.text
    with _Pushed(classic.gpu):
        free()


class _Pushed:
    """A context pushed by the test."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu

    def __enter__(self) -> None:
        self.gpu.depth += 1

    def __exit__(self, *error: object) -> None:
        self.gpu.depth -= 1


def test_lending_takes_no_memory_of_the_device_per_frame(classic: Machine) -> None:
    with classic.open(results="device") as engine:
        list(engine.stream(map(frame_of, range(5))))
        before = dict(classic.gpu.calls)
        for output in engine.stream(map(frame_of, range(20))):
            output.mask.__dlpack__()
        after = dict(classic.gpu.calls)
        del output
    for call in ("cuMemAlloc", "cuMemHostAlloc", "Stream", "cuMemcpyDtoDAsync"):
        assert before.get(call) == after.get(call), call


def test_borrowed_on_the_cpu(tmp_path: Path) -> None:
    toy, frames = save_toy(tmp_path / "toy.onnx"), toy_frames(12)
    with Engine(toy, provider="cpu") as owned, Engine(toy, provider="cpu", results="borrowed") as borrowed:
        wanted = [owned.infer(frame) for frame in frames]
        kept = [borrowed.infer(frame) for frame in frames[:6]]
        assert kept[0].enhanced is kept[3].enhanced
        for output, expected in zip(kept[3:], wanted[3:], strict=False):
            assert np.array_equal(output.enhanced, expected.enhanced)
            assert np.array_equal(output.flow, expected.flow)
            with pytest.raises(ValueError, match="read-only"):
                output.mask[0, 0] = 1
        borrowed.reset()
        for output, expected in zip(borrowed.stream(frames), wanted, strict=True):
            assert np.array_equal(output.enhanced, expected.enhanced)
            assert np.array_equal(output.mask, expected.mask)
        last = output.enhanced.copy()
    assert np.array_equal(output.enhanced, last), "the memory outlives the engine"


def test_no_device_results_without_a_device(tmp_path: Path) -> None:
    toy = save_toy(tmp_path / "toy.onnx")
    with pytest.raises(NoGpuError, match=r"results='device' keeps .* runs on the CPU; open it with results='borrowed'"):
        Engine(toy, provider="cpu", results="device")


def test_onnx_runtime_lends_its_device_values(tmp_path: Path) -> None:
    """As far as it goes without a GPU: the CUDA provider's lane, with its values in host memory."""
    import onnxruntime

    from mostnet.engine.ort.lanes import DeviceLane

    from .toy_graph import METADATA

    ort = onnxruntime.InferenceSession(str(save_toy(tmp_path / "toy.onnx")), providers=["CPUExecutionProvider"])

    class Model(OnnxModel):
        def lane(self, slots: int, outputs: tuple[str, ...], *, results: str = "owned") -> DeviceLane:
            return DeviceLane(ort, METADATA, slots, outputs, device="cpu", results=results)

    frames = toy_frames(5)
    with Session(Model(ort, METADATA, "cuda"), Options()) as owned:
        wanted = [owned.infer(frame) for frame in frames]
    with Session(Model(ort, METADATA, "cuda"), Options(results="device")) as session:
        for frame, expected in zip(frames, wanted, strict=True):
            output = session.infer(frame)
            for name in PICTURES:
                array, right = getattr(output, name), getattr(expected, name)
                assert (array.shape, array.dtype) == (right.shape, right.dtype)
                assert ctypes.string_at(array.address, array.nbytes) == right.tobytes()


def test_an_unknown_kind_of_results() -> None:
    with pytest.raises(ValueError, match=r"unknown results 'mine'; expected one of \['owned', 'borrowed', 'device'\]"):
        Options(results="mine")
