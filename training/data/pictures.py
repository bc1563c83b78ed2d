"""Pictures and tooth masks on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import DatasetError, Frame
from mostnet.contract.metrics import Mask
from mostnet.contract.pictures import picture_bytes

#: A mask of more levels than this has soft edges; one of fewer may hold classes.
_FEW_LEVELS = 16
#: A value of at least this share of the greatest one is no class of its own.
_NEARLY = 15 / 16
#: Channels that differ by no more than this share of full scale are grey: compression tints a grey picture.
_GREY = 1 / 8
#: An area whose values differ by less than this part of the greatest one is even.
_EVEN = 20
#: Most of a mask with soft edges, or of a JPEG, that may be even and of a value between: edges are steep.
_MOST_BETWEEN = 1 / 20
#: A tooth above this share of full scale is white.
_BRIGHT = 3 / 4
_EXPECTED = "expected 255 on teeth and 0 elsewhere, or black and one other value or colour"


def read_picture(path: Path) -> Frame:
    """A picture, uint8 ``(H, W, 3)`` BGR, turned upright as its EXIF orientation says.

    Raises:
        DatasetError: it cannot be read; see ``mostnet.contract.pictures.picture_bytes``.
    """
    picture: Frame = _decode(path, picture_bytes(path), cv2.IMREAD_COLOR)
    return picture


def read_unchanged(path: Path) -> npt.NDArray[Any]:
    """A picture in its own depth and with all its channels, uint8 or uint16, not turned.

    Raises:
        DatasetError: like ``read_picture``.
    """
    return _decode(path, picture_bytes(path), cv2.IMREAD_UNCHANGED)


def read_mask(path: Path) -> Mask:
    """A tooth mask, uint8 ``(H, W)``, 255 on teeth and 0 elsewhere.

    Black is background. If there is exactly one other value or colour, it is the tooth, as in masks of 0 and 1 or with
    a palette. A grey mask with soft edges, or a JPEG, is tooth from half of full scale on, unless it has areas between.

    Raises:
        DatasetError: the file cannot be read, or it is not clear which of its values is the tooth.
    """
    data = picture_bytes(path)
    if data.startswith(b"\xff\xd8"):  # compression changes the values a little
        return _halved(_decode(path, data, cv2.IMREAD_GRAYSCALE), path)
    picture = _decode(path, data, cv2.IMREAD_UNCHANGED)
    colours = picture if picture.ndim == 2 else picture[..., :3]
    tooth = _tooth(colours, path)
    if picture.ndim == 3 and picture.shape[2] == 4:
        _check_opacity(picture[..., 3], tooth, path)
    return tooth


def dark_tooth(path: Path, tooth: npt.NDArray[np.bool_]) -> str:
    """The value or colour of the tooth in a mask, as text, if it is not bright; empty if it is, or without a tooth.

    Args:
        tooth: bool ``(H, W)``, the mask as ``read_mask`` reads it.

    Raises:
        DatasetError: like ``read_picture``.
    """
    picture = read_unchanged(path)
    if not tooth.any() or picture.shape[:2] != tooth.shape:
        return ""
    value = np.atleast_1d(np.median(picture[tooth], axis=0).astype(int))[:3]  # without opacity
    return "" if min(value) > np.iinfo(picture.dtype).max * _BRIGHT else " ".join(map(str, value))


def _decode(path: Path, data: bytes, mode: int) -> npt.NDArray[Any]:
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error:
        picture = None
    if picture is None:
        raise DatasetError(f"{path}: damaged ({len(data)} bytes); copy it again, or remove it")
    return np.asarray(picture)


def _tooth(colours: npt.NDArray[Any], path: Path) -> Mask:
    if colours.ndim == 3:
        brightest = colours.max(axis=2)
        if (brightest - colours.min(axis=2)).max() > np.iinfo(colours.dtype).max * _GREY:
            return _one_colour(colours, path)
        colours = brightest
    if not colours.any() or np.count_nonzero(colours) == np.count_nonzero(colours == colours.max()):
        return np.where(colours > 0, 255, 0).astype(np.uint8)
    levels = np.flatnonzero(np.bincount(colours.ravel()))
    if len(levels) <= _FEW_LEVELS and _has_areas_between(colours):
        listed = ", ".join(map(str, levels))
        raise DatasetError(f"{path}: a mask of several classes ({listed}), of which one must be chosen; {_EXPECTED}")
    return _halved(colours, path)


def _one_colour(colours: npt.NDArray[Any], path: Path) -> Mask:
    tooth = colours.any(axis=2)
    others = colours[tooth]
    if (others != others[0]).any():
        raise DatasetError(f"{path}: a mask of several colours, of which one must be chosen; {_EXPECTED}")
    return np.where(tooth, 255, 0).astype(np.uint8)


def _has_areas_between(grey: npt.NDArray[Any]) -> bool:
    """Whether an area, rather than an edge, has a value between black and nearly the greatest one."""
    square = np.ones((3, 3), np.uint8)
    flat = cv2.erode(grey, square) == cv2.dilate(grey, square)
    return bool((flat & (grey > 0) & (grey < grey.max() * _NEARLY)).any())


def _share_between(grey: npt.NDArray[Any]) -> float:
    """Share of the picture in areas, even up to the noise of a JPEG, between black and three quarters of the most."""
    square, most = np.ones((3, 3), np.uint8), int(grey.max())
    even = cv2.dilate(grey, square) - cv2.erode(grey, square) <= most / _EVEN
    return float((even & (grey > most / 8) & (grey < most * 3 / 4)).mean())


def _halved(grey: npt.NDArray[Any], path: Path) -> Mask:
    """Tooth from half of full scale on."""
    half = (int(np.iinfo(grey.dtype).max) + 1) // 2
    if 0 < grey.max() < half:
        raise DatasetError(
            f"{path}: its greatest value is {grey.max()} of {2 * half - 1}, so that no pixel counts as tooth; "
            + _EXPECTED
        )
    if _share_between(grey) > _MOST_BETWEEN:
        raise DatasetError(f"{path}: a photograph, or a mask of several classes; {_EXPECTED}")
    return np.where(grey >= half, 255, 0).astype(np.uint8)


def _check_opacity(opacity: npt.NDArray[Any], tooth: Mask, path: Path) -> None:
    """Refuse a mask whose opacity and colours disagree: either may have been meant."""
    if (opacity != opacity.flat[0]).any() and not np.array_equal(opacity > np.iinfo(opacity.dtype).max // 2, tooth > 0):
        raise DatasetError(
            f"{path}: its colours and its opacity show different areas; remove the opacity, or paint it as the mask"
        )
