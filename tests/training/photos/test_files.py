"""Photographs on disk: the files hold what was made, and the command line says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.contract import DatasetError, sha256
from mostnet.training.data.dataset import index_split, read_labelled_frame
from mostnet.training.photos import PhotoClips, PhotoOptions
from mostnet.training.photos.files import write_moving, write_still
from mostnet.training.photos.folder import photos_sha256
from mostnet.training.synth.files import whole_folder
from mostnet.training.synth_cli import main

from .drawn import array, drawn_photo, drawn_photos, swinging_path, write_paths, write_photos

SMALL = ["--frames", "2", "--size", "64x96"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", drawn_photos(3), suffix=".png")


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_written_is_what_was_made(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = write_paths(tmp_path / "paths.csv", [swinging_path()])
    flags = ["--strength", 0.3, 0.6, "--clean", 0, "--front", 1, "--no-mouth", 0, "--calm", 0.5, 0, "--tint", 0]
    command = [tmp_path / "set", "--photos", photos, "--paths", paths, "--split", "val", "--seed", 7, *flags]
    assert run(*command, "--sequences", 2, *SMALL) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'set/val'}: 2 sequences of 2 frames, 64x96\n"
    chosen = {"strength": (0.3, 0.6), "clean": 0, "front": 1, "no_mouth": 0, "calm": (0.5, 0), "tint": 0}
    options = PhotoOptions(frames=2, size_hw=(64, 96), seed=1_000_000_000, **chosen)  # type: ignore[arg-type]
    made = PhotoClips(drawn_photos(3), options, recorded=[swinging_path()]).batch(1_000_000_008, 1)
    sequence = index_split(tmp_path / "set", "val")[1]
    assert sorted(path.name for path in sequence.folder.iterdir()) == ["flow", "input", "mask", "reference"]
    for t in range(2):
        frame = read_labelled_frame(sequence, t)
        assert frame.flow is not None and frame.valid is not None
        np.testing.assert_array_equal(frame.input, array(made.input)[0, t])
        np.testing.assert_array_equal(frame.reference, array(made.reference)[0, t])
        np.testing.assert_array_equal(frame.mask, array(made.mask)[0, t])
        np.testing.assert_array_equal(frame.valid, array(made.valid)[0, t])
        np.testing.assert_allclose(frame.flow[:, frame.valid], array(made.flow)[0, t][:, frame.valid], atol=1 / 127)
    described = json.loads((tmp_path / "set/val/dataset.json").read_text())
    assert set(described.pop("versions")) == {"mostnet", "numpy", "opencv", "torch"}
    assert described == {
        "split": "val",
        "seeds": [1_000_000_007, 1_000_000_008],
        "sequences": 2,
        "frames": 2,
        "size_hw": [64, 96],
        "photographs": {"count": 3, "sha256": photos_sha256(photos)},
        "recorded_paths": {"count": 1, "sha256": sha256(paths)},
        "options": {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()},
    }
    assert str(tmp_path) not in json.dumps(described)


def test_the_same_command_writes_the_same_files_and_no_two_splits_share_a_clip(photos: Path, tmp_path: Path) -> None:
    for out, split in (("a", "val"), ("b", "val"), ("a", "train"), ("a", "test")):
        assert run(tmp_path / out, "--photos", photos, "--sequences", 2, "--split", split, *SMALL) == 0
    written = files_of(tmp_path / "a/val")
    assert written == files_of(tmp_path / "b/val") and len(written) == 2 * 2 * 4 + 1
    for other in ("train", "test"):
        assert not set(files_of(tmp_path / "a" / other).values()) & {
            data for name, data in written.items() if "input" in name
        }


def test_sequences_follow_the_seed_and_not_their_place(photos: Path, tmp_path: Path) -> None:
    """The second of seed 4 is the first of seed 5."""
    for seed, count in ((4, 2), (5, 1)):
        assert run(tmp_path / str(seed), "--photos", photos, "--sequences", count, "--seed", seed, *SMALL) == 0
    assert files_of(tmp_path / "4/train/000001") == files_of(tmp_path / "5/train/000000")


def test_options_that_are_not_given_are_the_defaults(photos: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "set", "--photos", photos, "--sequences", 1, *SMALL) == 0
    described = json.loads((tmp_path / "set/train/dataset.json").read_text())
    defaults = PhotoOptions(frames=1, size_hw=(64, 64))
    assert described["options"] == {
        name: list(value) if isinstance(value := getattr(defaults, name), tuple) else value
        for name in ("clean", "strength", "front", "no_mouth", "calm", "tint")
    }
    assert described["recorded_paths"] is None


def test_help_shows_the_defaults_of_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    shown = " ".join(capsys.readouterr().out.split())
    defaults = PhotoOptions(frames=1, size_hw=(64, 64))
    for name in ("clean", "strength", "front", "no_mouth", "calm", "tint"):
        value = getattr(defaults, name)
        text = " ".join(f"{number:g}" for number in (value if isinstance(value, tuple) else (value,)))
        assert f"--{name.replace('_', '-')} " in shown and f"(default: {text})" in shown, name


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_still_photographs_are_their_own_reference(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [drawn_photo(0, size_hw=(65, 97)), drawn_photo(1, size_hw=(120, 70))]
    folder = write_photos(tmp_path / "photos", photos, suffix=suffix)
    assert run(tmp_path / "set", "--photos", folder, "--still", "--split", "val") == 0
    assert "2/2" in capsys.readouterr().err
    sequences = index_split(tmp_path / "set", "val")
    assert [len(sequence) for sequence in sequences] == [3, 3]
    for sequence, photo in zip(sequences, photos, strict=True):
        for t in range(3):
            frame = read_labelled_frame(sequence, t)
            assert frame.flow is not None and frame.valid is not None
            np.testing.assert_array_equal(frame.input, frame.reference)
            np.testing.assert_array_equal(frame.mask, photo.pixels[..., 3])
            assert not frame.flow.any() and frame.valid.all() == (t > 0) and frame.valid.any() == (t > 0)
            assert frame.size_hw == photo.pixels.shape[:2]
            if suffix == ".png":
                np.testing.assert_array_equal(frame.input, photo.pixels[..., :3])
            data = (folder / "image" / f"{photo.name}{suffix}").read_bytes()
            assert (sequence.folder / f"input/{t:06}{suffix}").read_bytes() == data
    described = json.loads((tmp_path / "set/val/dataset.json").read_text())
    assert described["photographs"] == {"count": 2, "sha256": photos_sha256(folder)}
    assert (described["sequences"], described["frames"], described["seeds"]) == (2, 3, None)


def test_still_photographs_with_inverted_masks_say_so(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (photos / "mask").iterdir():
        assert cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    write_still(tmp_path / "set", "test", photos, frames=1)
    assert len(caplog.messages) == 1 and "as if inverted" in caplog.messages[0]


def test_the_first_still_photographs(photos: Path, tmp_path: Path) -> None:
    write_still(tmp_path / "set", "test", photos, sequences=2, frames=1)
    assert [len(sequence) for sequence in index_split(tmp_path / "set", "test")] == [1, 1]
    with pytest.raises(DatasetError, match="4 sequences of 1 frames; expected at least 1 frame, and 1 to 3 sequences"):
        write_still(tmp_path / "other", "test", photos, sequences=4, frames=1)
    with pytest.raises(DatasetError, match="3 sequences of 0 frames; expected at least 1 frame"):
        write_still(tmp_path / "other", "test", photos, frames=0)
    with pytest.raises(DatasetError, match="0 sequences of 1 frames; expected"):
        write_still(tmp_path / "other", "test", photos, sequences=0, frames=1)
    assert not (tmp_path / "other").exists()


def test_progress_counts_the_sequences(photos: Path, tmp_path: Path) -> None:
    counted: list[int] = []
    options = PhotoOptions(frames=1, size_hw=(64, 64))
    write_moving(tmp_path / "a", "train", photos, options, sequences=2, progress=counted.append)
    write_still(tmp_path / "b", "train", photos, frames=1, progress=counted.append)
    assert counted == [1, 2, 1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--clean", "0.5"], "--clean belongs to photographs; add --photos DIR, or drop it"),
        (["--paths", "p.csv"], "--paths belongs to photographs; add --photos DIR, or drop it"),
        (["--still"], "--still belongs to photographs; add --photos DIR, or drop it"),
        (["--photos", "p", "--still", "--tint", "0"], "--tint has no use with --still"),
        (
            ["--photos", "p", "--still", "--size", "64x64"],
            "--size has no use with --still, which leaves photographs as",
        ),
        (["--photos", "p", "--still", "--seed", "1"], "--seed has no use with --still"),
        (["--photos", "p", "--workers", "2"], "--workers serves drawn sequences"),
        (["--photos", "p"], "the following arguments are required: --sequences"),
        ([], "the following arguments are required: --sequences"),
        (["--photos", "p", "--strength", "0.5"], "--strength: expected 2 arguments"),
    ],
)
def test_flags_that_do_not_belong_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    sequences = [] if "required" in text else ["--sequences", "1"]
    with pytest.raises(SystemExit) as caught:
        run(tmp_path / "set", *sequences, *arguments)
    assert caught.value.code == 2 and text in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--sequences", "0"], "0 sequences from seed 0; expected at least 1 sequence"),
        (["--sequences", "1", "--seed", "-1"], "seed is -1; expected 0 or more"),
        (["--sequences", "1", "--frames", "0"], "frames is 0; expected at least 1"),
        (["--sequences", "1", "--size", "32x96"], "frame size is 32x96; each side must be at least 64"),
        (["--sequences", "1", "--strength", "0.9", "0.1"], "strength is 0.9 to 0.1; expected least and greatest"),
        (["--sequences", "1", "--paths", "none.csv"], "none.csv: cannot be read (No such file or directory)"),
    ],
)
def test_bad_values_leave_nothing(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert run(tmp_path / "set", "--photos", photos, *arguments) == 1
    assert text in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_an_existing_split_is_refused_and_untouched(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set/train").mkdir(parents=True)
    for flags in (["--sequences", "1", *SMALL], ["--still"]):
        assert run(tmp_path / "set", "--photos", photos, *flags) == 1
        assert "exists; to write it anew, remove it, or write to another folder" in capsys.readouterr().err
    assert not list((tmp_path / "set/train").iterdir())


def test_ctrl_c_leaves_whole_sequences_and_no_description(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = PhotoClips.batch

    def interrupted(clips: PhotoClips, index: int, count: int) -> object:
        if index == 1:
            raise KeyboardInterrupt
        return batch(clips, index, count)

    monkeypatch.setattr(PhotoClips, "batch", interrupted)
    assert run(tmp_path / "set", "--photos", photos, "--sequences", 3, *SMALL) == 130
    assert "stopped; the same command continues" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "set/train").iterdir()) == ["000000", "unfinished.json"]


@pytest.mark.parametrize("flags", [["--sequences", 2, *SMALL], ["--still", "--sequences", 2, "--frames", 2]])
def test_the_same_command_continues(
    flags: list[object], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "whole", "--photos", photos, *flags) == 0
    made: list[Path] = []

    @contextmanager
    def counted(folder: Path) -> Iterator[Path]:
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(folder)
        with whole_folder(folder) as temporary:
            yield temporary

    with monkeypatch.context() as patch:
        patch.setattr("mostnet.training.photos.files.whole_folder", counted)
        assert run(tmp_path / "set", "--photos", photos, *flags) == 130
    with pytest.raises(DatasetError, match="unfinished, because mostnet-synth was stopped"):
        index_split(tmp_path / "set", "train")
    assert run(tmp_path / "set", "--photos", photos, *flags) == 0
    assert files_of(tmp_path / "set") == files_of(tmp_path / "whole")


def test_a_damaged_photograph_ends_the_command_before_anything_is_written(photos: Path, tmp_path: Path) -> None:
    sorted((photos / "image").iterdir())[-1].write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="damaged"):
        write_still(tmp_path / "set", "test", photos, frames=1)
    assert not (tmp_path / "set").exists()


def test_there_are_three_splits(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="unknown split 'other'; expected one of train, val, test"):
        write_still(tmp_path / "set", "other", photos, frames=1)
