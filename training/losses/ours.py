"""The losses: every task at every decoder scale; a missing label costs nothing.

Enhancement, against the reference averaged over each cell:
    - the Charbonnier penalty of the error, and of its horizontal and vertical differences (the detail term);
    - the logarithm of the mean square error of each frame, because PSNR measures it (L. Chen et al., HINet, CVPR
      Workshops 2021). In this term, one dB counts the same in a good picture as in a bad one, up to about 40 dB;
    - the Charbonnier penalty and the logarithm again, after the best affine map of each channel onto the reference (the
      fit term). A frame does not say how bright or tinted the reference is. Without this term, a wrong guess outweighs
      every error of a detail.

Flow:
    - the generalised Charbonnier penalty of the end-point error in pixels of the frame (D. Sun et al., IJCV 106 (2014),
      exponent 0.45), at each predicted scale before and after propagation and after refinement, and at the size of the
      frame;
    - the motion term: the part of the error on the teeth that a similarity fits, because a stabiliser follows it;
    - the matching term: the divergence of each softmax over displacements from the true displacement, spread over the
      nearest cells. Without it, the network leaves matching to the correction, which sees no further than its kernels;
    - the uncertainty term: the negative logarithm of the likelihood of the error's length, as if it were exponential.
      It trains the uncertainty alone.

Mask, against the fraction of each cell that is tooth:
    - binary cross-entropy, and Dice (F. Milletari et al., 3DV 2016).

With the default weights, the losses of the three tasks of an untrained network are within a factor of four.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mostnet.model import STRIDES, Matching, Prediction, ScalePrediction
from mostnet.training.data.dataset import TASKS

_PICTURE_EPSILON = 1e-3
_FLOW_EPSILON_PX = 0.05
_FLOW_EXPONENT = 0.45
#: Root mean square error that is good enough (46 dB), and what each factor of e above it adds to the loss.
_GOOD_ENOUGH, _PER_FACTOR = 0.005, 0.03
#: Variance below which a channel counts as flat, and the greatest scale of the fit term.
_FLAT, _MOST_SCALE = 1e-6, 4.0
#: Weights of the finest scale, of each other scale, and of each scale's flow relative to the flow at the frame's size.
_FINEST, _COARSER, _FLOW_SCALE = 1.0, 0.25, 0.5
#: Weights of a scale's flow before and after propagation, and of its uncertainty.
_BEFORE_REFINEMENT, _UNCERTAINTY = 0.25, 0.1
#: Weight of the motion term relative to the end-point error, and the least share of tooth in a frame for it to count.
_MOTION, _ENOUGH_TOOTH = 2.0, 0.005
#: The displacement of a cell counts as known if it is known at more than this share of the cell's pixels.
_HALF_KNOWN = 0.5
#: Number of fields of a ``Target`` that are maps.
_SPATIAL = 4


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
        tasks: tasks that are trained.
        enhance: weight of the enhancement loss.
        flow: weight of the flow loss.
        mask: weight of the mask loss.
        detail: weight of the detail term relative to the error.
        fit: weight of the fit term relative to the error.
    """

    tasks: tuple[str, ...] = TASKS
    enhance: float = 1.0
    flow: float = 0.02
    mask: float = 0.1
    detail: float = 0.5
    fit: float = 1.0

    def weight(self, task: str) -> float:
        """The weight of a task, zero if it is not trained."""
        return float(getattr(self, task)) if task in self.tasks else 0.0


class TaskWeights(nn.Module):
    """Fixed weights, or weights learned from each task's uncertainty (A. Kendall et al., CVPR 2018).

    With learned weights, a task of loss ``L`` and fixed weight ``w`` adds ``exp(-s) w L + s / 2``. ``s`` starts at 0.
    """

    def __init__(self, options: LossOptions, *, learned: bool = False) -> None:
        super().__init__()
        self.options = options
        self.log_variance = nn.Parameter(torch.zeros(len(TASKS))) if learned else None

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """The weighted sum of the losses of the trained tasks."""
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
    """Unweighted loss of each task for one frame, float32 scalars; zero for a task not trained or without labels.

    The frame's sides must be multiples of the coarsest stride.
    """
    losses = dict.fromkeys(TASKS, target.flow.new_zeros(()))
    cells = target_cells(target)
    for i, scale in enumerate(prediction.scales):
        share = _FINEST if i == 0 else _COARSER
        cell = cells[scale.stride]
        if "enhance" in options.tasks:
            labels = target if i == 0 else cell  # the finest scale predicts every pixel
            losses["enhance"] = losses["enhance"] + share * _enhance_loss(scale.enhanced, labels, options)
        if "mask" in options.tasks:
            losses["mask"] = losses["mask"] + share * mask_loss(scale.mask_logit, cell)
        if "flow" in options.tasks and scale.flow is not None:
            losses["flow"] = losses["flow"] + _scale_flow_loss(scale, cell)
    if "flow" in options.tasks:
        losses["flow"] = losses["flow"] + _flow_loss(prediction.flow, target)
        losses["flow"] = losses["flow"] + _MOTION * tooth_motion_error(prediction.flow, target)
    return losses


