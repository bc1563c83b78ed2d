"""All videos of a folder, one after the other."""

from __future__ import annotations

import argparse
import glob
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from mostnet.contract import MostnetError, VideoError, natural_key
from mostnet.contract.terminal import complain, counted
from mostnet.video.files.sequences import is_picture
from mostnet.video.steady.options import StabiliserOptions

from .arguments import NAME
from .engines import EngineSupply
from .single import VideoOutcome, process, tell

#: How a video may end, in the order of the summary.
_ENDS = ("done", "failed", "skipped", "stopped", "not begun")
#: Names of videos end in one of these.
_VIDEO = re.compile(
    r"\.(3gp|asf|avi|divx|dv|flv|h26[45]|hevc|m2ts|m2v|m4v|mj2|mkv|mov|mp4|mpeg|mpg|mts|mxf|ogv|ts|vob|webm|wmv|y4m)",
    re.IGNORECASE,
)


def videos_of(source: str | Path | int, output: Path | None) -> tuple[Path, ...]:
    """The videos of a folder in numeric order; none if ``source`` is no folder or has pictures alone.

    The result of an earlier run, ``output``, does not count.

    Raises:
        VideoError: the folder has videos and pictures, or ``source`` is a pattern of videos.
    """
    if isinstance(source, Path) and glob.has_magic(source.name) and is_video(source) and not source.exists():
        raise VideoError(f"{source}: is a pattern of videos; give one video, or their folder: {source.parent}")
    if not isinstance(source, Path) or not source.is_dir():
        return ()
    files = sorted(source.iterdir(), key=natural_key)
    videos = tuple(
        file for file in files if is_video(file) and not (output and output.exists() and file.samefile(output))
    )
    pictures = sum(map(is_picture, files))
    if videos and pictures:
        raise VideoError(
            f"{source}: has {len(videos)} videos and {pictures} pictures; give a pattern such as '{source}/*.png' for "
            "the pictures, or move the videos into a folder of their own"
        )
    return videos


def result_names(videos: Sequence[Path]) -> list[str]:
    """A name of its own for the result of each video of a folder: ``a.mp4``; for a.avi and a.mov ``a.avi.mp4``, too."""
    names = [video.stem for video in videos]
    while True:
        counts = Counter(name.casefold() for name in names)
        clear = [name if counts[name.casefold()] == 1 else v.name for name, v in zip(names, videos, strict=True)]
        if clear == names:
            return [f"{name}.mp4" for name in names]
        names = clear


class VideoBatch:
    """Sends the videos of a folder through engines; one that fails does not stop the others."""

    def __init__(self, engines: EngineSupply, options: argparse.Namespace, stabilise: StabiliserOptions | None) -> None:
        """Check the options.

        Raises:
            VideoError: they are those of a single video.
        """
        self._engines = engines
        self._options = options
        self._stabilise = stabilise
        self._counts: Counter[str] = Counter()
        self._frames = 0
        output: Path | None = options.output
        if output is None or options.view or options.still is not None:
            raise VideoError(f"{options.video}: is a folder of videos; give --output FOLDER, and no --view or --still")
        if output.suffix.lower() == ".png":
            raise VideoError(
                f"{output}: pictures need one video a run, and {options.video} is a folder of videos; give one of them"
            )
        if output.suffix.lower() == ".mp4" or (output.exists() and not output.is_dir()):
            raise VideoError(f"{output}: {options.video} is a folder of videos; give a folder for the results")
        if output.exists() and output.samefile(options.video):
            raise VideoError(f"{output}: is the folder of the videos; give another folder for the results")
        if not output.parent.is_dir():
            raise VideoError(f"{output}: there is no folder {output.parent}; make it first")
        self._folder = output

    def run(self, videos: Sequence[Path]) -> int:
        """Process the videos, print a line for each and one for all, and return the exit status.

        Raises:
            MostnetError: the engine cannot be had or failed, so that no other video can be processed either.
        """
        begun_s = perf_counter()
        self._folder.mkdir(exist_ok=True)
        stopped = 0
        for video, name in zip(videos, result_names(videos), strict=True):
            stopped = self._one(video, self._folder / name)
            if stopped:
                break
        self._counts["not begun"] = len(videos) - self._counts.total()
        counts = ", ".join(f"{self._counts[what]} {what}" for what in _ENDS if self._counts[what])
        elapsed_s = perf_counter() - begun_s
        print(f"{counted(len(videos), 'video')}: {counts}; {counted(self._frames, 'frame')} in {elapsed_s:.1f} s")
        return stopped or int(self._counts["failed"] > 0)

    def _one(self, video: Path, output: Path) -> int:
        """Process one video; return the exit status if a signal ended it, else 0."""
        if output.exists() and not self._options.overwrite:
            if output.stat().st_mtime >= video.stat().st_mtime:
                print(
                    f"{output}: exists, so {video.name} is skipped, whatever options it was made with; remove it or "
                    "add --overwrite to do it again",
                    flush=True,
                )
                self._counts["skipped"] += 1
                return 0
            print(f"{output}: is older than {video.name}, so it is done again", flush=True)
        try:
            engine = self._engines.engine_for(video, fps=self._options.fps)
            outcome = process(video, engine, output, self._options, self._stabilise, label=video.name)
        except (VideoError, OSError) as error:
            if isinstance(error, MostnetError) and not isinstance(error, VideoError):
                raise  # some are OSErrors too, and no other video would fare better: a missing engine file, a timeout
            complain(NAME, error)
            self._counts["failed"] += 1
            return 0
        outcome = _set_aside(outcome)
        tell(outcome)
        self._frames += 0 if outcome.summary is None else outcome.summary.frames
        stopped = outcome.status if outcome.status > 1 else 0
        self._counts["stopped" if stopped else "failed" if outcome.failure else "done"] += 1
        return stopped


def _set_aside(outcome: VideoOutcome) -> VideoOutcome:
    """Rename the result of a stopped run or a damaged video, so that the next run of the folder does it again."""
    summary, failure = outcome.summary, outcome.failure
    if summary is None or summary.output is None or not (summary.stopped or failure):
        return outcome
    aside = summary.output.with_suffix(".stopped.mp4" if summary.stopped else ".damaged.mp4")
    summary.output.replace(aside)
    if failure is not None:
        failure = VideoError(f"{failure.__cause__}; {summary.frames} frames are in {aside}")
    return replace(outcome, summary=replace(summary, output=aside), failure=failure)


def is_video(path: Path) -> bool:
    """Whether a path has the name of a video, is not hidden, and is no folder."""
    return _VIDEO.fullmatch(path.suffix) is not None and not path.name.startswith(".") and not path.is_dir()
