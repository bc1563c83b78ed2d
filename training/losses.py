"""What training minimises: every task at every decoder scale, and nothing for labels that are missing.

Enhancement: Charbonnier penalty of the error and of its horizontal and vertical differences (the detail term), against
the reference averaged over each cell. Flow: generalised Charbonnier penalty of the end-point error in pixels of the
frame (D. Sun et al., IJCV 106 (2014), exponent 0.45), at each predicted scale and at the frame's size. Mask: binary
cross-entropy and Dice (F. Milletari et al., 3DV 2016), against the fraction of each cell that is tooth.

The default weights bring an untrained network's three terms to about 0.1 each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mostnet.model import Prediction, ScalePrediction

TASKS = ("enhance", "flow", "mask")

_PICTURE_EPSILON = 1e-3
_FLOW_EPSILON_PX = 0.05
_FLOW_EXPONENT = 0.45
#: Weight of the finest scale, and of each of the others.
_FINEST, _COARSER = 1.0, 0.25


class Target(NamedTuple):
    """Labels of one frame of N clips.

    ``reference`` ``(N, 3, H, W)`` 0..1; ``mask`` ``(N, 1, H, W)`` 0..1; ``flow`` ``(N, 2, H, W)`` in pixels; ``valid``
    ``(N, 1, H, W)`` 0 or 1; ``has_reference`` and ``has_mask`` ``(N,)`` 0 or 1. All float32.
    """

    reference: Tensor
    mask: Tensor
    flow: Tensor
    valid: Tensor
    has_reference: Tensor
    has_mask: Tensor


@dataclass(frozen=True)
class LossOptions:
    """Weights of the tasks.

    Attributes:
        tasks: which tasks are trained.
        enhance: weight of the enhancement loss.
        flow: weight of the flow loss.
        mask: weight of the mask loss.
        detail: weight of the detail term beside the error itself.
    """

    tasks: tuple[str, ...] = TASKS
    enhance: float = 1.0
    flow: float = 0.03
    mask: float = 0.1
    detail: float = 0.5

    def weight(self, task: str) -> float:
        """The weight of a task, zero if it is not trained."""
        return float(getattr(self, task)) if task in self.tasks else 0.0


class TaskWeights(nn.Module):
    """Fixed weights, or weights learned from each task's uncertainty (A. Kendall et al., CVPR 2018).

    Learned, a task of loss ``L`` adds ``exp(-s) w L + s / 2`` (with its fixed weight ``w``); ``s`` starts at zero.
    """

    def __init__(self, options: LossOptions, *, learned: bool = False) -> None:
        super().__init__()
        self.options = options
        self.log_variance = nn.Parameter(torch.zeros(len(TASKS))) if learned else None

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """One number from the tasks' losses; tasks that are not trained are left out."""
        total = torch.zeros((), device=losses[TASKS[0]].device)
        for i, task in enumerate(TASKS):
            if task not in self.options.tasks:
                continue
            weighted = self.options.weight(task) * losses[task]
            if self.log_variance is not None:
                # A task without labels in this batch must not drive its own weight.
                labelled = (losses[task].detach() > 0).float()
                weighted = torch.exp(-self.log_variance[i]) * weighted + 0.5 * self.log_variance[i] * labelled
            total = total + weighted
        return total


def frame_losses(prediction: Prediction, target: Target, options: LossOptions) -> dict[str, Tensor]:
    """Unweighted loss of each task for one frame, float32 scalars; zero for tasks not trained or without labels.

    The frame's sides must be multiples of the coarsest stride.
    """
    zero = target.flow.new_zeros(())
    losses = dict.fromkeys(TASKS, zero)
    for i, scale in enumerate(prediction.scales):
        share = _FINEST if i == 0 else _COARSER
        if "enhance" in options.tasks:
            losses["enhance"] = losses["enhance"] + share * _enhance_loss(scale, target, options.detail)
        if "mask" in options.tasks:
            losses["mask"] = losses["mask"] + share * _mask_loss(scale, target)
        if "flow" in options.tasks and scale.flow is not None:
            losses["flow"] = losses["flow"] + 0.5 * _flow_loss(scale.flow, target, stride=scale.stride)
    if "flow" in options.tasks:
        losses["flow"] = losses["flow"] + _flow_loss(prediction.flow, target)
    return losses


def charbonnier(x: Tensor, epsilon: float = _PICTURE_EPSILON) -> Tensor:
    """A smooth absolute value, zero at zero."""
    return torch.sqrt(x * x + epsilon * epsilon) - epsilon


def _enhance_loss(scale: ScalePrediction, target: Target, detail: float) -> Tensor:
    enhanced = scale.enhanced.float()
    cell = target.reference.shape[-1] // enhanced.shape[-1]
    error = enhanced - (target.reference if cell == 1 else F.avg_pool2d(target.reference, cell))
    loss = charbonnier(error).mean((1, 2, 3))
    if detail:
        across = charbonnier(error[..., 1:] - error[..., :-1]).mean((1, 2, 3))
        down = charbonnier(error[..., 1:, :] - error[..., :-1, :]).mean((1, 2, 3))
        loss = loss + detail * (across + down)
    return _mean_of_labelled(loss, target.has_reference)


def _mask_loss(scale: ScalePrediction, target: Target) -> Tensor:
    logit = scale.mask_logit.float()
    tooth = F.avg_pool2d(target.mask, scale.stride)
    entropy = F.binary_cross_entropy_with_logits(logit, tooth, reduction="none").mean((1, 2, 3))
    probability = torch.sigmoid(logit)
    overlap = (probability * tooth).sum((1, 2, 3))
    # One cell is added to both, so that an empty mask that is predicted empty costs nothing.
    dice = 1 - (2 * overlap + 1) / (probability.sum((1, 2, 3)) + tooth.sum((1, 2, 3)) + 1)
    return _mean_of_labelled(entropy + dice, target.has_mask)


def _flow_loss(flow: Tensor, target: Target, *, stride: int = 1) -> Tensor:
    """Robust end-point error against the mean known flow of each cell, weighted by how much of it is known."""
    known, wanted = target.valid, torch.where(target.valid > 0, target.flow, 0.0)
    if stride > 1:
        known = F.avg_pool2d(known, stride)
        wanted = F.avg_pool2d(wanted, stride) / known.clamp_min(1e-6)
    square = ((flow.float() - wanted) ** 2).sum(1, keepdim=True)
    robust = (square + _FLOW_EPSILON_PX**2) ** _FLOW_EXPONENT
    return (robust * known).sum() / known.sum().clamp_min(1.0)


def _mean_of_labelled(loss: Tensor, labelled: Tensor) -> Tensor:
    return (loss * labelled).sum() / labelled.sum().clamp_min(1.0)