def target_cells(target: Target) -> dict[int, Target]:
    """The labels averaged over the cells of each stride: flow over its known pixels, whose fraction is ``valid``."""
    sums = target._replace(flow=target.flow * target.valid)
    cells, side = {}, 1
    for stride in STRIDES:
        pooled = [F.avg_pool2d(part, stride // side) for part in sums[:_SPATIAL]]
        sums, side = Target(*pooled, *sums[_SPATIAL:]), stride
        cells[stride] = sums._replace(flow=sums.flow / sums.valid.clamp_min(1e-6))
    return cells


def charbonnier(x: Tensor, epsilon: float = _PICTURE_EPSILON) -> Tensor:
    """A smooth absolute value, zero at zero."""
    return torch.sqrt(x * x + epsilon * epsilon) - epsilon


def tooth_motion_error(flow: Tensor, target: Target) -> Tensor:
    """Root mean square, over the teeth, of the similarity that best fits the flow's error there; a scalar in pixels.

    A least-squares fit is linear in its data, so the fit of the error is the error of the fit. With pixels and vectors
    as complex numbers, the similarity is ``mean + factor * (place - centre)``. The result is the mean over the clips
    with enough tooth of known flow, zero if there are none.
    """
    height, width = flow.shape[-2:]
    weight = (target.mask * target.valid * target.has_mask.view(-1, 1, 1, 1))[:, 0]
    total = weight.sum((1, 2))
    weight = weight / total.clamp_min(1.0).view(-1, 1, 1)
    x = torch.arange(width, device=flow.device).expand(height, width)
    y = torch.arange(height, device=flow.device)[:, None].expand(height, width)

    def mean(values: Tensor) -> Tensor:
        return (weight * values).sum((1, 2))

    across = x - mean(x).view(-1, 1, 1)
    down = y - mean(y).view(-1, 1, 1)
    dx, dy = (flow.float() - target.flow).unbind(1)
    spread = mean(across * across + down * down).clamp_min(1.0)
    real, imaginary = mean(across * dx + down * dy), mean(across * dy - down * dx)
    square = mean(dx).square() + mean(dy).square() + (real.square() + imaginary.square()) / spread
    error = torch.sqrt(square + _FLOW_EPSILON_PX**2) - _FLOW_EPSILON_PX
    return mean_of_labelled(error, (total > _ENOUGH_TOOTH * height * width).float())


def matching_divergence(matching: Matching, cell: Target, stride: int) -> Tensor:
    """Kullback-Leibler divergence of the softmax over displacements from the true displacement, a scalar.

    The true displacement is spread bilinearly over the four nearest cells, so that its expectation is exact. A cell
    does not count if at most half of it is known, or if its displacement is outside the search range.

    Args:
        matching: matching of the scale.
        cell: labels at the scale.
        stride: stride of the scale, in pixels of the frame.
    """
    n, candidates, height, width = matching.cost.shape
    radius = math.isqrt(candidates) // 2
    wanted = cell.flow if matching.around is None else cell.flow - matching.around.detach()
    wanted = wanted / stride
    counts = (wanted.abs().amax(1) <= radius) & (cell.valid[:, 0] > _HALF_KNOWN)
    steps = torch.arange(-radius, radius + 1, device=wanted.device).view(1, -1, 1, 1)
    across, down = (F.relu(1 - (steps - wanted[:, i : i + 1]).abs()) for i in range(2))
    true = (down.unsqueeze(2) * across.unsqueeze(1)).reshape(n, candidates, height, width)
    found = torch.log_softmax(matching.cost.float() * matching.sharpness, dim=1)
    divergence = (torch.xlogy(true, true) - true * found).sum(1) * counts
    return divergence.sum() / counts.sum().clamp_min(1)


def _enhance_loss(enhanced: Tensor, target: Target, options: LossOptions) -> Tensor:
    enhanced = enhanced.float()
    error = enhanced - target.reference
    loss = _picture_error(error)
    if options.detail:
        across = charbonnier(error[..., 1:] - error[..., :-1]).mean((1, 2, 3))
        down = charbonnier(error[..., 1:, :] - error[..., :-1, :]).mean((1, 2, 3))
        loss = loss + options.detail * (across + down)
    if options.fit:
        scale, shift = best_map(enhanced.detach(), target.reference)
        loss = loss + options.fit * _picture_error(enhanced * scale + shift - target.reference)
    return mean_of_labelled(loss, target.has_reference)


def _picture_error(error: Tensor) -> Tensor:
    """Charbonnier penalty and logarithm of the mean square of each frame, ``(N,)``."""
    factors = 0.5 * torch.log1p(error.square().mean((1, 2, 3)) / _GOOD_ENOUGH**2)
    return charbonnier(error).mean((1, 2, 3)) + _PER_FACTOR * factors


def best_map(picture: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift ``(N, C, 1, 1)`` that carry each channel of ``picture`` onto ``reference`` by least squares.

    A flat channel is only shifted. The scale is from 0 to 4: no channel is inverted, and a nearly flat one makes no
    large gradients.
    """
    mean, wanted = picture.mean((2, 3), keepdim=True), reference.mean((2, 3), keepdim=True)
    variance = (picture - mean).square().mean((2, 3), keepdim=True)
    covariance = ((picture - mean) * (reference - wanted)).mean((2, 3), keepdim=True)
    scale = torch.where(variance > _FLAT, covariance / variance.clamp_min(_FLAT), 1.0).clamp(0, _MOST_SCALE)
    return scale, wanted - scale * mean


def mask_loss(mask_logit: Tensor, target: Target) -> Tensor:
    """Cross-entropy and Dice of a mask ``(N, 1, H, W)`` of logits against the label of the same size, a scalar."""
    logit, tooth = mask_logit.float(), target.mask
    entropy = F.binary_cross_entropy_with_logits(logit, tooth, reduction="none").mean((1, 2, 3))
    probability = torch.sigmoid(logit)
    overlap = (probability * tooth).sum((1, 2, 3))
    # One cell is added to both sides, so that an empty mask that is predicted empty costs nothing.
    dice = 1 - (2 * overlap + 1) / (probability.sum((1, 2, 3)) + tooth.sum((1, 2, 3)) + 1)
    return mean_of_labelled(entropy + dice, target.has_mask)


def _scale_flow_loss(scale: ScalePrediction, cell: Target) -> Tensor:
    assert scale.flow is not None
    loss = _FLOW_SCALE * _flow_loss(scale.flow, cell)
    if scale.matching is not None:
        for flow in (scale.matching.matched, scale.matching.estimate):
            loss = loss + _BEFORE_REFINEMENT * _flow_loss(flow, cell)
        loss = loss + matching_divergence(scale.matching, cell, scale.stride)
    if scale.log_error is not None:
        loss = loss + _UNCERTAINTY * uncertainty_loss(scale.log_error, scale.flow, cell)
    return loss


def uncertainty_loss(log_error: Tensor, flow: Tensor, cell: Target) -> Tensor:
    """Mean of ``error / expected + log(expected)``, whose minimum is at the mean of the errors; a scalar from 0 up.

    Both lengths have a least of ``_FLOW_EPSILON_PX``, without which a flow without error would have no minimum. No
    gradient flows to ``flow``: the network must not find easy cells more important than hard ones.
    """
    difference = flow.detach().float() - cell.flow
    error = torch.sqrt(difference.square().sum(1, keepdim=True) + _FLOW_EPSILON_PX**2)
    ratio = log_error.float() - math.log(_FLOW_EPSILON_PX)
    expected = F.softplus(ratio)  # logarithm of the expected length over the least one
    loss = (error / _FLOW_EPSILON_PX * torch.exp(-expected) + expected - 1) * cell.valid
    return loss.sum() / cell.valid.sum().clamp_min(1.0)


def _flow_loss(flow: Tensor, target: Target) -> Tensor:
    """Robust end-point error, each cell weighted by its known fraction; zero if no flow is known."""
    difference = (flow.float() - target.flow) * (target.valid > 0)
    robust = (difference.square().sum(1, keepdim=True) + _FLOW_EPSILON_PX**2) ** _FLOW_EXPONENT
    return (robust * target.valid).sum() / target.valid.sum().clamp_min(1.0)


def mean_of_labelled(loss: Tensor, labelled: Tensor) -> Tensor:
    """Mean of a loss ``(N,)`` over the clips that are labelled; zero if none is."""
    return (loss * labelled).sum() / labelled.sum().clamp_min(1.0)
