"""Training on the GPU: the CUDA graph of a chunk, and moving photographs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mostnet.model import initial_checkpoint

from .conftest import cuda_torch, need_gpu


@pytest.fixture
def torch() -> Any:
    need_gpu()
    return cuda_torch()


@pytest.mark.filterwarnings("ignore:The AccumulateGrad node's stream does not match")
def test_a_graphed_chunk_gives_the_losses_and_gradients_of_a_plain_one(torch: Any) -> None:
    """The graph keeps alive what adds up the gradients, and with it the stream of its capture.

    Later backward passes run on the usual stream. Autograd lets the streams wait for each other, and warns once.
    """
    from mostnet.training.chunk_losses import ChunkLosses, GraphedLosses
    from mostnet.training.losses.ours import LossOptions
    from mostnet.training.options import TrainOptions

    model = initial_checkpoint("nano", seed=1, random_head=True).model.cuda().train().requires_grad_(True)
    plain = ChunkLosses(model, TrainOptions(), LossOptions())
    graphed = GraphedLosses(plain)
    batches = [_batch(torch, seed) for seed in range(3)]
    graphed(batches[0], None)  # captures
    state = None
    for batch in batches:
        losses, wanted_state = plain(batch, state)
        sum(losses.values()).backward()
        wanted = [value.grad.clone() for value in model.parameters() if value.grad is not None]
        model.zero_grad()
        found, found_state = graphed(batch, state)
        sum(found.values()).backward()
        for task, loss in losses.items():
            assert float(found[task].detach()) == pytest.approx(float(loss.detach()), rel=1e-3)
        for left, right in zip((v.grad for v in model.parameters() if v.grad is not None), wanted, strict=True):
            assert float((left - right).norm()) <= 0.02 * float(right.norm()) + 1e-6
        for left, right in zip(found_state, wanted_state, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-2, atol=1e-3)
        model.zero_grad()
        state = tuple(part.detach().clone() for part in wanted_state)


def test_photographs_move_on_the_gpu_as_on_the_cpu(torch: Any) -> None:
    from mostnet.training.photos import PhotoClips, PhotoOptions
    from mostnet.training.photos.folder import Photo

    rng = np.random.default_rng(4)
    rough = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    photo = Photo("drawn", np.dstack([rough, (rough[..., 0] > 128) * np.uint8(255)]))
    options = PhotoOptions(frames=3, size_hw=(96, 128), clean=1.0)
    here, there = (PhotoClips([photo], options, device=torch.device(name)).batch(2, 4) for name in ("cpu", "cuda"))
    assert there.input.device.type == "cuda"
    assert float((here.flow - there.flow.cpu()).abs().max()) < 0.01
    assert float((here.valid == there.valid.cpu()).float().mean()) > 0.99
    assert float((here.reference.float() - there.reference.cpu().float()).abs().mean()) < 0.5
    assert torch.equal(there.input, there.reference)


def _batch(torch: Any, seed: int) -> Any:
    from mostnet.training.data.clips import Batch

    rng = np.random.default_rng(seed)
    shape = (2, 2, 96, 128)
    pictures = [torch.from_numpy(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).cuda() for _ in range(2)]
    mask = torch.from_numpy(rng.integers(0, 2, shape, dtype=np.uint8) * np.uint8(255)).cuda()
    flow = torch.from_numpy(rng.normal(0, 3, (2, 2, 2, 96, 128)).astype(np.float32)).cuda()
    yes = torch.ones(2, dtype=torch.bool, device="cuda")
    return Batch(*pictures, mask, flow, torch.ones(shape, dtype=torch.bool, device="cuda"), yes, yes)
