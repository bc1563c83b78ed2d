"""``mostnet-run`` with a real engine on a small stateful ONNX graph."""

from __future__ import annotations

import shutil
import signal
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.engine import Output
from mostnet.video import RunSummary, StabiliserOptions, VideoReader, cli
from mostnet.video.command import single
from mostnet.video.command.arguments import video_source
from mostnet.video.sink import Sink

from ..toy_graph import METADATA
from .samples import damage_packet, moving_frames, psnr, write_with_av, write_yuv

#: Frames of this size fit the engine, so that nothing is said of their size.
ENGINE_HW = METADATA.size_hw


def _names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _read(path) -> list[np.ndarray]:
    with VideoReader(path) as reader:
        return list(reader)


def test_a_run_reports_frames_speed_and_invalid_frames(files, tmp_path, capsys):
    # The toy graph reports a frame whose first pixel is white as not finite.
    video = write_yuv(tmp_path / "v.mp4", (235, 128, 128), matrix=1, full_range=False, size_hw=(64, 80))
    out = tmp_path / "o.mp4"
    assert cli.main([str(video), "--engine", files[0], "--output", str(out), "--layout", "grid"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{out}: 5 frames at 25 FPS in ")
    assert printed.out.endswith(", 5 came out invalid and were replaced\n")
    assert printed.err.startswith("mostnet-run: frame 0 came out NaN or infinite and was healed")
    assert printed.err.count("\n") == 1
    assert _read(out)[0].shape == (128, 160, 3)


def test_the_picture_went_through_the_engine(files, tmp_path):
    engine, video = files
    assert cli.main([video, "--engine", engine, "--output", str(tmp_path / "o.mp4"), "--frames", "6"]) == 0
    written, originals = _read(tmp_path / "o.mp4"), _read(video)
    assert len(written) == 6
    assert all(psnr(picture, 255 - frame) > 24 for picture, frame in zip(written, originals, strict=False))


def test_the_word_demo_is_the_shipped_clip(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert cli.main(["demo", "--engine", files[0], "--output", str(tmp_path / "o.mp4"), "--frames", "2"]) == 0
    assert _read(tmp_path / "o.mp4")[0].shape == (480, 640, 3)


def test_a_cut_video_is_reported_with_its_place(files, tmp_path, capsys):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(60, ENGINE_HW), movflags="faststart")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    assert cli.main([str(path), "--engine", files[0], "--output", str(tmp_path / "o.mp4")]) == 1
    printed = capsys.readouterr()
    count = len(_read(tmp_path / "o.mp4"))
    assert f"o.mp4: {count} frames at 25 FPS" in printed.out
    assert printed.err.startswith(f"mostnet-run: {path}: damaged at frame ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("video", "engine", "output", "text"),
    [
        ("none.mp4", None, "o.mp4", "none.mp4: no such file or folder; give a video file, a folder or pattern of"),
        (None, "none.onnx", "o.mp4", "none.onnx"),
        (None, None, "none/o.mp4", "there is no folder none; make it first"),
        (
            None,
            None,
            "new",
            "new: is no name of a video; give 'new/clip.mp4' for a video, or 'new/%05d.png' for pictures",
        ),
        (None, None, "new/", "new: is no name of a video; give 'new/clip.mp4' for a video, or 'new/%05d.png' for"),
        (None, None, "o.avi", "o.avi: output is H.264 in MP4; give a name that ends in .mp4"),
        ("63", None, "o.mp4", "camera 63: cannot be opened"),
    ],
)
def test_errors_are_one_line_and_status_1(files, tmp_path, monkeypatch, capfd, video, engine, output, text):
    monkeypatch.chdir(tmp_path)
    assert cli.main([video or files[1], "--engine", engine or files[0], "--output", output]) == 1
    printed = capfd.readouterr()
    assert text in printed.err
    assert printed.err.startswith("mostnet-run: ")
    assert printed.err.count("\n") == 1
    assert _names(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--frames", "0"],
        ["--frames", "x"],
        ["--flow-max", "-1"],
        ["--layout", "tiles"],
        ["--lookahead", "99", "--stabilise"],
        ["--crop", "0.9", "--stabilise"],
        ["--crop", "tight", "--stabilise"],
        ["--shutter", "fast", "--stabilise"],
        ["--shutter", "1.5", "--stabilise"],
        ["--border", "black"],
        ["--steady", "rock"],
    ],
)
def test_wrong_options_are_refused(files, tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main([files[1], "--engine", files[0], "--output", str(tmp_path / "o.mp4"), *arguments])
    assert caught.value.code == 2
    assert arguments[0].lstrip("-") in capsys.readouterr().err


def test_a_pattern_that_the_shell_expanded_is_refused(files, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["1.png", "2.png", "3.png", "--engine", files[0], "--output", "o.mp4"])
    assert caught.value.code == 2
    assert "3 videos; give one, a folder of videos, or a pattern of pictures in quotes" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["1.png", "--nonsense", "--engine", files[0], "--output", "o.mp4"])
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


def test_a_result_must_go_somewhere(files, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([files[1], "--engine", files[0]])
    assert caught.value.code == 2
    assert "give --output, --view or both" in capsys.readouterr().err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is a display without a variable")
def test_a_view_without_a_display_is_refused_in_one_line(files, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert cli.main([files[1], "--engine", files[0], "--view"]) == 1
    assert "--view needs a display" in capsys.readouterr().err


def test_closing_the_window_is_no_error(files, tmp_path, monkeypatch, capsys):
    class Screen:
        closed, shown = False, 0

        def show(self, picture: np.ndarray) -> None:
            self.shown += 1
            self.closed = self.shown == 7

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(single, "Window", Screen)
    out = tmp_path / "o.mp4"
    assert cli.main([files[1], "--engine", files[0], "--view", "--output", str(out)]) == 0
    assert capsys.readouterr().out.endswith("stopped early\n")
    assert len(_read(out)) == 7


@pytest.mark.parametrize("layout", ["enhanced", "side-by-side"])
def test_stabilised_with_look_ahead_every_frame_is_written_once(files, tmp_path, capsys, layout):
    out = tmp_path / "o.mp4"
    command = [files[1], "--engine", files[0], "--output", str(out), "--layout", layout, "--no-status"]
    assert cli.main([*command, "--stabilise", "--lookahead", "3", "--crop", "0.2"]) == 0
    pictures, originals = _read(out), _read(files[1])
    assert len(pictures) == 20
    assert pictures[0].shape == (96, 128 if layout == "enhanced" else 256, 3)
    for picture, original in zip(pictures, originals, strict=True):
        assert picture[:, -128:].mean() == pytest.approx(255 - original.mean(), abs=12), "the engine's picture"
        assert layout == "enhanced" or psnr(picture[24:, :128], original[24:]) > 30, "beside its own frame"
    assert "steadied (hand, look-ahead 3)" in capsys.readouterr().out


def test_a_file_named_like_a_camera_is_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert video_source("0") == 0
    Path("0").touch()
    assert video_source("0") == Path("0")


def test_other_names_are_sources_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (video_source("-"), video_source("./-")) == ("-", Path("-"))
    assert video_source("http://h/a.mp4") == "http://h/a.mp4"
    assert video_source("frames/%04d.png") == Path("frames/%04d.png")
    Path("000007").mkdir()
    assert video_source("000007") == Path("000007"), "a folder of pictures, not camera 7"


def test_pictures_have_the_rate_that_is_asked_for(files, tmp_path, capsys):
    for k, frame in enumerate(moving_frames(12), start=1):
        cv2.imwrite(str(tmp_path / f"{k}.png"), frame)
    out = tmp_path / "o.mp4"
    command = [str(tmp_path), "--engine", files[0], "--output", str(out)]
    assert cli.main([*command, "--fps", "12.5"]) == 0
    assert f"{out}: 12 frames at 12.5 FPS" in capsys.readouterr().out
    assert all(psnr(a, 255 - b) > 24 for a, b in zip(_read(out), moving_frames(12), strict=True))
    assert cli.main(command) == 0
    assert "12 frames at 25 FPS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("video", "text"),
    [
        ("rtsp://camera/stream", "rtsp://camera/stream: an address, and mostnet opens no network connection"),
        ("frames/*.png", "frames/*.png: no picture has a name of this pattern"),
        ("f%d.png", "f%d.png: no picture has a name of this pattern"),
        (".", ".: is a folder; give a video file in it, or a folder of pictures"),
        ("/dev/null", "/dev/null: is a device or socket, not a video"),
    ],
)
def test_what_is_no_video_is_said_in_one_line(files, tmp_path, monkeypatch, capfd, video, text):
    monkeypatch.chdir(tmp_path)
    assert cli.main([video, "--engine", files[0], "--output", "o.mp4"]) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"mostnet-run: {text}")
    assert error.count("\n") == 1
    assert _names(tmp_path) == []


def test_a_stop_does_not_hide_the_damage_before_it(files, tmp_path, monkeypatch, capsys):
    video = write_with_av(tmp_path / "v.mp4", moving_frames(60, ENGINE_HW))
    damage_packet(video, 24)
    show, shown = Sink.show, []

    def show_and_stop(self: Sink, output: Output) -> None:
        show(self, output)
        shown.append(output)
        if len(shown) == 40:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Sink, "show", show_and_stop)
    assert cli.main([str(video), "--engine", files[0], "--output", str(tmp_path / "o.mp4")]) == 130
    printed = capsys.readouterr()
    assert "o.mp4: 40 frames" in printed.out
    assert printed.out.endswith("stopped early\n")
    assert printed.err.startswith(f"mostnet-run: {video}: damaged at frame 2")


