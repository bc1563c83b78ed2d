"""Write H.264 in MP4 that browsers play, even if the writing was interrupted."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2

from mostnet.contract import Frame, VideoError, check_frame
from mostnet.contract.cores import default_threads
from mostnet.video.files.opening import file_url
from mostnet.video.sound.source import SoundSource
from mostnet.video.sound.writing import SoundWriter

from .colour import from_bgr, tag_bt709

#: Least clock ticks per second: times are kept to a tenth of a millisecond.
_MIN_TICKS = 10_000
_KEYFRAME_S = 2
#: Most video that a killed process loses, in microseconds.
_FRAGMENT_US = "500000"
#: With sound, the index waits for the start times of all tracks, and pictures do not wait for sound that ends early.
_SOUND_OPTIONS = {"movflags": "hybrid_fragmented+delay_moov", "max_interleave_delta": _FRAGMENT_US}
#: Most bytes of a file's name where the system does not say.
_NAME_MAX = 255


class VideoWriter:
    """Write uint8 ``(H, W, 3)`` BGR frames to an H.264 MP4 (yuv420p, limited-range BT.709).

    An odd height or width is made even by repeating the last row or column, since yuv420p halves both.

    Frames go to a new ``NAME.part-XXXXXXXX.mp4`` beside the file, in fragments. A killed process leaves that file
    playable, and the next run takes another name. ``close()`` finishes the file and renames it to ``path``; the end of
    the ``with`` block always calls it. So an error or Ctrl-C keeps every frame written so far, and an existing file is
    replaced only if at least one frame was written.
    """

    def __init__(
        self,
        path: str | Path,
        fps: Fraction | float,
        size_hw: tuple[int, int],
        *,
        crf: int = 18,
        pixel_aspect: Fraction = Fraction(1),
        sound: SoundSource | None = None,
        begin_s: Fraction = Fraction(0),
    ) -> None:
        """Open the file, so that an unwritable path is found before any work.

        Args:
            path: file to write, ending in ``.mp4``.
            fps: frame rate; a ``Fraction`` is kept exactly.
            size_hw: height and width of the frames, in pixels.
            crf: x264's constant rate factor, 0 (lossless) to 51; 18 looks like the source.
            pixel_aspect: width over height of one pixel.
            sound: sound to write beside the frames, up to the end of the last one. Its times count from the first.
            begin_s: ``time_s`` of ``write`` that is the zero of the file. The clock ticks of a part are those of a
                whole file, but for one number that is the same for all frames.

        Raises:
            VideoError: wrong suffix, frame rate or size, or the folder is missing or not writable.
        """
        self.path = Path(path)
        self.fps = Fraction(fps).limit_denominator(1_000_000)
        self.size_hw = size_hw
        self.frames_written = 0
        self._check_arguments()
        self._ticks = self.fps.numerator * -(-_MIN_TICKS // self.fps.numerator)
        self._begin = round(begin_s * self._ticks)
        self._last_pts = -1
        self._closed = self._failed = self._all_sound = False
        self._held: list[av.Packet] = []
        self._part = self._make_part()
        try:
            # A hybrid file is fragmented while it grows and becomes an ordinary, indexed MP4 when it is closed.
            has_sound = sound is not None and bool(sound.tracks)
            options = {"movflags": "hybrid_fragmented", "frag_duration": _FRAGMENT_US, "flush_packets": "1"}
            options |= _SOUND_OPTIONS if has_sound else {}
            self._container = av.open(file_url(self._part), "w", format="mp4", options=options)
            self._stream = self._add_stream(crf, pixel_aspect)
            self._sound = SoundWriter(self._container, sound) if sound is not None and has_sound else None
        except BaseException:
            self._part.unlink()
            raise

    def write(self, frame: Frame, *, time_s: Fraction | None = None) -> None:
        """Append a uint8 ``(H, W, 3)`` frame, shown at ``time_s`` seconds, by default one frame period after the last.

        Raises:
            FrameError: wrong dtype or shape.
            VideoError: writing failed, for instance because the disk is full, or the writer is closed.
        """
        if self._closed:
            raise VideoError(f"{self.path}: the writer is closed; open a new one")
        picture = from_bgr(_pad_to_even(check_frame(frame, self.size_hw)))
        picture.pts = self._next_pts(time_s)
        picture.time_base = Fraction(1, self._ticks)
        self._encode(picture)
        self.frames_written += 1

    def keep_all_sound(self) -> None:
        """Let ``close`` write the sound after the last frame too; by default the sound ends with the frames."""
        self._all_sound = True

    def close(self) -> None:
        """Finish the file and rename it to ``path``; closing twice does nothing.

        Raises:
            VideoError: the end of the file could not be written; the rest stays in ``NAME.part-XXXXXXXX.mp4``.
        """
        if self._closed:
            return
        self._closed = True
        if self._failed:  # ``write`` has raised the reason already
            self._give_up()
            return
        try:
            if self.frames_written:
                self._encode(None)
            self._container.close()
            if self.frames_written:
                self._part.replace(self.path)
            else:
                self._part.unlink(missing_ok=True)
        except VideoError:
            self._give_up()
            raise
        except (av.FFmpegError, OSError) as error:
            kept = self._kept()
            self._give_up()
            raise VideoError(f"{self.path}: cannot finish the file ({error.strerror}); {kept}") from error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_arguments(self) -> None:
        if self.path.suffix.lower() != ".mp4":
            raise VideoError(f"{self.path}: output is H.264 in MP4; give a name that ends in .mp4")
        if self.fps <= 0 or min(self.size_hw) < 2:
            raise VideoError(
                f"{self.path}: cannot write {self.size_hw} frames at {self.fps} FPS; expected sides of at least 2 "
                "pixels and a rate above 0"
            )
        if not self.path.parent.is_dir():
            raise VideoError(f"{self.path}: there is no folder {self.path.parent}; make it first")
        try:
            is_folder = self.path.is_dir()
        except OSError as error:  # for instance a name that is too long
            raise VideoError(f"{self.path}: cannot be written ({error.strerror}); give another name") from error
        if is_folder:
            raise VideoError(f"{self.path}: is a folder; give the name of a file")

    def _give_up(self) -> None:
        """Close the growing file after a failure, and delete it if nothing is in it."""
        with suppress(av.FFmpegError, OSError):
            self._container.close()
        with suppress(OSError):
            if self._part.stat().st_size == 0:
                self._part.unlink()

    def _make_part(self) -> Path:
        """Create the growing file under an unused name, so that no file beside the output is overwritten."""
        while True:
            part = part_path(self.path, secrets.token_hex(4))
            try:
                part.open("xb").close()
            except FileExistsError:
                continue
            except OSError as error:
                raise VideoError(f"{self.path}: cannot write in {self.path.parent} ({error.strerror})") from error
            return part

    def _add_stream(self, crf: int, pixel_aspect: Fraction) -> av.VideoStream:
        stream = self._container.add_stream("libx264", rate=self.fps)
        stream.height, stream.width = (side + side % 2 for side in self.size_hw)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, self._ticks)
        stream.codec_context.sample_aspect_ratio = pixel_aspect
        # Without B-frames each packet follows its frame, so an interrupted file lacks nothing and starts at zero.
        stream.options = {
            "preset": "veryfast",
            "crf": str(crf),
            "bf": "0",
            "g": str(round(self.fps * _KEYFRAME_S) or 1),
        }
        # As x264 chooses by itself, but within the CPU limit of a container.
        stream.codec_context.thread_count = max(1, default_threads() * 3 // 2)
        tag_bt709(stream.codec_context)
        return stream

    def _next_pts(self, time_s: Fraction | None) -> int:
        period = Fraction(self._ticks) / self.fps
        if time_s is not None:
            wanted = round(time_s * self._ticks) - self._begin
        else:
            wanted = 0 if self._last_pts < 0 else self._last_pts + round(period)
        self._last_pts = max(wanted, self._last_pts + 1)
        return self._last_pts

    def _encode(self, picture: av.VideoFrame | None) -> None:
        with self._reporting():
            self._put(self._stream.encode(picture), is_end=picture is None)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Raise a failure of the block as a VideoError that says what is kept."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            self._failed = True
            raise VideoError(
                f"{self.path}: cannot write frame {self.frames_written} ({error.strerror}); {self._kept()}"
            ) from error

    def _put(self, packets: Iterable[av.Packet], *, is_end: bool = False) -> None:
        """Write packets of the pictures, and the sound up to the newest picture."""
        self._held += packets
        if self._sound is None:
            self._mux_held()
        else:
            self._mux_with_sound(self._sound, None if is_end else Fraction(self._last_pts, self._ticks))

    def _mux_with_sound(self, sound: SoundWriter, time_s: Fraction | None) -> None:
        """Write what is encoded, and the sound up to ``time_s``; None at the end."""
        if not sound.open(time_s):
            return
        self._mux_held()
        if time_s is not None:
            sound.write(time_s)
            return
        sound.write(None if self._all_sound else Fraction(self._last_pts, self._ticks) + 1 / self.fps)
        sound.finish()

    def _mux_held(self) -> None:
        self._container.mux(self._held)
        self._held.clear()

    def _kept(self) -> str:
        """What is left after a failure, for messages."""
        is_empty = not self._part.exists() or self._part.stat().st_size == 0
        return "nothing was written" if is_empty else f"the frames before it are in {self._part}"


def part_path(path: Path, token: str) -> Path:
    """Name of the growing file beside ``path``: as much of its stem as the file system lets a name have."""
    ending = f".part-{token}.mp4"
    try:
        most = os.pathconf(path.parent, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        most = _NAME_MAX
    stem = path.stem
    while len(os.fsencode(stem + ending)) > most and stem:
        stem = stem[:-1]
    return path.with_name(stem + ending)


def _pad_to_even(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return frame
    padded: Frame = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return padded
