"""Progress of an archive run: videos done and failed, frames, and the time left."""

from __future__ import annotations

from time import monotonic
from types import TracebackType

from rich.console import Console

from mostnet.contract.terminal import complain, counted, one_line
from mostnet.video.progress import RunProgress

from .arguments import NAME

#: How long a cluster may have no room for a task before that is told.
_PATIENCE_S = 30.0


class ArchiveProgress:
    """Counts videos and frames, and shows them as ``mostnet-run`` does: a bar on a terminal, else a line at times.

    Frames count that this run makes. Those of videos that were not looked at yet are estimated by the sizes of the
    files.
    """

    def __init__(self, console: Console, sizes: dict[int, int]) -> None:
        """``sizes``: bytes of each video, by its number."""
        self._shown = RunProgress(console, label=" ")
        self._sizes = sizes
        self._frames: dict[int, int | None] = {}
        self._made = 0
        self._ended = 0
        self._failed = 0
        self._room_s = monotonic()
        self._told = False

    def looked(self, number: int, frames: int | None) -> None:
        """A video has this number of frames, if that is known."""
        self._frames[number] = frames

    def ended(self, number: int, *, frames: int, failed: bool) -> None:
        """A video has ended; ``frames`` of it were made in this run."""
        self._frames[number] = frames
        self._ended += 1
        self._failed += failed
        self._made += frames

    def show(self, running: int) -> None:
        """Show the state; ``running`` frames are made in videos that have not ended."""
        failed = f", {self._failed} failed" if self._failed else ""
        self._shown.label = f"{self._ended} of {counted(len(self._sizes), 'video')}{failed}"
        done, expected = self._made + running, self.expected
        self._shown(done, None if expected is None else max(expected, done))

    def print(self, line: str) -> None:
        """Print a text on stdout as one line, because a name may hold a line break."""
        with self._shown.hidden():
            print(one_line(line), flush=True)

    def complain(self, problem: str) -> None:
        """Print a problem on stderr."""
        with self._shown.hidden():
            complain(NAME, problem)

    def note_room(self, room: int) -> None:
        """Note for how many tasks there is room; a cluster that has none for a while is told once."""
        now_s = monotonic()
        if room:
            self._room_s, self._told = now_s, False
        elif not self._told and now_s - self._room_s >= _PATIENCE_S:
            self._told = True
            self.complain("no machine of the cluster can hold a task now; waiting for one that can")

    @property
    def expected(self) -> int | None:
        """Frames that the run makes in all; None if nothing is known."""
        known = {number: frames for number, frames in self._frames.items() if frames}
        size = sum(self._sizes[number] for number in known)
        if not size:
            return None
        unknown = sum(self._sizes[number] for number in self._sizes if self._frames.get(number) is None)
        return sum(known.values()) + round(sum(known.values()) / size * unknown)

    def __enter__(self) -> ArchiveProgress:
        self._shown.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.__exit__()
