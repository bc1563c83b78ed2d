"""The variants of MOST-NET+ and their sizes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from reprlib import repr as shortened
from typing import Any

#: Pixels per cell at each decoder scale, finest first.
STRIDES = (4, 8, 16)
#: Largest number in a config. The work of building a network grows with its blocks, the cost of a match with the square
#: of its radius.
_MOST, _MOST_BLOCKS, _MOST_RADIUS = 65536, 32, 32


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of one network. Tuples run over the scales 1/4, 1/8, 1/16 unless stated otherwise.

    Channels are 1 to 65536, blocks 0 to 32, radii 1 to 32.

    Attributes:
        channels: feature channels.
        extractor_blocks: residual blocks of the feature extractor.
        decoder_blocks: residual blocks of each decoder branch.
        image_channels: channels of the image-level features at each of the two coarser scales.
        state_channels: channels of the hidden state, carried to the next frame.
        match_channels: channels of the features that flow estimation compares between frames.
        search_radii: search radius in cells, one per scale that predicts flow, **coarsest first**. One entry is
            single-wise flow (SW), two are double-wise (DW).
        flow_channels: hidden channels of each flow estimator, in the order of ``search_radii``.
    """

    channels: tuple[int, int, int]
    extractor_blocks: tuple[int, int, int]
    decoder_blocks: tuple[int, int, int]
    image_channels: int
    state_channels: tuple[int, int, int]
    match_channels: int
    search_radii: tuple[int, ...]
    flow_channels: tuple[int, ...]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            counts = (value,) if field.name.endswith(("image_channels", "match_channels")) else value
            least, most = (0, _MOST_BLOCKS) if field.name.endswith("blocks") else (1, _MOST)
            most = _MOST_RADIUS if field.name == "search_radii" else most
            if not isinstance(counts, tuple) or not all(type(n) is int and least <= n <= most for n in counts):
                raise ValueError(f"{field.name} is {shortened(value)}, expected whole numbers from {least} to {most}")
        per_scale = ("channels", "extractor_blocks", "decoder_blocks", "state_channels")
        if any(len(getattr(self, name)) != len(STRIDES) for name in per_scale):
            raise ValueError(f"{', '.join(per_scale)} take one number per scale")
        if not 1 <= len(self.search_radii) == len(self.flow_channels) <= len(STRIDES):
            raise ValueError("search_radii and flow_channels take one number per flow scale, one to three of them")

    @property
    def flow_scales(self) -> tuple[int, ...]:
        """Indices into ``STRIDES`` of the scales that predict flow, coarsest first."""
        return tuple(range(2, 2 - len(self.search_radii), -1))

    def to_dict(self) -> dict[str, Any]:
        """The sizes as plain Python values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Inverse of ``to_dict``.

        Raises:
            TypeError: a size is missing or unknown.
            ValueError: a size is not a whole number, or out of range.
        """
        sizes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**sizes)


VARIANTS: dict[str, ModelConfig] = {
    "nano": ModelConfig(
        channels=(16, 32, 64),
        extractor_blocks=(1, 1, 1),
        decoder_blocks=(1, 1, 1),
        image_channels=12,
        state_channels=(8, 16, 32),
        match_channels=16,
        search_radii=(4, 2),
        flow_channels=(48, 32),
    ),
    "sw": ModelConfig(
        channels=(64, 144, 280),
        extractor_blocks=(2, 2, 2),
        decoder_blocks=(3, 3, 3),
        image_channels=32,
        state_channels=(32, 64, 128),
        match_channels=64,
        search_radii=(4,),
        flow_channels=(128,),
    ),
    "dw": ModelConfig(
        channels=(64, 192, 424),
        extractor_blocks=(2, 3, 2),
        decoder_blocks=(4, 4, 3),
        image_channels=32,
        state_channels=(32, 96, 192),
        match_channels=64,
        search_radii=(4, 3),
        flow_channels=(160, 128),
    ),
}
