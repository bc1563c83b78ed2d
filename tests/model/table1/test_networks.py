"""Every network of Table I runs a stream as ``MostNet`` does, and has the size that the table gives."""

from __future__ import annotations

import re

import pytest
import torch

from mostnet.contract import BackendNotInstalledError, FrameError, MostnetError
from mostnet.model.table1 import NETWORKS, TABLE1, TRAINABLE, Baseline, build, libraries, load_table1

from .needs import built, need

SMALL = [name for name in NETWORKS if name not in ("raft", "combination")]
#: Millions of parameters where the library's network differs from the one of Table I.
OTHER_SIZES = {"unet++": 48.99}


def frames(count: int, size: tuple[int, int], *, batch: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(batch, 3, *size, generator=generator) for _ in range(count)]


def size_for(name: str) -> tuple[int, int]:
    return (70, 66) if name in SMALL else (122, 134)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Baseline:
    return built(request.param)


def test_the_names_that_are_known_without_pytorch_are_those_of_the_networks() -> None:
    assert (*TRAINABLE, "combination") == tuple(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_those_of_the_table(name: str) -> None:
    need(name)
    with torch.device("meta"):
        network = NETWORKS[name]()
    count = sum(weight.numel() for weight in network.parameters()) / 1e6
    assert count == pytest.approx(OTHER_SIZES.get(name, TABLE1[name].parameters_m), rel=0.02)


def test_step_is_batched_and_carries_its_state(network: Baseline) -> None:
    size = size_for(network.name)
    first, second = frames(2, size)
    with torch.inference_mode():
        prediction, state = network.step(first)
        pairs = network.state_pairs(size)
        assert [tuple(tensor.shape) for tensor in state] == [(2, *pair.shape[1:]) for pair in pairs]
        assert all(re.fullmatch("[a-z0-9_]+", pair.name) for pair in pairs)
        assert not prediction.flow.any(), "there is no flow without a previous frame"
        following, _ = network.step(second, state)
        alone, _ = network.step(second[1:], tuple(tensor[1:] for tensor in state))
    assert tuple(following.enhanced.shape) == (2, 3, *size)
    assert tuple(following.mask_logit.shape) == (2, 1, *size)
    assert (tuple(following.flow.shape), following.flow.dtype) == ((2, 2, *size), torch.float32)
    assert bool(following.flow.any()) == ("flow" in network.tasks)
    for whole, one in zip(following[:3], alone[:3], strict=True):
        torch.testing.assert_close(whole[1:], one, rtol=1e-3, atol=1e-3)


def test_other_tasks_give_what_no_method_gives(network: Baseline) -> None:
    (frame,) = frames(1, size_for(network.name), batch=1)
    with torch.inference_mode():
        prediction, _ = network.step(frame, network.zero_state(frame))
    if "enhance" not in network.tasks:
        assert prediction.enhanced is frame
    assert prediction.mask_logit.any() == ("mask" in network.tasks)


@pytest.mark.parametrize("name", ["mimo-unet", "estrnn"])
def test_an_untrained_enhancement_returns_its_frame(name: str) -> None:
    network, state = built(name), None
    for frame in frames(2, (70, 66)):
        with torch.inference_mode():
            prediction, state = network.step(frame, state)
        assert torch.equal(prediction.enhanced, frame)


@pytest.mark.parametrize(("name", "sides"), [("flownet", [2, 4, 8, 16, 32]), ("mimo-unet", [17, 34, 68])])
def test_steps_of_the_loss_go_from_coarse_to_fine(name: str, sides: list[int]) -> None:
    (frame,) = frames(1, (68, 66), batch=1)
    with torch.inference_mode():
        prediction, _ = built(name).step(frame)
    assert [step.shape[-2] for step in prediction.steps] == sides


def test_estrnn_sees_four_past_frames_and_learns_through_its_state() -> None:
    network = build("estrnn").requires_grad_(True)
    torch.nn.init.normal_(network.reconstruct[-1].weight)
    names = [pair.name for pair in network.state_pairs((64, 64))]
    assert names == ["hidden", "past1", "past2", "past3", "past4"]
    pictures = [picture.requires_grad_() for picture in frames(2, (64, 64), batch=1)]
    _, state = network.step(pictures[0])
    prediction, following = network.step(pictures[1], state)
    assert torch.equal(following[2], state[1])
    prediction.enhanced.sum().backward()
    assert pictures[0].grad.any()


def test_a_state_of_another_size_is_refused() -> None:
    network = built("flownet")
    first, second = frames(1, (64, 64)) + frames(1, (64, 130))
    with pytest.raises(ValueError, match=r"state previous is \(2, 3, 64, 64\), frames like this one need"):
        network.step(second, network.zero_state(first))
    with pytest.raises(ValueError, match="the state has 0 tensors, flownet carries 2"):
        network.step(second, ())


def test_a_small_frame_is_refused() -> None:
    with pytest.raises(FrameError, match="at least 64 pixels"):
        built("estrnn").state_pairs((63, 64))
    with pytest.raises(FrameError, match="frame size is 128x100; for raft, each side must be at least 121 pixels"):
        built("raft").state_pairs((128, 100))


def test_seed_decides_the_weights() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (next(build("estrnn", seed=seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before), "the caller's random state moved"


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(MostnetError, match="no network of Table I is called 'pwc'; choose one of flownet, raft"):
        build("pwc")


def test_libraries_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendNotInstalledError, match=r"^nosuchlibrary is not installed; pip install 'mostnet\[table"):
        load_table1("nosuchlibrary.part")

    def misfit(_: str) -> None:
        raise RuntimeError("operator torchvision::nms\ndoes not exist")

    monkeypatch.setattr(libraries.importlib, "import_module", misfit)
    with pytest.raises(
        BackendNotInstalledError, match=r"does not fit the installed torch .*nms does not exist\); `make t"
    ):
        load_table1("torchvision")
