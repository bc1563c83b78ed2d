"""Labels of a run: those that no trained task can use, and what a run says about its data."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mostnet.contract import DatasetError, TrainingError
from mostnet.training import TrainOptions, evaluate, train
from mostnet.training.run_data import open_data, open_photos
from tests.training.data.picture_files import encoded

from .moving_scenes import write_dataset

SMALL = TrainOptions(
    steps=1, batch=2, clip=2, chunks=1, crop_hw=(64, 64), warmup=0, threads=1, validate_every=0, device="cpu"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", train=2, val=1, frames=3, size_hw=(64, 64))


def without(data: Path, *labels: str) -> Path:
    for folder in data.glob("*/*/*"):
        if folder.name in labels:
            shutil.rmtree(folder)
    return data


def test_each_split_is_described_before_the_first_step(data: Path, tmp_path: Path) -> None:
    (data / "train/0000/reference").rename(data / "train/0000/target")
    lines: list[str] = []
    train(data, tmp_path / "run", options=SMALL, validate_every=1, log_every=1, report=lines.append)
    first = next(index for index, line in enumerate(lines) if line.startswith("step 1 "))
    assert lines[:first][:3] == [
        "data/train: layout of mostnet, 2 sequences, 6 frames; labels: reference in 1 of 2 sequences (3 frames), "
        "mask in 2 sequences (6 frames), flow in 2 sequences (6 frames); missing: reference in 1 of 2 sequences",
        "data/train: not read: target in 1 sequence (did you mean reference?)",
        "data/val: layout of mostnet, 1 sequence, 3 frames; labels: reference in 1 sequence (3 frames), "
        "mask in 1 sequence (3 frames), flow in 1 sequence (3 frames); missing: none",
    ]


def test_a_split_without_labels_is_neither_trained_on_nor_measured(data: Path, tmp_path: Path) -> None:
    without(data, "reference", "mask", "flow")
    with pytest.raises(DatasetError, match="data/train: none of the 2 sequences has a label"):
        train(data, tmp_path / "run", options=SMALL)
    assert not (tmp_path / "run").exists()
    with pytest.raises(DatasetError, match="data/val: none of the 1 sequence has a label"):
        evaluate("nano", data, split="val", threads=1)


def test_labels_that_teach_no_task_end_the_run(data: Path, tmp_path: Path) -> None:
    without(data, "reference", "mask")
    with pytest.raises(
        TrainingError, match="no label for the tasks enhance, mask: expected reference, mask, found flow"
    ):
        train(data, tmp_path / "run", options=SMALL, tasks=("enhance", "mask"))
    lines: list[str] = []
    train(data, tmp_path / "run", options=SMALL, report=lines.append)
    assert f"{data / 'train'}: no mask, so nothing teaches the task mask" in lines


def test_photographs_alone_need_no_labels_of_the_data_set(data: Path, tmp_path: Path) -> None:
    without(data, "reference", "mask", "flow")
    for kind in ("image", "mask"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        (tmp_path / "photos" / kind / "a.png").write_bytes(encoded(np.full((80, 80, 3), 255, np.uint8)))
    lines: list[str] = []
    train(data, tmp_path / "run", options=SMALL, photos=tmp_path / "photos", photo_share=1.0, report=lines.append)
    assert f"{tmp_path / 'photos'}: 1 photographs, 1 masks; 2 of 2 clips of every batch" in lines
    with pytest.raises(DatasetError, match="none of the 2 sequences has a label"):
        train(data, tmp_path / "other", options=SMALL, photos=tmp_path / "photos", photo_share=0.5)


def opened(data: Path, *, photos: bool = False, **changes: object) -> None:
    options = replace(SMALL, **changes)
    open_data(data, options, tasks=("enhance",), photos=photos, report=lambda line: None)


def test_another_size_is_refused_before_the_run(data: Path) -> None:
    for path in (data / "val/0000/reference").iterdir():
        path.write_bytes(encoded(np.zeros((48, 64, 3), np.uint8)))
    opened(data)
    with pytest.raises(DatasetError, match=r"data/val: 3 of 12 files, in 1 of 1 sequences, have another size"):
        opened(data, validate_every=1)


def test_a_bad_frame_of_the_validation_is_left_out(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    (data / "val/0000/input/000001.png").write_bytes(b"damaged")
    with pytest.raises(DatasetError, match="1 frame cannot be read, but the run tolerates 0"):
        opened(data, validate_every=1)
    assert "000001.png" in caplog.text and "; this frame is left out of the validation" in caplog.text


def test_a_run_without_val_names_the_option_that_needs_none(data: Path) -> None:
    shutil.rmtree(data / "val")
    message = "val: no such split; .* should hold val, found train; --validate-every 0 trains without it$"
    with pytest.raises(DatasetError, match=message):
        opened(data, validate_every=1)
    with pytest.raises(DatasetError, match="--split train takes another"):
        evaluate("nano", data, split="val", threads=1)


def test_photographs_and_sequences_that_are_mistaken_for_each_other(tmp_path: Path) -> None:
    for kind in ("image", "mask"):
        (tmp_path / "train" / kind).mkdir(parents=True)
        (tmp_path / "train" / kind / "a.png").write_bytes(encoded(np.full((80, 80, 3), 255, np.uint8)))
    for given in (tmp_path, tmp_path / "train"):
        with pytest.raises(DatasetError, match=rf"these are photographs.* --photos {tmp_path / 'train'},"):
            opened(given)
    with pytest.raises(DatasetError, match=f"did you mean {tmp_path / 'train'}"):
        open_photos(tmp_path, None, SMALL, device=torch.device("cpu"), report=print)
    lines: list[str] = []
    open_photos(tmp_path / "train", None, SMALL, device=torch.device("cpu"), report=lines.append)
    assert lines[0].endswith("1 of 2 clips of every batch (0.50, asked 0.75)")
