"""Pictures and masks: what is read, and what is refused with its name."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.contract import DatasetError
from mostnet.contract.pictures import check_picture, picture_files
from mostnet.training.data.dataset import index_sequence, index_split
from mostnet.training.data.flow_files import read_flow
from mostnet.training.data.oddities import gaps, say_masks
from mostnet.training.data.pictures import read_mask, read_picture
from tests.training.data.picture_files import (
    SIZE_HW,
    SQUARE,
    bad_files,
    encoded,
    noise,
    palette_png,
    png,
    turned_jpeg,
)

BLACK, RED, GREEN = (0, 0, 0), (128, 0, 0), (0, 128, 0)
FULL = np.full(SIZE_HW, 255, np.uint8)
SOFT = cv2.GaussianBlur(SQUARE * 255, (0, 0), 2)
PHOTOGRAPH = np.clip(cv2.GaussianBlur(noise(), (0, 0), 8)[..., 0] * 6.0 - 640, 0, 255).astype(np.uint8)
TWO = SQUARE + np.roll(SQUARE, 20, axis=1)  # areas of 0, 1 and 2

MASKS = {
    "0 and 255": encoded(SQUARE * 255),
    "0 and 1": encoded(SQUARE),
    "0 and 38": encoded(SQUARE * np.uint8(38)),
    "1 bit": png(np.packbits(SQUARE, axis=1), depth=1),
    "16 bits": encoded(SQUARE.astype(np.uint16) * 65535),
    "16 bits, 0 and 1": encoded(SQUARE.astype(np.uint16)),
    "16 bits, 0 and 255": encoded(SQUARE.astype(np.uint16) * 255),
    "palette": palette_png(SQUARE, BLACK, RED, GREEN),
    "palette of DAVIS, second object": palette_png(SQUARE * np.uint8(2), BLACK, RED, GREEN),
    "palette of one bit": png(np.packbits(SQUARE, axis=1), colour_type=3, depth=1, palette=bytes((*BLACK, *RED))),
    "palette with opacity": palette_png(SQUARE, BLACK, RED, opacity=b"\0\xff"),
    "RGB": encoded(np.dstack([SQUARE * 255] * 3)),
    "RGB in one colour": encoded(np.dstack([SQUARE * 0, SQUARE * 0, SQUARE * 200])),
    "RGBA": encoded(np.dstack([SQUARE * 255] * 3 + [FULL])),
    "RGBA, 0 and 1": encoded(np.dstack([SQUARE] * 3 + [FULL])),
    "JPEG": encoded(SQUARE * 255, ".jpg"),
    "JPEG of much loss": bytes(cv2.imencode(".jpg", SQUARE * 255, [cv2.IMWRITE_JPEG_QUALITY, 20])[1]),
    "JPEG of one bright grey": encoded(SQUARE * 180, ".jpg"),
    "colour JPEG": encoded(np.dstack([SQUARE * 255] * 3), ".jpg"),
    "0, 254 and 255": encoded(np.where(TWO == 2, 254, TWO * 255).astype(np.uint8)),
    "tinted by compression": encoded(np.dstack([SQUARE * 255, SQUARE * 250, SQUARE * 245])),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_every_kind_are_read_alike(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(MASKS[kind])
    wanted = np.where(TWO > 0, 255, 0) if kind == "0, 254 and 255" else SQUARE * 255
    found = read_mask(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, wanted)


def test_soft_edges_are_tooth_from_half_on(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    for picture in (SOFT, SOFT.astype(np.uint16) * 257):
        path.write_bytes(encoded(picture))
        np.testing.assert_array_equal(read_mask(path), np.where(SOFT >= 128, 255, 0))


@pytest.mark.parametrize(("value", "tooth"), [(0, 0), (255, 255), (1, 255)])
def test_masks_of_one_value(tmp_path: Path, value: int, tooth: int) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(encoded(np.full(SIZE_HW, value, np.uint8)))
    assert (read_mask(path) == tooth).all()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (encoded(TWO), r"a mask of several classes \(0, 1, 2\), of which one must be chosen; expected 255 on teeth"),
        (encoded(np.where(TWO == 2, 255, TWO).astype(np.uint8)), r"a mask of several classes \(0, 1, 255\)"),
        (encoded(TWO * np.uint8(127)), r"several classes \(0, 127, 254\)"),
        (palette_png(TWO, BLACK, RED, GREEN), "a mask of several colours, of which one must be chosen"),
        (palette_png(SQUARE, RED, GREEN), "a mask of several colours"),
        (encoded(noise()), "a mask of several colours"),
        (encoded(SOFT // 4), "its greatest value is 63 of 255, so that no pixel counts as tooth"),
        (encoded(SQUARE * 60, ".jpg"), "of 255, so that no pixel counts as tooth"),
        (encoded(np.where(TWO == 2, 128, TWO * 255).astype(np.uint8), ".jpg"), "a photograph, or a mask of several cl"),
        (encoded(PHOTOGRAPH), "a photograph, or a mask of several classes; expected 255"),
        (encoded(PHOTOGRAPH, ".jpg"), "a photograph, or a mask of several classes; expected 255"),
        (encoded(SOFT.astype(np.uint16)), "its greatest value is 255 of 65535"),
        (encoded(np.dstack([FULL * 0] * 3 + [SQUARE * 255])), "its colours and its opacity show different areas"),
        (encoded(np.dstack([FULL] * 3 + [SQUARE * 255])), "its colours and its opacity show different areas"),
    ],
)
def test_a_mask_that_may_mean_several_things_is_refused(tmp_path: Path, data: bytes, text: str) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=rf"mask\.png: .*{text}"):
        read_mask(path)


def test_every_bad_file_is_named_and_none_hangs(tmp_path: Path) -> None:
    for path, text in bad_files(tmp_path / "b").items():
        for read in (read_picture, read_mask, read_flow):
            with pytest.raises(DatasetError) as error:
                read(path)
            assert str(error.value).startswith(f"{path}: ") and text in str(error.value)


def test_a_look_at_the_first_bytes_finds_most_bad_files(tmp_path: Path) -> None:
    missed = []
    for path, text in bad_files(tmp_path / "b").items():
        found = ""
        try:
            check_picture(path)
        except DatasetError as error:
            found = str(error)
        assert not found or text in found
        missed += [] if found else [path.name]
    assert missed == ["huge.jpg", "short.png", "short.jpg", "header.jpg", "flipped.png"]


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    """``cv2.imread`` ends the process with such a name."""
    (tmp_path / "a\udcff.png").write_bytes(encoded(noise()))
    code = """
