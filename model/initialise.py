"""Seeded initial weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .branch import Branch
from .checkpoint import Checkpoint
from .config import VARIANTS
from .flow import FlowEstimator, GradientStep
from .layers import ChannelAttentionFusion, ResidualBlock
from .network import MostNet

#: Tint of the noise on which heads are scaled, BGR: teeth, gums and light are warm.
_CLIP_TINT = (-0.3, 0.0, 0.7)
#: Gain of the last convolution of each residual block, so that depth does not multiply the variance.
_RESIDUAL_GAIN = 0.3
#: Gain of the weights that read the previous frame, so that an untrained recurrence forgets.
_RECURRENT_GAIN = 0.5
#: Gain of the layers that correct the matched flow.
_FLOW_GAIN = 0.05
#: Logit of the first trust in a match, and first damping of a gradient step.
_TRUST, _LOG_DAMPING = 1.0, -0.5
#: Standard deviations of the heads after scaling: enhancement residual and gain (frame is 0..1), mask logit.
_RESIDUAL_STD, _GAIN_STD, _MASK_STD = 0.06, 0.1, 2.0
#: Size of the shift of a random colour map, and of its scale's distance from 1, on the last frame of the noise clip.
_COLOUR_SIZE = 0.05
#: Mean mask logit: a close view shows more tooth than background.
_MASK_OFFSET = 1.0


def initial_checkpoint(variant: str, *, seed: int = 0, random_head: bool = False) -> Checkpoint:
    """An untrained network whose weights depend only on ``variant``, ``seed`` and ``random_head``.

    Enhancement head and colour map change nothing, so the network returns its frame. With ``random_head`` they are
    random and visibly change the picture, for tests of export and runtime. The mask covers part of the frame in both
    cases.

    Raises:
        KeyError: there is no such variant.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MostNet(VARIANTS[variant])
        _initialise(model)
        model.eval().requires_grad_(False)
        _scale_heads(model)
        if not random_head:
            _zero_enhancement(model)
    return Checkpoint(variant, model)


def _initialise(model: MostNet) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                module.bias.data.zero_()
    for module in model.modules():
        if isinstance(module, ResidualBlock):
            module.conv2.weight.data.mul_(_RESIDUAL_GAIN)
        elif isinstance(module, ChannelAttentionFusion):
            module.mix_conv.weight.data[:, module.mix_conv.out_channels :].mul_(_RECURRENT_GAIN)
        elif isinstance(module, FlowEstimator):
            module.leave.weight.data.mul_(_FLOW_GAIN)
            _bias(module.leave)[-1] = _TRUST
        elif isinstance(module, Branch):
            if module.predicts_flow:
                module.head.weight.data[_MASK_ROW + 1 :].mul_(_FLOW_GAIN)
            if module.gradient_step is not None:
                _bias(module.head)[-3:-1] = _LOG_DAMPING
            # tanh of a unit-variance input: neither saturated nor linear.
            nn.init.normal_(module.remember.weight, std=float(module.remember.in_channels) ** -0.5)
    for module in model.modules():
        if isinstance(module, GradientStep):
            module.reset_parameters()
    model.colour.reset_parameters()
    nn.init.normal_(model.colour.decide.weight)


def _bias(module: nn.Conv2d) -> Tensor:
    """The data of a bias, which every convolution of the network has."""
    assert module.bias is not None
    return module.bias.data


def _branches(model: MostNet) -> list[Branch]:
    return [module for module in model.modules() if isinstance(module, Branch)]


#: Index of the mask logit among the outputs of a branch's head: gains of three colours come first.
_MASK_ROW = 3


def _zero_enhancement(model: MostNet) -> None:
    model.colour.decide.weight.data.zero_()
    for branch in _branches(model):
        branch.residual.weight.data.zero_()
        branch.head.weight.data[:_MASK_ROW] = 0
        _bias(branch.head)[:_MASK_ROW] = 0


def _scale_heads(model: MostNet) -> None:
    """Scale each row of each head to its standard deviation on a seeded clip of moving noise.

    A row with a bias gets zero mean.

    The outputs of the colour map are scaled to ``_COLOUR_SIZE``.
    """
    for branch in _branches(model):
        taps = branch.head.weight.data[_MASK_ROW]
        # The mask starts smooth, so that one rounding does not decide a pixel.
        taps.copy_(taps.mean((1, 2), keepdim=True).expand_as(taps))
    captured: dict[nn.Module, Tensor] = {}
    layers = [layer for branch in _branches(model) for layer in (branch.head, branch.residual)]
    hooks = [
        module.register_forward_hook(lambda module, _, output: captured.__setitem__(module, output))
        for module in (*layers, model.colour.decide)
    ]
    model(_noise_clip())
    for hook in hooks:
        hook.remove()
    size = captured[model.colour.decide].abs().clamp_min(1e-6)
    model.colour.decide.weight.data.mul_(_COLOUR_SIZE / size.view(-1, 1, 1, 1))
    for branch in _branches(model):
        _scale_rows(branch.residual, captured[branch.residual], _RESIDUAL_STD)
        _scale_rows(branch.head, captured[branch.head][:, :_MASK_ROW], _GAIN_STD)
        _scale_rows(branch.head, captured[branch.head][:, _MASK_ROW : _MASK_ROW + 1], _MASK_STD, first=_MASK_ROW)
        _bias(branch.head)[_MASK_ROW] += _MASK_OFFSET


def _scale_rows(layer: nn.Conv2d, values: Tensor, std: float, *, first: int = 0) -> None:
    """Scale the rows of ``layer`` from ``first`` on, whose outputs are ``values``, to a standard deviation."""
    rows = slice(first, first + values.shape[1])
    scale = std / values.std((0, 2, 3)).clamp_min(1e-6)
    layer.weight.data[rows].mul_(scale[:, None, None, None])
    if layer.bias is not None:
        layer.bias.data[rows] = -values.mean((0, 2, 3)) * scale


def _noise_clip(frames: int = 4, height: int = 128, width: int = 160) -> Tensor:
    """Several octaves of coloured noise ``(1, T, 3, H, W)``, 0..1, moving by three pixels per frame."""
    canvas = torch.zeros(1, 3, height, width + 3 * frames)
    for octave in range(5):
        cells = (height >> (5 - octave), canvas.shape[-1] >> (5 - octave))
        canvas += F.interpolate(torch.randn(1, 3, *cells), canvas.shape[-2:], mode="bicubic") * 0.5**octave
    canvas = torch.sigmoid(canvas + torch.tensor(_CLIP_TINT).view(1, 3, 1, 1))
    return torch.stack([canvas[..., 3 * t : 3 * t + width] for t in range(frames)], dim=1)