def test_a_limit_does_not_hide_the_damage_before_it(files, tmp_path, capsys):
    video = write_with_av(tmp_path / "v.mp4", moving_frames(60, ENGINE_HW))
    damage_packet(video, 24)
    command = [str(video), "--engine", files[0], "--output", str(tmp_path / "o.mp4"), "--frames"]
    assert cli.main([*command, "40"]) == 1
    printed = capsys.readouterr()
    assert "o.mp4: 40 frames" in printed.out
    assert printed.err.startswith(f"mostnet-run: {video}: damaged at frame 2")
    assert cli.main([*command, "15"]) == 0
    assert capsys.readouterr().err == f"mostnet-run: replaces the earlier {tmp_path}/o.mp4 once a frame is written\n"


def test_overwrite_is_for_folders(files, tmp_path, capsys):
    assert cli.main([files[1], "--engine", files[0], "-o", str(tmp_path / "o.mp4"), "--overwrite"]) == 1
    assert "--overwrite is for a folder of videos; the file of a single" in capsys.readouterr().err


def test_an_error_of_the_system_is_one_line(files, tmp_path, capsys):
    long = "x" * 300 + ".mp4"
    for video, output in ((files[1], tmp_path / long), (str(tmp_path / long), tmp_path / "o.mp4")):
        assert cli.main([video, "--engine", files[0], "--output", str(output)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("mostnet-run: ")
        assert "File name too long" in error or "no such file" in error  # Python 3.14: such a name does not exist
        assert error.count("\n") == 1
    assert _names(tmp_path) == []


def test_files_beside_the_output_are_left_alone(files, tmp_path):
    video = Path(shutil.copy(files[1], tmp_path / "o.part.mp4"))
    killed = tmp_path / "o.part-00000000.mp4"
    killed.write_bytes(b"all that is left of a killed run")
    before = video.read_bytes()
    assert cli.main([str(video), "--engine", files[0], "--output", str(tmp_path / "o.mp4")]) == 0
    assert video.read_bytes() == before
    assert killed.read_bytes() == b"all that is left of a killed run"
    assert _names(tmp_path) == ["o.mp4", "o.part-00000000.mp4", "o.part.mp4"]
    assert len(_read(tmp_path / "o.mp4")) == 20


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--lookahead", "5"], "--lookahead has no effect without --steady; add --steady hand, or drop --lookahead"),
        (["--lookahead", "0"], "--lookahead has no effect without --steady"),
        (["--crop", "auto"], "--crop has no effect without --steady"),
        (["--shutter", "off"], "--shutter has no effect without --steady"),
        (["--border", "history"], "--border has no effect without --steady"),
        (["--stabilise", "--steady", "hold"], "--stabilise is --steady hand; give it or --steady hold, not both"),
        (["--status"], "--status has nothing to write on a file that is not steadied; add --steady hand, or drop it"),
        (["--stabilise", "--layout", "flow"], "--layout flow shows no picture that is steadied; expected one of"),
        (["--steady", "hold", "--layout", "mask"], "expected one of enhanced, original, side-by-side, grid"),
        (["--layout", "original"], "--layout original shows the input, only steadied; add --steady hand"),
    ],
    ids=["look-ahead", "no look-ahead", "crop", "shutter", "border", "both", "status", "flow", "mask", "original"],
)
def test_options_that_would_do_nothing_are_refused(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["demo", "--engine", "x.onnx", "--output", "o.mp4", *arguments])
    assert what in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected", "read_ahead"),
    [
        ([], None, True),
        (["--stabilise"], StabiliserOptions(steady="hand", crop="auto"), True),
        (["--stabilize"], StabiliserOptions(steady="hand", crop="auto"), True),
        (["--steady", "vibration"], StabiliserOptions(steady="vibration"), True),
        (["--stabilise", "--lookahead", "0"], StabiliserOptions(lookahead=0), False),
        (["--steady", "hold", "--lookahead", "5"], StabiliserOptions(steady="hold", lookahead=5), False),
        (["--stabilise", "--crop", "auto"], StabiliserOptions(crop="auto"), True),
        (["--stabilise", "--shutter", "off"], StabiliserOptions(shutter="off"), True),
        (["--stabilise", "--shutter", "-0.5"], StabiliserOptions(shutter=-0.5), True),
        (["--stabilise", "--crop", "0.2", "--border", "history"], StabiliserOptions(crop=0.2, border="history"), True),
    ],
)
def test_steady_implies_stabilise_and_no_look_ahead_is_one_that_fits_the_source(
    files, monkeypatch, arguments, expected, read_ahead
):
    given = []

    def run(*args: object, **options: object) -> RunSummary:
        given.append((options["stabilise"], options["read_ahead"]))
        return RunSummary(output=None, frames=0, heals=0, fps=Fraction(25), elapsed_s=0, stopped=False)

    monkeypatch.setattr(single, "run", run)
    assert cli.main(["v.mp4", "--engine", files[0], "--output", "o.mp4", *arguments]) == 0
    assert given == [(expected, read_ahead)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--stabilise"], "steadied (hand, look-ahead 30)"),
        (["--steady", "vibration", "--lookahead", "0"], "steadied (vibration, look-ahead 0)"),
    ],
)
def test_the_summary_says_how_the_picture_was_steadied(files, tmp_path, capsys, arguments, text):
    command = [files[1], "--engine", files[0], "--output", str(tmp_path / "o.mp4")]
    assert cli.main([*command, *arguments]) == 0
    assert text in capsys.readouterr().out
    assert len(_read(tmp_path / "o.mp4")) == 20
    assert cli.main(command) == 0
    assert "steadied" not in capsys.readouterr().out