from pathlib import Path
from mostnet.training.data.flow_files import read_flow
from mostnet.training.data.pictures import read_picture
path = next(Path().iterdir())
print(read_picture(path).shape)
read_flow(path)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == "(64, 96, 3)\n" and "KITTI flow is a 16-bit PNG" in done.stderr


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_photograph_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    ramp = np.broadcast_to(np.arange(SIZE_HW[1], dtype=np.uint8) * 2, SIZE_HW)
    (tmp_path / "a.jpg").write_bytes(turned_jpeg(ramp, orientation))
    turn = {1: lambda a: a, 3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, -1)}[orientation]
    found = read_picture(tmp_path / "a.jpg")
    np.testing.assert_allclose(found[..., 0].astype(int), turn(ramp), atol=4)


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_pictures_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["1.png", "2.PNG", "9.jpg", "10.jpeg", "11.png", "100.png"]
    touch(tmp_path, *names[::-1], ".hidden.png", "Thumbs.db", "notes.txt")
    assert [path.name for path in picture_files(tmp_path)] == names
    assert picture_files(tmp_path / "none") == ()


@pytest.mark.parametrize(
    "names", [("1.png", "000001.png"), ("a1b02.png", "a01b2.png"), ("7.png", "7.jpg"), ("0.png", "00.png")]
)
def test_two_files_for_one_frame_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    touch(tmp_path, *names, "5.png")
    with pytest.raises(DatasetError, match="stand for the same frame") as error:
        picture_files(tmp_path)
    assert all(name in str(error.value) for name in names)


