"""Training on moving photographs: their share of every batch, resuming, the record, and refusals."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mostnet.contract import DatasetError, TrainingError, sha256
from mostnet.model import load_checkpoint
from mostnet.training import TrainingInterrupt, TrainOptions, train
from mostnet.training.batches import BatchSource, joined
from mostnet.training.cli import main
from mostnet.training.data.clips import Batch, ClipDataset, ClipOptions
from mostnet.training.data.dataset import index_split
from mostnet.training.data.frame_source import FrameSource
from mostnet.training.photos import PhotoClips, PhotoOptions, sheets
from mostnet.training.photos.folder import photos_sha256
from mostnet.training.run_state import load_run

from .moving_scenes import write_dataset
from .photos.drawn import drawn_photos, swinging_path, write_paths, write_photos
from .test_trainer import SMALL, StopAfter, losses

MIXED = replace(SMALL, steps=4, batch=4, clip=1, chunks=2, photo_share=0.5, save_every=4)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few drawn instruments and outlines, and one thread."""
    monkeypatch.setattr(sheets, "_BANK", 2)
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=3, val=1, frames=5, size_hw=(80, 96))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), drawn_photos(3))


def batches(data: Path, options: TrainOptions, *, first: int = 0, with_photos: bool = True) -> list[Batch]:
    """The batches from number ``first`` on."""
    drawn = ClipDataset(FrameSource(index_split(data, "train")), ClipOptions(frames=2, crop_hw=(64, 80)))
    moving = PhotoClips(drawn_photos(3), PhotoOptions(frames=2, size_hw=(64, 80))) if with_photos else None
    return list(BatchSource(drawn, moving, options, device=torch.device("cpu")).batches(first))


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def clips(batch: Batch, start: int, stop: int) -> Batch:
    return Batch(*(part[start:stop] for part in batch))


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.25, 1), (0.6, 2), (0.75, 3), (1.0, 4)])
def test_every_batch_holds_the_share_of_photographs(data: Path, share: float, count: int) -> None:
    options = replace(MIXED, steps=2, photo_share=share)
    moving = PhotoClips(drawn_photos(3), PhotoOptions(frames=2, size_hw=(64, 80)))
    found = batches(data, options)
    assert len(found) == 3 and {batch.input.shape[:2] for batch in found} == {(4, 2)}
    for number, batch in enumerate(found):
        if count:
            assert same(clips(batch, 4 - count, 4), moving.batch(number, count))
    if count < 4:
        drawn = batches(data, replace(options, batch=4 - count), with_photos=False)
        assert all(same(clips(a, 0, 4 - count), b) for a, b in zip(found, drawn, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_from_the_middle_are_those_of_the_whole_run(data: Path, workers: int) -> None:
    whole = batches(data, MIXED)
    rest = batches(data, replace(MIXED, workers=workers), first=2)
    assert len(whole) == 5 and len(rest) == 3
    assert all(same(a, b) for a, b in zip(whole[2:], rest, strict=True))
    assert not same(whole[2], whole[3])


def test_joined_batches_keep_the_order_of_their_clips(data: Path) -> None:
    batch = batches(data, MIXED)[0]
    assert same(joined([clips(batch, 0, 1), clips(batch, 1, 4)]), batch)
    assert joined([batch]) is batch


@pytest.mark.parametrize("at", [1, 2])
def test_an_interrupted_run_resumes_to_the_same_weights(data: Path, photos: Path, tmp_path: Path, at: int) -> None:
    """At step 1 a window is half done, with its state; at step 2 it is done."""
    paths = write_paths(tmp_path / "paths.csv", [swinging_path()])
    train(data, tmp_path / "whole", options=MIXED, photos=photos, paths=paths)
    stop = StopAfter(f"step {at} ", signal.SIGTERM)
    with pytest.raises(TrainingInterrupt):
        train(data, tmp_path / "run", options=MIXED, photos=photos, paths=paths, report=stop)
    train(data, tmp_path / "run", options=MIXED, photos=photos, paths=paths, resume=True)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    parts, expected = (load_run(tmp_path / name / "last.pt")[2]["model"] for name in ("run", "whole"))
    assert all(torch.equal(value, expected[name]) for name, value in parts.items())


def test_a_run_that_was_saved_at_the_end_of_a_window_goes_on_with_the_next(
    data: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch of a process must be used: its first step may capture a CUDA graph, and only then alone."""
    stop = StopAfter("step 2 ", signal.SIGTERM)
    with pytest.raises(TrainingInterrupt):
        train(data, tmp_path / "run", options=MIXED, photos=photos, report=stop)
    assert load_run(tmp_path / "run/last.pt")[0].chunk == MIXED.chunks
    asked: list[int] = []
    batches_from = BatchSource.batches
    monkeypatch.setattr(BatchSource, "batches", lambda self, first: asked.append(first) or batches_from(self, first))
    train(data, tmp_path / "run", options=MIXED, photos=photos, resume=True)
    assert asked == [1]


def test_a_run_resumes_with_the_same_photographs_only(data: Path, photos: Path, tmp_path: Path) -> None:
    options, run = replace(MIXED, steps=1), tmp_path / "run"
    train(data, run, options=options, photos=photos)
    more = replace(options, steps=2)
    with pytest.raises(
        TrainingError,
        match=r"was started with 3 photographs \(\w{8}\) and 0 recorded paths \(none\), and is resumed with no "
        "photographs; give the same --photos and --paths",
    ):
        train(data, run, options=more, resume=True)
    other = write_photos(tmp_path / "other", drawn_photos(2))
    with pytest.raises(TrainingError, match=r"and is resumed with 2 photographs \(\w{8}\) and 0 recorded paths"):
        train(data, run, options=more, photos=other, resume=True)
    paths = write_paths(tmp_path / "paths.csv", [swinging_path()])
    with pytest.raises(TrainingError, match=r"and is resumed with 3 photographs \(\w{8}\) and 1 recorded paths"):
        train(data, run, options=more, photos=photos, paths=paths, resume=True)
    moved = tmp_path / "moved"
    train(data, moved, options=options, photos=photos, paths=paths)
    others = write_paths(tmp_path / "others.csv", [swinging_path(seed=1)])
    with pytest.raises(
        TrainingError, match=r"1 recorded paths \(\w{8}\), and is resumed with .* 1 recorded paths \(\w{8}\);"
    ):
        train(data, moved, options=more, photos=photos, paths=others, resume=True)
    with pytest.raises(TrainingError, match=r"was started with photo_share 0.5, and cannot be resumed with 0.75"):
        train(data, run, options=replace(more, photo_share=0.75), photos=photos, resume=True)
    train(data, tmp_path / "plain", options=options)
    with pytest.raises(TrainingError, match=r"was started with no photographs, and is resumed with 3 photographs"):
        train(data, tmp_path / "plain", options=more, photos=photos, resume=True)
    assert train(data, run, options=more, photos=photos, resume=True).steps == 2


def test_the_record_names_the_photographs(data: Path, photos: Path, tmp_path: Path) -> None:
    paths = write_paths(tmp_path / "paths.csv", [swinging_path(), swinging_path(seed=1)])
    lines: list[str] = []
    train(data, tmp_path / "run", options=replace(MIXED, steps=1), photos=photos, paths=paths, report=lines.append)
    record = load_checkpoint(tmp_path / "run/model.pt").training
    assert record is not None
    assert record["data"]["photos"] == {
        "count": 3,
        "sha256": photos_sha256(photos),
        "recorded_paths": 1,
        "paths_sha256": sha256(paths),
    }
    assert record["options"]["photo_share"] == 0.5
    assert f"{photos}: 3 photographs, 3 masks; 2 of 4 clips of every batch" in lines
    assert str(photos) not in str(record)


@pytest.mark.parametrize("share", ["0", "1"])
def test_command_line(data: Path, photos: Path, tmp_path: Path, share: str) -> None:
    flags = "--steps 1 --batch 1 --clip 2 --chunks 1 --crop 64x80 --threads 1 --validate-every 0 --device cpu"
    command = [str(data), "--out", str(tmp_path / "run"), *flags.split()]
    assert main([*command, "--photos", str(photos), "--photo-share", share]) == 0
    assert load_checkpoint(tmp_path / "run/model.pt").training["data"]["photos"]["count"] == 3


def test_refusals(data: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = write_paths(tmp_path / "paths.csv", [swinging_path(3)])
    with pytest.raises(TrainingError, match=r"--paths .*paths.csv moves photographs; give their folder with --photos"):
        train(data, tmp_path / "run", options=MIXED, paths=paths)
    with pytest.raises(DatasetError, match="the longest recorded path has 3 frames of known motion, but a clip of 2"):
        train(data, tmp_path / "run", options=MIXED, photos=photos, paths=paths)
    with pytest.raises(DatasetError, match="expected the folders image and mask"):
        train(data, tmp_path / "run", options=MIXED, photos=data)
    with pytest.raises(TrainingError, match=r"photo_share is 1.5; expected a fraction of 0 to 1"):
        replace(MIXED, photo_share=1.5)
    assert (
        main([str(data), "--out", str(tmp_path / "run"), "--paths", str(paths), "--clip", "1", "--crop", "64x80"]) == 1
    )
    assert "mostnet-train: --paths" in capsys.readouterr().err
