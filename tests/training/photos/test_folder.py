"""The folder of photographs: what is read, and how each fault is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.contract import DatasetError
from mostnet.training.photos.folder import photos_sha256, read_photos
from mostnet.training.synth_cli import main
from tests.training.data.picture_files import bad_files

from .drawn import drawn_photo, drawn_photos, write_photos

SQUARE = np.zeros((64, 96), np.uint8)
SQUARE[16:48, 24:72] = 1


def folder_with_mask(folder: Path, mask: np.ndarray) -> Path:
    write_photos(folder, [drawn_photo(0, size_hw=mask.shape[:2])])  # type: ignore[arg-type]
    assert cv2.imwrite(str(folder / "mask/0000.png"), mask)
    return folder


def test_what_is_written_is_read_in_the_order_of_the_names(tmp_path: Path) -> None:
    photos = drawn_photos(3)
    found = read_photos(write_photos(tmp_path, photos[::-1]))
    assert [photo.name for photo in found] == ["0000", "0001", "0002"]
    for photo, expected in zip(found, photos, strict=True):
        np.testing.assert_array_equal(photo.pixels, expected.pixels)


def test_jpeg_grey_and_capital_suffixes_are_read_and_other_files_are_not(tmp_path: Path) -> None:
    write_photos(tmp_path, [drawn_photo(0)], suffix=".jpg")
    write_photos(tmp_path, [drawn_photo(1)], suffix=".JPEG")
    grey = cv2.cvtColor(drawn_photo(2).pixels[..., :3], cv2.COLOR_BGR2GRAY)
    write_photos(tmp_path, [drawn_photo(2)])
    cv2.imwrite(str(tmp_path / "image/0002.png"), grey)
    for name in ("notes.txt", "._0001.jpg", ".DS_Store"):
        (tmp_path / "image" / name).write_bytes(b"no picture")
    (tmp_path / "mask/9999.png").write_bytes(b"belongs to no photograph")
    found = read_photos(tmp_path)
    assert [photo.pixels.shape for photo in found] == [(240, 320, 4)] * 3
    np.testing.assert_array_equal(found[2].pixels[..., 0], grey)


@pytest.mark.parametrize(
    "mask",
    [SQUARE * 255, SQUARE * 128, np.dstack([SQUARE * 255] * 3), SQUARE.astype(np.uint16) * 65535],
    ids=["0 and 255", "0 and 128", "colour", "16 bits"],
)
def test_masks_that_are_read(tmp_path: Path, mask: np.ndarray) -> None:
    (photo,) = read_photos(folder_with_mask(tmp_path, mask))
    np.testing.assert_array_equal(photo.pixels[..., 3], SQUARE * 255)


def test_one_bit_and_transparent_masks_are_read(tmp_path: Path) -> None:
    folder_with_mask(tmp_path, SQUARE * 255)
    cv2.imwrite(str(tmp_path / "mask/0000.png"), SQUARE * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    np.testing.assert_array_equal(read_photos(tmp_path)[0].pixels[..., 3], SQUARE * 255)
    cv2.imwrite(str(tmp_path / "mask/0000.png"), np.dstack([SQUARE * 255] * 3 + [np.full_like(SQUARE, 255)]))
    np.testing.assert_array_equal(read_photos(tmp_path)[0].pixels[..., 3], SQUARE * 255)


@pytest.mark.parametrize("name", ["0000.jpg", "0000.PNG", "0000.jpeg"])
def test_a_mask_may_have_any_suffix_of_a_picture(tmp_path: Path, name: str) -> None:
    folder_with_mask(tmp_path, SQUARE * 255)
    mask = tmp_path / "mask" / name
    assert cv2.imwrite(str(mask), SQUARE * 255)
    if name != "0000.PNG":  # which some file systems take for the same name
        with pytest.raises(DatasetError, match="stand for the same frame"):
            read_photos(tmp_path)
    (tmp_path / "mask/0000.png").unlink()
    np.testing.assert_array_equal(read_photos(tmp_path)[0].pixels[..., 3], SQUARE * 255)


def test_a_mask_without_a_tooth_is_read(tmp_path: Path) -> None:
    assert not read_photos(folder_with_mask(tmp_path, SQUARE * 0))[0].pixels[..., 3].any()


@pytest.mark.parametrize("value", [1, 38, 127])
def test_one_value_beside_black_is_the_tooth(tmp_path: Path, caplog: pytest.LogCaptureFixture, value: int) -> None:
    """Masks of 0 and 1, and palette masks read as grey: the palette's first dark red has grey level 38."""
    folder_with_mask(tmp_path, SQUARE * np.uint8(value))
    np.testing.assert_array_equal(read_photos(tmp_path)[0].pixels[..., 3], SQUARE * 255)
    assert caplog.messages == [
        f"{tmp_path}: the masks, such as {tmp_path / 'mask/0000.png'}, have {value} on teeth instead of 255; all but "
        "black is read as tooth"
    ]


