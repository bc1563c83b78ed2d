"""The options of an export, which are known without PyTorch and onnx."""

from __future__ import annotations

from pathlib import Path

import pytest

from mostnet import calibration
from mostnet.export.calibration_cli import calibration_options
from mostnet.export.cli import _parser
from mostnet.export.options import METHODS
from mostnet.video.reader import demo_clip


def test_the_methods_are_those_of_the_calibration() -> None:
    assert tuple(calibration.METHODS) == METHODS


def test_the_help_says_how_many_frames_are_read() -> None:
    assert f"up to {calibration.USUAL_FRAMES})" in _parser().format_help()


def test_output_has_a_short_name() -> None:
    assert _parser().parse_args(["nano", "-o", "folder"]).output == Path("folder")


def test_demo_is_the_clip_unless_a_file_or_folder_has_this_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    args = _parser().parse_args(["nano", "--int8", "--calib", "demo"])
    options = calibration_options(args)
    assert options is not None and options.data == demo_clip()
    Path("demo").mkdir()
    options = calibration_options(args)
    assert options is not None and options.data == Path("demo")