def test_labels_pair_with_their_frames_by_name(tmp_path: Path) -> None:
    names = [f"{k}.png" for k in range(1, 13)]
    for kind in ("input", "reference", "mask"):
        touch(tmp_path / "train" / "s" / kind, *names)
    sequence = index_sequence(tmp_path / "train" / "s")
    for files in (sequence.input, *sequence.labels.values()):
        assert [path.name for path in files] == names

    (tmp_path / "train/s/mask/3.png").rename(tmp_path / "train/s/mask/000003.png")
    with pytest.raises(DatasetError, match=r"mask has no 3, but has 000003 .*; rename the files"):
        index_sequence(tmp_path / "train" / "s")


def test_sequences_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("1", "2", "10"):
        touch(tmp_path / "test" / name / "input", "0.png")
    assert [sequence.name for sequence in index_split(tmp_path, "test")] == ["1", "2", "10"]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("1", "2", "3"), []),
        (("0", "5", "10"), []),  # every fifth frame was kept
        (("1", "2", "4"), [1]),
        (("0", "5", "15"), [1]),
        (("v2_f008", "v2_f009", "v2_f011"), [1]),
        (("33", "66", "100", "133"), []),  # times in milliseconds
        (("a", "b"), []),
        (("7",), []),
    ],
)
def test_gaps_between_frames(names: tuple[str, ...], wanted: list[int]) -> None:
    assert gaps([Path(f"{name}.png") for name in names]) == wanted


def test_a_split_with_gaps_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in "ab":
        touch(tmp_path / "test" / name / "input", "1.png", "2.png", "5.png")
    index_split(tmp_path, "test")
    assert len(caplog.messages) == 1
    first = tmp_path / "test/a/input/2.png: frames are missing before 5.png (2 such gaps"
    assert caplog.messages[0].startswith(str(first))


@pytest.mark.parametrize(
    ("second", "text"),
    [
        (encoded(SQUARE * 255), ""),
        (encoded(SQUARE), "1.png, have 1 on teeth instead of 255; all but black is read as tooth"),
        (palette_png(SQUARE, BLACK, RED), "1.png, have 0 0 128 on teeth instead of 255"),
        (encoded(SQUARE * 0), "no tooth in any mask (looked at 2 of 2, such as"),
        (b"damaged", "no tooth in any mask (looked at 1 of 2"),  # its reader reports the damaged one
        (encoded(255 - SQUARE * 255), "0.png, have tooth along most of the picture's edge, as if inverted"),
        (encoded(FULL), "as if inverted"),
    ],
)
def test_a_split_says_in_one_line_what_its_masks_hold(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, second: bytes, text: str
) -> None:
    files = [tmp_path / "0.png", tmp_path / "1.png"]
    files[0].write_bytes(second if "inverted" in text else encoded(SQUARE * 0))
    files[1].write_bytes(second)
    with caplog.at_level(logging.WARNING):
        say_masks("data/train", files)
    assert len(caplog.messages) == bool(text)
    assert not text or (text in caplog.messages[0] and caplog.messages[0].startswith("data/train: "))


def test_masks_with_several_values_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [tmp_path / "0.png", tmp_path / "1.png"]
    for path, value in zip(files, (255, 250), strict=True):
        path.write_bytes(encoded(SQUARE * np.uint8(value)))
    say_masks("data/train", files)
    assert not caplog.messages  # both are bright
    for count, value in enumerate((2, 128), start=1):
        files[1].write_bytes(encoded(SQUARE * np.uint8(value)))
        say_masks("data/train", files)
        assert len(caplog.messages) == count
        wanted = f"several values on teeth: {files[0]} has white, {files[1]} has {value}"
        assert wanted in caplog.messages[-1]


def test_a_label_under_another_name_is_not_passed_over(tmp_path: Path) -> None:
    touch(tmp_path / "input", "0.png")
    touch(tmp_path / "Masks", "0.png")
    with pytest.raises(DatasetError, match="Masks: the folder of the mask files is called mask; rename it"):
        index_sequence(tmp_path)
    (tmp_path / "Masks").rename(tmp_path / "elsewhere")
    (tmp_path / "mask").symlink_to("nowhere")
    with pytest.raises(DatasetError, match="mask: expected a folder of the mask files; remove it, or mend the link"):
        index_sequence(tmp_path)


def test_no_masks_no_words(caplog: pytest.LogCaptureFixture) -> None:
    say_masks("data/train", [])
    assert not caplog.messages
