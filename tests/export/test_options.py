"""The options of an export, which are known without PyTorch and onnx."""

from __future__ import annotations

from mostnet import calibration
from mostnet.export.cli import _parser
from mostnet.export.options import METHODS


def test_the_methods_are_those_of_the_calibration() -> None:
    assert tuple(calibration.METHODS) == METHODS


def test_the_help_says_how_many_frames_are_read() -> None:
    assert f"up to {calibration.USUAL_FRAMES})" in _parser().format_help()
