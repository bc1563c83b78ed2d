"""The losses of the networks of Table I, each from the paper of its network.

- FlowNetS: end-point error at five scales (A. Dosovitskiy et al., ICCV 2015), with the weights of its authors' code.
- RAFT: L1 error of every iteration, later ones more (Z. Teed and J. Deng, ECCV 2020).
- MIMO-UNet: L1 error at three scales, of the pictures and of their spectra (S.-J. Cho et al., ICCV 2021).
- ESTRNN: mean square error (Z. Zhong et al., ECCV 2020).
- UNet++ and DeepLabv3+: cross-entropy and Dice, as for our own mask.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mostnet.model.table1 import Baseline, BaselinePrediction
from mostnet.training.data.dataset import TASKS

from .ours import Target, mask_loss, mean_of_labelled
from .source import flow_l1

#: Weights of the scales of FlowNetS, coarsest first; each is for the sum over the cells of its scale.
_FLOWNET_WEIGHTS = (0.32, 0.08, 0.02, 0.01, 0.005)
#: Each iteration of RAFT counts this much of the next; labels of this length or longer do not count.
_RAFT_DECAY, _RAFT_MOST_PX = 0.8, 400.0
_SPECTRUM = 0.1


def baseline_losses(network: Baseline, prediction: BaselinePrediction, target: Target) -> dict[str, Tensor]:
    """Unweighted loss of each task for one frame, float32 scalars; zero for a task without labels or that it lacks."""
    losses = dict.fromkeys(TASKS, target.flow.new_zeros(()))
    task, loss = _LOSSES[network.name]
    losses[task] = loss(prediction, _padded(target, network.stride))
    return losses


def _flownet(prediction: BaselinePrediction, target: Target) -> Tensor:
    loss = target.flow.new_zeros(())
    cells = target.valid.shape[-2] * target.valid.shape[-1]
    for weight, flow in zip(_FLOWNET_WEIGHTS, prediction.steps, strict=True):
        side = target.valid.shape[-1] // flow.shape[-1]
        known = F.avg_pool2d(target.valid, side)
        label = F.avg_pool2d(target.flow * target.valid, side) / known.clamp_min(1e-6)
        error = torch.linalg.vector_norm(flow.float() - label, dim=1, keepdim=True) * known
        loss = loss + weight * error.sum() / (len(flow) * cells)
    return loss


def _raft(prediction: BaselinePrediction, target: Target) -> Tensor:
    short = torch.linalg.vector_norm(target.flow, dim=1, keepdim=True) < _RAFT_MOST_PX
    loss = target.flow.new_zeros(())
    for k, flow in enumerate(reversed(prediction.steps)):
        loss = loss + _RAFT_DECAY**k * flow_l1(flow, target.flow, target.valid * short)
    return loss


def _mimo(prediction: BaselinePrediction, target: Target) -> Tensor:
    loss = target.flow.new_zeros(())
    for picture in prediction.steps:
        reference = F.avg_pool2d(target.reference, target.reference.shape[-1] // picture.shape[-1])
        error = picture.float() - reference
        spectrum = torch.view_as_real(torch.fft.rfft2(error)).abs().mean((1, 2, 3, 4))
        loss = loss + mean_of_labelled(error.abs().mean((1, 2, 3)) + _SPECTRUM * spectrum, target.has_reference)
    return loss


def _estrnn(prediction: BaselinePrediction, target: Target) -> Tensor:
    height, width = prediction.enhanced.shape[-2:]
    error = prediction.enhanced.float() - target.reference[..., :height, :width]
    return mean_of_labelled(error.square().mean((1, 2, 3)), target.has_reference)


def _segmenter(prediction: BaselinePrediction, target: Target) -> Tensor:
    height, width = prediction.mask_logit.shape[-2:]
    return mask_loss(prediction.mask_logit, target._replace(mask=target.mask[..., :height, :width]))


_LOSSES: dict[str, tuple[str, Callable[[BaselinePrediction, Target], Tensor]]] = {
    "flownet": ("flow", _flownet),
    "raft": ("flow", _raft),
    "mimo-unet": ("enhance", _mimo),
    "estrnn": ("enhance", _estrnn),
    "unet++": ("mask", _segmenter),
    "deeplabv3+": ("mask", _segmenter),
}


def _padded(target: Target, stride: int) -> Target:
    """The labels for frames padded to multiples of ``stride``: nothing is known of the padding's flow."""
    height, width = target.valid.shape[-2:]
    missing = (0, -width % stride, 0, -height % stride)
    if not any(missing):
        return target
    return target._replace(
        reference=F.pad(target.reference, missing, mode="replicate"),
        mask=F.pad(target.mask, missing, mode="replicate"),
        flow=F.pad(target.flow, missing),
        valid=F.pad(target.valid, missing),
    )
