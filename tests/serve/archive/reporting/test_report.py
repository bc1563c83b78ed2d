"""``report.json`` and the pictures of a report; ``test_page.py`` reads its page."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import ArchiveError
from mostnet.serve.archive.records import ArchiveEntry, Findings
from mostnet.serve.archive.reporting.before_after import beside
from mostnet.serve.archive.reporting.report import write_report


def png(level: int, size_hw: tuple[int, int] = (30, 40)) -> bytes:
    return beside([("before", np.full((*size_hw, 3), level, np.uint8))])


def entry(video: str = "a.mp4", **fields: object) -> ArchiveEntry:
    return ArchiveEntry(**{"video": video, "ending": "done", **fields})


def written(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "report").iterdir())


WHOLE = entry(
    "ward 2/a.mp4",
    result=Path("ward 2/a.mp4"),
    columns={"patient": "7"},
    video_sha256="ab" * 32,
    frames=250,
    duration_s=10.0,
    elapsed_s=4.25,
    workers=("node1 cpu", "node2 cuda:0"),
    findings=Findings(
        picture=png(90),
        teeth_share=0.25,
        jitter_before_px=2.123456,
        jitter_after_px=0.5,
        events={"new scenes": 2},
    ),
)


def test_the_schema(tmp_path: Path) -> None:
    """Readers of the file depend on each name and type here; ``docs/archive.md`` lists them."""
    failed = entry("b.mp4", ending="failed", error="b.mp4: no such file", elapsed_s=0.25)
    write_report(tmp_path, [WHOLE, failed], {"engine": "nano"})
    report = written(tmp_path)
    picture = report["videos"][0]["picture"]
    assert report == {
        "format": "mostnet-archive-report",
        "version": 1,
        "about": {"engine": "nano"},
        "counts": {"done": 1, "kept": 0, "failed": 1, "stopped": 0, "not begun": 0},
        "totals": {"videos": 2, "frames": 250, "duration_s": 10.0, "elapsed_s": 4.5},
        "videos": [
            {
                "video": "ward 2/a.mp4",
                "result": "ward 2/a.mp4",
                "result_url": "./ward%202/a.mp4",
                "ending": "done",
                "error": None,
                "columns": {"patient": "7"},
                "video_sha256": "ab" * 32,
                "frames": 250,
                "duration_s": 10.0,
                "elapsed_s": 4.25,
                "workers": ["node1 cpu", "node2 cuda:0"],
                "teeth_share": 0.25,
                "jitter_before_px": 2.1235,
                "jitter_after_px": 0.5,
                "events": {"new scenes": 2},
                "picture": {"file": picture["file"], "width": 40, "height": 52},
            },
            {
                "video": "b.mp4",
                "result": None,
                "result_url": None,
                "ending": "failed",
                "error": "b.mp4: no such file",
                "columns": {},
                "video_sha256": "",
                "frames": 0,
                "duration_s": 0.0,
                "elapsed_s": 0.25,
                "workers": [],
                "teeth_share": None,
                "jitter_before_px": None,
                "jitter_after_px": None,
                "events": {},
                "picture": None,
            },
        ],
    }
    assert (tmp_path / picture["file"]).read_bytes() == png(90)


def test_an_empty_archive(tmp_path: Path) -> None:
    write_report(tmp_path, [], {})
    assert written(tmp_path)["totals"] == {"videos": 0, "frames": 0, "duration_s": 0.0, "elapsed_s": 0.0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_every_reader_of_json_takes_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\n.mp4")
    write_report(tmp_path, [entry(name, result=Path(name), error=name, columns={name: name})], {name: name})
    (tmp_path / "report.json").read_bytes().decode("utf-8", "strict")
    (video,) = written(tmp_path)["videos"]
    assert video["video"] == video["result"] == video["error"] == "caf\\udce9\n.mp4"
    assert "\\u" not in json.dumps(video, ensure_ascii=False).replace("\\\\u", "")  # no lone surrogate
    assert video["result_url"] == "./caf%E9%0A.mp4"


def test_a_figure_that_is_no_number_is_null(tmp_path: Path) -> None:
    found = Findings(teeth_share=float("nan"), jitter_before_px=float("inf"))
    write_report(tmp_path, [entry(findings=found)], {})
    (video,) = written(tmp_path)["videos"]
    assert video["teeth_share"] is None and video["jitter_before_px"] is None


def test_pictures_belong_to_their_videos_whatever_these_are_called(tmp_path: Path) -> None:
    names = ["a.mp4", "A.mp4", "a.MP4", "x/a.mp4", "../../a.mp4", "/a.mp4", "report/a.png", "-", "", "a\0b"]
    videos = [entry(name, findings=Findings(picture=png(10 * k))) for k, name in enumerate(names)]
    write_report(tmp_path / "out", videos, {})
    found = written(tmp_path / "out")["videos"]
    assert [(tmp_path / "out" / video["picture"]["file"]).read_bytes() for video in found] == [
        png(10 * k) for k in range(len(names))
    ]
    assert len(pictures(tmp_path / "out")) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_one_picture_is_kept_once(tmp_path: Path) -> None:
    same = Findings(picture=png(5))
    write_report(tmp_path, [entry("a.mp4", findings=same), entry("b.mp4", findings=same)], {})
    assert len(pictures(tmp_path)) == 1


def test_pictures_of_earlier_reports_go_and_other_files_stay(tmp_path: Path) -> None:
    """A folder of the archive may have the name of the folder of pictures."""
    write_report(tmp_path, [entry("a.mp4", findings=Findings(picture=png(5))), WHOLE], {})
    others = ["a.mp4", "scan.png", "0123.png"]
    for name in others:
        (tmp_path / "report" / name).write_bytes(b"a result")
    write_report(tmp_path, [WHOLE], {})
    kept = Path(written(tmp_path)["videos"][0]["picture"]["file"]).name
    assert pictures(tmp_path) == sorted([kept, *others])


def test_a_picture_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    write_report(tmp_path, [WHOLE], {})
    (path,) = (tmp_path / "report").iterdir()
    before = path.stat()
    write_report(tmp_path, [WHOLE], {})
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_folder_of_pictures_goes_with_the_last_one(tmp_path: Path) -> None:
    write_report(tmp_path, [WHOLE], {})
    write_report(tmp_path, [replace(WHOLE, findings=None)], {})
    assert not (tmp_path / "report").exists()


def test_pictures_are_taken_one_by_one(tmp_path: Path) -> None:
    """10,000 of them need not be in memory together."""
    asked: list[int] = []

    def entries():
        for k in range(3):
            asked.append(k)
            assert len(pictures(tmp_path)) == k if k else True
            yield entry(f"{k}.mp4", findings=Findings(picture=png(k)))

    write_report(tmp_path, entries(), {})
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("blocked", ["report", "report.json", "report.html"])
def test_a_report_that_cannot_be_written_is_one_line_and_harms_no_earlier_one(tmp_path: Path, blocked: str) -> None:
    """A folder, or a file instead of the folder of pictures, is in the way."""
    write_report(tmp_path, [], {"run": "first"})
    before = (tmp_path / "report.json").read_bytes()
    if blocked == "report":
        (tmp_path / blocked).write_bytes(b"")
    else:
        (tmp_path / blocked).unlink()
        (tmp_path / blocked).mkdir()
    with pytest.raises(ArchiveError, match=r"the report cannot be written .*; free space there") as caught:
        write_report(tmp_path, [WHOLE], {"run": "second"})
    assert "\n" not in str(caught.value)
    if blocked == "report":
        assert (tmp_path / "report.json").read_bytes() == before
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
