"""An engine that cannot be exported for one size of video, or for none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mostnet.contract import BackendNotInstalledError, ExportError
from mostnet.serve.archive import cli, tasks
from mostnet.video.command.engines import USUAL_HW

from ...video.samples import moving_frames, write_with_av
from .clips import SIZE_HW
from .test_failures import entries

Archive = Callable[..., int]
ODD_HW = (64, 384)


class SizedEngines:
    """No engine of these sizes can be exported."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *failing: tuple[int, int]) -> None:
        self.asked: list[tuple[int, int]] = []
        file_for = cli.EngineFiles.file_for

        def export(files: cli.EngineFiles, size_hw: tuple[int, int]) -> object:
            self.asked.append(size_hw)
            if size_hw in failing:
                raise ExportError(f"cannot be exported for {size_hw}")
            return file_for(files, size_hw)

        monkeypatch.setattr(cli.EngineFiles, "file_for", export)


def write_odd_videos(folder: Path) -> None:
    folder.mkdir()
    for k, (name, size_hw) in enumerate([("a.mp4", ODD_HW), ("b.mp4", ODD_HW), ("c.mp4", SIZE_HW)]):
        write_with_av(folder / name, moving_frames(6 + k, size_hw)[k:])


@pytest.mark.parametrize("first", ["a", "c"])
def test_an_export_that_fails_for_one_size_is_of_those_videos(
    archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    first: str,
) -> None:
    write_odd_videos(tmp_path / "in")
    (tmp_path / "in" / "c.mp4").rename(tmp_path / "in" / f"{'d' if first == 'a' else '0'}.mp4")
    engines = SizedEngines(monkeypatch, ODD_HW)
    assert archive(tmp_path / "in", tmp_path / "out") == 1
    printed = capsys.readouterr()
    assert "3 videos: 1 done, 2 failed; in " in printed.out
    assert f"{tmp_path}/in/a.mp4: cannot be exported for {ODD_HW}" in printed.err
    assert engines.asked.count(ODD_HW) == 1, "no export is tried twice"
    assert engines.asked.count(USUAL_HW) == (first == "a"), "it is tried whether exports work at all"


@pytest.mark.parametrize("failing", [[ODD_HW, USUAL_HW], [USUAL_HW]])
def test_exports_that_work_for_no_size_end_the_run(
    archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failing: list[tuple[int, int]],
) -> None:
    write_odd_videos(tmp_path / "in")
    if len(failing) == 1:
        monkeypatch.setattr(tasks, "usual_size", lambda *_, **__: USUAL_HW)
    engines = SizedEngines(monkeypatch, *failing)
    assert archive(tmp_path / "in", tmp_path / "out") == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("mostnet-archive: cannot be exported for (") and printed.err.count("\n") == 1
    assert engines.asked == failing
    assert {video["ending"] for video in entries(tmp_path / "out").values()} == {"not begun"}


def test_missing_libraries_of_the_export_end_the_run(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise BackendNotInstalledError("PyTorch is missing")

    write_odd_videos(tmp_path / "in")
    monkeypatch.setattr(cli.EngineFiles, "file_for", fail)
    assert archive(tmp_path / "in", tmp_path / "out") == 1
    assert capsys.readouterr().err == "mostnet-archive: PyTorch is missing\n"
