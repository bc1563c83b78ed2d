"""Engines on two GPUs of one machine, in miniature: each works in the context and the memory of its own."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from mostnet.bench.gpu.standin.toy import SIZE_HW, frame_of, history
from mostnet.contract import FrameError, NoGpuError
from mostnet.engine import Engine, Output
from mostnet.engine.cuda.device import cuda_device
from mostnet.engine.cuda.dlpack import describe_capsule
from mostnet.engine.ort import model as onnx_backend
from mostnet.engine.ort.lanes import DeviceLane
from tests.engine.device_arrays import Produced, Tensor
from tests.engine.plan_setup import Machine, machine_of
from tests.toy_graph import assert_reference, save_toy

FRAMES = [frame_of(number) for number in range(1, 13)]


@pytest.fixture(params=["8.6", "rtx"])
def two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    with machine_of(monkeypatch, tmp_path, generation=request.param, gpus=2) as made:
        yield made


@pytest.mark.parametrize("graphs", [False, True])
def test_each_engine_uses_its_gpu(two: Machine, graphs: bool) -> None:
    first, second = two.gpu.devices
    with two.open(device=0, graphs=graphs) as left, two.open(device=1, graphs=graphs) as right:
        assert (left.device, right.device) == (0, 1)
        assert left.provider == right.provider == "cuda" and " on cuda:1, " in repr(right)
        assert first.alive == second.alive and first.device_bytes == second.device_bytes > 0
        assert_reference([left.infer(frame) for frame in FRAMES], FRAMES)
        calls = first.calls.copy()
        assert_reference(list(right.stream(FRAMES)), FRAMES)
        assert first.calls == calls, "the other GPU has nothing to do"


def test_they_work_at_the_same_time_in_two_threads(two: Machine) -> None:
    found: dict[int, list[Output]] = {}

    def run(engine: Engine, number: int) -> None:
        found[number] = list(engine.stream(FRAMES))

    with two.open(device=0) as left, two.open(device=1) as right:
        threads = [threading.Thread(target=run, args=(engine, k)) for k, engine in enumerate((left, right))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for k in range(2):
            assert_reference(found[k], FRAMES)


def test_results_on_the_device_name_it(two: Machine) -> None:
    with two.open(device=1, results="device") as engine:
        output = engine.infer(FRAMES[0])
        assert output.mask.__dlpack_device__() == (2, 1)
        assert describe_capsule(output.mask.__dlpack__()).device == (2, 1)
        assert history(two.fetch(output.mask)) == [1]
        with pytest.raises(BufferError, match=r"the result is on device \(2, 1\), not on \(2, 0\)"):
            output.mask.__dlpack__(dl_device=(2, 0))
        # A result of this GPU is a frame of this GPU, and of no other.
        assert history(two.fetch(engine.session().infer(output.enhanced).mask))
        with two.open(device=0) as other:
            with pytest.raises(FrameError, match=r"on DLPack device \(2, 1\); expected \(2, 0\), GPU 0, .*: copy it"):
                other.infer(output.enhanced)
            assert history(other.infer(FRAMES[1]).mask) == [2]
        del output
    gc.collect()


def test_a_frame_of_another_gpu_by_its_address(two: Machine) -> None:
    with two.open(device=0) as engine, cuda_device(1):
        there = Produced(two.gpu.devices[1], (*SIZE_HW, 3), stream=None, handle=None).write(1)
        there.interface["stream"] = 0x77  # which GPU 0 does not know
        with pytest.raises(FrameError, match="is on GPU 1; expected memory of GPU 0"):
            engine.infer(there)
        there.interface["stream"] = None
        with pytest.raises(FrameError, match="is on GPU 1; expected memory of GPU 0"):
            engine.infer(Tensor(there))  # it claims to be on GPU 0
        with two.open(device=1) as right:
            assert history(right.infer(there).mask) == [1]


def test_a_lost_gpu_does_not_close_the_other_engine(two: Machine) -> None:
    with two.open(device=0) as left, two.open(device=1) as right:
        two.gpu.devices[1].lost = "an illegal memory access was encountered"
        with pytest.raises(Exception, match="context is lost"):
            right.infer(FRAMES[0])
        assert right.closed and not left.closed
        assert history(left.infer(FRAMES[0]).mask) == [1]
    two.gpu.devices[1].alive.clear()  # what was on the lost GPU cannot be given back


@pytest.mark.parametrize(("gpus", "known"), [(1, r"has 1 \(0\)"), (2, r"has 2 \(0, 1\)")])
def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpus: int, known: str) -> None:
    onnx = save_toy(tmp_path / "toy.onnx")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with machine_of(monkeypatch, tmp_path, gpus=gpus) as machine:
        for path in (machine.plan, onnx):
            with pytest.raises(NoGpuError, match=f"GPU 2: this machine {known}; name one of these"):
                Engine(path, device=2)


def test_onnx_runtime_gets_the_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[object] = []
    real = onnxruntime.InferenceSession

    class OnCuda:
        """A session on the CPU that says it runs on CUDA."""

        def __init__(self, *args: object, providers: list[object]) -> None:
            asked.append(providers[0])
            self._session = real(*args, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider"]

        def __getattr__(self, name: str) -> object:
            return getattr(self._session, name)

    def on_cpu(*args: object, device: str, number: int, **options: object) -> DeviceLane:
        made = DeviceLane(*args, device="cpu", **options)
        asked.append((device, number))
        made._number = number
        return made

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnx_backend, "require_gpu", lambda number: 2)
    monkeypatch.setattr(onnxruntime, "InferenceSession", OnCuda)
    monkeypatch.setattr(onnx_backend, "DeviceLane", on_cpu)
    with Engine(save_toy(tmp_path / "toy.onnx"), device=1, results="device") as engine:
        assert engine.device == 1
        output = engine.infer(FRAMES[0])
        assert output.mask.__dlpack_device__() == (2, 1)
        assert isinstance(output.mask.nbytes, int) and np.prod(output.mask.shape) == output.mask.nbytes
    assert asked[0][1]["device_id"] == "1"
    assert asked[1] == ("cuda", 1)
