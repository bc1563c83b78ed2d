"""The workers of the report on a prepared case, on the CPU."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mostnet.bench.gpu.workers.engine_worker import EngineWorker, compare
from mostnet.bench.gpu.workers.serve import limited, serve
from mostnet.bench.gpu.workers.torch_worker import TorchWorker
from mostnet.contract import MeasurementError

from ..conftest import FRAMES


def test_engine_worker(folder: Path) -> None:
    worker = EngineWorker(folder, part="ort", provider="cpu")
    assert "python" in worker.info()["versions"]
    for method in ("infer", "stream", "enqueue", "enqueue+copies"):
        worker.open(method)
        answer = worker.round(method, 11, 30.0)
        assert answer["fps"] > 0
        assert len(answer.get("samples_ms", range(11))) == 11
        if method in ("infer", "enqueue+copies"):
            assert answer["fps"] == pytest.approx(11e3 / sum(answer["samples_ms"]), rel=0.2)
    found = worker.check("fp16")
    assert (found["frames"], found["broken_frames"], found["finite"]) == (FRAMES, [], True)
    assert found["psnr_db"] > 45
    assert abs(worker.soak(30)["python_blocks"]) < 1000
    worker.close()
    worker.close()


def test_wrong_outputs_are_seen(folder: Path) -> None:
    with np.load(folder / "reference.npz") as reference:
        arrays = {name: reference[name].copy() for name in reference.files}
    arrays["flow"][4] += 0.2
    arrays["enhanced"][7] = 255 - arrays["enhanced"][7]
    outputs = [
        SimpleNamespace(**{name: array[index] for name, array in arrays.items()}, finite=index != 2)
        for index in range(FRAMES)
    ]
    found = compare(outputs, folder / "reference.npz", "fp16")
    assert found["broken_frames"] == [2, 4, 7]
    assert not found["finite"]
    assert found["epe_px"] == pytest.approx(0.2 * 2**0.5, rel=1e-3)
    with pytest.raises(ValueError, match="zip"):
        compare(outputs[1:], folder / "reference.npz", "fp16")


def test_torch_worker(folder: Path) -> None:
    worker = TorchWorker(folder, device="cpu")
    worker.open("eager-fp32")
    answer = worker.round("eager-fp32", 10, 5.0)
    assert answer["fps"] > 0 and answer["fps_with_copies"] > 0
    assert len(answer["samples_ms"]) == 10
    assert worker.peaks(side=64, copy_bytes=1 << 16).keys() == {"matmul_tflop_s", "memcpy_gb_s"}
    worker.close()


def test_compiling_needs_a_gpu(folder: Path) -> None:
    with pytest.raises(MeasurementError, match="compile-cuda-graph needs CUDA graphs, and this worker runs on the cpu"):
        TorchWorker(folder, device="cpu").open("compile-cuda-graph")


def test_a_worker_answers_errors_and_goes_on() -> None:
    def fail(**_: object) -> dict[str, object]:
        raise ValueError("a reason")

    answers = io.StringIO()
    requests = io.StringIO('{"do": "fail", "x": 1}\n{"do": "echo", "x": 2}\n{"do": "other"}\n')
    serve({"fail": fail, "echo": lambda x: {"x": x}}, requests, answers)
    assert [json.loads(line) for line in answers.getvalue().splitlines()] == [
        {"failed": "ValueError: a reason"},
        {"done": {"x": 2}},
        {"failed": "KeyError: 'other'"},
    ]


def test_rounds_are_limited_by_time_but_have_ten_frames() -> None:
    assert list(limited([1, 2, 3], count=4, seconds=60.0)) == [1, 2, 3, 1]
    assert len(list(limited([1], count=10_000_000, seconds=0.0))) == 10
