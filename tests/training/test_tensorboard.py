"""The event files of a run, read back by TensorBoard's own reader, against the CSV files."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mostnet.training.cli import main
from mostnet.training.options import TrainOptions
from mostnet.training.run import train
from mostnet.training.run_log import TRAIN_COLUMNS, VAL_COLUMNS, EventLog

from .moving_scenes import write_dataset

OPTIONS = TrainOptions(
    steps=4,
    batch=1,
    clip=2,
    chunks=2,
    crop_hw=(64, 80),
    warmup=2,
    threads=1,
    log_every=1,
    save_every=2,
    validate_every=2,
    val_frames=2,
    device="cpu",
    tensorboard=True,
)
TAGS = {
    "lr": "learning_rate",
    "loss": "loss/whole",
    "enhance": "loss/enhance",
    "flow": "loss/flow",
    "mask": "loss/mask",
    "grad_norm": "gradient_norm",
    "skipped": "skipped_steps",
    "psnr_db": "validation/psnr_db",
    "epe_px": "validation/epe_px",
    "iou": "validation/iou",
    "score": "validation/score",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=1, val=1, frames=5, size_hw=(80, 96))


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def assert_same_as_csv(run: Path) -> None:
    events = read(run / "tensorboard")
    columns = {name: log for log, names in (("train.csv", TRAIN_COLUMNS), ("val.csv", VAL_COLUMNS)) for name in names}
    assert set(events.Tags()["scalars"]) == set(TAGS.values())
    for name, tag in TAGS.items():
        with (run / columns[name]).open(newline="", encoding="utf-8") as file:
            kept = [(float(row["step"]), float(row[name])) for row in csv.DictReader(file) if row[name]]
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        assert kept and np.allclose(found, kept, rtol=1e-4), tag


def test_events_are_the_rows_of_the_csv_files_and_the_samples(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", options=replace(OPTIONS, steps=2))
    assert_same_as_csv(tmp_path / "run")
    events = read(tmp_path / "run" / "tensorboard")
    (image,) = events.Images("validation/samples")
    picture = cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    samples = cv2.imread(str(tmp_path / "run" / "samples.png"))
    assert picture.shape[1] == 1792 and samples.shape[1] == 7 * 288, "seven tiles of 96 pixels, enlarged three times"
    assert np.allclose(picture.mean((0, 1)), samples.mean((0, 1)), atol=1)
    train(data, tmp_path / "run", resume=True, steps=4)
    assert_same_as_csv(tmp_path / "run")
    assert [image.step for image in read(tmp_path / "run" / "tensorboard").Images("validation/samples")] == [2, 4]


def test_a_resumed_run_replaces_the_steps_after_its_state(tmp_path: Path) -> None:
    """A killed run has logged steps that its state does not have."""
    first = EventLog(tmp_path)
    for step in (1, 2, 3):
        first.append({"step": step, "loss": 10.0 + step})
    first.close()
    second = EventLog(tmp_path, resume_step=1)
    second.append({"step": 2, "loss": 20.0, "iou": None})
    second.close()
    events = read(tmp_path)
    assert [(event.step, event.value) for event in events.Scalars("loss/whole")] == [(1, 11.0), (2, 20.0)]
    assert events.Tags()["scalars"] == ["loss/whole"]


def test_a_missing_library_is_one_line_before_the_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    assert main([str(data), "--out", str(tmp_path / "run"), "--tensorboard"]) == 1
    error = capsys.readouterr().err
    assert "TensorBoard is not installed; pip install 'mostnet[tensorboard]'" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
