"""The worker of plans on the miniature GPU. Its bare calls run the same network with the same state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mostnet.bench.gpu.agenda import METHODS
from mostnet.bench.gpu.standin.toy import frame_of, history, reference
from mostnet.bench.gpu.workers.engine_worker import EngineWorker
from mostnet.bench.raw_call import RawCall
from mostnet.contract import OUTPUTS
from mostnet.engine.open_model import open_model
from mostnet.engine.options import Options
from tests.engine.plan_setup import Machine, machine_of

FRAMES = 6


@pytest.fixture(params=["8.6", "rtx"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    with machine_of(monkeypatch, tmp_path, generation=request.param) as made:
        yield made


def case_folder(machine: Machine) -> Path:
    folder = machine.plan.parent
    machine.plan.with_name(f"{machine.plan.name}.json").rename(folder / "case.plan.json")
    machine.plan.rename(folder / "case.plan")
    frames = [frame_of(number) for number in range(FRAMES)]
    np.save(folder / "frames.npy", np.stack(frames))
    results = reference(frames)
    np.savez(folder / "reference.npz", **{name: np.stack([result[name] for result in results]) for name in OUTPUTS})
    return folder


def test_every_method_of_a_plan(machine: Machine) -> None:
    folder = case_folder(machine)
    for method in METHODS["tensorrt"]:
        worker = EngineWorker(folder, part="tensorrt")
        worker.open(method)
        answer = worker.round(method, 12, 30.0)
        assert answer["fps"] > 0
        assert ("gpu_ms" in answer) == (method != "enqueue+copies")
        assert ("samples_ms" in answer) == (method != "enqueue")
        worker.close()  # the miniature GPU has room for one plan at a time
    found = worker.check("fp32")
    assert (found["frames"], found["finite"], found["broken_frames"]) == (FRAMES, True, [])
    worker.close()


def test_the_bare_call_of_a_plan_carries_the_state(machine: Machine) -> None:
    model = open_model(machine.plan, Options(slots=3))
    raw = RawCall(model, OUTPUTS, slots=3)
    with raw.active():
        for number in range(4):
            mask = raw.loaded_call(frame_of(number)).mask
            assert mask is not None and history(mask) == list(range(number + 1))
        raw.load(frame_of(4))
        raw()
        mask = raw.result().mask
        assert mask is not None and history(mask) == list(range(5))
        assert raw.time_on_device_ms(3) >= 0
    raw.close()
    model.close()
