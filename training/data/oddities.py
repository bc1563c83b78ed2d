"""What is allowed in a data set, but odd enough to be said: missing frames, and masks without white teeth."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from mostnet.contract import DatasetError

from .pictures import dark_tooth, read_mask

_LOG = logging.getLogger(__name__)

#: Most masks that are opened to find a tooth, evenly spaced over the split.
_MASKS = 64


def say_gaps(sequences: Iterable[Sequence[Path]]) -> None:
    """Warn in one line if the numbers of the frames leave some out: flow and state run across the gap."""
    found = [(files[k], files[k + 1]) for files in sequences for k in gaps(files)]
    if found:
        before, after = found[0]
        _LOG.warning(
            "%s: frames are missing before %s (%d such gaps in the split); the neighbours count as consecutive, "
            "so that flow across the gap is wrong; add the frames, or make two sequences",
            before,
            after.name,
            len(found),
        )


def gaps(files: Sequence[Path]) -> list[int]:
    """Indices of the files after which frames are missing, if the last numbers in the names go up in even steps."""
    numbers = [re.findall(r"\d+", path.stem) for path in files]
    if not all(numbers):
        return []
    steps = [int(after[-1]) - int(before[-1]) for before, after in pairwise(numbers)]
    least = min(steps, default=0)
    if least < 1 or any(step % least for step in steps):  # such as times in milliseconds
        return []
    return [k for k, step in enumerate(steps) if step > least]


def say_masks(name: str, masks: Sequence[Path]) -> None:
    """Warn in one line if no mask has a tooth, or if the tooth is not white. Of many masks, only some are opened."""
    some = [masks[k * len(masks) // _MASKS] for k in range(_MASKS)] if len(masks) > _MASKS else masks
    try:
        first = next((path for path in some if read_mask(path).any()), None)
        dark = dark_tooth(first) if first else ""
    except DatasetError:
        return  # whoever uses the mask reports it
    if dark:
        _LOG.warning(
            "%s: the masks, such as %s, have %s on teeth instead of 255; all but black is read as tooth",
            name,
            first,
            dark,
        )
    elif some and first is None:
        _LOG.warning(
            "%s: no tooth in any mask (looked at %d of %d, such as %s); expected 255 on teeth, 0 elsewhere; from these "
            "masks a network learns that there are no teeth",
            name,
            len(some),
            len(masks),
            some[0],
        )
