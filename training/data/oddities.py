"""What is allowed in a data set, but odd enough to be said: missing frames, and masks that may mean something else."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mostnet.contract import DatasetError

from .pictures import dark_tooth, read_mask

_LOG = logging.getLogger(__name__)

#: Most masks that are opened to find a tooth, evenly spaced over the split.
_MASKS = 64
_WHITE = "white"


class _Look(NamedTuple):
    """One mask: whether it has a tooth, the share of the picture's edge that is tooth, and the value of the tooth."""

    path: Path
    has_tooth: bool
    edge: float
    value: str


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
    """Warn in one line if the masks have no tooth, seem inverted, or are not white on teeth.

    Of many masks, only some are opened. One that cannot be read is left to those who use it.
    """
    some = [masks[k * len(masks) // _MASKS] for k in range(_MASKS)] if len(masks) > _MASKS else masks
    looks = [look for look in map(_look, some) if look is not None]
    teeth = [look for look in looks if look.has_tooth]
    values = {look.value: look for look in teeth}
    if looks and not teeth:
        _LOG.warning(
            "%s: no tooth in any mask (looked at %d of %d, such as %s); expected 255 on teeth, 0 elsewhere; from these "
            "masks a network learns that there are no teeth",
            name,
            len(looks),
            len(masks),
            looks[0].path,
        )
    elif looks and sum(look.edge for look in looks) > len(looks) / 2:
        _LOG.warning(
            "%s: the masks, such as %s, have tooth along most of the picture's edge, as if inverted; expected 255 on "
            "teeth, 0 elsewhere; invert them if teeth are black in them",
            name,
            teeth[0].path,
        )
    elif len(values) > 1:
        first, second = list(values.values())[:2]
        _LOG.warning(
            "%s: the masks have several values on teeth: %s has %s, %s has %s; all but black is read as tooth; paint "
            "black what is no tooth",
            name,
            first.path,
            first.value,
            second.path,
            second.value,
        )
    elif values and _WHITE not in values:
        _LOG.warning(
            "%s: the masks, such as %s, have %s on teeth instead of 255; all but black is read as tooth",
            name,
            teeth[0].path,
            teeth[0].value,
        )


def _look(path: Path) -> _Look | None:
    try:
        tooth = read_mask(path) > 0
        value = dark_tooth(path, tooth) or _WHITE
    except DatasetError:
        return None
    edge = np.concatenate([tooth[0], tooth[-1], tooth[:, 0], tooth[:, -1]])
    return _Look(path, bool(tooth.any()), float(edge.mean()), value)
