"""The graph of the case on ONNX Runtime's CUDA provider."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.contract import FOREGROUND
from mostnet.engine import Engine

from .conftest import OPTIONAL, STANDIN, case_folder, cuda_torch, lane_of, need_gpu, same

#: Few frames, for the slow CPU runs them too.
COUNT = 12


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    needed = OPTIONAL if STANDIN else ""  # a machine with a stand-in may have no more than PyTorch and a driver
    if STANDIN == "miniature":
        pytest.skip(f"{OPTIONAL}ONNX Runtime does not run on the miniature GPU")
    onnxruntime = pytest.importorskip("onnxruntime", reason=f"{needed}onnxruntime is not installed")
    found = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" not in found:
        pytest.skip(f"{needed}the installed ONNX Runtime has no CUDA, only {', '.join(found)}")
    need_gpu()
    return list(np.load(case_folder("case.onnx", "frames.npy") / "frames.npy")[:COUNT])


@pytest.fixture
def engine(frames: list[np.ndarray]) -> Iterator[Engine]:
    with Engine(case_folder() / "case.onnx", provider="cuda") as engine:
        yield engine


def test_cuda_gives_what_the_cpu_gives(engine: Engine, frames: list[np.ndarray]) -> None:
    """The bounds are those of FP16: the two add up in another order, and the CPU computes in float32 between casts."""
    with Engine(case_folder() / "case.onnx", provider="cpu") as cpu:
        for index, frame in enumerate(frames):
            found, wanted = engine.infer(frame), cpu.infer(frame)
            error = np.mean((found.enhanced.astype(np.float64) - wanted.enhanced) ** 2)
            assert error <= 255**2 / 10**4.5, f"frame {index}: below 45 dB"
            assert np.hypot(*(found.flow - wanted.flow)).mean() <= 0.05, index
            differing = np.mean((found.mask >= FOREGROUND) != (wanted.mask >= FOREGROUND))
            assert differing <= 0.005, index


def test_stream_is_infer(engine: Engine, frames: list[np.ndarray]) -> None:
    alone = [engine.infer(frame) for frame in frames]
    engine.reset()
    assert all(map(same, engine.stream(frames), alone))
    assert not same(alone[0], alone[1])


def test_the_state_stays_on_the_device(engine: Engine, frames: list[np.ndarray]) -> None:
    """Every state is ONNX Runtime's own memory on CUDA, at addresses that no frame changes."""
    lane = lane_of(engine)
    values = [value for slot in lane._memory for value in slot]
    before = [value.data_ptr() for value in values]
    for frame in frames:
        engine.infer(frame)
    assert {value.device_name() for value in values} == {"cuda"}
    assert [value.data_ptr() for slot in lane._memory for value in slot] == before


def test_reset_and_sessions(engine: Engine, frames: list[np.ndarray]) -> None:
    alone = [engine.infer(frame) for frame in frames[:4]]
    with engine.session() as other:
        again = [other.infer(frame) for frame in frames[:4]]
    engine.reset()
    assert all(map(same, again, alone))
    assert same(engine.infer(frames[0]), alone[0])


def test_torch_reads_results_on_the_device(frames: list[np.ndarray]) -> None:
    torch = cuda_torch()
    with Engine(case_folder() / "case.onnx", provider="cuda", results="device") as engine:
        lane = lane_of(engine)
        for frame in frames:
            output = engine.infer(frame)
            for name, value in lane._pictures[output.frame_id % lane.slots].items():
                if name == "finite":
                    continue
                array, wanted = getattr(output, name), value.numpy()[0]
                for tensor in (torch.from_dlpack(array), torch.as_tensor(array, device="cuda")):
                    assert tensor.data_ptr() == array.address, "it is read without a copy"
                    assert np.array_equal(tensor.cpu().numpy(), wanted), name
        kept = torch.from_dlpack(output.mask)
        wanted = kept.cpu().numpy()
        del lane, value, array, tensor
    assert wanted.any()
    assert np.array_equal(kept.cpu().numpy(), wanted), "the tensor keeps the memory of a closed engine"
