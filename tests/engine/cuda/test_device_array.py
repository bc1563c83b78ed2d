"""``DeviceArray``: how other libraries take a result in GPU memory, and how long that memory lives."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest

from mostnet.bench.gpu.miniature.gpu import BASE
from mostnet.bench.gpu.standin.toy import SIZE_HW, frame_of, history, reference
from mostnet.engine import DeviceArray
from mostnet.engine.cuda.device import cuda_device
from mostnet.engine.cuda.dlpack import describe_capsule
from tests.engine.plan_setup import Machine

FRAMES = [frame_of(number) for number in range(20)]
SHAPES = {"enhanced": (*SIZE_HW, 3), "flow": (2, *SIZE_HW), "mask": SIZE_HW}
DTYPES = {"enhanced": "uint8", "flow": "float32", "mask": "uint8"}


@pytest.mark.parametrize("name", SHAPES)
def test_both_protocols_say_the_same(machine: Machine, name: str) -> None:
    with machine.open(results="device") as engine:
        found = getattr(engine.infer(FRAMES[4]), name)
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


def test_no_stream_has_to_wait_for_a_result(machine: Machine) -> None:
    """It is complete when it is handed out, and stays so while later frames are in flight."""
    with machine.open(results="device") as engine:
        stream = engine.stream(FRAMES[:9])
        output = next(stream)
        machine.gpu.stuck = True
        del machine.gpu.log[:]
        for consumer in (None, 1, 2, -1, 0x1234):
            output.enhanced.__dlpack__(stream=consumer)
        for name, wanted in reference(FRAMES[:1])[0].items():
            assert name == "finite" or np.array_equal(machine.fetch(getattr(output, name)), wanted)
        assert [operation for operation in machine.gpu.log if operation[0] == "follow"] == []
        machine.gpu.stuck = False
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
def test_requests_that_a_result_refuses(options: dict[str, object], text: str) -> None:
    array = DeviceArray(BASE, (4, 5), "uint8", None)
    with pytest.raises(BufferError, match=text):
        array.__dlpack__(**options)
    array.__dlpack__(copy=False, dl_device=(2, 0), max_version=(1, 1))


class Consumer:
    """Takes a capsule over as the standard says: renames it, and calls its deleter at the end."""

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


#: Objects that keep the memory of a slot alive.
HOLDERS = {
    "array": lambda engine, mask: mask,
    "capsule": lambda engine, mask: mask.__dlpack__(),
    "consumer": lambda engine, mask: Consumer(mask),
    "view": lambda engine, mask: mask,
    "buffer": lambda engine, mask: engine.input_buffer()[3:5],
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_memory_lives_as_long_as_its_last_holder(machine: Machine, holder: str) -> None:
    engine = machine.open(results="borrowed" if holder == "view" else "device")
    held = HOLDERS[holder](engine, engine.infer(FRAMES[7]).mask)
    engine.close()
    engine.close()
    assert +machine.gpu.alive == {"pinned memory" if holder in ("view", "buffer") else "device memory": 1}
    if holder in ("array", "view"):
        assert history(machine.fetch(held)) == [7]
    if holder == "view":
        with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
            held.flags.writeable = True
    if holder == "buffer":
        held.fill(6)
    if holder == "consumer":
        held.delete()
    del held
    assert +machine.gpu.alive == {}


def test_capsules_that_nobody_takes_and_many_of_one_array(machine: Machine) -> None:
    with machine.open(results="device") as engine:
        array = engine.infer(FRAMES[7]).mask
        capsules = [array.__dlpack__() for _ in range(100)]
        consumers = [Consumer(array) for _ in range(3)]
    del array, capsules[50:]
    assert machine.gpu.alive["device memory"] == 1
    capsules.clear()
    for consumer in consumers:
        assert machine.gpu.alive["device memory"] == 1
        consumer.delete()
    assert machine.gpu.alive["device memory"] == 0


def test_memory_that_cannot_be_given_back_is_a_warning(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    with machine.open(results="device") as engine:
        array = engine.infer(FRAMES[7]).mask
    memory = array._owner
    free = memory._allocation.free

    def fail() -> None:
        machine.gpu.lost = "an illegal memory access was encountered"
        raise machine.driver.LogicError("cuMemFree failed")

    memory._allocation.free = fail
    del array, memory
    assert "GPU or pinned memory was not freed: the GPU failed and its context is lost" in caplog.text
    with cuda_device():
        free()


def test_lending_takes_no_memory_of_the_device_per_frame(machine: Machine) -> None:
    with machine.open(results="device") as engine:
        list(engine.stream(FRAMES[:5]))
        before = dict(machine.gpu.calls)
        for output in engine.stream(FRAMES[:20]):
            output.mask.__dlpack__()
        after = dict(machine.gpu.calls)
        del output
    for call in ("cuMemAlloc", "cuMemHostAlloc", "Stream", "cuMemcpyDtoDAsync"):
        assert before.get(call) == after.get(call), call
