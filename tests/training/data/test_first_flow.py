"""The first frame may lack its flow: data without it is indexed, trained on and measured like data with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mostnet.contract import DatasetError
from mostnet.model import initial_checkpoint, save_checkpoint
from mostnet.training import TrainOptions, evaluate, train
from mostnet.training.data.dataset import index_split, read_labelled_frame
from tests.training.moving_scenes import write_dataset

FRAMES = 5


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "data"
    return write_dataset(root, train=2, val=1, frames=FRAMES, size_hw=(80, 96))


@pytest.fixture
def without(whole: Path, tmp_path: Path) -> Path:
    root = Path(shutil.copytree(whole, tmp_path / "data"))
    for path in [*root.glob("*/*/flow/000000.*")]:
        path.unlink()
    return root


def renumbered(folder: Path, by: int) -> None:
    for path in sorted(folder.iterdir(), reverse=by > 0):
        path.rename(path.with_stem(f"{int(path.stem) + by:06d}"))


def test_the_first_frame_has_no_known_flow(without: Path) -> None:
    sequence = index_split(without, "train")[0]
    assert sequence.labels["flow"][0] is None
    assert [path.stem for path in sequence.labels["flow"][1:]] == [path.stem for path in sequence.input[1:]]
    first, second = (read_labelled_frame(sequence, index) for index in (0, 1))
    assert first.flow.shape == (2, 80, 96) and not first.valid.any() and second.valid.any()


def test_frames_may_be_numbered_from_one(without: Path) -> None:
    for folder in (without / "val/0000").iterdir():
        renumbered(folder, 1)
    sequence = index_split(without, "val")[0]
    assert sequence.input[0].stem == "000001" and sequence.labels["flow"][0] is None


@pytest.mark.parametrize("lost", [0, 1], ids=["numbered from zero", "another frame lacks it"])
def test_flow_that_may_belong_to_other_frames_is_refused(without: Path, whole: Path, lost: int) -> None:
    folder = without / "val/0000/flow"
    if lost:
        shutil.copy(*(root / "val/0000/flow/000000.flo" for root in (whole, without)))
        (folder / "000002.flo").unlink()
    else:
        renumbered(folder, -1)
    with pytest.raises(
        DatasetError,
        match=r"val/0000: flow has 4 files, 000000.flo to 00000\d.flo, for 5 frames; it leads from each frame to the "
        r"one before, and only the first, 000000, may lack it: give the files the names of their frames",
    ):
        index_split(without, "val")


def test_training_and_evaluation_are_the_same_without_it(whole: Path, without: Path, tmp_path: Path) -> None:
    options = TrainOptions(
        steps=2, batch=2, clip=2, chunks=1, crop_hw=(64, 80), threads=1, device="cpu", val_frames=3, log_every=1
    )
    runs = [train(data, tmp_path / name, options=options) for name, data in (("whole", whole), ("without", without))]
    assert runs[0].validation == runs[1].validation and runs[0].validation["epe_px"] is not None
    checkpoint = tmp_path / "seeded.pt"
    save_checkpoint(initial_checkpoint("nano", seed=0), checkpoint)
    figures = [evaluate(checkpoint, data, split="val", threads=1).figures for data in (whole, without)]
    assert figures[0] == figures[1] and figures[0]["model"]["epe_px"] is not None
