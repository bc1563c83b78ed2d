"""A folder of photographs with tooth masks: ``DIR/image/NAME.jpg`` and ``DIR/mask/NAME.png``, each PNG or JPEG."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mostnet.contract import DatasetError, sha256
from mostnet.contract.pictures import PICTURES, picture_files
from mostnet.training.data.guesses import PHOTO_WORDS, question
from mostnet.training.data.oddities import say_masks
from mostnet.training.data.pictures import read_mask, read_picture

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
    """Read every photograph of a folder, in the order of the names. Warnings are those of ``say_masks``.

    Raises:
        DatasetError: no such folder, no photographs, or photographs that ``read_photo`` refuses: it says how many, and
            why the first one.
    """
    images = photo_files(folder)
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_photo_or_error, images))
    bad = [str(photo) for photo in found if isinstance(photo, DatasetError)]
    if bad:
        count = f"{len(bad)} of {len(images)} photographs cannot be used; the first: " if len(bad) > 1 else ""
        raise DatasetError(count + bad[0])
    photos = [photo for photo in found if isinstance(photo, Photo)]
    say_photo_masks(folder, images)
    return photos


def say_photo_masks(folder: Path, images: Sequence[Path]) -> None:
    """Warn like ``say_masks`` about the masks of these photographs."""
    say_masks(str(folder), [_mask_file(path) for path in images])


def photo_files(folder: Path) -> list[Path]:
    """The files of the photographs of a folder, in the order of the numbers in their names.

    Raises:
        DatasetError: no such folder, no photographs, or two photographs or two masks with the same name.
    """
    if not (folder / "image").is_dir() or not (folder / "mask").is_dir():
        missing = [name for name in ("image", "mask") if not (folder / name).is_dir()]
        raise DatasetError(
            f"{folder}: expected the folders image and mask, with image/NAME.jpg and mask/NAME.png"
            + _question(folder, missing)
        )
    images = picture_files(folder / "image")
    if not images:
        raise DatasetError(f"{folder / 'image'}: no photographs; expected {', '.join(PICTURES)} files")
    picture_files(folder / "mask")  # refuses two masks for one photograph
    return list(images)


def _question(folder: Path, missing: Sequence[str]) -> str:
    for split in ("train", "val"):
        if all((folder / split / name).is_dir() for name in ("image", "mask")):
            return f"; did you mean {folder / split}?"
    return question(folder, missing, PHOTO_WORDS)


def describe_photos(folder: Path) -> str:
    """What a folder of photographs holds: how many, how many masks, and masks without a photograph.

    Raises:
        DatasetError: like ``photo_files``.
    """
    images, masks = photo_files(folder), picture_files(folder / "mask")
    names = {path.stem for path in images}
    spare = [path.name for path in masks if path.stem not in names]
    text = f"{folder}: {len(images)} photographs, {len(masks)} masks"
    return text if not spare else f"{text}, of which {len(spare)} without a photograph are not read ({spare[0]})"


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


def _photo_or_error(path: Path) -> Photo | DatasetError:
    try:
        return read_photo(path)
    except DatasetError as error:
        return error


def _mask_file(image: Path) -> Path:
    """The mask of a photograph, with any suffix of a picture; with ``.png`` if there is none."""
    names = [f"{image.stem}{suffix}" for lower in PICTURES for suffix in (lower, lower.upper())]
    paths = [image.parent.parent / "mask" / name for name in names]
    return next((path for path in paths if path.exists()), paths[0])


def read_photo(path: Path) -> Photo:
    """Read the photograph ``DIR/image/NAME.jpg`` and its mask.

    Raises:
        DatasetError: one of the two is missing, damaged or too small, they differ in size, or it is not clear which of
            the values of the mask is the tooth.
    """
    mask_path = _mask_file(path)
    try:
        image, mask = read_picture(path), read_mask(mask_path)
    except DatasetError as error:
        raise DatasetError(f"{error} (a photograph and its mask belong together; remove both)") from error
    if image.shape[:2] != mask.shape:
        raise DatasetError(
            f"{mask_path}: is {mask.shape[0]}x{mask.shape[1]}, its photograph {image.shape[0]}x{image.shape[1]} once "
            "upright as its EXIF orientation says; make them one size, and draw the mask on the upright photograph"
        )
    if min(mask.shape) < _LEAST_SIDE:
        raise DatasetError(f"{path}: is {mask.shape[0]}x{mask.shape[1]}; expected sides of {_LEAST_SIDE} or more")
    return Photo(path.stem, np.dstack([image, mask]))
