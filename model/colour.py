"""The colours of the whole frame."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cells import COLOURS
from .layers import conv, mean

#: Channels of the colour map, and the standard deviation of its first weights on colours. The colours of a frame spread
#: by about a fifth.
_VOTES, _COLOUR_CONTRAST = 64, 2.0


class ColourMap(nn.Module):
    """One scale and one shift of each colour for the whole frame. They correct exposure and cast.

    No single cell can tell these. Every cell votes from its colour and its decoded features. The mean of the votes
    decides.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.vote = conv(channels + COLOURS, _VOTES, kernel=1)
        self.weigh = conv(_VOTES, _VOTES, kernel=1)
        self.decide = conv(_VOTES, 2 * COLOURS, kernel=1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Make the map change nothing, with layers before the last that differ enough between frames to learn from."""
        for part in self.parameters():
            nn.init.zeros_(part)
        assert self.vote.bias is not None
        channels = self.vote.in_channels - COLOURS
        nn.init.normal_(self.vote.weight[:, :channels].detach(), std=channels**-0.5)
        nn.init.normal_(self.vote.weight[:, channels:].detach(), std=_COLOUR_CONTRAST)
        nn.init.uniform_(self.vote.bias, -1.0, 1.0)
        nn.init.normal_(self.weigh.weight, std=_VOTES**-0.5)

    def forward(self, decoded: Tensor, thumbnail: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift ``(N, 3, 1, 1)``, from tensors ``(N, _, H, W)`` of the coarsest scale."""
        votes = F.relu(self.vote(torch.cat((decoded, thumbnail), dim=1)))
        scale, shift = torch.split(self.decide(torch.tanh(self.weigh(mean(votes)))), COLOURS, dim=1)
        return 1.0 + scale, shift
