"""The videos that a folder, a list and a table name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mostnet.contract import ArchiveError
from mostnet.serve.archive.sources import SourceVideo, read_source


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def results(videos: tuple[SourceVideo, ...]) -> dict[str, str]:
    return {video.name: video.result.as_posix() for video in videos}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_folder_is_read_to_its_depth_in_numeric_order(tmp_path: Path) -> None:
    touch(
        tmp_path, "in/10.mp4", "in/9.MOV", "in/sub/a.avi", "in/sub/a.mkv", "in/notes.txt", "in/.x/b.mp4", "in/._c.mp4"
    )
    found = read_source(tmp_path / "in", tmp_path / "out")
    assert results(found) == {
        "9.MOV": "9.mp4",
        "10.mp4": "10.mp4",
        "sub/a.avi": "sub/a.avi.mp4",
        "sub/a.mkv": "sub/a.mkv.mp4",
    }
    assert list(results(found)) == ["9.MOV", "10.mp4", "sub/a.avi", "sub/a.mkv"]
    assert found[0].path == tmp_path / "in" / "9.MOV"


def test_results_in_the_folder_of_videos_are_no_videos(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.mp4", "in/out/b.mp4", "in/out2/c.mp4")
    assert results(read_source(tmp_path / "in", tmp_path / "in" / "out")) == {
        "a.mp4": "a.mp4",
        "out2/c.mp4": "out2/c.mp4",
    }


def test_a_list_names_paths_relative_to_its_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "x/b.mov")
    text = "\ufeff# the first ones\n\n  a.mp4\r\nx/b.mov\nmissing.mp4\n../else/c.mp4\n/far/d.mp4\n"
    found = read_source(write(tmp_path / "list.txt", text), tmp_path / "out")
    assert results(found) == {
        "a.mp4": "a.mp4",
        "x/b.mov": "x/b.mp4",
        "missing.mp4": "missing.mp4",
        "../else/c.mp4": "c.mp4",
        "/far/d.mp4": "d.mp4",
    }
    assert [str(video.path) for video in found[3:]] == [str(tmp_path.parent / "else" / "c.mp4"), "/far/d.mp4"]


def test_a_table_has_results_and_other_columns(tmp_path: Path) -> None:
    text = 'patient,video,result\n7,a.mp4,p7/x.mp4\n"8, left",b.mp4,\n,,\n'
    found = read_source(write(tmp_path / "t.csv", text), tmp_path / "out")
    assert results(found) == {"a.mp4": "p7/x.mp4", "b.mp4": "b.mp4"}
    assert [video.columns for video in found] == [{"patient": "7"}, {"patient": "8, left"}]


def test_columns_and_rows_that_a_spreadsheet_leaves_empty_do_not_count(tmp_path: Path) -> None:
    text = ",,,,\n\npatient,video,,result,\n7,a.mp4,,x.mp4,\n,,,,\n8,b.mp4, ,,\n"
    found = read_source(write(tmp_path / "t.csv", text), tmp_path / "out")
    assert results(found) == {"a.mp4": "x.mp4", "b.mp4": "b.mp4"}
    assert [video.columns for video in found] == [{"patient": "7"}, {"patient": "8"}]


def test_a_video_may_have_two_results_in_a_table(tmp_path: Path) -> None:
    found = read_source(write(tmp_path / "t.csv", "video,result\na.mp4,1.mp4\na.mp4,2.mp4\n"), tmp_path / "out")
    assert [video.result.name for video in found] == ["1.mp4", "2.mp4"]


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("s.txt", "# none\n\n", "names no video"),
        ("s.txt", "a.mp4\na.mp4\n", "a.mp4 and a.mp4 have the same result, a.mp4.mp4; give each its own"),
        ("s.txt", "/x/a.mp4\n/y/A.mov\n/y/a.mp4", "have the same result, a.mp4.mp4"),
        ("s.txt", "a\0.mp4", r"'a\x00.mp4' is no name of a file"),
        ("s.csv", "", "expected one column `video`, found none"),
        ("s.csv", "film;result\na.mp4;b", "expected one column `video`, found film;result"),
        ("s.csv", "video,x,x\na.mp4,1,2\n", "has two columns `x`"),
        ("s.csv", "\nvideo,,\n\na.mp4,,7\n", "row 4 has '7' in a column without a heading; name the column, or"),
        ("s.csv", ",,\n,,\n", "expected one column `video`, found none"),
        ("s.csv", "video,x\na.mp4\n", "row 2 has 1 cells, and the header 2"),
        ("s.csv", "video,x\n,1\n", "row 2 names no `video`"),
        ("s.csv", 'video\n"a.mp4\n', "is no table with commas"),
        ("s.csv", "video,result\na.mp4,a.avi\n", "row 2: result a.avi: results are H.264 in MP4"),
        ("s.csv", "video,result\na.mp4,../a.mp4\n", "row 2: result ../a.mp4: lies outside the folder of results"),
        ("s.csv", "video,result\na.mp4,/a.mp4\n", "row 2: result /a.mp4: lies outside the folder of results"),
        ("s.csv", "video,result\na.mp4,.mostnet-archive/a.mp4\n", ".mostnet-archive is for mostnet-archive itself"),
        ("s.csv", "video,result\na.mp4,.Mostnet-Archive/a.mp4\n", ".mostnet-archive is for mostnet-archive itself"),
        ("s.txt", ".mostnet-archive/a.mp4\n", "s.txt: .mostnet-archive/a.mp4: .mostnet-archive is for mostnet-archive"),
        ("s.csv", "video,result\na.mp4,x.mp4\nb.mp4,X.mp4\n", "a.mp4 and b.mp4 have the same result, X.mp4"),
        ("s.mp4", "", "expected a folder, a list (.txt) or a table (.csv); for one video, use mostnet-run"),
    ],
)
def test_an_ill_formed_source_is_one_error(tmp_path: Path, name: str, text: str, error: str) -> None:
    with pytest.raises(ArchiveError, match=re.escape(error)) as raised:
        read_source(write(tmp_path / name, text), tmp_path / "out")
    assert str(tmp_path) in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_missing_empty_or_no_text_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").mkdir()
    for name, error in (("none", "no such folder or file"), ("list.txt", "no text in UTF-8"), ("empty", "no video")):
        with pytest.raises(ArchiveError, match=error):
            read_source(tmp_path / name, tmp_path / "out")


@pytest.mark.parametrize(
    ("out", "error"),
    [
        ("in", "in: is the folder of the videos; give another folder for the results"),
        ("", "in/b.mp4: the next run would take this result for a video of "),
    ],
)
def test_no_result_is_taken_for_a_video(tmp_path: Path, out: str, error: str) -> None:
    touch(tmp_path, "in/a.mp4", "in/in/b.mp4")
    with pytest.raises(ArchiveError, match=re.escape(error)):
        read_source(tmp_path / "in", tmp_path / out)


def test_no_result_replaces_a_video_of_a_list(tmp_path: Path) -> None:
    touch(tmp_path, "a.avi", "b.mp4")
    write(tmp_path / "l.txt", "a.avi")
    assert results(read_source(tmp_path / "l.txt", tmp_path)) == {"a.avi": "a.mp4"}
    write(tmp_path / "l.txt", "b.mp4")
    with pytest.raises(ArchiveError, match=r"b\.mp4: is a video of the source; give another folder"):
        read_source(tmp_path / "l.txt", tmp_path)


@pytest.mark.parametrize("source", ["in", "l.txt"])
def test_no_result_replaces_a_video_through_a_link_in_the_folder_of_results(tmp_path: Path, source: str) -> None:
    touch(tmp_path, "in/sub/a.mp4", "out/other.mp4")
    write(tmp_path / "l.txt", "in/sub/a.mp4")
    out = tmp_path / "out"
    (out / "sub").symlink_to(tmp_path / "in" / "sub")
    (out / "in").symlink_to(tmp_path / "in")
    with pytest.raises(ArchiveError, match=r"sub/a\.mp4: is a video of the source; give another folder"):
        read_source(tmp_path / source, out)


def test_no_result_replaces_a_link_that_the_source_names(tmp_path: Path) -> None:
    touch(tmp_path, "far/x.mp4")
    (tmp_path / "a.mp4").symlink_to(tmp_path / "far" / "x.mp4")
    with pytest.raises(ArchiveError, match=r"a\.mp4: is a video of the source"):
        read_source(write(tmp_path / "l.txt", "a.mp4"), tmp_path)


def test_no_result_is_taken_for_a_video_through_a_link(tmp_path: Path) -> None:
    touch(tmp_path, "in/sub/a.avi", "in/out/b.mp4")
    (tmp_path / "in" / "out" / "sub").symlink_to(tmp_path / "in" / "sub")
    with pytest.raises(ArchiveError, match=r"out/sub/a\.mp4: the next run would take this result for a video of "):
        read_source(tmp_path / "in", tmp_path / "in" / "out")


def test_two_names_of_one_result_are_found(tmp_path: Path) -> None:
    (tmp_path / "out" / "x").mkdir(parents=True)
    (tmp_path / "out" / "y").symlink_to("x")
    (tmp_path / "out" / "z").symlink_to(".mostnet-archive")
    write(tmp_path / "l.txt", "x/a.mp4\ny/a.mp4")
    with pytest.raises(ArchiveError, match=r"x/a\.mp4 and y/a\.mp4 have the same result, y/a\.mp4"):
        read_source(tmp_path / "l.txt", tmp_path / "out")
    with pytest.raises(ArchiveError, match=r"z/a\.mp4: \.mostnet-archive is for mostnet-archive itself"):
        read_source(write(tmp_path / "l.txt", "z/a.mp4"), tmp_path / "out")
