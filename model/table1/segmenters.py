"""The two segmenters of Table I, from segmentation_models_pytorch with a ResNet-50 encoder.

They are UNet++ (Zhou et al. 2018) and DeepLabv3+ (Chen et al. 2018). Their initial weights are random, because the
library would download others. They normalise batches, so DeepLabv3+ cannot be trained with a batch of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from mostnet.model.layers import mean
from mostnet.model.network import State

from .baseline import Baseline, Computed, NamedShape
from .libraries import load_table1

_LIBRARY = "segmentation_models_pytorch"


class GlobalMean(nn.Module):
    """The library's mean over the picture, without its overflow in half precision."""

    def forward(self, x: Tensor) -> Tensor:
        return mean(x)


class Segmenter(Baseline):
    """A tooth mask from each frame alone.

    Attributes:
        architecture: class of the library.
    """

    tasks: ClassVar[tuple[str, ...]] = ("mask",)
    stride: ClassVar[int] = 32
    architecture: ClassVar[str]

    def __init__(self) -> None:
        """Make the network; its weights come from torch's random generator.

        Raises:
            BackendNotInstalledError: the library is not installed, or does not fit torch.
        """
        super().__init__()
        make = getattr(load_table1(_LIBRARY), self.architecture)
        self.network = make(encoder_name="resnet50", encoder_weights=None, in_channels=3, classes=1)
        _replace_means(self.network)

    def shapes(self, padded_hw: tuple[int, int]) -> Sequence[NamedShape]:
        return ()

    def compute(self, frame: Tensor, state: State) -> tuple[Computed, State]:
        logit = self.network(frame)
        return Computed(mask_logit=logit, steps=(logit,)), ()


def _replace_means(network: nn.Module) -> None:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.AdaptiveAvgPool2d):
                assert child.output_size in (1, (1, 1))
                setattr(parent, name, GlobalMean())


class UNetPlusPlus(Segmenter):
    """UNet++. It has 48.99 million parameters, and Table I says 50.0."""

    name: ClassVar[str] = "unet++"
    architecture: ClassVar[str] = "UnetPlusPlus"


class DeepLabV3Plus(Segmenter):
    """DeepLabv3+."""

    name: ClassVar[str] = "deeplabv3+"
    architecture: ClassVar[str] = "DeepLabV3Plus"
