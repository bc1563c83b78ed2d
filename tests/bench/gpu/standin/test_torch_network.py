"""The networks of the stand-in in PyTorch: the same lines that run on a GPU, on the processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mostnet.bench.gpu.standin.plan import StandinPlan
from mostnet.bench.gpu.standin.torch_network import BoundNetwork, TorchNetwork, toy_step
from mostnet.bench.gpu.standin.toy import METADATA, NAN, STATES, frame_of, step, zero_state
from mostnet.contract import Metadata
from mostnet.export.plan.request import PlanRequest
from mostnet.model import NetworkStream, load_checkpoint

Arrays = dict[str, Any]


class Operations(TorchDispatchMode):
    """Notes the names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.fixture(params=["toy", "nano"])
def plan(request: pytest.FixtureRequest) -> StandinPlan:
    if request.param == "toy":
        return StandinPlan(metadata=METADATA)
    return plan_of(request.getfixturevalue("folder"))


def plan_of(folder: Path) -> StandinPlan:
    request = PlanRequest.from_json((folder / "request.json").read_text(encoding="utf-8"), source="request")
    assert isinstance(request.metadata, Metadata)
    return StandinPlan(metadata=request.metadata, checkpoint=(folder / "case.pt").read_bytes())


def bound(plan: StandinPlan, device: str = "cpu") -> tuple[BoundNetwork, Arrays, Arrays]:
    inputs, outputs = (
        {spec.name: np.zeros(spec.shape, spec.dtype) for spec in specs} for specs in (plan.inputs, plan.outputs)
    )
    return TorchNetwork(plan, device=device).bind(inputs, outputs), inputs, outputs


@pytest.mark.parametrize("poison", [None, np.nan, np.inf, -np.inf])
def test_the_toy_is_that_of_numpy(poison: float | None) -> None:
    state = zero_state()
    for number in (*range(30), NAN, 254, 255, 3):
        if poison is not None and number == 7:
            for pair in STATES:
                if pair.dtype != "int8":
                    state[pair.input.name].flat[0] = poison
        inputs = {"frame": frame_of(number)[None], **state}
        wanted = step(inputs)
        found = toy_step({name: torch.from_numpy(array) for name, array in inputs.items()})
        assert found.keys() == wanted.keys()
        for name, array in wanted.items():
            assert (found[name].numpy().dtype, tuple(found[name].shape)) == (array.dtype, array.shape), name
            assert np.array_equal(found[name].numpy(), array), (name, number)
        assert wanted["finite"][0] == (number < NAN and (poison is None or number != 7))
        state = {pair.input.name: wanted[pair.output.name] for pair in STATES}


def test_a_toy_on_a_camera_s_frames_is_finite() -> None:
    white = {"frame": np.full((1, 64, 96, 3), 255, np.uint8), **zero_state()}
    white["state_in_last"] = np.zeros((1, 64, 96, 1), np.float16)
    assert step(white, nan=256)["finite"][0]
    assert toy_step({name: torch.from_numpy(array) for name, array in white.items()}, nan=256)["finite"][0]


def test_the_network_is_that_of_the_checkpoint(folder: Path) -> None:
    """Half precision, on the memory it is bound to, within its bounds of float32."""
    plan = plan_of(folder)
    run, inputs, outputs = bound(plan)
    stream = NetworkStream(load_checkpoint(folder / "case.pt").model)
    for frame in np.load(folder / "frames.npy")[:4]:
        inputs["frame"][...] = frame
        run.run()
        wanted = stream.infer(frame)
        assert outputs["finite"][0]
        assert np.abs(outputs["enhanced"][0].astype(int) - wanted.enhanced).max() <= 2
        assert np.abs(outputs["flow"][0] - wanted.flow).mean() <= 0.05
        for pair in plan.metadata.states:
            inputs[pair.input.name][...] = outputs[pair.output.name]


def test_a_run_can_be_captured(plan: StandinPlan) -> None:
    """It makes no tensor from host values and reads none on the host."""
    run, _, _ = bound(plan)
    with Operations() as operations:
        run.run()
    assert len(operations.names) > 10
    for word in ("lift_fresh", "_local_scalar_dense", "nonzero", "pin_memory"):
        assert not [name for name in operations.names if word in name], word


def test_no_operation_mixes_devices_or_needs_a_value(plan: StandinPlan) -> None:
    """On the meta device, a tensor of the processor or a read value is an error."""
    run, _, _ = bound(plan, "meta")
    run.run()
