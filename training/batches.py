"""The batches of a run: clips of a data set, moving photographs, or both in every batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch.utils.data import Dataset

from mostnet.contract import TrainingError
from mostnet.training.data.clips import Batch, ClipDataset
from mostnet.training.photos import PhotoClips

from .options import TrainOptions
from .workers import loader


class BatchSource:
    """Makes the batches of a run. Batch ``i`` depends only on the device, the options, the data and ``i``.

    Each batch is used ``repeats`` times in a row, turned another way each time, because a batch takes as long to make
    as a small network takes to learn from it (data echoing, D. Choi et al. 2019).

    Args:
        drawn: clips of the data set.
        photos: moving photographs; None for none. Every batch holds ``photo_clips`` of them.
        device: of the network. Photographs that are not on the CPU are moved in this process, else in the workers.
    """

    def __init__(
        self, drawn: ClipDataset, photos: PhotoClips | None, options: TrainOptions, *, device: torch.device
    ) -> None:
        self._drawn, self._photos, self._options, self._device = drawn, photos, options, device
        self._photo_count = 0 if photos is None else photo_clips(options)

    def batches(self, first: int) -> Iterator[Batch]:
        """Yield the batches from number ``first`` to the end of the run, on the device."""
        options = self._options
        repeats = options.repeats
        # A skipped chunk ends its window: a step may take a whole window.
        windows = range(first // repeats, options.steps // repeats + 1)
        parts = []
        if self._photo_count < options.batch:
            parts.append(self._drawn_batches(windows))
        if self._photo_count:
            parts.append(self._photo_batches(windows))
        done = first % repeats
        for batch in zip(*parts, strict=True):
            whole = joined([part.to(self._device) for part in batch])
            for turn in range(done, repeats):
                yield turned(whole, turn)
            done = 0

    def _drawn_batches(self, windows: range) -> Iterable[Batch]:
        count = self._options.batch - self._photo_count
        # The thread that pins memory uses the GPU, which a step that captures a CUDA graph must have alone.
        pins = self._device.type == "cuda" and not self._options.cuda_graph
        return loader(
            self._drawn,
            workers=self._options.workers,
            batch_size=count,
            sampler=range(windows.start * count, windows.stop * count),
            pin_memory=pins,
        )

    def _photo_batches(self, windows: range) -> Iterable[Batch]:
        assert self._photos is not None
        made = _PhotoBatches(self._photos, self._photo_count)
        if self._photos.device.type != "cpu":
            return _made_ahead(made, windows)
        return loader(made, workers=self._options.workers, batch_size=None, sampler=windows)


def photo_clips(options: TrainOptions) -> int:
    """Number of moving photographs in every batch: the share, but at least one and not all unless the share is 1.

    Raises:
        TrainingError: a batch of one clip cannot be shared.
    """
    share, batch = options.photo_share, options.batch
    if share in (0, 1):
        return round(share * batch)
    if batch == 1:
        default = " (the default)" if share == TrainOptions.photo_share else ""
        raise TrainingError(
            f"--photo-share is {share}{default}, but a batch has one clip; raise --batch, or give --photo-share 0 or 1"
        )
    return min(max(round(share * batch), 1), batch - 1)


class _PhotoBatches(Dataset[Batch]):
    """Whole batches of moving photographs."""

    def __init__(self, photos: PhotoClips, count: int) -> None:
        self._photos, self._count = photos, count

    def __getitem__(self, window: int) -> Batch:
        return self._photos.batch(window, self._count)


def _made_ahead(made: _PhotoBatches, windows: range) -> Iterator[Batch]:
    """Make each batch on the GPU while the network learns from the one before it.

    Work ahead begins with the second batch. A step on the first one may capture a CUDA graph, and nothing else may use
    the GPU then.
    """
    for window in windows[:1]:
        yield made[window]
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(made.__getitem__, window) for window in windows[1:2]]
        for window in windows[2:]:
            batch = coming.pop().result()
            coming.append(pool.submit(made.__getitem__, window))
            yield batch
        for last in coming:
            yield last.result()


def joined(parts: list[Batch]) -> Batch:
    """One batch of the clips of all parts."""
    return parts[0] if len(parts) == 1 else Batch(*(torch.cat(part) for part in zip(*parts, strict=True)))


def turned(batch: Batch, turn: int) -> Batch:
    """The batch as it is (turn 0), mirrored left to right (1), upside down (2), or both (3)."""
    for axis in range(2):
        if turn >> axis & 1:
            sign = torch.tensor([-1.0, 1.0] if axis == 0 else [1.0, -1.0], device=batch.flow.device).view(1, 1, 2, 1, 1)
            column = 3 - axis  # of pictures (N, T, H, W, ...); one further in flow (N, T, 2, H, W)
            maps = (part.flip(column) for part in (batch.input, batch.reference, batch.mask, batch.valid))
            pictures, reference, mask, valid = maps
            batch = batch._replace(
                input=pictures, reference=reference, mask=mask, valid=valid, flow=batch.flow.flip(column + 1) * sign
            )
    return batch
