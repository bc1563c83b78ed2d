"""Calibration data: frames of a video file, or of the sequences of a dataset, in the order in which they were taken."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from mostnet.contract import CalibrationError, DatasetError, Frame, natural_key, sha256
from mostnet.contract.arguments import size_text
from mostnet.contract.pictures import check_picture, picture_bytes, picture_files

#: Default number of frames.
USUAL_FRAMES = 100
#: A sequence gives at least this many frames if it has them: the state needs several frames to reach its range.
_LEAST_RUN = 8


@dataclass(frozen=True)
class CalibrationRuns:
    """What a calibration reads: ``frames`` frames of ``sequences`` sequences in ``place``, a video or a folder."""

    frames: int
    sequences: int
    place: Path

    def __str__(self) -> str:
        many = f"{self.sequences} sequences of " if self.sequences > 1 else ""
        return f"{self.frames} frames of {many}{self.place}"


@dataclass(frozen=True)
class CalibrationData:
    """Sequences of frames, each for a stream that starts from an empty state.

    Attributes:
        source: the video file, or the folder ``ROOT/train/SEQUENCE/input/000000.png``: a dataset, one of its splits,
            or one sequence. A dataset gives its ``train`` split, so that the others stay unseen.
        size_hw: frame height and width that the graph takes, in pixels.
        frames: number of frames to read; None for up to ``USUAL_FRAMES``.
        resize: scale frames of another size as ``mostnet-run`` does, between margins if the shapes differ, instead
            of refusing them.
    """

    source: Path
    size_hw: tuple[int, int]
    frames: int | None = None
    resize: bool = False

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 2:
            raise CalibrationError(f"{self.frames} calibration frames; expected at least 2, so that state is carried")
        if not self.source.exists():
            raise CalibrationError(f"{self.source}: no such video or dataset to calibrate on")
        if not (self.source.is_dir() or self.source.is_file()):
            raise CalibrationError(f"{self.source}: a pipe or device; calibration reads a video twice, so give a file")

    def check(self) -> None:
        """Look at the first bytes of all pictures, and at the first frame of each sequence, before other work.

        Raises:
            CalibrationError, VideoError: like ``sequences``.
        """
        for sequence in self.sequences():
            next(sequence)

    def sequences(self) -> Iterator[Iterator[Frame]]:
        """The sequences, each an iterator of uint8 ``(H, W, 3)`` BGR frames. Read each to its end before the next.

        Raises:
            CalibrationError: no frames, fewer than were asked for, one that does not decode, or one of another size.
            VideoError: the video cannot be read, or is damaged within these frames.
        """
        if self.source.is_dir():
            for pictures in self._pictures():
                yield (self._fitted(_read_picture(path), path) for path in pictures)
        else:
            yield self._video()

    def runs(self) -> CalibrationRuns:
        """The frames that ``sequences`` gives; reads a video for it.

        Raises:
            CalibrationError, VideoError: like ``sequences``.
        """
        if not self.source.is_dir():
            return CalibrationRuns(sum(1 for _ in self._video()), 1, self.source)
        pictures = self._pictures()
        sequence = pictures[0][0].parent.parent
        place = sequence.parent if len(pictures) > 1 else sequence
        return CalibrationRuns(sum(map(len, pictures)), len(pictures), place)

    def digest(self) -> str:
        """Hexadecimal SHA-256 of the files that ``sequences`` reads, and of the way it reads them."""
        way = "shape kept" if self.resize else "size kept"
        digest = hashlib.sha256(f"{self.size_hw} {self.frames} {way}".encode())
        if not self.source.is_dir():
            digest.update(sha256(self.source).encode())
            return digest.hexdigest()
        for pictures in self._pictures():
            for path in pictures:
                digest.update(f"{path.relative_to(self.source)} {sha256(path)}".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def _video(self) -> Iterator[Frame]:
        from mostnet.video import VideoReader  # only a video needs PyAV

        count = 0
        with VideoReader(self.source) as reader:
            for frame in itertools.islice(reader, self.frames or USUAL_FRAMES):
                count += 1
                yield self._fitted(frame, self.source, reader.pixel_aspect)
            reader.check()
        self._require(count)

    def _pictures(self) -> list[list[Path]]:
        """Paths of the pictures to read, by sequence. Of many sequences, evenly spaced ones are read."""
        with _as_calibration_error():
            found = [pictures for folder in _sequence_folders(self.source) if (pictures := picture_files(folder))]
        self._require(sum(map(len, found)))
        wanted = self.frames or USUAL_FRAMES
        some = max(1, min(len(found), wanted // _LEAST_RUN))
        chosen = [found[i * len(found) // some] for i in range(some)]
        if sum(map(len, chosen)) < wanted:
            chosen = found
        taken: dict[int, tuple[Path, ...]] = {}
        for i in sorted(range(len(chosen)), key=lambda i: len(chosen[i])):  # the longest last: it takes the rest
            taken[i] = chosen[i][: wanted // (len(chosen) - len(taken))]
            wanted -= len(taken[i])
        with _as_calibration_error():
            for path in itertools.chain(*taken.values()):
                check_picture(path)
        return [list(taken[i]) for i in sorted(taken) if taken[i]]

    def _require(self, count: int) -> None:
        if count == 0:
            raise CalibrationError(
                f"{self.source}: no frames to calibrate on; expected a video, or pictures in "
                "ROOT/train/SEQUENCE/input/000000.png"
            )
        least = self.frames or 2
        if count < least:
            raise CalibrationError(
                f"{self.source}: the calibration data ran out after {count} frames, {least} are wanted; "
                "give more of it, or a smaller --calib-frames"
            )

    def _fitted(self, frame: Frame, path: Path, pixel_aspect: Fraction = Fraction(1)) -> Frame:
        height, width = frame.shape[:2]
        if self.resize:
            from mostnet.video.fit import FrameFit  # frames that fit need no PyAV

            return FrameFit((height, width), self.size_hw, pixel_aspect).to_engine(frame)
        if (height, width) != self.size_hw:
            raise CalibrationError(
                f"{path}: frames are {height}x{width}, the graph takes {self.size_hw[0]}x{self.size_hw[1]}; "
                f"export with --size {size_text((height, width))}, or scale the frames with --calib-resize"
            )
        return frame


def _sequence_folders(root: Path) -> list[Path]:
    for place in (root / "train", root):
        folders = [folder / "input" for folder in sorted(place.glob("*"), key=natural_key)]
        folders = [folder for folder in folders if folder.is_dir() and folder.parent.name[0] != "."]
        if folders:
            return folders
    return [root / "input"]


def _read_picture(path: Path) -> Frame:
    with _as_calibration_error():
        data = picture_bytes(path)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None:
        raise CalibrationError(f"{path}: damaged ({len(data)} bytes); replace or remove it")
    return np.asarray(picture, np.uint8)


@contextmanager
def _as_calibration_error() -> Iterator[None]:
    try:
        yield
    except DatasetError as error:
        raise CalibrationError(str(error)) from error
