"""Observed histograms on disk: another method or another set of layers needs no second run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mostnet.contract import CalibrationError, atomic_path

from .histogram import Histogram

#: Version 2 added histograms of the state tensors.
_VERSION = 2
_KEY = "key"


@dataclass(frozen=True)
class CacheKey:
    """The origin of histograms. A cache is used only if every field agrees.

    Attributes:
        checkpoint_sha256: digest of the checkpoint file.
        data_sha256: ``CalibrationData.digest``.
        graph: precision of the float graph that was observed.
        carry_state: whether state was carried from frame to frame.
        version: of the file format.
    """

    checkpoint_sha256: str
    data_sha256: str
    graph: str
    carry_state: bool
    version: int = _VERSION


def write_cache(path: Path, key: CacheKey, histograms: Mapping[str, Histogram]) -> None:
    """Write histograms, whole or not at all."""
    names = list(histograms)
    with atomic_path(path) as temporary, temporary.open("wb") as file:  # numpy would change the suffix of a name
        np.savez_compressed(
            file,
            key=np.array(json.dumps(asdict(key))),
            names=np.array(names, dtype=np.str_),
            counts=np.stack([histograms[name].counts for name in names]),
            limits=np.array([(histograms[name].limit, histograms[name].largest) for name in names]),
        )


def read_cache(path: Path, key: CacheKey) -> dict[str, Histogram]:
    """Read what ``write_cache`` wrote under the same key.

    Raises:
        CalibrationError: the file is damaged, or of another origin; says what differs.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = dict(json.loads(str(file[_KEY])))
            names, counts, limits = file["names"], file["counts"], file["limits"]
    except Exception as error:  # damaged bytes raise errors of zipfile, zlib, tokenize or numpy
        raise CalibrationError(f"{path}: not a range cache, or a damaged one ({error}); delete it") from error
    wanted = asdict(key)
    different = [name for name in wanted if found.get(name) != wanted[name]]
    if different:
        differences = "; ".join(f"{name} is {found.get(name)!r}, wanted {wanted[name]!r}" for name in different)
        raise CalibrationError(
            f"{path}: a range cache of another origin: {differences}; delete it, or name another --calib-cache"
        )
    return {
        str(name): Histogram(count.astype(np.int64), float(limit), float(largest))
        for name, count, (limit, largest) in zip(names, counts, limits, strict=True)
    }
