"""One process at a time in a folder of a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mostnet.contract import DatasetError
from mostnet.contract.files import lock_folder


@contextmanager
def alone(folder: Path, does: str) -> Iterator[None]:
    """Keep other processes that use this function out of the folder while the block runs.

    Args:
        does: what the other process does, for the error, such as "writes it".

    Raises:
        DatasetError: another process is in it.
    """
    try:
        lock = lock_folder(folder.resolve())
    except BlockingIOError:
        raise DatasetError(f"{folder}: another process {does} now; wait for it, or use another folder") from None
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)
