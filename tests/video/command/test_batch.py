"""``mostnet-run`` with a folder of videos."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from mostnet.contract import EngineTimeoutError, VideoError
from mostnet.engine import Output
from mostnet.video import VideoReader, cli
from mostnet.video.command import batch
from mostnet.video.command.batch import result_names, videos_of
from mostnet.video.sink import Sink

from ..samples import damage_packet, moving_frames, write_with_av


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _count(path: Path) -> int:
    with VideoReader(path) as reader:
        return len(list(reader))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos of the same stem, a broken one, and files that are none."""
    folder = tmp_path / "in"
    folder.mkdir()
    write_with_av(folder / "a.mp4", moving_frames(5, (64, 80)))
    write_with_av(folder / "a.mov", moving_frames(6, (64, 80)))
    write_with_av(folder / "c10.mkv", moving_frames(7, (64, 80)))
    (folder / "c9.MP4").write_bytes(b"no video")
    (folder / "notes.txt").write_text("no video", encoding="utf-8")
    (folder / "._a.mp4").write_bytes(b"what a Mac leaves")
    return folder


def test_each_video_has_its_result_and_one_that_fails_stops_no_other(
    files: tuple[str, str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder.parent / "out"
    assert cli.main([str(folder), "--engine", files[0], "-o", str(out)]) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [re.split(" at | in ", line)[0] for line in lines] == [
        f"{out}/a.mov.mp4: 6 frames",
        f"{out}/a.mp4.mp4: 5 frames",
        f"{out}/c10.mp4: 7 frames",
        "4 videos: 3 done, 1 failed; 18 frames",
    ]
    assert printed.err.startswith(f"mostnet-run: {folder}/c9.MP4: not a video")
    assert printed.err.count("\n") == 1
    assert {path.name: _count(path) for path in out.iterdir()} == {"a.mov.mp4": 6, "a.mp4.mp4": 5, "c10.mp4": 7}


def with_earlier_result(folder: Path) -> Path:
    """The folder of results, which has one; the damaged video is removed."""
    (folder / "c9.MP4").unlink()
    out = folder.parent / "out"
    out.mkdir()
    (out / "c10.mp4").write_bytes(b"an earlier result")
    return out


def test_results_that_exist_are_left_alone(
    files: tuple[str, str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = with_earlier_result(folder)
    assert cli.main([str(folder), "--engine", files[0], "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"{out}/c10.mp4: exists, so c10.mkv is skipped, whatever options it was made with; remove it" in printed
    assert "3 videos: 2 done, 1 skipped; 11 frames" in printed
    assert (out / "c10.mp4").read_bytes() == b"an earlier result"
    assert cli.main([str(folder), "--engine", files[0], "-o", str(out), "--overwrite"]) == 0
    assert "3 videos: 3 done; 18 frames" in capsys.readouterr().out
    assert _count(out / "c10.mp4") == 7


def test_a_result_that_is_older_than_its_video_is_made_again(
    files: tuple[str, str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = with_earlier_result(folder)
    os.utime(out / "c10.mp4", (1e9, 1e9))
    assert cli.main([str(folder), "--engine", files[0], "-o", str(out)]) == 0
    assert f"{out}/c10.mp4: is older than c10.mkv, so it is done again\n" in capsys.readouterr().out
    assert _count(out / "c10.mp4") == 7


def test_a_missing_engine_file_ends_the_batch(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(folder), "--engine", "none.onnx", "-o", str(folder.parent / "out")]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("mostnet-run: none.onnx: ")
    assert printed.err.count("\n") == 1, "told once, not for each of four videos"
    assert printed.out == ""


@pytest.mark.parametrize(
    ("error", "ends"), [(EngineTimeoutError("late"), True), (OSError("full"), False), (VideoError("cut"), False)]
)
def test_only_a_failure_of_a_video_lets_the_next_one_begin(
    files: tuple[str, str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    ends: bool,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(batch, "process", fail)
    assert cli.main([str(folder), "--engine", files[0], "-o", str(folder.parent / "out")]) == 1
    assert capsys.readouterr().err == f"mostnet-run: {error}\n" * (1 if ends else 4)


def test_a_damaged_video_is_done_again_until_it_is_whole(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    video = write_with_av(folder / "v.mp4", moving_frames(30, (64, 80)))
    whole = video.read_bytes()
    damage_packet(video, 24)
    for _ in range(2):
        assert cli.main([str(folder), "--engine", files[0], "-o", str(out)]) == 1
        printed = capsys.readouterr()
        count = _count(out / "v.damaged.mp4")
        assert printed.err.startswith(f"mostnet-run: {video}: damaged at frame 2")
        assert printed.err.endswith(f"; {count} frames are in {out}/v.damaged.mp4\n")
        assert f"{out}/v.damaged.mp4: {count} frames" in printed.out
        assert "1 video: 1 failed; " in printed.out
        assert _names(out) == ["v.damaged.mp4"]
    video.write_bytes(whole)
    assert cli.main([str(folder), "--engine", files[0], "-o", str(out)]) == 0
    assert _count(out / "v.mp4") == 30


def test_a_stopped_folder_goes_on_where_it_was(
    files: tuple[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder.parent / "out"
    (folder / "c9.MP4").unlink()
    show, shown = Sink.show, []

    def show_and_stop(self: Sink, output: Output) -> None:
        show(self, output)
        shown.append(output)
        if len(shown) == 8:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Sink, "show", show_and_stop)
        assert cli.main([str(folder), "--engine", files[0], "-o", str(out)]) == 130
    printed = capsys.readouterr().out
    assert f"{out}/a.mp4.stopped.mp4: 2 frames" in printed
    assert "3 videos: 1 done, 1 stopped, 1 not begun; 8 frames" in printed
    assert _names(out) == ["a.mov.mp4", "a.mp4.stopped.mp4"]
    assert cli.main([str(folder), "--engine", files[0], "-o", str(out)]) == 0
    assert "3 videos: 2 done, 1 skipped" in capsys.readouterr().out
    assert _count(out / "a.mp4.mp4") == 5


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--view"], "in: is a folder of videos; give --output FOLDER, and no --view or --still"),
        (["-o", "out.png", "--still", "3"], "in: is a folder of videos; give --output FOLDER"),
        (["-o", "out.mp4"], "out.mp4: in is a folder of videos; give a folder for the results"),
        (["-o", "out/%05d.png"], "%05d.png: pictures need one video a run, and in is a folder of videos; give one"),
        (["-o", "new/out"], "new/out: there is no folder new; make it first"),
        (["-o", "file"], "file: in is a folder of videos; give a folder for the results"),
        (["-o", "in"], "in: is the folder of the videos; give another folder for the results"),
    ],
)
def test_the_results_need_a_folder_of_their_own(
    files: tuple[str, str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    text: str,
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("file").touch()
    assert cli.main(["in", "--engine", files[0], *arguments]) == 1
    assert text in capsys.readouterr().err
    assert _names(folder.parent) == ["file", "in"]


def test_a_folder_of_videos_and_pictures_is_refused(folder: Path) -> None:
    (folder / "cover.jpg").touch()
    with pytest.raises(VideoError, match=r"in: has 4 videos and 1 pictures; give a pattern such as '.*in/\*\.png' for"):
        videos_of(folder, None)


def test_a_pattern_of_videos_is_refused(
    files: tuple[str, str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([f"{folder}/*.mp4", "--engine", files[0], "-o", "out"]) == 1
    text = f"mostnet-run: {folder}/*.mp4: is a pattern of videos; give one video, or their folder: {folder}\n"
    assert capsys.readouterr().err == text


def test_a_folder_of_pictures_is_one_video_beside_its_own_result(tmp_path: Path, files: tuple[str, str]) -> None:
    (tmp_path / "1.png").touch()
    assert videos_of(tmp_path, tmp_path / "o.mp4") == ()
    shutil.copy(files[1], tmp_path / "o.mp4")
    assert videos_of(tmp_path, tmp_path / "o.mp4") == ()
    assert videos_of(Path(files[1]), None) == videos_of(0, None) == ()


@pytest.mark.parametrize(
    ("videos", "names"),
    [
        (["a.mp4", "b.mov"], ["a.mp4", "b.mp4"]),
        (["a.mp4", "A.mov", "b.mov"], ["a.mp4.mp4", "A.mov.mp4", "b.mp4"]),
        (["a.mov", "a.mp4", "a.mov.mp4"], ["a.mov.mp4", "a.mp4.mp4", "a.mov.mp4.mp4"]),
    ],
)
def test_no_two_videos_have_the_same_result(videos: list[str], names: list[str]) -> None:
    assert result_names([Path("in") / name for name in videos]) == names
