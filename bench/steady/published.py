"""Clips of the published Vident-real, whose matrices are the truth."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from mostnet.contract import DatasetError
from mostnet.training.data.dataset import SequenceFiles
from mostnet.training.data.published import open_split
from mostnet.training.evaluation.evaluate import read_sequence
from mostnet.video.steady.similarity import Similarity

from .moved import MovedClip


def published_clips(root: Path, split: str, *, frames: int) -> Iterator[MovedClip]:
    """The sequences of a split whose matrices tell the motion, with their first ``frames`` frames.

    Raises:
        DatasetError: the split cannot be read, or no sequence has such matrices.
    """
    opened = open_split(root, split)
    moving = [sequence for sequence in opened.sequences if sequence.motion is not None]
    if not moving:
        raise DatasetError(f"{root / split}: no sequence tells its motion; {opened.lines[-1]}")
    for sequence in moving:
        yield _clip(sequence, frames)


def _clip(sequence: SequenceFiles, frames: int) -> MovedClip:
    labelled = list(islice(read_sequence(sequence), frames))
    poses = [Similarity()]  # from each frame to the first
    for frame in labelled[1:]:
        assert frame.motion is not None
        poses.append(frame.motion.then(poses[-1]))
    none = np.zeros(labelled[0].size_hw, np.uint8)
    masks = [none if frame.mask is None else frame.mask for frame in labelled]
    return MovedClip(sequence.name, [frame.input for frame in labelled], masks, poses)
