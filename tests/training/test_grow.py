"""A wide network that starts from a narrow one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mostnet.contract import TrainingError
from mostnet.model import VARIANTS, MostNet, Prediction, initial_checkpoint, save_checkpoint
from mostnet.training.grow import grow
from mostnet.training.learner import Learner
from mostnet.training.options import TrainOptions

NARROW = VARIANTS["nano"]
WIDE = replace(
    NARROW,
    channels=(24, 40, 80),
    extractor_blocks=(2, 1, 3),
    decoder_blocks=(1, 2, 2),
    image_channels=16,
    state_channels=(8, 20, 48),
    flow_channels=(56, 40),
)


@pytest.fixture
def clip() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    wide = F.interpolate(torch.rand(1, 3, 16, 32, generator=generator), size=(64, 128), mode="bicubic").clamp(0, 1)
    return [wide[..., 3 * t : 3 * t + 96] for t in range(4)]


@pytest.fixture
def narrow() -> MostNet:
    return initial_checkpoint("nano", seed=1, random_head=True).model


def wide_network(config: object) -> MostNet:
    torch.manual_seed(2)
    return MostNet(config).eval().requires_grad_(False)  # type: ignore[arg-type]


def stream(network: MostNet, clip: list[torch.Tensor]) -> list[Prediction]:
    state, found = None, []
    for frame in clip:
        prediction, state = network.step(frame, state)
        found.append(prediction)
    return found


def test_a_wide_network_begins_as_the_narrow_one(narrow: MostNet, clip: list[torch.Tensor]) -> None:
    wide = wide_network(WIDE)
    grow(narrow, wide)
    for one, other in zip(stream(narrow, clip), stream(wide, clip), strict=True):
        torch.testing.assert_close(other.enhanced, one.enhanced, atol=1e-4, rtol=0)
        torch.testing.assert_close(other.mask_logit, one.mask_logit, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(other.flow, one.flow, atol=1e-2, rtol=1e-3)


def test_longer_match_vectors_and_a_wider_search_change_little(narrow: MostNet, clip: list[torch.Tensor]) -> None:
    narrow.estimators[0].soft_match.log_sharpness.fill_(3.7)
    narrow.estimators[1].soft_match.log_sharpness.fill_(3.7)
    wide = wide_network(replace(WIDE, match_channels=32, search_radii=(5, 3)))
    grow(narrow, wide)
    before, after = stream(narrow, clip)[-1], stream(wide, clip)[-1]
    assert (after.flow - before.flow).abs().mean() < 0.5 * before.flow.abs().mean()
    assert (after.enhanced - before.enhanced).abs().mean() < 0.02


@pytest.mark.parametrize("variant", ["sw", "dw"])
def test_the_variants_grow_from_nano_and_learn_to_read_what_is_new(
    narrow: MostNet, clip: list[torch.Tensor], variant: str
) -> None:
    wide = initial_checkpoint(variant).model
    grow(narrow, wide)
    torch.testing.assert_close(wide.step(clip[0])[0].enhanced, narrow.step(clip[0])[0].enhanced, atol=1e-4, rtol=0)
    wide.requires_grad_(True)
    (stream(wide, clip[:2])[-1].enhanced - clip[1]).square().mean().backward()
    new = wide.branches[0].residual.weight[:, NARROW.channels[0] :]
    assert not new.any(), "nothing reads the new channels yet"
    assert wide.branches[0].residual.weight.grad[:, NARROW.channels[0] :].any(), "they cannot come into use"


def test_a_narrow_network_does_not_start_from_a_wide_one(narrow: MostNet) -> None:
    with pytest.raises(TrainingError, match=r"its channels are \(16, 32, 64\), those of the weights \(24, 40, 80\)"):
        grow(wide_network(WIDE), narrow)
    with pytest.raises(TrainingError, match=r"its search_radii are \(3, 2\), those of the weights \(4, 2\)"):
        grow(narrow, wide_network(replace(WIDE, search_radii=(3, 2))))


def test_a_run_grows_its_first_weights_or_names_those_that_are_too_wide(narrow: MostNet, tmp_path: Path) -> None:
    save_checkpoint(initial_checkpoint("sw"), tmp_path / "wide.pt")
    with pytest.raises(TrainingError, match=r"wide\.pt: a network cannot start from a wider one: its channels are"):
        Learner(TrainOptions(variant="nano"), tmp_path / "wide.pt")
    save_checkpoint(initial_checkpoint("nano", seed=1, random_head=True), tmp_path / "narrow.pt")
    wide = Learner(TrainOptions(variant="sw"), tmp_path / "narrow.pt").model
    frame = torch.rand(1, 3, 64, 96)
    torch.testing.assert_close(wide.step(frame)[0].enhanced, narrow.step(frame)[0].enhanced, atol=1e-4, rtol=0)