def test_every_bad_photograph_counts(tmp_path: Path) -> None:
    write_photos(tmp_path, drawn_photos(4))
    for name in ("0001", "0003"):
        (tmp_path / f"image/{name}.png").write_bytes(b"text")
    with pytest.raises(DatasetError, match=r"2 of 4 photographs cannot be used; the first: .*0001.png: not a picture"):
        read_photos(tmp_path)


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_every_bad_file_ends_the_command_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    write_photos(tmp_path, drawn_photos(2))
    spoilt = tmp_path / kind / "0001.png"
    for path, text in bad_files(tmp_path / "bad").items():
        spoilt.unlink()
        spoilt.symlink_to(path)
        assert main([str(tmp_path / "out"), "--photos", str(tmp_path), "--still"]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"mostnet-synth: {spoilt}: ") and text in error
        assert not (tmp_path / "out").exists()


def test_faults_of_single_files(tmp_path: Path) -> None:
    write_photos(tmp_path, drawn_photos(2))
    image, mask = tmp_path / "image/0001.png", tmp_path / "mask/0001.png"
    good = {path: path.read_bytes() for path in (image, mask)}
    for path, text in ((image, "image/0001.png: damaged"), (mask, "mask/0001.png: damaged")):
        path.write_bytes(good[path][:2000])
        with pytest.raises(DatasetError, match=f"{text}, its end is missing .* copy it again.* remove both"):
            read_photos(tmp_path)
        path.write_bytes(good[path])
    mask.unlink()
    with pytest.raises(
        DatasetError, match=r"mask/0001.png: cannot be read \(No such file.*; copy it again.* remove both"
    ):
        read_photos(tmp_path)
    shutil.copy(tmp_path / "image/0000.png", mask)
    with pytest.raises(DatasetError, match=r"mask/0001.png: a mask of several colours, of which one must be chosen"):
        read_photos(tmp_path)
    cv2.imwrite(str(mask), np.zeros((240, 319), np.uint8))
    with pytest.raises(
        DatasetError, match=r"0001.png: is 240x319, its photograph 240x320 once upright .* make them one"
    ):
        read_photos(tmp_path)


def test_faults_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"expected the folders image and mask, with image/NAME.jpg and mask/NAME.png"
    ):
        read_photos(tmp_path / "none")
    (tmp_path / "image").mkdir()
    with pytest.raises(DatasetError, match="expected the folders image and mask"):
        read_photos(tmp_path)
    (tmp_path / "mask").mkdir()
    with pytest.raises(DatasetError, match=r"image: no photographs; expected .png, .jpg, .jpeg files"):
        read_photos(tmp_path)
    write_photos(tmp_path, [drawn_photo(0, size_hw=(63, 200))])
    with pytest.raises(DatasetError, match=r"0000.png: is 63x200; expected sides of 64 or more"):
        read_photos(tmp_path)


def test_the_digest_follows_the_contents_and_not_the_place(tmp_path: Path) -> None:
    first = photos_sha256(write_photos(tmp_path / "a", drawn_photos(2)))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert photos_sha256(tmp_path / "b") == first
    cv2.imwrite(str(tmp_path / "b/mask/0001.png"), np.zeros((240, 320), np.uint8))
    assert photos_sha256(tmp_path / "b") != first
