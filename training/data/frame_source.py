"""The frames of a split, some of which may be unreadable."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from mostnet.contract import DatasetError
from mostnet.contract.terminal import counted

from .dataset import LabelledFrame, SequenceFiles, first_size, read_labelled_frame

log = logging.getLogger("mostnet.training")


class TooManyBadFilesError(DatasetError):
    """More of a split is unreadable than a run tolerates."""


class FrameSource:
    """Reads the frames of a split on demand, or keeps all in memory. It logs each unreadable frame once and counts it.

    Attributes:
        sequences: of the split.
        bad: why each frame, by sequence and place, cannot be read. Another process that reads has its own.
        sizes_hw: height and width of the first readable frame of each sequence; None without one.

    In memory a labelled frame of 240x320 takes about 0.9 MB.
    """

    def __init__(
        self,
        sequences: Sequence[SequenceFiles],
        *,
        cache: str = "none",
        most_bad: float = 0.05,
        instead: str = "its clips are replaced by their neighbours",
    ) -> None:
        """Decode every frame now if ``cache`` is ``ram``.

        Args:
            instead: what happens to a frame that cannot be read, for the log.

        Raises:
            TooManyBadFilesError: more than the fraction ``most_bad`` of the frames cannot be read.
        """
        self.sequences = tuple(sequences)
        self.bad: dict[tuple[int, int], str] = {}
        self._instead = instead
        self._most_bad = most_bad * sum(len(sequence) for sequence in sequences)
        self._frames: dict[tuple[int, int], LabelledFrame] = {}
        self.sizes_hw = tuple(first_size(sequence) for sequence in self.sequences)
        if cache == "ram":
            self._load()

    def read(self, sequence: int, index: int) -> LabelledFrame:
        """One frame.

        Raises:
            DatasetError: the frame cannot be read.
            TooManyBadFilesError: too many frames could not be read.
        """
        key = (sequence, index)
        if key in self._frames:
            return self._frames[key]
        if key in self.bad:
            raise DatasetError(self.bad[key])
        try:
            return self._decode(key)
        except DatasetError as error:
            self._count_bad(key, error)
            raise

    def _decode(self, key: tuple[int, int]) -> LabelledFrame:
        return read_labelled_frame(self.sequences[key[0]], key[1], size_hw=self.sizes_hw[key[0]])

    def _count_bad(self, key: tuple[int, int], error: DatasetError) -> None:
        self.bad[key] = str(error)
        log.warning("bad file %d: %s; %s", len(self.bad), error, self._instead)
        if len(self.bad) > self._most_bad:
            raise TooManyBadFilesError(
                f"{counted(len(self.bad), 'frame')} cannot be read, but the run tolerates {int(self._most_bad)}; "
                f"the last: {error}"
            ) from error

    def _load(self) -> None:
        keys = [(s, t) for s, sequence in enumerate(self.sequences) for t in range(len(sequence))]
        with ThreadPoolExecutor() as pool:
            for key, frame in zip(keys, pool.map(self._decode_or_error, keys), strict=True):
                if isinstance(frame, DatasetError):
                    self._count_bad(key, frame)
                else:
                    self._frames[key] = frame

    def _decode_or_error(self, key: tuple[int, int]) -> LabelledFrame | DatasetError:
        try:
            frame = self._decode(key)
        except DatasetError as error:
            return error
        # Half precision keeps flow within 1/128 pixel up to 32 pixels, in half the memory.
        return frame if frame.flow is None else replace(frame, flow=frame.flow.astype(np.float16))


def hxw(size_hw: tuple[int, int] | None) -> str:
    """A frame size as text."""
    return "unknown" if size_hw is None else f"{size_hw[0]}x{size_hw[1]}"
