"""``mostnet-run`` with pictures as its result."""

from __future__ import annotations

import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.contract.terminal import counted
from mostnet.engine import Output
from mostnet.video import cli
from mostnet.video.sink import Sink

from ..samples import damage_packet, moving_frames, write_with_av

#: The status is written on the pictures.
STEADY = ["--stabilize", "--lookahead", "5"]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def pictures(files: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The steadied frames of the clip as pictures."""
    folder = tmp_path_factory.mktemp("pictures") / "out"
    assert cli.main([files[1], "--engine", files[0], "-o", str(folder / "%05d.png"), *STEADY]) == 0
    return folder


def test_a_pattern_gives_a_picture_for_each_frame(pictures: Path) -> None:
    assert _names(pictures) == [f"{k:05}.png" for k in range(20)]


@pytest.mark.parametrize("number", [0, 9, 19])
def test_a_still_is_that_frame_of_the_whole_video(
    files: tuple[str, str], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    out = tmp_path / "still.png"
    assert cli.main([files[1], "--engine", files[0], "-o", str(out), "--still", str(number), *STEADY]) == 0
    assert out.read_bytes() == (pictures / f"{number:05}.png").read_bytes()
    printed = capsys.readouterr().out
    assert printed.startswith(f"{out}: frame {number}, after {counted(number + 1, 'frame')} at 25 FPS in ")
    assert "stopped early" not in printed
    assert _names(tmp_path) == ["still.png"]


def test_a_still_says_that_it_replaces_an_earlier_one(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "still.png"
    out.write_bytes(b"an earlier picture")
    assert cli.main([files[1], "--engine", files[0], "-o", str(out), "--still", "0"]) == 0
    assert f"mostnet-run: replaces the earlier {out} once a frame is written\n" in capsys.readouterr().err
    assert out.read_bytes().startswith(b"\x89PNG")
    assert cli.main([files[1], "--engine", files[0], "-o", str(tmp_path), "--still", "0"]) == 1
    assert f"{tmp_path}: is no name of a picture; give '{out}'\n" in capsys.readouterr().err


def test_a_picture_is_the_engine_s_bit_for_bit(tmp_path: Path, files: tuple[str, str]) -> None:
    frames = moving_frames(3, (64, 80))
    for k, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"in{k}.png"), frame)
    command = [str(tmp_path / "in%d.png"), "--engine", files[0], "-o", str(tmp_path / "out%d.png")]
    assert cli.main(command) == 0
    assert all(np.array_equal(cv2.imread(str(tmp_path / f"out{k}.png")), 255 - one) for k, one in enumerate(frames))


def test_a_still_beyond_the_end_is_an_error(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([files[1], "--engine", files[0], "-o", str(tmp_path / "s.png"), "--still", "20"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"mostnet-run: {files[1]}: has 20 frames, numbered from 0; give --still a smaller number than 20"
    assert _names(tmp_path) == []


def test_a_still_beyond_the_damage_names_the_damage(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_with_av(tmp_path / "v.mp4", moving_frames(30, (64, 80)))
    damage_packet(video, 24)
    assert cli.main([str(video), "--engine", files[0], "-o", str(tmp_path / "s.png"), "--still", "40"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"mostnet-run: {video}: damaged at frame 2")
    assert error.endswith("frame 40 is not reached")
    assert _names(tmp_path) == ["v.mp4"]


def test_a_still_replaces_no_picture_of_the_input(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k, frame in enumerate(moving_frames(3)):
        cv2.imwrite(str(tmp_path / f"{k}.png"), frame)
    before = (tmp_path / "1.png").read_bytes()
    for video in (tmp_path, tmp_path / "%d.png", tmp_path / "*.png"):
        assert cli.main([str(video), "--engine", files[0], "-o", str(tmp_path / "1.png"), "--still", "2"]) == 1
        assert "1.png: may be a picture of the input; give another name" in capsys.readouterr().err
    assert (tmp_path / "1.png").read_bytes() == before


def test_a_stopped_run_leaves_the_pictures_so_far(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show, shown = Sink.show, []

    def show_and_stop(self: Sink, output: Output) -> None:
        show(self, output)
        shown.append(output)
        if len(shown) == 7:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Sink, "show", show_and_stop)
    assert cli.main([files[1], "--engine", files[0], "-o", str(tmp_path / "%d.png")]) == 143
    assert _names(tmp_path) == [f"{k}.png" for k in range(7)]
    printed = capsys.readouterr().out
    assert f"{tmp_path}/%d.png: 7 frames at 25 FPS" in printed and printed.endswith("stopped early\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--still", "3", "--view"], "--still writes a picture; give its name with --output, such as still.png"),
        (["--still", "3", "--frames", "9", "-o", "s.png"], "--still ends the run by itself; leave out --frames"),
        (["--still", "-1", "-o", "s.png"], "'-1' is not a whole number from 0"),
    ],
)
def test_options_that_contradict_a_still_are_refused(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["demo", "--engine", "x.onnx", *arguments])
    assert text in capsys.readouterr().err
