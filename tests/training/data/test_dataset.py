"""Data sets on disk: flow files, the index of a split, bad files, and training clips."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mostnet.contract import DatasetError
from mostnet.contract.arguments import size_hw
from mostnet.training.data.clips import ClipDataset, ClipOptions
from mostnet.training.data.dataset import index_split, read_labelled_frame
from mostnet.training.data.flow_files import read_flow, write_flow
from mostnet.training.data.frame_source import FrameSource
from mostnet.training.workers import loader
from tests.training.moving_scenes import moving_clip, write_dataset, write_sequence

OPTIONS = ClipOptions(frames=3, crop_hw=(64, 64))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", train=3, val=1, frames=5, size_hw=(80, 96))


@pytest.fixture
def some_flow() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    flow = (np.round(rng.uniform(-300, 300, (2, 5, 7)) * 64) / 64).astype(np.float32)
    valid = rng.random((5, 7)) < 0.7
    return flow * valid, valid


@pytest.mark.parametrize("suffix", [".flo", ".png"])
def test_flow_files_give_back_what_was_written(
    tmp_path: Path, some_flow: tuple[np.ndarray, np.ndarray], suffix: str
) -> None:
    write_flow(tmp_path / f"a{suffix}", *some_flow)
    flow, valid = read_flow(tmp_path / f"a{suffix}")
    assert flow.dtype == np.float32 and (flow == some_flow[0]).all() and (valid == some_flow[1]).all()


def test_layout_of_flow_files(tmp_path: Path) -> None:
    """Bytes as the documents of the formats define them, independent of our writer."""
    row = np.array([[1.5, -2.0], [0.25, 1e10]], "<f4")
    (tmp_path / "a.flo").write_bytes(b"PIEH" + np.array([2, 1], "<i4").tobytes() + row.tobytes())
    flow, valid = read_flow(tmp_path / "a.flo")
    assert flow[:, 0, 0].tolist() == [1.5, -2.0] and valid.tolist() == [[True, False]]
    rgb = np.array([[[32768 + 96, 32768 - 128, 1], [1, 1, 0]]], np.uint16)  # u, v, valid
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    flow, valid = read_flow(tmp_path / "a.png")
    assert flow[:, 0].tolist() == [[1.5, 0.0], [-2.0, 0.0]] and valid.tolist() == [[True, False]]


def test_flow_too_long_for_a_png_is_written_as_unknown(tmp_path: Path) -> None:
    flow = np.array([[[600.0, 5.0]], [[0.0, 0.0]]], np.float32)
    write_flow(tmp_path / "a.png", flow, np.ones((1, 2), np.bool_))
    assert read_flow(tmp_path / "a.png")[1].tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.flo", b"PIEH\x02\0\0\0\x01\0\0\0\0\0", "14 bytes do not hold flow of 2x1 pixels"),
        ("a.flo", b"RIFF" + b"\0" * 20, "not a .flo file"),
        ("a.flo", b"PIEH" + np.array([-2, -1], "<i4").tobytes() + b"\0" * 16, "28 bytes do not hold flow of -2x-1 "),
        ("a.png", b"\x89PNG", "damaged"),
        ("a.png", cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes(), "16-bit PNG of three channels"),
    ],
)
def test_damaged_flow_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_flow(tmp_path / name)


def test_flow_of_another_format_or_shape_is_not_written(tmp_path: Path) -> None:
    flow = np.zeros((2, 4, 5), np.float32)
    with pytest.raises(DatasetError, match=r"written as \.flo, \.png or \.npy, not as \.exr"):
        write_flow(tmp_path / "a.exr", flow, np.ones((4, 5), np.bool_))
    with pytest.raises(DatasetError, match=r"flow is \(2, 4, 5\) and valid \(5, 4\)"):
        write_flow(tmp_path / "a.flo", flow, np.ones((5, 4), np.bool_))
    assert not list(tmp_path.iterdir())


def test_index_and_frames(data: Path) -> None:
    sequences = index_split(data, "train")
    assert [s.name for s in sequences] == ["0000", "0001", "0002"] and {len(s) for s in sequences} == {5}
    frame = read_labelled_frame(sequences[1], 2)
    assert frame.size_hw == (80, 96)
    assert frame.input.dtype == np.uint8 and frame.input.mean() < frame.reference.mean()
    assert set(np.unique(frame.mask)) == {0, 255}
    assert frame.flow.shape == (2, 80, 96) and frame.valid.mean() > 0.8 and (frame.flow[:, ~frame.valid] == 0).all()


def test_missing_labels(tmp_path: Path) -> None:
    clip = moving_clip(3, size_hw=(64, 64))
    write_sequence(tmp_path / "train" / "a", replace(clip, mask=None, flow=None))
    (sequence,) = index_split(tmp_path, "train")
    assert set(sequence.labels) == {"reference"}
    item = ClipDataset(FrameSource([sequence]), OPTIONS)[0]
    assert item.has_reference.item() is True and item.has_mask.item() is False
    assert item.mask.sum() == 0 and not item.valid.any() and item.flow.shape == (3, 2, 64, 64)


def test_index_refuses(data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"no such split; .* should hold test, found train, val; --split val takes another"
    ):
        index_split(data, "test")
    with pytest.raises(DatasetError, match="found nothing"):
        index_split(tmp_path / "nowhere", "train")
    (data / "test").mkdir()
    with pytest.raises(DatasetError, match=r"no sequences; expected folders that hold input/000000\.png"):
        index_split(data, "test")
    (data / "test" / "a").mkdir()
    with pytest.raises(DatasetError, match=r"test/a: no frames in input/"):
        index_split(data, "test")
    next((data / "train" / "0001" / "mask").iterdir()).unlink()
    with pytest.raises(DatasetError, match=r"train/0001: mask has 4 files, expected 5, one per input frame"):
        index_split(data, "train")
    (data / "train" / "0001" / "mask" / "stray.png").touch()
    with pytest.raises(DatasetError, match=r"mask has no 00000\d, but has stray \(1 of 5 names differ"):
        index_split(data, "train")


def test_labels_of_another_size_are_named(data: Path) -> None:
    path = data / "train" / "0000" / "mask" / "000001.png"
    cv2.imwrite(str(path), np.zeros((40, 48), np.uint8))
    with pytest.raises(DatasetError, match=r"0000/mask/000001.png: is 40x48, but its input frame is 80x96"):
        read_labelled_frame(index_split(data, "train")[0], 1)


@pytest.mark.parametrize("cache", ["none", "ram"])
def test_bad_files_are_named_once_and_replaced_by_a_neighbour(
    data: Path, caplog: pytest.LogCaptureFixture, cache: str
) -> None:
    bad = data / "train" / "0001" / "reference" / "000002.png"
    bad.write_bytes(b"not a picture")
    source = FrameSource(index_split(data, "train"), cache=cache, most_bad=0.1)
    with caplog.at_level(logging.WARNING):
        still = replace(OPTIONS, augment=False)
        items = [ClipDataset(source, still)[i] for i in range(6)]
    assert len(source.bad) == 1
    messages = [record.getMessage() for record in caplog.records]
    if cache == "none":
        assert len(messages) == 1 and str(bad) in messages[0] and "bad file 1" in messages[0]
    assert torch.equal(items[1].input, items[2].input), "sequence 1 is replaced by sequence 2"
    assert not torch.equal(items[0].input, items[2].input)


@pytest.mark.parametrize("cache", ["none", "ram"])
def test_too_many_bad_files_stop(data: Path, cache: str) -> None:
    (data / "train" / "0001" / "input" / "000001.png").write_bytes(b"")
    with pytest.raises(
        DatasetError, match=r"1 frame cannot be read, but the run tolerates 0; the last: .*0001/input/000001"
    ):
        ClipDataset(
            FrameSource(index_split(data, "train"), cache=cache, most_bad=0.01), replace(OPTIONS, augment=False)
        )[1]


def test_every_bad_frame_of_a_clip_counts(data: Path) -> None:
    for number in (0, 2):
        (data / f"train/0001/input/00000{number}.png").write_bytes(b"")
    source = FrameSource(index_split(data, "train"), most_bad=0.5)
    ClipDataset(source, replace(OPTIONS, augment=False))[1]
    assert set(source.bad) == {(1, 0), (1, 2)}


def test_clips_depend_only_on_seed_and_number(data: Path) -> None:
    sequences = index_split(data, "train")
    lazy, cached = (ClipDataset(FrameSource(sequences, cache=cache), OPTIONS) for cache in ("none", "ram"))
    other = ClipDataset(FrameSource(sequences), replace(OPTIONS, seed=1))
    for i in (7, 0, 3):
        a, b = lazy[i], cached[i]
        assert torch.equal(a.input, b.input) and torch.equal(a.valid, b.valid)
        assert (a.flow - b.flow).abs().max() < 0.02, "the cache keeps half precision"
        assert not torch.equal(a.input, other[i].input)
    with closing(loader(lazy, workers=1, batch_size=2, sampler=range(4, 8))) as batches:
        loaded = next(batches)
    assert torch.equal(loaded.input[1], lazy[5].input) and loaded.has_mask.shape == (2,)
    assert loaded.frames(1, 3).input.shape == (2, 2, 64, 64, 3) and loaded.frames(1, 3).has_mask.shape == (2,)


def test_every_sequence_comes_once_an_epoch(data: Path) -> None:
    clips = ClipDataset(FrameSource(index_split(data, "train")), OPTIONS)
    orders = [tuple(clips._order(epoch)) for epoch in range(8)]
    assert {tuple(sorted(order)) for order in orders} == {(0, 1, 2)} and len(set(orders)) > 2


def test_the_crop_that_fits_upright_frames_is_one_that_the_flag_takes(tmp_path: Path) -> None:
    upright = write_dataset(tmp_path, train=1, val=0, frames=3, size_hw=(96, 64))
    with pytest.raises(DatasetError) as error:
        ClipDataset(FrameSource(index_split(upright, "train")), replace(OPTIONS, crop_hw=(112, 96)))
    flag = str(error.value).rpartition("--crop ")[2]
    assert size_hw("480x640")(flag) == (96, 64)


def test_clips_that_do_not_fit(data: Path) -> None:
    source = FrameSource(index_split(data, "train"))
    with pytest.raises(DatasetError, match=r"0000: 5 frames, but a training window takes 6; .*: --clip 2 --chunks 2$"):
        ClipDataset(source, replace(OPTIONS, frames=6))
    with pytest.raises(
        DatasetError, match=r"0000: frames are 80x96, but clips are 96x96; these flags fit: --crop 80x96$"
    ):
        ClipDataset(source, replace(OPTIONS, crop_hw=(96, 96)))
    both = (
        r"takes 6; .*0000: frames are 80x96, but clips are 96x112; these flags fit: --clip 2 --chunks 2 --crop 80x96$"
    )
    with pytest.raises(DatasetError, match=both):
        ClipDataset(source, replace(OPTIONS, frames=6, crop_hw=(96, 112)))


def test_a_frame_of_another_size_is_a_bad_file(data: Path) -> None:
    sequence = data / "train" / "0002"
    cv2.imwrite(str(sequence / "input/000003.png"), np.zeros((64, 64, 3), np.uint8))  # its labels keep their size
    source = FrameSource(index_split(data, "train"), most_bad=0.1)
    with pytest.raises(DatasetError, match=r"0002/input/000003.png: is 64x64, but its sequence is 80x96"):
        source.read(2, 3)
    assert source.read(2, 4).size_hw == (80, 96) and len(source.bad) == 1
