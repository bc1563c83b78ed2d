"""Videos of what an evaluation judged: pictures, flow and teeth beside their labels, with each frame's figures."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np

from mostnet.contract import OUTPUTS, Frame, VideoError, staging_folder
from mostnet.contract.terminal import one_line
from mostnet.video import FlowScale, VideoWriter, flow_picture
from mostnet.video.layouts import MAX_SIDE
from mostnet.video.text import line_height_px, text_width_px, write_text

from .contact_sheet import teeth_picture
from .evaluate import JudgedFrame
from .scores import summarise

#: Frames per second: a data set is pictures, and does not say.
FPS = 25
_GREY, _STRIP, _INK = 96, 32, (255, 255, 255)
#: Narrower pictures are enlarged, so that their titles can be read.
_LEAST_WIDTH = 280
_LARGEST_TEXT, _SMALLEST_TEXT = 0.7, 0.3
#: Figures on a frame: the text before it, its name in ``Scores``, the decimals, and the text after it.
_FIGURES = (
    ("PSNR", "psnr_db", 2, " dB"),
    ("SSIM", "ssim", 3, ""),
    ("shade", "shade_mean_de00", 2, " dE00"),
    ("EPE", "epe_px", 2, " px"),
    ("IoU", "iou", 3, ""),
    ("tooth motion", "motion_px", 2, " px"),
)
#: Figures that the input has too.
_OF_INPUT = {"psnr_db", "ssim", "shade_mean_de00"}


@contextmanager
def judged_videos(folder: Path | None) -> Iterator[JudgedVideos]:
    """Videos that are put into ``folder`` at the end of the block, unless it fails; None writes none.

    Raises:
        VideoError: a file cannot be written.
    """
    if folder is None:
        yield JudgedVideos(None)
        return
    with staging_folder(folder.parent) as staged:
        videos = JudgedVideos(staged)
        try:
            try:
                yield videos
            except BaseException:
                with suppress(VideoError):  # the error of the block says more
                    videos.close()
                raise
            videos.close()
        except VideoError as error:
            reason = error.__cause__ or error
            is_full = isinstance(reason, OSError) and reason.errno == errno.ENOSPC
            advice = "make room there, or leave --video out" if is_full else "leave --video out"
            raise VideoError(f"{folder}: {reason}; {advice}") from error
        folder.mkdir(exist_ok=True)
        videos.files = [path.replace(folder / path.name) for path in videos.files]


class JudgedVideos:
    """Writes one MP4 per sequence into a folder, as the frames come; with None in its place, it takes no notice."""

    def __init__(self, folder: Path | None) -> None:
        self.files: list[Path] = []
        self._folder = folder
        self._writer: VideoWriter | None = None
        self._scale = FlowScale()

    def add(self, frame: JudgedFrame) -> None:
        """Draw and write the next frame; the first frame of a sequence begins its file.

        Raises:
            VideoError: the file cannot be written.
        """
        if self._folder is None:
            return
        if frame.number == 0:
            self.close()
            self._scale = FlowScale()
        picture = judged_picture(frame, self._scale)
        if self._writer is None:
            path = self._folder / f"{frame.sequence.name}.mp4"
            self._writer = VideoWriter(path, FPS, (picture.shape[0], picture.shape[1]))
            self.files.append(path)
        self._writer.write(picture)

    def close(self) -> None:
        """Finish the file of the current sequence."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def judged_picture(frame: JudgedFrame, scale: FlowScale) -> Frame:
    """Draw one frame, uint8 BGR: its name, its figures, and titled pictures in two rows.

    The rows are input, enhanced and reference, then flow, true flow and teeth. The column of labels is left out of a
    sequence that has neither reference nor flow.

    Args:
        scale: of the flow; it follows the true flow, or without labels the found one.
    """
    labelled = frame.labelled
    enhanced, flow, mask = (getattr(frame.output, name, None) for name in OUTPUTS)
    true = labelled.flow
    if true is not None and labelled.valid is not None:
        true = np.where(labelled.valid, true, np.float32(np.nan))
    leading = flow if true is None else true
    longest = scale.max_px if leading is None else scale.follow(leading)
    teeth = None if mask is None else teeth_picture(labelled.input, mask, labelled.mask)
    upper = [("input", labelled.input), ("enhanced", enhanced), ("reference", labelled.reference)]
    lower = [
        (f"flow, full colour {longest:.1f} px", _coloured(flow, longest)),
        ("true flow, black unknown", _coloured(true, longest)),
        ("teeth: " + ("cyan" if labelled.mask is None else "cyan found, red missed, yellow false"), teeth),
    ]
    if "reference" not in frame.sequence.labels and not frame.sequence.has_flow:
        del upper[2], lower[1]
    size_hw = labelled.size_hw
    rows = [np.hstack([titled(picture, title, size_hw) for title, picture in row]) for row in (upper, lower)]
    width = rows[0].shape[1]
    picture = np.vstack([*(_strip(line, width, _text_scale(size_hw)) for line in _lines(frame)), *rows])
    shrink = MAX_SIDE / max(picture.shape)
    if shrink < 1:
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return picture


def titled(picture: Frame | None, title: str, size_hw: tuple[int, int]) -> Frame:
    """A picture of ``size_hw`` under a strip with its title, enlarged if it is narrow; grey if there is none."""
    shown = np.full((*size_hw, 3), _GREY, np.uint8) if picture is None else picture
    title = f"{title}: none" if picture is None else title
    times = _times(size_hw[1])
    large: Frame = np.repeat(np.repeat(shown, times, axis=0), times, axis=1)
    return np.vstack([_strip(title, large.shape[1], _text_scale(size_hw)), large])


def _times(width: int) -> int:
    return -(-_LEAST_WIDTH // width)


def _text_scale(size_hw: tuple[int, int]) -> float:
    return min(_LARGEST_TEXT, max(0.5, size_hw[0] * _times(size_hw[1]) / 800))


def _strip(text: str, width: int, scale: float) -> Frame:
    """A dark strip with a line of text, made smaller if it is too long."""
    height = line_height_px(scale)
    room = width - 8
    fitting = max(_SMALLEST_TEXT, min(scale, scale * room / max(1, text_width_px(text, scale))))
    strip: Frame = np.full((height, width, 3), _STRIP, np.uint8)
    write_text(strip, text, _INK, fitting, (4, round(height * 0.7)))
    return strip


def _coloured(flow: np.ndarray | None, longest: float) -> Frame | None:
    return None if flow is None else flow_picture(flow, max_px=longest)


def _lines(frame: JudgedFrame) -> Sequence[str]:
    """The frame's name and its figures, those of the input in brackets."""
    found, before = (summarise([score]) for score in (frame.score, frame.baseline))
    texts = []
    for title, name, digits, unit in _FIGURES:
        value, unchanged = getattr(found, name), getattr(before, name)
        if value is not None:
            compared = f" (input {unchanged:.{digits}f})" if name in _OF_INPUT and unchanged is not None else ""
            texts.append(f"{title} {value:.{digits}f}{unit}{compared}")
    name = f"{one_line(frame.sequence.name)}, frame {frame.number}"
    return [name, ", ".join(texts) or "no figures: this frame has no label of a trained task"]
