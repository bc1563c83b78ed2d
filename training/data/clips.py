"""Training clips: an endless, seeded list of augmented windows of a split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mostnet.contract import MIN_SIDE, DatasetError
from mostnet.contract.arguments import size_text
from mostnet.model import STRIDES

from .augment import Clip, flip, jitter, rescale, reverse, stack
from .dataset import LabelledFrame
from .every_nth import every_nth
from .frame_source import FrameSource, TooManyBadFilesError, hxw

#: Share of clips played backwards; inverting their flow costs as much as all other work.
_REVERSED = 0.25


class Batch(NamedTuple):
    """N clips of T frames as tensors; a missing label is zero.

    ``input`` and ``reference`` uint8 ``(N, T, H, W, 3)`` BGR; ``mask`` uint8 ``(N, T, H, W)``; ``flow`` float32
    ``(N, T, 2, H, W)`` in pixels; ``valid`` bool ``(N, T, H, W)``; ``has_reference`` and ``has_mask`` bool ``(N,)``.
    """

    input: Tensor
    reference: Tensor
    mask: Tensor
    flow: Tensor
    valid: Tensor
    has_reference: Tensor
    has_mask: Tensor

    def frames(self, start: int, stop: int) -> Batch:
        """The frames from ``start`` up to ``stop`` of each clip."""
        return Batch(*(part[:, start:stop] if part.dim() > 1 else part for part in self))

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(*(part.to(device, non_blocking=True) for part in self))


@dataclass(frozen=True)
class ClipOptions:
    """How clips are taken from sequences.

    Attributes:
        frames: frames of one clip.
        step: frames of the data set from each frame of a clip to the next.
        crop_hw: height and width of a clip in pixels, after scaling.
        scale: least and greatest magnification.
        augment: crop, scale, flip, reverse and recolour at random. If false, the clip is the start of a sequence, cut
            from the middle of the picture.
        seed: seed of every random choice.
    """

    frames: int
    crop_hw: tuple[int, int]
    scale: tuple[float, float] = (0.7, 1.4)
    augment: bool = True
    seed: int = 0
    step: int = 1

    @property
    def span(self) -> int:
        """Frames of the data set that a clip spans."""
        return (self.frames - 1) * self.step + 1


class ClipDataset(Dataset[Batch]):
    """An endless list of clips. In every process, item ``i`` depends only on the options and ``i``."""

    def __init__(self, source: FrameSource, options: ClipOptions) -> None:
        """Check that every sequence has room for a clip.

        Raises:
            DatasetError: a sequence is too short, or its pictures are too small.
        """
        self.source = source
        self.options = options
        self._epoch: tuple[int, list[int]] = (-1, [])
        self._check_room()

    def __getitem__(self, item: int) -> Batch:
        rng = np.random.default_rng((self.options.seed, item))
        count = len(self.source.sequences)
        first, last_error = self._order(item // count)[item % count], ""
        for step in range(count):
            try:
                return as_tensors(self._clip((first + step) % count, rng))
            except TooManyBadFilesError:
                raise
            except _BadClipError as error:
                last_error = str(error)
        raise DatasetError(f"no sequence has a readable clip; the last error: {last_error}")

    def _check_room(self) -> None:
        """Refuse sequences that are too short or too small, both at once, with flags that would fit."""
        options, source = self.options, self.source
        crop_h, crop_w = options.crop_hw
        found, flags = [], []
        short = min(source.sequences, key=len, default=None)
        if short is not None and len(short) < options.span:
            found.append(f"{short.folder}: {len(short)} frames, but a training window takes {options.span}")
            frames = (len(short) - 1) // options.step + 1
            chunks = 2 if frames > 3 else 1
            flags.append(f"--clip {frames // chunks} --chunks {chunks}")
        sizes = [size for size in source.sizes_hw if size is not None]
        small = next(
            (k for k, size in enumerate(source.sizes_hw) if size and (size[0] < crop_h or size[1] < crop_w)), None
        )
        if small is not None:
            folder, size = source.sequences[small].folder, source.sizes_hw[small]
            found.append(f"{folder}: frames are {hxw(size)}, but clips are {hxw(options.crop_hw)}")
            height, width = (
                min(side, *(size[k] for size in sizes)) // STRIDES[-1] * STRIDES[-1]
                for k, side in enumerate(options.crop_hw)
            )
            if min(height, width) < MIN_SIDE:
                raise DatasetError(f"{'; '.join(found)}; expected frames with sides of {MIN_SIDE} or more")
            flags.append(f"--crop {size_text((height, width))}")
        if found:
            raise DatasetError(f"{'; '.join(found)}; these flags fit: {' '.join(flags)}")

    def _order(self, epoch: int) -> list[int]:
        if self._epoch[0] != epoch:
            count = len(self.source.sequences)
            shuffled = np.random.default_rng((self.options.seed, 1 << 40, epoch)).permutation(count).tolist()
            self._epoch = (epoch, shuffled if self.options.augment else list(range(count)))
        return self._epoch[1]

    def _clip(self, sequence: int, rng: np.random.Generator) -> Clip:
        options = self.options
        spare = len(self.source.sequences[sequence]) - options.span
        start = int(rng.integers(spare + 1)) if options.augment else 0
        frames = every_nth(self._read(sequence, range(start, start + options.span)), options.step)
        window = self._window(frames[0].size_hw, rng)
        clip = rescale(stack(frames, window), options.crop_hw)
        return self._vary(clip, rng) if options.augment else clip

    def _read(self, sequence: int, places: range) -> list[LabelledFrame]:
        """Read all frames, also behind one that cannot be read, so that each of these counts."""
        frames, bad = [], None
        for place in places:
            try:
                frames.append(self.source.read(sequence, place))
            except TooManyBadFilesError:
                raise
            except DatasetError as error:
                bad = bad or error
        if bad is not None:
            raise _BadClipError(str(bad)) from bad
        return frames

    def _window(self, size_hw: tuple[int, int], rng: np.random.Generator) -> tuple[slice, slice]:
        """Rows and columns to cut out of the picture before scaling."""
        height, width = size_hw
        crop_h, crop_w = self.options.crop_hw
        if not self.options.augment:
            top, left = (height - crop_h) // 2, (width - crop_w) // 2
            return slice(top, top + crop_h), slice(left, left + crop_w)
        least, most = self.options.scale
        least = max(least, crop_h / height, crop_w / width)
        scale = np.exp(rng.uniform(np.log(least), np.log(max(most, least))))
        rows, columns = min(height, round(crop_h / scale)), min(width, round(crop_w / scale))
        top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
        return slice(top, top + rows), slice(left, left + columns)

    @staticmethod
    def _vary(clip: Clip, rng: np.random.Generator) -> Clip:
        clip = flip(clip, horizontal=bool(rng.random() < 0.5), vertical=bool(rng.random() < 0.5))
        if rng.random() < _REVERSED:
            clip = reverse(clip)
        return jitter(clip, rng)


class _BadClipError(DatasetError):
    """A frame of the clip cannot be read."""


def as_tensors(clip: Clip) -> Batch:
    """One clip as tensors without the batch dimension."""
    shape = clip.input.shape[:3]
    mask = np.zeros(shape, np.uint8) if clip.mask is None else clip.mask
    flow = np.zeros((shape[0], 2, *shape[1:]), np.float32) if clip.flow is None else clip.flow
    valid = np.zeros(shape, np.bool_) if clip.valid is None else clip.valid
    reference = np.zeros_like(clip.input) if clip.reference is None else clip.reference
    arrays: tuple[npt.NDArray[Any], ...] = (clip.input, reference, mask, flow, valid)
    parts = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    parts += [torch.tensor(clip.reference is not None), torch.tensor(clip.mask is not None)]
    return Batch(*parts)
