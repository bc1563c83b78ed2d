from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mostnet.contract import DatasetError
from mostnet.contract.files import lock_folder
from mostnet.training import synth_cli
from mostnet.training.data.dataset import index_split, read_labelled_frame
from mostnet.training.synth import make_sequence, split
from mostnet.training.synth.files import sequence_seeds, write_sequence, write_split
from mostnet.training.synth_cli import main

SMALL = ["--frames", "2", "--size", "64x96"]


def test_what_is_written_is_what_was_made(tmp_path: Path) -> None:
    assert main([str(tmp_path), "--sequences", "2", "--seed", "7", "--split", "val", *SMALL]) == 0
    made = make_sequence(1_000_000_008, frames=2, size_hw=(64, 96))
    sequence = index_split(tmp_path, "val")[1]
    assert (sequence.name, len(sequence)) == ("000001", 2)
    frame = read_labelled_frame(sequence, 1)
    assert frame.reference is not None and frame.mask is not None and frame.flow is not None
    np.testing.assert_array_equal(frame.reference, made.reference[1])
    np.testing.assert_array_equal(frame.mask, made.mask[1])
    np.testing.assert_array_equal(frame.valid, made.valid[1])
    np.testing.assert_allclose(frame.flow[:, made.valid[1]], made.flow[1][:, made.valid[1]], atol=1 / 128 + 1e-6)
    assert np.abs(frame.input.astype(int) - made.input[1]).mean() < 4
    table = np.loadtxt(sequence.folder / "similarity.csv", delimiter=",")
    np.testing.assert_allclose(table.reshape(2, 2, 3), made.similarity, rtol=1e-6, atol=1e-6)
    described = json.loads((tmp_path / "val/dataset.json").read_text())
    assert described["seeds"] == [1_000_000_007, 1_000_000_008]
    assert described["options"]["fps"] == 25.0 and set(described["versions"]) == {"mostnet", "numpy", "opencv"}


def test_drawn_sequences_do_without_pytorch() -> None:
    script = "import sys, mostnet.training.synth_cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_workers_write_the_same_files(tmp_path: Path) -> None:
    folders = [
        write_split(tmp_path / str(workers), "test", sequences=2, frames=1, size_hw=(64, 64), workers=workers)
        for workers in (1, 2)
    ]
    written = [{p.relative_to(f): p.read_bytes() for p in sorted(f.rglob("*")) if p.is_file()} for f in folders]
    assert written[0] == written[1]
    assert len(written[0]) == 2 * 5 + 1


def test_ctrl_c_stops_the_workers(tmp_path: Path) -> None:
    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    others = multiprocessing.active_children()  # of earlier tests
    with pytest.raises(KeyboardInterrupt):
        write_split(tmp_path, "test", sequences=1000, frames=1, size_hw=(64, 64), workers=2, progress=interrupt)
    assert set(multiprocessing.active_children()) <= set(others)
    assert len(list((tmp_path / "test").iterdir())) < 1000


def test_splits_never_share_a_seed() -> None:
    ranges = [
        sequence_seeds(split, seed=s, sequences=n)
        for split in ("train", "val", "test")
        for s, n in ((0, 5), (999_999_990, 10))
    ]
    assert len({seed for seeds in ranges for seed in seeds}) == 3 * 15
    with pytest.raises(DatasetError, match="11 sequences from seed 999999990; expected at least 1 sequence, and seeds"):
        sequence_seeds("train", seed=999_999_990, sequences=11)
    with pytest.raises(DatasetError, match="unknown split 'all'; expected one of train, val, test"):
        sequence_seeds("all", seed=0, sequences=1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux locks folders")
def test_of_two_that_begin_at_once_the_slower_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locks: list[int | None] = []
    begin = split._begin

    def begin_second(folder: Path, document: Mapping[str, Any]) -> None:
        begin(folder, document)
        locks.append(lock_folder(folder))
        begin(folder, document)

    monkeypatch.setattr(split, "_begin", begin_second)
    with pytest.raises(DatasetError, match="another process writes it now; wait for it, or use another folder"):
        write_split(tmp_path, "train", sequences=1)
    assert locks[0] is not None
    os.close(locks[0])


def test_a_finished_split_is_called_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tmp_path), "--sequences", "1", *SMALL]
    assert [main(arguments), main(arguments)] == [0, 1]
    assert f"{tmp_path / 'train'} is complete already; to write it anew, remove it" in capsys.readouterr().err


def test_an_existing_split_is_refused_and_untouched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train").mkdir()
    assert main([str(tmp_path), "--sequences", "1", *SMALL]) == 1
    assert f"{tmp_path / 'train'} exists; to write it anew, remove it, or" in capsys.readouterr().err
    assert not list((tmp_path / "train").iterdir())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--sequences", "0"], "0 sequences from seed 0; expected at least 1"),
        (["--sequences", "1", "--frames", "0"], "0 frames and 1 workers; expected at least 1 of each"),
        (["--sequences", "1", "--size", "32x96"], "frame size is 32x96; each side must be at least 64"),
    ],
)
def test_bad_numbers_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert main([str(tmp_path / "out"), *arguments]) == 1
    assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_interrupted_sequence_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_sequence(1, frames=1, size_hw=(64, 64))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mostnet.training.synth.files.write_flow", full)
    with pytest.raises(OSError, match="No space left"):
        write_sequence(tmp_path / "000000", made)
    assert not list(tmp_path.iterdir())
    (tmp_path / "000001").mkdir()
    with pytest.raises(DatasetError, match="000001 exists; remove it first"):
        write_sequence(tmp_path / "000001", made)


@pytest.mark.parametrize(("there", "advice"), [(False, "remove {} before the next try"), (True, "nothing was written")])
def test_ctrl_c_does_not_call_for_the_removal_of_another_run(
    there: bool, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set/train"
    if there:
        folder.mkdir(parents=True)

    def interrupted(*_: object) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(synth_cli, "_write", interrupted)
    assert main([str(tmp_path / "set"), "--sequences", "1"]) == 130
    assert advice.format(folder) in capsys.readouterr().err


def test_the_folder_is_no_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(tmp_path / "data"), "--sequences", "2"])
    assert f"give the folder as the first argument: mostnet-synth {tmp_path / 'data'}" in capsys.readouterr().err
