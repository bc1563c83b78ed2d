"""Losses of the networks of Table I: zero at the truth, larger away from it, and blind to what has no label."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mostnet.model import Prediction
from mostnet.model.table1 import NETWORKS, BaselinePrediction
from mostnet.training.losses.baselines import baseline_losses
from mostnet.training.losses.ours import LossOptions, Target
from mostnet.training.losses.source import source_losses

SIZE = (64, 128)


@dataclass
class Named:
    """Stands for a network: the losses read its name and its stride."""

    name: str
    stride: int


def target(*, labelled: bool = True, size: tuple[int, int] = SIZE) -> Target:
    generator = torch.Generator().manual_seed(3)
    has = torch.full((2,), float(labelled))
    mask = (torch.rand(2, 1, *size, generator=generator) > 0.6).float() * labelled
    flow = torch.tensor([4.0, -3.0]).view(1, 2, 1, 1).expand(2, 2, *size) * labelled
    valid = torch.full((2, 1, *size), float(labelled))
    return Target(torch.rand(2, 3, *size, generator=generator), mask, flow.clone(), valid, has, has)


def steps_at_truth(name: str, labels: Target) -> tuple[Tensor, ...]:
    if name == "flownet":
        return tuple(F.avg_pool2d(labels.flow, side) for side in (64, 32, 16, 8, 4))
    if name == "raft":
        return (labels.flow,) * 3
    if name == "mimo-unet":
        return tuple(F.avg_pool2d(labels.reference, side) for side in (4, 2, 1))
    return ()


def at_truth(name: str, labels: Target) -> BaselinePrediction:
    return BaselinePrediction(
        labels.reference, (labels.mask - 0.5) * 80, labels.flow.clone(), steps_at_truth(name, labels)
    )


def moved(prediction: BaselinePrediction, by: float) -> BaselinePrediction:
    steps = tuple(step + by for step in prediction.steps)
    return BaselinePrediction(
        prediction.enhanced + by, prediction.mask_logit * (1 - 2 * by), prediction.flow + by, steps
    )


TASK_OF = {
    "flownet": "flow",
    "raft": "flow",
    "mimo-unet": "enhance",
    "estrnn": "enhance",
    "unet++": "mask",
    "deeplabv3+": "mask",
}


@pytest.mark.parametrize("name", TASK_OF)
def test_the_truth_costs_nothing_and_an_error_costs_more_the_larger_it_is(name: str) -> None:
    labels, network = target(), Named(name, NETWORKS[name].stride if name != "flownet" else 64)
    truth = at_truth(name, labels)
    found = [baseline_losses(network, moved(truth, by), labels) for by in (0.0, 0.2, 0.6)]
    assert {task for task, loss in found[2].items() if loss > 0} == {TASK_OF[name]}
    values = [float(losses[TASK_OF[name]]) for losses in found]
    assert values[0] < 1e-4 and values[0] < values[1] < values[2]


@pytest.mark.parametrize("name", TASK_OF)
def test_without_labels_there_is_no_loss(name: str) -> None:
    labels = target(labelled=False)
    truth = at_truth(name, labels)
    losses = baseline_losses(Named(name, 64), moved(truth, 0.6), labels)
    assert all(float(loss) == 0 for loss in losses.values())


def test_flownet_weighs_its_scales_and_knows_nothing_of_the_padding() -> None:
    labels = target(size=(64, 96))  # padded to 64x128
    flows = [torch.zeros(2, 2, 64 // side, 128 // side) for side in (64, 32, 16, 8, 4)]
    everything = float(
        baseline_losses(Named("flownet", 64), BaselinePrediction(*[labels.flow] * 3, tuple(flows)), labels)["flow"]
    )
    # 5 px of error wherever it is known: the coarsest scale has 1.5 known cells of 2, the finest 16 x 24.
    known = [1.5, 2 * 3, 4 * 6, 8 * 12, 16 * 24]
    expected = sum(w * 5 * n for w, n in zip((0.32, 0.08, 0.02, 0.01, 0.005), known, strict=True)) / (64 * 128)
    assert everything == pytest.approx(expected, rel=1e-5)


def test_raft_counts_later_iterations_more_and_no_label_of_400_pixels() -> None:
    labels = target()
    labels.flow[:, :, :32] = 500.0
    wrong, right = torch.zeros_like(labels.flow), labels.flow.clone()

    def loss(*steps: Tensor) -> float:
        return float(baseline_losses(Named("raft", 8), BaselinePrediction(right, right, right, steps), labels)["flow"])

    assert loss(right, wrong) == pytest.approx(3.5)  # |4| + |-3| over the half that counts
    assert loss(wrong, right) == pytest.approx(0.8 * 3.5)


def test_losses_of_the_source() -> None:
    labels = target()
    labels.flow[:, :, :32] = 90.0  # 127 px long
    picture, flow = labels.reference + 0.3, labels.flow + torch.tensor([2.0, -1.0]).view(1, 2, 1, 1)
    prediction = Prediction(picture, torch.zeros(2, 1, *SIZE), flow, ())
    losses = source_losses(prediction, labels, LossOptions())
    assert float(losses["enhance"]) == pytest.approx((0.3**2 + 1e-6) ** 0.5, rel=1e-4)
    assert float(losses["flow"]) == pytest.approx(1.5, rel=1e-5)
    assert float(losses["mask"]) == pytest.approx(0.6931, abs=1e-4)
    flow[:, :, :32] += 50
    assert float(source_losses(prediction, labels, LossOptions())["flow"]) == pytest.approx(1.5, rel=1e-5)
    only = source_losses(prediction, labels, LossOptions(tasks=("mask",)))
    assert float(only["enhance"]) == float(only["flow"]) == 0 < float(only["mask"])
    without = source_losses(prediction, target(labelled=False), LossOptions())
    assert all(float(loss) == 0 for loss in without.values())
