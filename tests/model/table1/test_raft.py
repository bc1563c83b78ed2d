"""Our loop around RAFT's layers against torchvision's own."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mostnet.contract import CheckpointError
from mostnet.model.table1 import Raft, load_raft_weights, load_table1

from .needs import need

UPDATES = 3


@pytest.fixture(scope="module")
def original():
    need("raft")
    torch.manual_seed(2)
    return load_table1("torchvision.models.optical_flow").raft_large(weights=None, progress=False).eval()


@pytest.fixture
def path(original, tmp_path: Path) -> Path:
    path = tmp_path / "raft.pth"
    torch.save(original.state_dict(), path)
    return path


@pytest.fixture
def raft(path: Path) -> Raft:
    network = Raft(iterations=UPDATES).eval().requires_grad_(False)
    load_raft_weights(network, path)
    return network


@pytest.fixture(scope="module")
def pictures() -> tuple[Tensor, Tensor]:
    """The current and the previous frame, whose content moved by (3, 2) pixels."""
    noise = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    canvas = torch.nn.functional.interpolate(noise, (144, 152), mode="bicubic").clamp(0, 1)
    return canvas[..., 2:130, 3:139], canvas[..., :128, :136]


def flow_of(network: Raft, pictures: tuple[Tensor, Tensor]) -> Tensor:
    current, previous = pictures
    with torch.inference_mode():
        _, state = network.step(previous)
        return network.step(current, state)[0].flow


@torch.inference_mode()
def test_equals_torchvision(raft: Raft, original, pictures: tuple[Tensor, Tensor]) -> None:
    current, previous = (2 * picture.flip(1) - 1 for picture in pictures)  # it sees RGB
    wanted = original(current, previous, num_flow_updates=UPDATES)
    flow = flow_of(raft, pictures)
    assert flow.abs().max() > 0.1, "an idle network proves nothing"
    torch.testing.assert_close(flow, wanted[-1], rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_training_shows_every_update(raft: Raft, original, pictures: tuple[Tensor, Tensor]) -> None:
    current, previous = (2 * picture.flip(1) - 1 for picture in pictures)
    raft.training = True  # but not its batch normalisation
    steps = raft.match(*pictures)
    for step, wanted in zip(steps, original(current, previous, num_flow_updates=UPDATES), strict=True):
        torch.testing.assert_close(step, wanted, rtol=1e-3, atol=1e-3)


def test_half_precision_weights(raft: Raft, pictures: tuple[Tensor, Tensor]) -> None:
    half = copy.deepcopy(raft).half()
    flow = flow_of(half, (pictures[0].half(), pictures[1].half()))
    assert flow.dtype == torch.float32
    wanted = flow_of(raft, pictures)
    assert (flow - wanted).abs().mean() < 0.02 * wanted.abs().mean()


def test_files_that_do_not_fit(path: Path) -> None:
    network, weights = Raft(iterations=1), torch.load(path, weights_only=True)
    name = "update_block.flow_head.conv2.bias"
    torch.save({**weights, name: torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=rf"weight {name} has shape \(3,\), the config wants \(2,\)"):
        load_raft_weights(network, path)
    torch.save({key: value for key, value in weights.items() if key != name}, path)
    with pytest.raises(CheckpointError, match=f"1 missing .'{name}'., 0 unknown"):
        load_raft_weights(network, path)
    counts = {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    torch.save(counts, path)
    with pytest.raises(CheckpointError, match=r"counts of batches .* are missing or unknown"):
        load_raft_weights(network, path)
    torch.save([1], path)
    with pytest.raises(CheckpointError, match="the weights must be a dictionary of tensors by name"):
        load_raft_weights(network, path)
