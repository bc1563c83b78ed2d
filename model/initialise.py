"""Seeded initial weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoint import Checkpoint
from .config import VARIANTS
from .flow import FlowEstimator
from .layers import ChannelAttentionFusion, ResidualBlock
from .network import Branch, MostNet

#: Tint of the noise on which heads are scaled, BGR: teeth, gums and light are warm.
_CLIP_TINT = (-0.3, 0.0, 0.7)
#: Gain of the last convolution of each residual block, so that depth does not multiply the variance.
_RESIDUAL_GAIN = 0.3
#: Gain of the weights that read the previous frame, so that an untrained recurrence forgets.
_RECURRENT_GAIN = 0.5
#: Gain of the layers that correct the matched flow.
_FLOW_GAIN = 0.05
#: Standard deviations of the heads after scaling: enhancement residual and gain (frame is 0..1), mask logit.
_HEAD_STD = (0.06, 0.1, 2.0)
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
            _bias(module).zero_()
    for module in model.modules():
        if isinstance(module, ResidualBlock):
            module.conv2.weight.data.mul_(_RESIDUAL_GAIN)
        elif isinstance(module, ChannelAttentionFusion):
            module.mix_conv.weight.data[:, module.mix_conv.out_channels :].mul_(_RECURRENT_GAIN)
        elif isinstance(module, FlowEstimator):
            module.leave.weight.data.mul_(_FLOW_GAIN)
        elif isinstance(module, Branch):
            if module.predicts_flow:
                module.head.weight.data[-2:].mul_(_FLOW_GAIN)
            # tanh of a unit-variance input: neither saturated nor linear.
            nn.init.normal_(module.remember.weight, std=float(module.remember.in_channels) ** -0.5)
    model.colour.reset_parameters()
    nn.init.normal_(model.colour.decide.weight)


def _bias(module: nn.Conv2d) -> Tensor:
    """The data of a bias, which every convolution of the network has."""
    assert module.bias is not None
    return module.bias.data


def _branches(model: MostNet) -> list[Branch]:
    return [module for module in model.modules() if isinstance(module, Branch)]


def _mask_row(branch: Branch) -> int:
    """Index of the mask logit among the head's outputs."""
    return int(branch.head_channels[0] + branch.head_channels[1])


def _zero_enhancement(model: MostNet) -> None:
    model.colour.decide.weight.data.zero_()
    for branch in _branches(model):
        residual, gain, *_ = branch.head_channels
        branch.head.weight.data[: residual + gain] = 0
        _bias(branch.head)[: residual + gain] = 0


def _scale_heads(model: MostNet) -> None:
    """Scale each row of each head to zero mean and ``_HEAD_STD`` on a seeded clip of moving noise.

    The outputs of the colour map are scaled to ``_COLOUR_SIZE``.
    """
    for branch in _branches(model):
        taps = branch.head.weight.data[_mask_row(branch)]
        # The mask starts smooth, so that one rounding does not decide a pixel.
        taps.copy_(taps.mean((1, 2), keepdim=True).expand_as(taps))
    captured: dict[nn.Module, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda module, _, output: captured.__setitem__(module, output))
        for module in (*(branch.head for branch in _branches(model)), model.colour.decide)
    ]
    model(_noise_clip())
    for hook in hooks:
        hook.remove()
    size = captured[model.colour.decide].abs().clamp_min(1e-6)
    model.colour.decide.weight.data.mul_(_COLOUR_SIZE / size.view(-1, 1, 1, 1))
    for branch in _branches(model):
        start = 0
        for rows, std in zip(branch.head_channels, _HEAD_STD, strict=False):
            part = slice(start, start + rows)
            values = captured[branch.head][:, part]
            scale = std / values.std((0, 2, 3)).clamp_min(1e-6)
            branch.head.weight.data[part].mul_(scale[:, None, None, None])
            _bias(branch.head)[part] = -values.mean((0, 2, 3)) * scale
            start += rows
        _bias(branch.head)[_mask_row(branch)] += _MASK_OFFSET


def _noise_clip(frames: int = 4, height: int = 128, width: int = 160) -> Tensor:
    """Several octaves of coloured noise ``(1, T, 3, H, W)``, 0..1, moving by three pixels per frame."""
    canvas = torch.zeros(1, 3, height, width + 3 * frames)
    for octave in range(5):
        cells = (height >> (5 - octave), canvas.shape[-1] >> (5 - octave))
        canvas += F.interpolate(torch.randn(1, 3, *cells), canvas.shape[-2:], mode="bicubic") * 0.5**octave
    canvas = torch.sigmoid(canvas + torch.tensor(_CLIP_TINT).view(1, 3, 1, 1))
    return torch.stack([canvas[..., 3 * t : 3 * t + width] for t in range(frames)], dim=1)
