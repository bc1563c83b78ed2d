"""Conversion between decoded pictures (YUV of any matrix and range) and BGR."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from mostnet.contract import Frame, VideoError
from mostnet.video.decoding.tone import tone_of

# Numbers of FFmpeg's libswscale/swscale.h: SWS_CS_BT2020, then SWS_BILINEAR, SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT.
# PyAV passes them on unchanged. It names all of them only from version 18 on, which needs Python 3.11.
_SWS_BT2020 = 9
# Without accurate rounding swscale's fast paths truncate: every channel comes back a grey level too dark.
_SCALER = 0x2 | 0x40000 | 0x2000

#: Pictures to be tone-mapped. With this scaler, swscale's packed formats of 16 bits come out wrong.
_DEEP = "gbrp16le"

#: H.273 matrix code of a picture -> swscale's number for the same matrix.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: _SWS_BT2020,
    10: _SWS_BT2020,
}
#: Codes that name no YUV matrix: RGB, unspecified, reserved.
_UNSPECIFIED = (0, 2, 3)
_BT709 = 1

#: A picture that names no matrix counts as BT.709 from this height on, and as BT.601 below it.
HD_HEIGHT = 720


def to_bgr(frame: av.VideoFrame, size_hw: tuple[int, int]) -> Frame:
    """Convert a decoded picture to uint8 ``(H, W, 3)`` BGR of the given size.

    Matrix and range are read from the picture. If it names none, the height decides between BT.601 and BT.709, and the
    range is limited. High dynamic range and wide gamuts are brought to BT.709.

    Raises:
        VideoError: the picture uses a colour matrix that cannot be converted.
    """
    tone = tone_of(int(frame.color_trc), int(frame.color_primaries))
    converted = frame.reformat(
        width=size_hw[1],
        height=size_hw[0],
        format="bgr24" if tone is None else _DEEP,
        src_colorspace=_matrix(frame),
        src_color_range=_range(frame),
        dst_color_range=ColorRange.JPEG,
        interpolation=_SCALER,
    )
    picture = converted.to_ndarray()
    return np.asarray(picture if tone is None else tone.apply(picture))


def from_bgr(picture: Frame) -> av.VideoFrame:
    """Convert uint8 ``(H, W, 3)`` BGR, both sides even, to limited-range BT.709 yuv420p."""
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=_SCALER,
    )


def tag_bt709(encoder: av.VideoCodecContext) -> None:
    """Tag an encoder's output as limited-range BT.709, so that players convert it back the same way."""
    encoder.colorspace = encoder.color_primaries = encoder.color_trc = _BT709
    encoder.color_range = ColorRange.MPEG


def _matrix(frame: av.VideoFrame) -> int:
    code = int(frame.colorspace)
    if code in _MATRICES:
        return int(_MATRICES[code])
    if code in _UNSPECIFIED:
        return int(Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601)
    raise VideoError(f"colour matrix {code} (H.273) is not supported; convert the video to BT.709 first")


def _range(frame: av.VideoFrame) -> int:
    if frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"):
        return int(ColorRange.JPEG)
    return int(ColorRange.MPEG)
