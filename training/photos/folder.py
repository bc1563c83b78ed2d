"""A folder of photographs with tooth masks: ``DIR/image/NAME.jpg`` and ``DIR/mask/NAME.png``."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import FOREGROUND, DatasetError, sha256

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
        DatasetError: no such folder, no photographs, a photograph without mask, a file that is damaged or too small, a
            mask of another size, or one whose values are not those of a tooth mask.
    """
    images = photo_files(folder)
    with ThreadPoolExecutor() as pool:
        return list(pool.map(read_photo, images))


def photo_files(folder: Path) -> list[Path]:
    """The files of the photographs of a folder, in the order of the names.

    Raises:
        DatasetError: no such folder, or no photographs.
    """
    if not (folder / "image").is_dir() or not (folder / "mask").is_dir():
        raise DatasetError(f"{folder}: expected the folders image and mask, with image/NAME.jpg and mask/NAME.png")
    images = sorted(
        path for path in (folder / "image").iterdir() if path.suffix.lower() in _PICTURES and path.name[0] != "."
    )
    if not images:
        raise DatasetError(f"{folder / 'image'}: no photographs; expected {', '.join(_PICTURES)} files")
    return images


def photos_sha256(folder: Path) -> str:
    """Hexadecimal SHA-256 of the contents of all photographs and masks, by which a set is known again.

    Raises:
        DatasetError: like ``photo_files``.
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for image in photo_files(folder):
        for path in (image, _mask_file(image)):
            digest.update(bytes.fromhex(sha256(path)))
    return digest.hexdigest()


def _mask_file(image: Path) -> Path:
    return image.parent.parent / "mask" / f"{image.stem}.png"


def read_photo(path: Path) -> Photo:
    """Read the photograph ``DIR/image/NAME.jpg`` and its mask.

    Raises:
        DatasetError: one of the two is missing, damaged or too small, they differ in size, or every value of the mask
            counts as background although some are not 0.
    """
    mask_path = _mask_file(path)
    image, mask = cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
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
    if 0 < mask.max() < FOREGROUND:
        raise DatasetError(
            f"{mask_path}: its greatest value is {mask.max()}, so that no pixel counts as tooth; expected 255 on teeth "
            "and 0 elsewhere (a palette or 0/1 mask must be converted), or only 0 where there is no tooth"
        )
    tooth = np.where(mask >= FOREGROUND, 255, 0).astype(np.uint8)
    return Photo(path.stem, np.dstack([image, tooth]))
