"""A case of the combination for a GPU machine, beside those of ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mostnet.bench.gpu.cases import ALL_CASES, COMBINATION, Case, is_prepared, parse_cases, read_facts
from mostnet.bench.gpu.prepare import prepare
from mostnet.bench.gpu.schedule import WorkStep
from mostnet.contract import BackendNotInstalledError
from mostnet.export.plan.request import PlanRequest
from tests.model.table1.needs import need


def test_it_is_a_case_only_if_it_is_asked_for() -> None:
    (case,) = parse_cases("combination-480x640")
    assert case.variant == COMBINATION and case.name == "combination-480x640-fp16"
    assert COMBINATION not in {each.variant for each in ALL_CASES}
    assert WorkStep.guessed("build rtx", case).guess_s > WorkStep.guessed("build rtx", ALL_CASES[0]).guess_s


def test_it_is_prepared(tmp_path: Path) -> None:
    need(COMBINATION)
    case = Case(COMBINATION, (128, 136))
    folder = prepare(tmp_path, case, opset=17, count=2)
    assert is_prepared(folder)
    facts = read_facts(folder)
    assert facts["flops"] > 2e9 and facts["weights"] == "seeded, untrained" and facts["frames"] == 2
    request = PlanRequest.from_json((folder / "request.json").read_text(), source="request.json")
    assert request.metadata is not None and request.metadata.variant == COMBINATION
    names = {pair.name for pair in request.metadata.states}
    assert {"estrnn_hidden", "raft_previous", "raft_seen"} <= names
    assert json.loads((folder / "case.json").read_text())["least_bytes"] > facts["weight_bytes"] > 60e6


def test_without_its_libraries_one_line_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", None)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(BackendNotInstalledError, match=r"torchvision .*; .*table1"):
        prepare(tmp_path, Case(COMBINATION, (128, 136)), opset=17, count=2)
    assert not list(tmp_path.iterdir())
