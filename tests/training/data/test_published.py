"""The published layout of Vident-real, read unchanged; and trees that are wrong, each with its one line."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import DatasetError
from mostnet.training.data.dataset import index_split, read_labelled_frame
from mostnet.training.data.flow_files import npy_size, read_flow, write_flow
from mostnet.training.data.published import open_split
from tests.training.vident_tree import write_tree

FRAMES, SIZE = 6, (96, 128)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vident")
    write_tree(root, sequences={"train": 2}, frames=FRAMES, size_hw=SIZE)
    return root


@pytest.fixture
def tree(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tree"))


def sequence_of(tree: Path) -> Path:
    return sorted((tree / "train").iterdir())[0]


def test_frames_come_in_the_order_of_their_numbers(made: Path) -> None:
    sequences = index_split(made, "train")
    assert [len(sequence) for sequence in sequences] == [FRAMES, FRAMES]
    for sequence in sequences:
        numbers = [int(path.stem) for path in sequence.input]
        assert numbers == sorted(numbers) and sequence.layout.name == "Vident-real"
        assert sequence.labels["flow"][0] is None
        for label in ("reference", "mask"):
            assert [int(path.stem) for path in sequence.labels[label]] == numbers
    crossing = [path.stem for path in sequences[1].input]
    assert crossing != sorted(crossing), "in this sequence the order of the text is wrong"


def test_labels_are_read(made: Path) -> None:
    sequence = index_split(made, "train")[0]
    first, frame = (read_labelled_frame(sequence, index) for index in (0, 3))
    assert first.flow is not None and first.valid is not None and not first.valid.any()
    assert frame.size_hw == SIZE and frame.reference is not None and set(np.unique(frame.mask)) == {0, 255}
    path = sequence.labels["flow"][3]
    published = np.load(path)
    known = np.isfinite(published).all(axis=2)
    assert np.array_equal(frame.valid, known) and 0.5 < known.mean() < 1
    assert np.array_equal(frame.flow[:, known], published.transpose(2, 0, 1)[:, known])


def test_the_split_says_what_it_holds(tree: Path) -> None:
    shutil.rmtree(sequence_of(tree) / "OF_backw")
    line, direction, flow = open_split(tree, "train").lines
    assert flow == "flow of 1 of 2 sequences: from homo_4df.pkl, for lack of OF_backw, on the teeth"
    assert line == (
        "tree/train: layout of Vident-real, 2 sequences, 12 frames; "
        "labels: GT in 2 sequences (12 frames), masks in 2 sequences (12 frames), "
        "OF_backw in 1 of 2 sequences (5 frames), homo_4df.pkl in 2 sequences (12 frames); "
        "missing: OF_backw in 1 of 2 sequences"
    )
    assert "matrix t maps frame t-1 to frame t (residual" in direction
    for sequence in (tree / "train").iterdir():
        shutil.rmtree(sequence / "masks")
        (sequence / "homo_4df.pkl").unlink()
    (line,) = open_split(tree, "train").lines
    assert line.endswith("missing: masks, OF_backw in 1 of 2 sequences, homo_4df.pkl")


def test_matrices_give_the_flow_that_is_missing_and_the_motion_of_the_teeth(made: Path, tmp_path: Path) -> None:
    with_flow = open_split(made, "train").sequences[0]
    tree = Path(shutil.copytree(made, tmp_path / "tree"))
    for sequence in (tree / "train").iterdir():
        shutil.rmtree(sequence / "OF_backw")
    opened = open_split(tree, "train")
    without = opened.sequences[0]
    assert opened.lines[-1] == "flow of 2 of 2 sequences: from homo_4df.pkl, for lack of OF_backw, on the teeth"
    assert without.has_flow and "flow" not in without.labels
    first, found, true = read_labelled_frame(without, 0), *(read_labelled_frame(s, 3) for s in (without, with_flow))
    assert first.flow is not None and not first.valid.any() and first.motion is None
    assert found.motion == true.motion and found.motion is not None
    teeth = found.valid & true.valid
    assert teeth.sum() > 500 and not (found.valid & (found.mask == 0)).any(), "the gum moves in another way"
    assert np.median(np.hypot(*(found.flow - true.flow)[:, teeth])) < 0.5
    assert np.median(np.hypot(*true.flow[:, teeth])) > 2


def test_an_empty_folder_of_flow_is_a_missing_one(tree: Path) -> None:
    for path in (sequence_of(tree) / "OF_backw").iterdir():
        path.unlink()
    opened = open_split(tree, "train")
    assert "OF_backw in 1 of 2 sequences " in opened.lines[0] and "flow" not in opened.sequences[0].labels


def test_another_split_tells_the_direction_and_a_broken_one_does_no_harm(made: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(made, tmp_path / "tree"))
    shutil.copytree(tree / "train", tree / "test")
    for path in (tree / "test").rglob("homo_4df.pkl"):
        path.write_bytes(pickle.dumps([np.eye(3)] * FRAMES))
    assert "matrix t maps frame t-1 to frame t" in open_split(tree, "test").lines[1]
    for path in (tree / "train").rglob("homo_4df.pkl"):
        path.write_bytes(b"damaged")
    opened = open_split(tree, "test")
    assert opened.direction is None and "hold no motion" in opened.lines[1]


def test_a_shear_is_said(tree: Path) -> None:
    matrices = pickle.loads((sequence_of(tree) / "homo_4df.pkl").read_bytes())
    matrices[2][0, 1] += 0.02
    (sequence_of(tree) / "homo_4df.pkl").write_bytes(pickle.dumps(matrices))
    assert "some matrices are no similarities (off by 0.02" in open_split(tree, "train").lines[-1]


def test_our_own_layout_says_what_it_holds_too(tmp_path: Path, made: Path) -> None:
    source = sequence_of(made)
    folder = tmp_path / "train" / "a"
    shutil.copytree(source / "input", folder / "input")
    (line,) = open_split(tmp_path, "train", needs_labels=False).lines
    assert line.endswith("layout of mostnet, 1 sequence, 6 frames; labels: none; missing: reference, mask, flow")


def break_folder(name: str) -> Callable[[Path], object]:
    return lambda sequence: shutil.rmtree(sequence / name)


def remove_third(folder: str) -> Callable[[Path], object]:
    return lambda sequence: sorted((sequence / folder).iterdir())[2].unlink()


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("ran",)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no input": (break_folder("input"), r"0061_left: no frames in input/; expected"),
    "no GT": (break_folder("GT"), r"0061_left/GT: no such folder, but 1 of 2 sequences have it; copy it again"),
    "no masks": (break_folder("masks"), r"0061_left/masks: no such folder, but 1 of 2 sequences have it"),
    "a number missing in GT": (remove_third("GT"), r"GT has no file for input/41072.jpg \(1 of 6 frames\); add them"),
    "a number missing in masks": (remove_third("masks"), r"masks has no file for input/41072.jpg"),
    "a number missing in OF_backw": (
        remove_third("OF_backw"),
        r"OF_backw has no file for input/41073.jpg \(1 of 6 frames\); mostnet-label ROOT writes what is missing",
    ),
    "a number missing in input": (remove_third("input"), r"GT/41072.png has no frame in input \(1 such files\)"),
    "a pickle that would run code": (
        lambda s: (s / "homo_4df.pkl").write_bytes(pickle.dumps([Hostile()])),
        r"homo_4df.pkl: .*posix.mkdir.*refused",
    ),
    "matrices of another length": (
        lambda s: (s / "homo_4df.pkl").write_bytes(pickle.dumps([np.eye(3)] * 5)),
        r"homo_4df.pkl: 5 matrices for 6 frames",
    ),
    "flow of another size": (
        lambda s: np.save(s / "OF_backw/41071.npy", np.zeros((48, 64, 2), np.float32)),
        r"OF_backw/41071.npy: flow of 48x64, but its frames are 96x128",
    ),
    "flow of another shape": (
        lambda s: np.save(s / "OF_backw/41071.npy", np.zeros((2, 96, 128), np.float32)),
        r"OF_backw/41071.npy: holds float32 \(2, 96, 128\); backward flow is float32 \(H, W, 2\)",
    ),
    "flow that is cut off": (
        lambda s: (s / "OF_backw/41071.npy").write_bytes((s / "OF_backw/41071.npy").read_bytes()[:-8]),
        r"OF_backw/41071.npy: \d+ bytes do not hold flow of 128x96 pixels; copy it again",
    ),
    "flow that holds objects": (
        lambda s: np.save(s / "OF_backw/41071.npy", np.full((96, 128, 2), None)),
        r"OF_backw/41071.npy: holds object",
    ),
    "a third flow file of another size": (
        lambda s: np.save(s / "OF_backw/41074.npy", np.zeros((48, 64, 2), np.float32)),
        r"OF_backw/41074.npy: flow of 48x64, but its frames are 96x128",
    ),
    "a sequence of which only the frames were copied": (
        lambda s: [shutil.rmtree(s / name) for name in ("GT", "masks", "OF_backw")] + [(s / "homo_4df.pkl").unlink()],
        r"0061_left/GT: no such folder, but 1 of 2 sequences have it",
    ),
    "both layouts": (
        lambda s: (s / "reference").mkdir(),
        r"0061_left: this sequence mixes the names of two layouts, GT of Vident-real and reference of mostnet; remove",
    ),
    "a name of ours with another case of letters": (
        lambda s: (s / "Flow").mkdir(),
        r"0061_left/Flow: the folder of the flow files is called OF_backw; rename it",
    ),
    "another case of letters": (
        lambda s: (s / "GT").rename(s / "gt"),
        r"0061_left/gt: the folder of the reference files is called GT; rename it",
    ),
    "two files for one frame": (
        lambda s: shutil.copy(s / "GT/41071.png", s / "GT/041071.png"),
        r"GT: .*41071.png and .*41071.png stand for the same frame",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_trees_give_one_line(tree: Path, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spoil, message = WRONG[kind]
    monkeypatch.chdir(tmp_path)
    spoil(sequence_of(tree))
    with pytest.raises(DatasetError, match=message) as raised:
        open_split(tree, "train")
    assert "\n" not in str(raised.value) and not (tmp_path / "ran").exists()


def test_a_published_name_in_small_letters_alone_is_refused(tree: Path) -> None:
    for sequence in (tree / "train").iterdir():
        for name in ("masks", "OF_backw"):
            shutil.rmtree(sequence / name)
        (sequence / "homo_4df.pkl").unlink()
        (sequence / "GT").rename(sequence / "gt")
    with pytest.raises(DatasetError, match="gt: the folder of the reference files is called reference; rename it"):
        open_split(tree, "train")


def test_npy_flow_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    flow, valid = rng.normal(0, 5, (2, 6, 8)).astype(np.float32), rng.random((6, 8)) < 0.7
    write_flow(tmp_path / "7.npy", flow, valid)
    found, known = read_flow(tmp_path / "7.npy")
    assert npy_size(tmp_path / "7.npy") == (6, 8) and np.array_equal(known, valid)
    assert np.array_equal(found, np.where(valid, flow, 0))


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"not numpy at all" * 9, b"\x93NUMPY\x01\x00\x10\x00{'descr': (((("]
)
def test_damaged_npy_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "7.npy").write_bytes(content)
    with pytest.raises(DatasetError, match=r"7.npy: not an .npy file"):
        read_flow(tmp_path / "7.npy")
