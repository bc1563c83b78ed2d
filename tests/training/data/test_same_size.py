"""Sizes of the files of a sequence, compared by their headers."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.contract import DatasetError
from mostnet.contract.pictures import header_size
from mostnet.training.data.dataset import index_split
from mostnet.training.data.flow_files import write_flow
from mostnet.training.data.pictures import read_picture
from mostnet.training.data.same_size import check_same_size
from tests.training.moving_scenes import write_dataset


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", train=2, val=0, frames=3, size_hw=(64, 80))


def other(path: Path) -> None:
    if path.suffix == ".flo":
        write_flow(path, np.zeros((2, 64, 64), np.float32), np.ones((64, 64), np.bool_))
    else:
        cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("name", ["input/000000.png", "reference/000001.png", "mask/000002.png", "flow/000001.flo"])
def test_one_file_of_another_size_is_named(data: Path, name: str) -> None:
    check_same_size(index_split(data, "train"))
    other(data / "train/0000" / name)
    message = f"1 of 24 files, in 1 of 2 sequences, .* the first: .*0000/{name} is 64x64, but its sequence is 64x80;"
    with pytest.raises(DatasetError, match=message):
        check_same_size(index_split(data, "train"))


def test_damaged_files_are_left_to_their_reader(data: Path) -> None:
    for name in ("input/000000.png", "mask/000001.png", "flow/000001.flo"):
        (data / "train/0000" / name).write_bytes(b"damaged")
    check_same_size(index_split(data, "train"))


def test_a_jpeg_counts_as_it_is_turned(tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", np.zeros((64, 80, 3), np.uint8))[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    for k, picture in enumerate((data, data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])):
        path = tmp_path / f"train/s/input/{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
        assert header_size(path) == ((64, 80), bool(k))
    _expect_turned(tmp_path, "1.jpg")


def test_a_png_counts_as_it_is_turned(tmp_path: Path) -> None:
    data = cv2.imencode(".png", np.zeros((64, 80, 3), np.uint8))[1].tobytes()
    exif = b"eXIfMM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    block = (len(exif) - 4).to_bytes(4, "big") + exif + zlib.crc32(exif).to_bytes(4, "big")
    for k, picture in enumerate((data, data[:33] + block + data[33:])):
        path = tmp_path / f"train/s/input/{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
        assert header_size(path) == ((64, 80), bool(k))
    _expect_turned(tmp_path, "1.png")


def _expect_turned(root: Path, name: str) -> None:
    if read_picture(root / "train/s/input" / name).shape[:2] == (64, 80):
        pytest.skip("this OpenCV turns no such picture")
    with pytest.raises(DatasetError, match=rf"{name} is 80x64, but its sequence is 64x80"):
        check_same_size(index_split(root, "train"))
