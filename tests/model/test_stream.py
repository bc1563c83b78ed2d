"""The network on a stream of frames, beside the same frames through the frame module by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mostnet.contract import Frame, FrameError, NoGpuError
from mostnet.model import FrameModel, MostNet, NetworkStream, StreamOutput, initial_checkpoint
from mostnet.model.tf32 import tf32

SIZE = (64, 96)


@pytest.fixture(scope="module")
def network() -> MostNet:
    return initial_checkpoint("nano", seed=1, random_head=True).model


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(3)]


def by_hand(network: MostNet, frames: list[Frame], *, recurrence: bool = True) -> list[StreamOutput]:
    module = FrameModel(network)
    state = zero = module.zero_state(SIZE)
    outputs = []
    for frame in frames:
        enhanced, flow, mask, finite, *state = module(torch.from_numpy(frame)[None], *state)
        state = state if recurrence else zero
        outputs.append(StreamOutput(enhanced[0].numpy(), flow[0].numpy(), mask[0].numpy(), bool(finite)))
    return outputs


def assert_same(found: list[StreamOutput], wanted: list[StreamOutput]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.finite is other.finite
        for a, b in zip(one[:3], other[:3], strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def precisions() -> list[object]:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    if hasattr(matmul, "fp32_precision"):  # PyTorch 2.9
        return [matmul.fp32_precision, cudnn.conv.fp32_precision]
    return ["tf32" if holder.allow_tf32 else "ieee" for holder in (matmul, cudnn)]


@pytest.mark.parametrize(("allowed", "wanted"), [(False, "ieee"), (True, "tf32")])
def test_a_network_computes_in_true_float32_unless_tf32_is_allowed(
    network: MostNet, frames: list[Frame], allowed: bool, wanted: str
) -> None:
    before, seen = precisions(), []
    layer = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    hook = layer.register_forward_pre_hook(lambda *_: seen.append(precisions()))
    try:
        NetworkStream(network, allow_tf32=allowed).infer(frames[0])
    finally:
        hook.remove()
    assert seen == [[wanted, wanted]]
    assert precisions() == before


def test_the_switches_of_an_older_pytorch_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul, cudnn = SimpleNamespace(allow_tf32=False), SimpleNamespace(allow_tf32=True)
    monkeypatch.setattr(torch.backends.cuda, "matmul", matmul)
    monkeypatch.setattr(torch.backends, "cudnn", cudnn)
    for enabled in (False, True):
        with tf32(enabled):
            assert (matmul.allow_tf32, cudnn.allow_tf32) == (enabled, enabled)
        assert (matmul.allow_tf32, cudnn.allow_tf32) == (False, True)


@pytest.mark.parametrize("recurrence", [True, False])
def test_the_stream_is_the_frame_module(network: MostNet, frames: list[Frame], recurrence: bool) -> None:
    stream = NetworkStream(network, recurrence=recurrence)
    assert_same([stream.infer(frame) for frame in frames], by_hand(network, frames, recurrence=recurrence))
    assert stream.infer(frames[0]).flow.any() == recurrence


def test_reset_starts_again(network: MostNet, frames: list[Frame]) -> None:
    stream = NetworkStream(network)
    first = [stream.infer(frame) for frame in frames]
    stream.reset()
    assert_same([stream.infer(frame) for frame in frames], first)


def test_another_size_needs_a_reset(network: MostNet, frames: list[Frame]) -> None:
    stream = NetworkStream(network)
    stream.infer(frames[0])
    larger = np.zeros((80, 96, 3), np.uint8)
    with pytest.raises(ValueError, match="frames like this one need"):
        stream.infer(larger)
    stream.reset()
    assert stream.infer(larger).mask.shape == (80, 96)


def test_too_small_a_frame(network: MostNet) -> None:
    with pytest.raises(FrameError, match="63x80"):
        NetworkStream(network).infer(np.zeros((63, 80, 3), np.uint8))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_cuda_device(network: MostNet) -> None:
    with pytest.raises(NoGpuError, match="finds no CUDA device; use --device cpu"):
        NetworkStream(network, device="cuda")
