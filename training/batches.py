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
        windows = range(first, options.steps + 1)  # a skipped chunk ends its window: a step may take a whole window
        parts = []
        if self._photo_count < options.batch:
            parts.append(self._drawn_batches(windows))
        if self._photo_count:
            parts.append(self._photo_batches(windows))
        for batch in zip(*parts, strict=True):
            yield joined([part.to(self._device) for part in batch])

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
        raise TrainingError(
            f"photo_share is {share}, but a batch has one clip; raise --batch, or make the share 0 or 1"
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
