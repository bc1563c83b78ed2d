"""A folder of photographs with tooth masks: ``DIR/image/NAME.jpg`` and ``DIR/mask/NAME.png``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import FOREGROUND, DatasetError

_PICTURES = (".jpg", ".jpeg", ".png")
#: A smaller photograph cannot fill a view.
_LEAST_SIDE = 64


@dataclass(frozen=True, eq=False)
class Photo:
    """One photograph.

    Attributes:
        name: name of its file, without suffix.
        pixels: uint8 ``(H, W, 4)``: BGR, and 255 on teeth or else 0.
    """

    name: str
    pixels: npt.NDArray[np.uint8]


def read_photos(folder: Path) -> list[Photo]:
    """Read every photograph of a folder, in the order of the names.

    Raises:
        DatasetError: no such folder, no photographs, a photograph without mask, a file that is damaged or too small, or
            a mask of another size.
    """
    if not (folder / "image").is_dir() or not (folder / "mask").is_dir():
        raise DatasetError(f"{folder}: expected the folders image and mask, with image/NAME.jpg and mask/NAME.png")
    images = sorted(path for path in (folder / "image").iterdir() if path.suffix.lower() in _PICTURES)
    if not images:
        raise DatasetError(f"{folder / 'image'}: no photographs; expected {', '.join(_PICTURES)} files")
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_read, images))


def _read(path: Path) -> Photo:
    mask_path = path.parent.parent / "mask" / f"{path.stem}.png"
    image, mask = (cv2.imread(str(p), flag) for p, flag in ((path, cv2.IMREAD_COLOR), (mask_path, cv2.IMREAD_GRAYSCALE)))
    for found, place in ((image, path), (mask, mask_path)):
        if found is None:
            raise DatasetError(f"{place}: {'damaged' if place.is_file() else 'missing'}; copy it again, or remove both")
    assert image is not None and mask is not None
    if image.shape[:2] != mask.shape:
        raise DatasetError(
            f"{mask_path}: is {mask.shape[0]}x{mask.shape[1]}, its photograph {image.shape[0]}x{image.shape[1]}; "
            "make them one size"
        )
    if min(mask.shape) < _LEAST_SIDE:
        raise DatasetError(f"{path}: is {mask.shape[0]}x{mask.shape[1]}; expected sides of {_LEAST_SIDE} or more")
    tooth = np.where(mask >= FOREGROUND, 255, 0).astype(np.uint8)
    return Photo(path.stem, np.dstack([image, tooth]))
