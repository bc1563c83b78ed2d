"""The engine files of an archive run, where every worker finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mostnet.engine import Engine
from mostnet.engine.tensorrt.checks import read_plan_info
from mostnet.video.command.engines import EngineSupply, is_exported

from .folder import ArchiveFolder


@dataclass(frozen=True, kw_only=True)
class EngineFile:
    """An engine in the folder of results: its copy, and the digest of its content."""

    path: Path
    sha256: str


class EngineFiles:
    """Copies the engine into the folder of results; a checkpoint is exported once for each size before."""

    def __init__(
        self, name: str, folder: ArchiveFolder, *, size_hw: tuple[int, int] | None, say: Callable[[str], None]
    ) -> None:
        """``name``, ``size_hw`` and ``say`` are those of ``EngineSupply``; a file is copied at once.

        Raises:
            CheckpointError: ``name`` is neither a file nor a checkpoint.
            ModelFileError: the file cannot be used.
            OSError: it cannot be read or copied.
        """
        self._name = name
        self._folder = folder
        self._size_hw = size_hw
        self._say = say
        self._files: dict[tuple[int, int] | None, EngineFile] = {}
        EngineSupply(name, (), say=say)  # checks the name
        self._is_file = is_exported(name)
        if self._is_file:
            self._files[None] = self._kept(Path(name))

    def file_for(self, usual_hw: tuple[int, int]) -> EngineFile:
        """The engine for a video whose usual engine has this size, in pixels.

        Raises:
            ExportError: the checkpoint cannot be exported.
            MostnetError, OSError: as for a file.
        """
        size_hw = None if self._is_file else self._size_hw or usual_hw
        if size_hw not in self._files:
            supply = EngineSupply(self._name, (), size_hw=size_hw, say=self._say)
            self._files[size_hw] = self._kept(supply.file_for(""))
        return self._files[size_hw]

    def _kept(self, file: Path) -> EngineFile:
        """Check a file, so that one error is told and not one for each video, and copy it."""
        if file.suffix == ".plan" and file.is_file():
            read_plan_info(file)  # the GPU may be in another machine
        else:
            with Engine(file, provider="cpu", threads=1):
                pass
        path, digest = self._folder.keep_engine(file)
        return EngineFile(path=path, sha256=digest)
