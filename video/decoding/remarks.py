"""Say, once each, what of a file is not shown as it is meant."""

from __future__ import annotations

import logging
import math
from fractions import Fraction

import av
import numpy as np

from mostnet.contract.terminal import counted

from .tone import HDR_NAMES

_LOG = logging.getLogger(__name__)

#: Largest share of a turned side's length by which a quarter turn may be off.
_SLANT = 0.02

#: Pixels are at most this many times as wide as high, or as high as wide.
_MOST_ASPECT = Fraction(5)

#: Opacity of a pixel that hides what is behind it.
_OPAQUE = 255
_TRANSPARENT = "the transparency of the video is left out"

#: Side data of a picture -> what is said of it.
_SIDE_DATA = {
    "STEREO3D": "the video is stereoscopic (3D); its pictures are processed as flat ones",
    "SPHERICAL": "the video is a panorama (spherical); its pictures are processed as flat ones",
    "A53_CC": "the closed captions inside the video are left out",
}


class Remarks:
    """Looks at the pictures of one file and logs each remark once."""

    def __init__(self, name: str, stream: av.VideoStream) -> None:
        self._name = name
        self._stream = stream
        self._is_first = True
        self._said: set[str] = set()

    def look(self, picture: av.VideoFrame) -> None:
        """Look at the next picture."""
        hdr = HDR_NAMES.get(int(picture.color_trc))
        if hdr is not None:
            self._say(
                f"high dynamic range ({hdr}) is tone-mapped to standard range, so highlights look flatter than on an "
                "HDR screen"
            )
        if _TRANSPARENT not in self._said and self._is_transparent(picture):
            self._say(_TRANSPARENT)
        if self._is_first:
            self._is_first = False
            self._look_at_first(picture, is_hdr=hdr is not None)

    def _look_at_first(self, picture: av.VideoFrame, *, is_hdr: bool) -> None:
        for kind, text in _SIDE_DATA.items():
            data = picture.side_data.get(kind)
            if data is not None and not (kind == "STEREO3D" and _is_flat(bytes(data))):
                self._say(text)
        if self._stream.metadata.get("stereo_mode", "mono") != "mono":
            self._say(_SIDE_DATA["STEREO3D"])
        if not is_hdr and any(picture.side_data.get(kind) is not None for kind in ("DOVI_RPU_BUFFER", "DOVI_METADATA")):
            self._say("Dolby Vision without a standard picture below it: colours may be wrong; convert it first")
        matrix = picture.side_data.get("DISPLAYMATRIX")
        if matrix is not None:
            self._look_at_turn(bytes(matrix))

    def _is_transparent(self, picture: av.VideoFrame) -> bool:
        """Whether a pixel is not opaque, or the decoder drops the opacity."""
        if self._stream.metadata.get("alpha_mode") == "1":
            return True
        if not any(part.is_alpha for part in picture.format.components):
            return False
        return bool(picture.to_ndarray(format="rgba")[..., 3].min() < _OPAQUE)

    def _look_at_turn(self, matrix: bytes) -> None:
        a, b = (int(value) for value in np.frombuffer(matrix, np.int32)[:2])
        if min(abs(a), abs(b)) > _SLANT * max(abs(a), abs(b)):
            degrees = math.degrees(math.atan2(b, a))
            self._say(
                f"the file asks for a turn by {degrees:.0f} degrees; only quarter turns are made, so it is slanted"
            )

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            _LOG.warning("%s: %s", self._name, text)


def true_aspect(stream: av.VideoStream, name: str) -> Fraction:
    """Width over height of one pixel; one that cannot be true is taken as 1, which is said."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT:
        return aspect
    _LOG.warning("%s: says that its pixels are %s as wide as high; taken as square", name, aspect)
    return Fraction(1)


def say_choice(name: str, streams: list[av.VideoStream]) -> None:
    """Say that the first of several video streams is read."""
    if len(streams) > 1:
        first = streams[0].codec_context
        _LOG.warning(
            "%s: has %d video streams; the first one, %dx%d, is read",
            *(name, len(streams), first.height, first.width),
        )


def say_left_out(name: str, container: av.container.InputContainer) -> None:
    """Say which parts of a file a written video does not keep. Its tags, such as title, date and place, go silently."""
    parts = {"subtitle track": len(container.streams.subtitles), "chapter": len(container.chapters())}
    found = [counted(count, part) for part, count in parts.items() if count]
    if found:
        _LOG.warning("%s: %s not written", name, " and ".join(found) + (" is" if _is_one(parts) else " are"))


def _is_one(parts: dict[str, int]) -> bool:
    return sum(parts.values()) == 1


def _is_flat(stereo: bytes) -> bool:
    """Whether side data that describes a stereoscopic picture says that it is none."""
    return not any(stereo[:4])
