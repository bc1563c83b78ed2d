"""Put several files in place together, or none."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mostnet.contract import ExportError


def publish(staged: Path, target: Path) -> None:
    """Move every file of ``staged`` into the folder ``target``, on the same file system.

    If one cannot be moved, or on an interrupt, the files of before are put back.

    Raises:
        ExportError: a folder has the name of a file.
    """
    names = sorted(file.name for file in staged.iterdir())
    for name in names:
        if (target / name).is_dir():
            raise ExportError(f"{target / name}: is a folder; move it away, or name another output")
    with tempfile.TemporaryDirectory(prefix=".mostnet-backup-", dir=target) as folder:
        backup = Path(folder)
        try:
            for name in names:
                if (target / name).exists():
                    (target / name).replace(backup / name)
                (staged / name).replace(target / name)
        except BaseException:
            for name in names:
                if (backup / name).exists():
                    (backup / name).replace(target / name)
                elif not (staged / name).exists():
                    (target / name).unlink(missing_ok=True)
            raise
