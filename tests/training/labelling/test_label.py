"""``mostnet-label``: writes what is missing, marks what is not confirmed, continues, and never mixes methods."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import DatasetError
from mostnet.training.data.dataset import index_split, read_labelled_frame
from mostnet.training.data.flow_files import read_flow
from mostnet.training.labelling import label as module
from mostnet.training.labelling.cli import main
from mostnet.training.labelling.label import RECORD, label_split
from mostnet.training.labelling.methods import LabelMethod, checked_flow, dis_method
from tests.training.moving_scenes import moving_clip, write_sequence
from tests.training.vident_tree import write_tree

FRAMES, SIZE = 5, (96, 128)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vident")
    write_tree(root, sequences={"train": 2, "val": 1}, frames=FRAMES, size_hw=SIZE)
    return root


@pytest.fixture
def tree(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tree"))


def files_of(tree: Path) -> dict[str, bytes]:
    return {str(path.relative_to(tree)): path.read_bytes() for path in sorted(tree.rglob("*.npy"))}


def test_only_what_is_missing_is_written(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = sorted((tree / "train").iterdir())
    shutil.rmtree(first / "OF_backw")
    lost = sorted((second / "OF_backw").iterdir())[1]
    lost.unlink()
    before = files_of(tree)
    with pytest.raises(DatasetError, match="mostnet-label ROOT writes what is missing"):
        index_split(tree, "train")
    assert main([str(tree), "--method", "dis"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith(f"{tree / 'train'}: 5 flow files written, ") and shown[0].endswith("; 3 were there")
    assert shown[1] == f"{tree / 'val'}: 0 flow files written; 4 were there"
    after = files_of(tree)
    assert {name: after[name] for name in before} == before and len(after) == len(before) + 5
    assert lost.is_file() and not (first / "OF_backw/41070.npy").exists(), "a first frame has no flow"
    assert json.loads((tree / "train" / RECORD).read_text())["method"] == "dis"
    assert not (tree / "val" / RECORD).exists()
    assert not list(tree.rglob(".*"))


def test_the_labels_are_those_of_the_drawn_scene(tree: Path, made: Path) -> None:
    for sequence in (tree / "train").iterdir():
        shutil.rmtree(sequence / "OF_backw")
    assert main([str(tree), "--method", "dis", "--split", "train"]) == 0
    confirmed, rest = [], []
    for found, true in zip(index_split(tree, "train"), index_split(made, "train"), strict=True):
        found, true = (read_labelled_frame(sequence, 3) for sequence in (found, true))
        off = np.hypot(*(found.flow - true.flow))
        assert (found.valid & true.valid).mean() > 0.3
        confirmed.append(off[found.valid & true.valid])
        rest.append(off[~found.valid & true.valid])
    assert np.median(np.concatenate(confirmed)) < 0.5
    assert np.concatenate(confirmed).mean() < 0.5 * np.concatenate(rest).mean()


def test_flow_that_forward_flow_contradicts_is_unknown() -> None:
    frame = np.zeros((40, 60, 3), np.uint8)

    def two_ways(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        forward = first is not frame
        flow = np.zeros((2, 40, 60), np.float32)
        flow[0] = -4 if forward else 4
        if not forward:
            flow[1, :, 20:30] = 3  # the forward flow does not lead back
        return flow

    flow, valid = checked_flow(two_ways, frame, np.ones_like(frame))
    x = np.arange(60)
    assert (flow[0] == 4).all()
    assert (valid == ((x <= 55) & ~((x >= 20) & (x < 30)))).all()


def test_our_own_layout_gets_flo_files_except_for_the_first_frame(tmp_path: Path) -> None:
    clip = moving_clip(3, size_hw=(64, 80))
    write_sequence(tmp_path / "train" / "a", clip)
    shutil.rmtree(tmp_path / "train/a/flow")
    assert main([str(tmp_path), "--method", "dis", "--pictures", "input"]) == 0
    files = sorted((tmp_path / "train/a/flow").iterdir())
    assert [path.name for path in files] == ["000001.flo", "000002.flo"]
    assert read_flow(files[1])[1].mean() > 0.5
    assert index_split(tmp_path, "train")[0].labels["flow"] == (None, *files)
    assert main([str(tmp_path), "--method", "dis"]) == 0
    assert sorted((tmp_path / "train/a/flow").iterdir()) == files, "nothing is missing"


def test_an_interrupted_run_continues_without_a_half_file(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for sequence in (tree / "train").iterdir():
        shutil.rmtree(sequence / "OF_backw")
    whole = Path(shutil.copytree(tree, tree.parent / "whole"))
    assert main([str(whole), "--method", "dis"]) == 0

    calls = []

    def stop(*args: object) -> float:
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return written(*args)

    written = module._write_label
    monkeypatch.setattr(module, "_write_label", stop)
    assert main([str(tree), "--method", "dis"]) == 130
    monkeypatch.undo()
    times = {path: path.stat().st_mtime_ns for path in tree.rglob("train/*/OF_backw/*.npy")}
    assert len(times) == 3
    with pytest.raises(DatasetError, match="mostnet-label ROOT"):
        index_split(tree, "train")
    assert main([str(tree), "--method", "dis"]) == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert files_of(tree) == files_of(whole)


def test_labels_of_two_methods_do_not_mix(tree: Path) -> None:
    folder = sorted((tree / "train").iterdir())[0] / "OF_backw"
    paths = sorted(folder.iterdir())
    paths[0].unlink()
    assert main([str(tree), "--method", "dis"]) == 0
    paths[1].unlink()
    other = LabelMethod("raft", dis_method().find, "ab" * 32)
    with pytest.raises(DatasetError, match=r"was begun with dis on auto, now given raft on auto \(abababab\); give"):
        label_split(tree, "train", other)
    assert not paths[1].exists()
    for content in ("{", "null", "3"):
        (tree / "train" / RECORD).write_text(content)
        with pytest.raises(DatasetError, match=r"flow_labels.json: no JSON object"):
            label_split(tree, "train", dis_method())


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "RAFT needs --weights FILE; --method dis needs none"),
        (["--method", "dis", "--weights", "raft.pth"], 2, "--weights is for --method raft"),
        (["--method", "dis", "--split", "test"], 1, "test: no such split"),
        (["--method", "dis", "--pictures", "reference"], 1, "has no reference pictures; take --pictures input"),
        (["--weights", "missing.pth"], 1, "missing.pth: no such file; give torchvision's raft_large weights"),
    ],
)
def test_refusals_are_one_line(
    tree: Path, arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for sequence in (tree / "train").iterdir():
        shutil.rmtree(sequence / "OF_backw")
        shutil.rmtree(sequence / "GT")
    try:
        found = main([str(tree), *arguments])
    except SystemExit as stop:
        found = stop.code
    assert found == status
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_without_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--method", "dis"]) == 1
    assert "should hold train, val, test, found nothing" in capsys.readouterr().err
