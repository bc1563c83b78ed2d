"""What a model repository for Triton is to be."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from mostnet.contract import ExportError

#: A model's name is the name of a folder, and part of addresses such as ``/v2/models/NAME``.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

#: The longest idle time: the server counts microseconds in 64 bits.
_LONGEST_IDLE_S = 1e9


@dataclass(frozen=True, kw_only=True)
class TritonOptions:
    """A model repository, and how many cameras its server takes.

    Attributes:
        repository: folder that holds a repository for each backend; made if missing.
        name: name of the model; with several frame sizes, each model's name ends with its size.
        cameras: number of cameras that an instance of the model takes at a time. A further one waits.
        idle_s: seconds after the arrival of its last frame when a camera loses its state and its place, also if the
            frame is not done. It must be longer than the time of a frame, times ``cameras``.

    Raises:
        ExportError: a value is out of range, the name cannot be that of a folder, or the repository is a file.
    """

    repository: Path
    name: str = "mostnet"
    cameras: int = 8
    idle_s: float = 10.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "repository", Path(self.repository))
        if self.cameras < 1:
            raise ExportError(f"cameras is {self.cameras}; a server takes at least 1 camera")
        if not (math.isfinite(self.idle_s) and 1e-6 <= self.idle_s <= _LONGEST_IDLE_S):
            raise ExportError(f"idle_s is {self.idle_s}; expected seconds, such as 10")
        if not _NAME.fullmatch(self.name):
            raise ExportError(
                f"model name {self.name!r}; expected letters, digits, '_', '-' and '.', the first a letter or a digit"
            )
        if self.repository.exists() and not self.repository.is_dir():
            raise ExportError(f"{self.repository}: is a file; name a folder for the model repository")
