"""Move several files to their folder together, or none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mostnet.contract import ExportError, staging_folder


def publish(staged: Path, target: Path) -> None:
    """Move every file of ``staged`` into the folder ``target``, on the same file system.

    If a file cannot be moved, or on an interrupt, the earlier files are put back. If the process is killed meanwhile,
    each file is the earlier one or the new one.

    Raises:
        ExportError: ``target`` has a folder with the name of one of the files.
    """
    names = sorted(file.name for file in staged.iterdir())
    for name in names:
        if (target / name).is_dir():
            raise ExportError(f"{target / name}: is a folder; move it away, or name another output")
    with staging_folder(target) as backup:
        try:
            for name in names:
                if (target / name).exists():
                    _keep(target / name, backup / name)
                (staged / name).replace(target / name)
        except BaseException:
            for name in names:
                if (backup / name).exists():
                    (backup / name).replace(target / name)
                elif not (staged / name).exists():
                    (target / name).unlink(missing_ok=True)
            raise


def _keep(file: Path, backup: Path) -> None:
    """Give a file a second name, or copy it on a file system without such names."""
    try:
        os.link(file, backup)
    except OSError:
        shutil.copy2(file, backup)
