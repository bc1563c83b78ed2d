"""What is said about a split: its labels in numbers, folders that are not read, and a guess at their names."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import DatasetError
from mostnet.training.data.dataset import index_split
from mostnet.training.data.guesses import SEQUENCE_WORDS, meant
from mostnet.training.data.published import open_split
from mostnet.training.photos.folder import describe_photos, photo_files
from tests.training.data.picture_files import encoded
from tests.training.moving_scenes import write_dataset


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", train=3, val=1, frames=4, size_hw=(64, 64))


def test_labels_are_counted_in_sequences_and_frames(data: Path) -> None:
    shutil.rmtree(data / "train/0001/mask")
    (data / "train/0002/flow/000000.flo").unlink()
    for sequence in (data / "train").iterdir():
        shutil.rmtree(sequence / "reference")
    assert open_split(data, "train").lines == (
        "data/train: layout of mostnet, 3 sequences, 12 frames; labels: mask in 2 of 3 sequences (8 frames), "
        "flow in 3 sequences (11 frames); missing: reference, mask in 1 of 3 sequences",
    )


def test_folders_that_are_not_read_are_named_with_a_guess(data: Path) -> None:
    for name in ("0000", "0001"):
        (data / "train" / name / "reference").rename(data / "train" / name / "Ground-Truth")
    (data / "train/0002/depth").mkdir()
    assert open_split(data, "train").lines[1] == (
        "data/train: not read: Ground-Truth in 2 sequences (did you mean reference?), depth in 1 sequence"
    )


def test_a_split_without_any_label_is_refused(data: Path) -> None:
    sequence = data / "val/0000"
    for label, name in (("reference", "target"), ("mask", "segmentations"), ("flow", "optical_flow")):
        (sequence / label).rename(sequence / name)
    with pytest.raises(
        DatasetError,
        match=r"data/val: none of the 1 sequence has a label; expected one or more of the folders reference, mask, "
        r"flow beside input; found optical_flow in 1 sequence \(did you mean flow\?\), segmentations .*"
        r"did you mean mask\?\), target in 1 sequence \(did you mean reference\?\)$",
    ):
        open_split(data, "val")
    assert open_split(data, "val", needs_labels=False).lines[0].endswith("labels: none; missing: reference, mask, flow")


def test_a_lone_file_of_matrices_with_another_name_is_named(data: Path) -> None:
    sequence = data / "val/0000"
    shutil.rmtree(sequence / "flow")
    (sequence / "reference").rename(sequence / "GT")
    (sequence / "mask").rename(sequence / "masks")
    (sequence / "homo.pkl").write_bytes(pickle.dumps([np.eye(3)] * 4))
    assert open_split(data, "val").lines[1].endswith("homo.pkl in 1 sequence (did you mean homo_4df.pkl?)")


def test_a_split_and_the_frames_of_another_name_are_guessed(data: Path) -> None:
    (data / "train").rename(data / "Training")
    with pytest.raises(
        DatasetError, match=r"train: no such split; .* found .*Training.*; Training: did you mean train\?"
    ):
        index_split(data, "train")
    (data / "val/0000/input").rename(data / "val/0000/frames")
    with pytest.raises(DatasetError, match=r"no frames in input/; expected .*; frames: did you mean input\?"):
        index_split(data, "val")


def test_photographs_are_counted_and_a_wrong_folder_is_guessed(tmp_path: Path) -> None:
    for name in ("image/a.png", "image/b.png", "mask/a.png", "mask/b.png", "mask/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(np.zeros((64, 64, 3), np.uint8)))
    assert describe_photos(tmp_path) == (
        f"{tmp_path}: 2 photographs, 3 masks, of which 1 without a photograph are not read (c.png)"
    )
    (tmp_path / "mask").rename(tmp_path / "Masks")
    with pytest.raises(DatasetError, match=r"expected the folders image and mask, .*; Masks: did you mean mask\?"):
        photo_files(tmp_path)


@pytest.mark.parametrize(
    ("name", "guess"),
    [("GT", "reference"), ("references", "reference"), ("Flows", "flow"), ("images", "input"), ("depth", None)],
)
def test_guesses(name: str, guess: str | None) -> None:
    assert meant(name, SEQUENCE_WORDS) == guess
