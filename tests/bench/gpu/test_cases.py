"""The cases of a report, and the files of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mostnet.bench.gpu.cases import ALL_CASES, Case, is_built, is_prepared, parse_cases
from mostnet.contract import MeasurementError

from .made_up import MAIN, make_case


def test_a_plan_counts_once_it_is_described_and_each_flavour_has_its_own(tmp_path: Path) -> None:
    folder = make_case(tmp_path, MAIN)
    assert is_prepared(folder)
    assert is_built(folder, "tensorrt")
    assert not is_built(folder, "rtx") and not is_built(folder, "standin")
    (folder / "case.plan.json").unlink()
    assert not is_built(folder, "tensorrt"), "a build that was cut off"


def test_cases() -> None:
    assert [case.name for case in ALL_CASES[:4]] == [
        "dw-480x640-fp16",
        "sw-480x640-fp16",
        "nano-480x640-fp16",
        "dw-800x800-fp16",
    ]
    assert len(ALL_CASES) == 12
    assert parse_cases("nano-1080p, dw-480x640-fp32") == (Case("nano", (1080, 1920)), Case("dw", (480, 640), "fp32"))
    assert [case.reference_frames for case in ALL_CASES[::3]] == [200, 96, 66, 29]
    for text in ("dw", "big-480x640", "dw-480", "dw-480x640-int4", "dw-480x640-fp16-x"):
        with pytest.raises(MeasurementError, match="is no case; expected VARIANT-SIZE"):
            Case.parse(text)
