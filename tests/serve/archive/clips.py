"""Short videos that differ, and a run of ``mostnet-archive`` without worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mostnet.contract import sha256
from mostnet.contract.versions import mostnet_version
from mostnet.serve.archive.performing import Answer, ArchiveTask, perform
from mostnet.serve.archive.records import Place
from mostnet.serve.archive.workers import WorkerOptions

from ...video.samples import moving_frames, write_with_av

SIZE_HW = (64, 80)


def write_clips(folder: Path, names: Sequence[str], *, frames: int = 6) -> list[Path]:
    """Videos of the toy engine's size; no two have the same content."""
    pictures = moving_frames(frames + len(names), SIZE_HW)
    paths = [folder / name for name in names]
    for k, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_with_av(path, pictures[k : k + frames])
    return paths


def digests(folder: Path) -> dict[str, str]:
    """Digest of each video below a folder, by its path there; hidden folders count too."""
    return {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.glob("**/*.mp4"))}


class InlineWorkers:
    """Runs each task in this process, as soon as it begins."""

    def __init__(self, options: WorkerOptions) -> None:
        self.places = [options.cpu] * options.cpu_places(1, 0)
        self.tasks: list[tuple[ArchiveTask, Place]] = []
        self._ended: list[tuple[ArchiveTask, Answer | None]] = []

    @property
    def count(self) -> int:
        return len(self._ended)

    @property
    def room(self) -> int:
        return len(self.places)

    def free(self) -> Sequence[Place]:
        return self.places[len(self._ended) :]

    def begin(self, task: ArchiveTask, place: Place) -> None:
        self.tasks.append((task, place))
        self._ended.append((task, self.answer(task, place)))

    def answer(self, task: ArchiveTask, place: Place) -> Answer | None:
        return perform(task, place, mostnet_version())

    def ended(self, timeout_s: float) -> Sequence[tuple[ArchiveTask, Answer | None]]:
        ended, self._ended = self._ended, []
        return ended

    def kill(self) -> None:
        self._ended.clear()

    def close(self) -> None:
        pass
