"""Start a wide network from a narrow one, so that it computes nearly the same before it learns more.

The narrow channels lie among the wide ones. The new channels are random and read everything, but no narrow channel
reads them. So the wide network differs from the narrow one only by the range of its search and by slightly longer match
vectors. A flow scale that only one of them has is lost, or begins untrained. In Net2Net (T. Chen et al., ICLR 2016) new
channels are copies; ours differ from the first step on.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from mostnet.contract import TrainingError
from mostnet.model import MostNet
from mostnet.model.branch import Branch
from mostnet.model.flow import FlowEstimator, GradientStep, MatchHead, SoftMatch
from mostnet.model.layers import ResidualBlock

#: Sizes of one part of a concatenation, in the narrow and in the wide network.
Sizes = tuple[int, int]

#: Factor of the random weights of new match channels: a match vector has length one, so each takes from the others.
_NEW_MATCH = 0.05
_COLOURS, _CELL_NUMBERS, _HALF_NUMBERS = 3, 48, 12
#: Names of the sizes that are tuples.
_SIZES = ("channels", "extractor_blocks", "decoder_blocks", "state_channels", "search_radii", "flow_channels")


@torch.no_grad()
def grow(narrow: MostNet, wide: MostNet) -> None:
    """Put the weights of a narrow network into a wide one with random weights.

    Raises:
        TrainingError: some size of ``wide`` is smaller.
    """
    _check_sizes(narrow, wide)
    channels = list(zip(narrow.config.channels, wide.config.channels, strict=True))
    states = list(zip(narrow.config.state_channels, wide.config.state_channels, strict=True))
    _grow_extractor(narrow, wide, channels)
    _grow_flow(narrow, wide, channels)
    for scale in range(len(channels)):
        coarser = channels[scale + 1] if scale + 1 < len(channels) else None
        before, after = (cast(Branch, net.branches[scale]) for net in (narrow, wide))
        _grow_branch(before, after, channels[scale], states[scale], coarser)
    _grow_band(narrow, wide)
    _grow_conv(narrow.colour.vote, wide.colour.vote, [channels[-1], _same(_COLOURS)], [])
    wide.colour.weigh.load_state_dict(narrow.colour.weigh.state_dict())
    wide.colour.decide.load_state_dict(narrow.colour.decide.state_dict())


def _check_sizes(narrow: MostNet, wide: MostNet) -> None:
    small, large = narrow.config, wide.config
    scales = min(len(small.flow_scales), len(large.flow_scales))
    pairs: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    for name in _SIZES:
        before, after = getattr(small, name), getattr(large, name)
        per_flow = name in ("search_radii", "flow_channels")
        pairs[name] = (before[:scales], after[:scales]) if per_flow else (before, after)
    pairs["image_channels"] = (small.image_channels,), (large.image_channels,)
    pairs["match_channels"] = (small.match_channels,), (large.match_channels,)
    for name, (before, after) in pairs.items():
        if any(x > y for x, y in zip(before, after, strict=True)):
            raise TrainingError(
                f"a network cannot start from a wider one: its {name} are {after}, those of the weights {before}; "
                "train the wider variant, or start without --init"
            )


def _grow_extractor(narrow: MostNet, wide: MostNet, channels: list[Sizes]) -> None:
    before, after = narrow.extractor, wide.extractor
    image = (narrow.config.image_channels, wide.config.image_channels)
    _grow_conv(_first(before.stem), _first(after.stem), [_same(_CELL_NUMBERS)], [channels[0]])
    for i, numbers in enumerate((_HALF_NUMBERS, _COLOURS)):
        _grow_conv(_first(before.down[i]), _first(after.down[i]), [channels[i]], [channels[i + 1]])
        _grow_conv(_first(before.image[i]), _first(after.image[i]), [_same(numbers)], [image])
        _grow_conv(_first(before.join[i]), _first(after.join[i]), [channels[i + 1], image], [channels[i + 1]])
    for i, sizes in enumerate(channels):
        _grow_blocks(before.blocks[i], after.blocks[i], sizes)


def _grow_flow(narrow: MostNet, wide: MostNet, channels: list[Sizes]) -> None:
    match = (narrow.config.match_channels, wide.config.match_channels)
    for i, scale in enumerate(narrow.config.flow_scales[: len(wide.config.flow_scales)]):
        before, after = (cast(MatchHead, net.match_heads[i]) for net in (narrow, wide))
        _grow_conv(before.conv, after.conv, [channels[scale]], [match], factor=_NEW_MATCH)
        small, large = (cast(FlowEstimator, net.estimators[i]) for net in (narrow, wide))
        hidden = (narrow.config.flow_channels[i], wide.config.flow_channels[i])
        _grow_estimator(small, large, channels[scale], hidden)


def _grow_estimator(narrow: FlowEstimator, wide: FlowEstimator, channels: Sizes, hidden: Sizes) -> None:
    wide.soft_match.log_sharpness.copy_(narrow.soft_match.log_sharpness)
    context = (narrow.context.out_channels, wide.context.out_channels)
    _grow_conv(narrow.context, wide.context, [channels], [context])
    radii = (narrow.soft_match.radius, wide.soft_match.radius)
    costs = (2 * radii[1] + 1) ** 2
    rest = costs + _places([_same(SoftMatch.found_channels), context])
    _put(_first(narrow.enter), _first(wide.enter), torch.cat((_displacements(*radii), rest)), _places([hidden]))
    _grow_blocks(narrow.block, wide.block, hidden)
    _grow_conv(narrow.leave, wide.leave, [hidden], [])


def _grow_branch(narrow: Branch, wide: Branch, channels: Sizes, state: Sizes, coarser: Sizes | None) -> None:
    both = [channels, state]
    squeezed = (narrow.fuse.squeeze.out_channels, wide.fuse.squeeze.out_channels)
    _grow_conv(narrow.fuse.squeeze, wide.fuse.squeeze, both, [squeezed])
    _grow_conv(narrow.fuse.excite, wide.fuse.excite, [squeezed], both)
    _grow_conv(narrow.fuse.mix_conv, wide.fuse.mix_conv, both, [channels])
    if narrow.from_coarser is not None and wide.from_coarser is not None and coarser is not None:
        _grow_conv(narrow.from_coarser, wide.from_coarser, [coarser], [channels])
    _grow_blocks(narrow.blocks, wide.blocks, channels)
    _grow_conv(narrow.remember, wide.remember, [channels], [state])
    _grow_conv(narrow.residual, wide.residual, [channels], [])
    # What both heads predict comes first: gain, mask, and the correction of the flow.
    rows = torch.arange(min(narrow.head.out_channels, wide.head.out_channels))
    _put(narrow.head, wide.head, _places([channels]), rows)


def _grow_band(narrow: MostNet, wide: MostNet) -> None:
    before, after = (next(m for m in net.modules() if isinstance(m, GradientStep)) for net in (narrow, wide))
    after.band.copy_(before.band)


def _grow_blocks(narrow: nn.Module, wide: nn.Module, channels: Sizes) -> None:
    """Residual blocks; those that only the wide network has begin as the identity."""
    before = [m for m in narrow.modules() if isinstance(m, ResidualBlock)]
    for i, block in enumerate(m for m in wide.modules() if isinstance(m, ResidualBlock)):
        if i < len(before):
            _grow_conv(before[i].conv1, block.conv1, [channels], [channels])
            _grow_conv(before[i].conv2, block.conv2, [channels], [channels])
        else:
            for value in block.conv2.parameters():
                value.zero_()


def _grow_conv(
    narrow: nn.Conv2d, wide: nn.Conv2d, inputs: list[Sizes], outputs: list[Sizes], *, factor: float = 1.0
) -> None:
    """A convolution of concatenated parts. Without ``outputs``, both have the same. New rows take a factor."""
    for value in wide.parameters():
        value.mul_(factor)
    _put(narrow, wide, _places(inputs), _places(outputs or [_same(narrow.out_channels)]))


def _put(narrow: nn.Conv2d, wide: nn.Conv2d, inputs: Tensor, outputs: Tensor) -> None:
    """Give the rows ``outputs`` the narrow kernels, from ``inputs`` alone."""
    wide.weight.data[outputs] = 0
    wide.weight.data[outputs[:, None], inputs[None]] = narrow.weight.data[: len(outputs)]
    if wide.bias is not None and narrow.bias is not None:
        wide.bias.data[outputs] = narrow.bias.data[: len(outputs)]


def _places(parts: list[Sizes]) -> Tensor:
    """Where the narrow channels lie among the wide ones."""
    starts = [sum(wide for _, wide in parts[:i]) for i in range(len(parts))]
    return torch.cat([torch.arange(narrow) + start for start, (narrow, _) in zip(starts, parts, strict=True)])


def _displacements(narrow: int, wide: int) -> Tensor:
    """Where the costs of a small radius lie among those of a large one."""
    steps = torch.arange(-narrow, narrow + 1) + wide
    return (steps[:, None] * (2 * wide + 1) + steps).flatten()


def _same(size: int) -> Sizes:
    return (size, size)


def _first(layers: nn.Module) -> nn.Conv2d:
    """The convolution of ``conv_relu``."""
    return cast(nn.Conv2d, cast(nn.Sequential, layers)[0])
