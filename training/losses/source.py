"""The losses of the source of the method, as its authors' code states them; on the outputs at the frame's size alone.

The Charbonnier penalty of the picture (epsilon 1e-6), the L1 error of the flow without labels beyond 100 pixels, and
the cross-entropy of the mask.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mostnet.model import Prediction
from mostnet.training.data.dataset import TASKS

from .ours import LossOptions, Target, mean_of_labelled

_EPSILON = 1e-6
_MOST_PX = 100.0


def source_losses(prediction: Prediction, target: Target, options: LossOptions) -> dict[str, Tensor]:
    """Unweighted loss of each task for one frame, float32 scalars; zero for a task not trained or without labels."""
    losses = dict.fromkeys(TASKS, target.flow.new_zeros(()))
    if "enhance" in options.tasks:
        error = prediction.enhanced.float() - target.reference
        penalty = torch.sqrt(error.square() + _EPSILON).mean((1, 2, 3))
        losses["enhance"] = mean_of_labelled(penalty, target.has_reference)
    if "flow" in options.tasks:
        short = torch.linalg.vector_norm(target.flow, dim=1, keepdim=True) <= _MOST_PX
        losses["flow"] = flow_l1(prediction.flow, target.flow, target.valid * short)
    if "mask" in options.tasks:
        entropy = F.binary_cross_entropy_with_logits(prediction.mask_logit.float(), target.mask, reduction="none")
        losses["mask"] = mean_of_labelled(entropy.mean((1, 2, 3)), target.has_mask)
    return losses


def flow_l1(flow: Tensor, label: Tensor, known: Tensor) -> Tensor:
    """Mean absolute error of both components of flow ``(N, 2, H, W)``, weighted by ``known`` ``(N, 1, H, W)``."""
    error = (flow.float() - label).abs().mean(1, keepdim=True) * known
    return error.sum() / known.sum().clamp_min(1.0)
