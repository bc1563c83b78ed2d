"""Training clips: an endless, seeded sequence of augmented windows of a split."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mostnet.contract import DatasetError

from .augment import Clip, flip, jitter, rescale, reverse, stack
from .dataset import LabelledFrame, SequenceFiles, first_size, read_labelled_frame

log = logging.getLogger("mostnet.training")

#: Share of clips played backwards; inverting their flow costs as much as all else.
_REVERSED = 0.25


class Batch(NamedTuple):
    """N clips of T frames as tensors; what is not labelled is zero and flagged.

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
        crop_hw: height and width of a clip in pixels, after scaling.
        scale: least and greatest magnification.
        augment: crop, scale, flip, reverse and recolour at random; without, the clip starts a sequence and is cut from
            the middle of the picture.
        seed: of everything that is drawn.
    """

    frames: int
    crop_hw: tuple[int, int]
    scale: tuple[float, float] = (0.7, 1.4)
    augment: bool = True
    seed: int = 0


class FrameSource:
    """Frames of a split, read when asked for or all kept in memory; unreadable ones are logged once and counted.

    In memory a labelled frame of 240x320 takes about 0.9 MB.
    """

    def __init__(self, sequences: Sequence[SequenceFiles], *, cache: str = "none", most_bad: float = 0.05) -> None:
        """Decode everything now if ``cache`` is ``ram``.

        Raises:
            DatasetError: more than ``most_bad`` of the frames cannot be read.
        """
        self.sequences = tuple(sequences)
        self.bad: dict[tuple[int, int], str] = {}
        self._most_bad = most_bad * sum(len(sequence) for sequence in sequences)
        self._frames: dict[tuple[int, int], LabelledFrame] = {}
        self.sizes_hw = tuple(first_size(sequence) for sequence in self.sequences)
        if cache == "ram":
            self._load()

    def read(self, sequence: int, index: int) -> LabelledFrame:
        """One frame.

        Raises:
            DatasetError: the frame cannot be read, or too many could not.
        """
        key = (sequence, index)
        if key in self._frames:
            return self._frames[key]
        if key in self.bad:
            raise DatasetError(self.bad[key])
        try:
            return self._decode(key)
        except DatasetError as error:
            self._note(key, error)
            raise

    def _decode(self, key: tuple[int, int]) -> LabelledFrame:
        sequence = self.sequences[key[0]]
        frame = read_labelled_frame(sequence, key[1])
        if frame.size_hw != self.sizes_hw[key[0]]:
            raise DatasetError(
                f"{sequence.input[key[1]]}: is {_text(frame.size_hw)}, its sequence {_text(self.sizes_hw[key[0]])}; "
                "frames of a sequence have one size"
            )
        return frame

    def _note(self, key: tuple[int, int], error: DatasetError) -> None:
        self.bad[key] = str(error)
        log.warning("bad file %d: %s; its clips are replaced by their neighbours", len(self.bad), error)
        if len(self.bad) > self._most_bad:
            raise TooManyBadFilesError(
                f"{len(self.bad)} frames cannot be read, at most {int(self._most_bad)} may; the last one: {error}"
            ) from error

    def _load(self) -> None:
        keys = [(s, t) for s, sequence in enumerate(self.sequences) for t in range(len(sequence))]
        with ThreadPoolExecutor(max_workers=2) as pool:
            for key, frame in zip(keys, pool.map(self._try, keys), strict=True):
                if isinstance(frame, DatasetError):
                    self._note(key, frame)
                else:
                    self._frames[key] = frame

    def _try(self, key: tuple[int, int]) -> LabelledFrame | DatasetError:
        try:
            frame = self._decode(key)
        except DatasetError as error:
            return error
        # Half precision keeps flow within 1/128 pixel up to 32 pixels, in half the memory.
        return frame if frame.flow is None else replace(frame, flow=frame.flow.astype(np.float16))


class TooManyBadFilesError(DatasetError):
    """More of a split is unreadable than a run puts up with."""


class ClipDataset(Dataset[Batch]):
    """Item ``i`` of an endless list of clips. It depends on the options and ``i`` alone, in whatever process."""

    def __init__(self, source: FrameSource, options: ClipOptions) -> None:
        """Check that the clips can be taken.

        Raises:
            DatasetError: a sequence is too short or its pictures are too small; it is named.
        """
        self.source = source
        self.options = options
        self._epoch: tuple[int, list[int]] = (-1, [])
        for sequence in source.sequences:
            if len(sequence) < options.frames:
                raise DatasetError(
                    f"{sequence.folder}: {len(sequence)} frames, a training window takes {options.frames}; "
                    "lower --clip or --chunks"
                )
        for sequence, size in zip(source.sequences, source.sizes_hw, strict=True):
            if size is not None and (size[0] < options.crop_hw[0] or size[1] < options.crop_hw[1]):
                raise DatasetError(
                    f"{sequence.folder}: frames of {_text(size)}, clips are of {_text(options.crop_hw)}; lower --crop"
                )

    def __getitem__(self, item: int) -> Batch:
        rng = np.random.default_rng((self.options.seed, item))
        count = len(self.source.sequences)
        first = self._order(item // count)[item % count]
        for step in range(count):
            try:
                return as_tensors(self._clip((first + step) % count, rng))
            except TooManyBadFilesError:
                raise
            except _BadClipError:
                continue
        raise DatasetError("no sequence has a readable clip; check the data set")

    def _order(self, epoch: int) -> list[int]:
        if self._epoch[0] != epoch:
            count = len(self.source.sequences)
            shuffled = np.random.default_rng((self.options.seed, 1 << 40, epoch)).permutation(count).tolist()
            self._epoch = (epoch, shuffled if self.options.augment else list(range(count)))
        return self._epoch[1]

    def _clip(self, sequence: int, rng: np.random.Generator) -> Clip:
        options = self.options
        spare = len(self.source.sequences[sequence]) - options.frames
        start = int(rng.integers(spare + 1)) if options.augment else 0
        try:
            frames = [self.source.read(sequence, t) for t in range(start, start + options.frames)]
        except TooManyBadFilesError:
            raise
        except DatasetError as error:
            raise _BadClipError from error
        window = self._window(frames[0].size_hw, rng)
        clip = rescale(stack(frames, window), options.crop_hw)
        return self._vary(clip, rng) if options.augment else clip

    def _window(self, size_hw: tuple[int, int], rng: np.random.Generator) -> tuple[slice, slice]:
        """Rows and columns of the picture that are cut out before scaling."""
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


def _text(size_hw: tuple[int, int] | None) -> str:
    return "unknown" if size_hw is None else f"{size_hw[0]}x{size_hw[1]}"
