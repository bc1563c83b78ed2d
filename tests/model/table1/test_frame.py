"""The frame module of a network of Table I: uint8 in and out, and a state that heals."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from mostnet.model.table1 import NETWORKS, BaselineFrame, network_stream

from .needs import built

OURS = ["flownet", "mimo-unet", "estrnn"]


def size_for(name: str) -> tuple[int, int]:
    return (128, 128) if name in ("raft", "combination") else (72, 96)


def frames(count: int, size: tuple[int, int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8, generator=generator) for _ in range(count)]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs(name: str) -> None:
    size, module = size_for(name), BaselineFrame(built(name))
    (frame,) = frames(1, size)
    enhanced, flow, mask, finite, *state = module(frame, *module.zero_state(size))
    assert (enhanced.dtype, tuple(enhanced.shape)) == (torch.uint8, (1, *size, 3))
    assert (flow.dtype, tuple(flow.shape)) == (torch.float32, (1, 2, *size))
    assert (mask.dtype, tuple(mask.shape)) == (torch.uint8, (1, *size))
    assert (finite.dtype, finite.tolist()) == (torch.bool, [True])
    wanted = [(tensor.shape, tensor.dtype) for tensor in module.zero_state(size)]
    assert [(tensor.shape, tensor.dtype) for tensor in state] == wanted
    assert torch.equal(enhanced, frame), "an untrained network returns its frame"
    if "mask" not in module.network.tasks:
        assert (mask == 128).all()


@pytest.mark.parametrize("name", OURS)
def test_half_precision(name: str) -> None:
    size = size_for(name)
    half, full = BaselineFrame(copy.deepcopy(built(name))).half(), BaselineFrame(built(name))
    states = [module.zero_state(size) for module in (half, full)]
    for frame in frames(2, size):
        enhanced, flow, _, finite, *states[0] = half(frame, *states[0])
        _, wanted, _, _, *states[1] = full(frame, *states[1])
    assert finite.tolist() == [True]
    assert all(tensor.dtype == torch.float16 for tensor in states[0])
    assert torch.equal(enhanced, frame)
    torch.testing.assert_close(flow, wanted, rtol=0.02, atol=0.1)


@pytest.mark.parametrize(
    ("name", "weight"),
    [("flownet", "heads.4.bias"), ("mimo-unet", "leave.0.bias"), ("estrnn", "cell.remember.2.bias")],
)
def test_weights_that_are_not_finite_leave_the_frame_as_it_is(name: str, weight: str) -> None:
    size, network = size_for(name), copy.deepcopy(built(name))
    network.get_parameter(weight).fill_(torch.nan)
    module = BaselineFrame(network)
    first, second = frames(2, size)
    _, _, _, _, *state = module(first, *(torch.ones_like(x) for x in module.zero_state(size)))
    enhanced, flow, mask, finite, *state = module(second, *(torch.ones_like(x) for x in state))
    assert finite.tolist() == [False]
    assert torch.equal(enhanced, second)
    assert not flow.any() and not mask.any() and not any(tensor.any() for tensor in state)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["flownet", "estrnn"])
def test_a_poisoned_state_heals(name: str, poison: float) -> None:
    size, module = size_for(name), BaselineFrame(built(name))
    first, second, third = frames(3, size)
    _, _, _, _, *state = module(first, *module.zero_state(size))
    state[0][0, 0] = poison
    _, _, _, finite, *state = module(second, *state)
    assert finite.tolist() == [False]
    assert module(third, *state)[3].tolist() == [True]


def test_stream() -> None:
    size, stream = size_for("flownet"), network_stream(copy.deepcopy(built("flownet")))
    first, second = (frame[0].numpy() for frame in frames(2, size))
    assert not stream.infer(first).flow.any()
    found = stream.infer(second)
    assert found.flow.any() and found.finite
    assert np.array_equal(found.enhanced, second)
    stream.reset()
    assert not stream.infer(second).flow.any()
