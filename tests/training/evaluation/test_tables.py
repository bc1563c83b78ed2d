"""The ablation table, from evaluations on disk."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from mostnet.contract import MostnetError
from mostnet.training.evaluation.report import read_report
from mostnet.training.evaluation.tables import main
from tests.training.evaluation.documents import document, written


def test_ablation_table_compares_with_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = document()
    other["rows"]["model"] |= {"psnr_db": 23.5, "epe_px": None}
    full = written(tmp_path / "full.json", document())
    out = tmp_path / "table.md"
    part = written(tmp_path / "part.json", other)
    assert main(["ablation", f"full={full}", f"no-flow={part}", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == [
        "| baseline |  | 17.80 |  | 0.910 | 2.50 | 0.800 | 8.00 |",
        "| oracle colour |  | 21.00 |  | - | - | - | - |",
        "| full | 4000 | 24.12 |  | 0.910 | 2.50 | 0.800 | 0.25 |",
        "| no-flow | 4000 | 23.50 | -0.62 | 0.910 | - | 0.800 | 0.25 |",
        "",
        "Convention: ours. IoU is over all pixels of all frames.",
    ]
    assert out.read_text().splitlines() == lines


def test_evaluations_on_different_frames_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = copy.deepcopy(document())
    other["sequences"] = other["sequences"][:1]
    paths = [written(tmp_path / "a.json", document()), written(tmp_path / "b.json", other)]
    assert main(["ablation", f"a={paths[0]}", f"b={paths[1]}"]) == 1
    error = capsys.readouterr().err
    assert "b was evaluated on scenes/test, 1 sequence, 10 frames, a on scenes/test, 2 sequences, 20 frames" in error


def test_evaluations_on_data_made_differently_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copy.deepcopy(document())
    other["data"]["descriptions"]["test"]["seed"] = 901
    paths = [written(tmp_path / "a.json", document()), written(tmp_path / "b.json", other)]
    assert main(["ablation", f"a={paths[0]}", f"b={paths[1]}"]) == 1
    assert "b and a were evaluated on two data sets scenes/test that were made differently" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["full"], ["=a.json"], ["a=x.json", "a=y.json"]])
def test_ablation_needs_distinct_names(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["ablation", *arguments])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"format": "other"}, "not an evaluation"),
        ({"format": "mostnet-evaluation", "format_version": 1}, "evaluation format 1, this mostnet reads 2"),
        ([], "not an evaluation"),
    ],
)
def test_other_files_are_no_evaluations(tmp_path: Path, content: object, text: str) -> None:
    with pytest.raises(MostnetError, match=text):
        read_report(written(tmp_path / "x.json", content))


def test_missing_and_broken_files_are_no_evaluations(tmp_path: Path) -> None:
    with pytest.raises(MostnetError, match="no such file"):
        read_report(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(MostnetError, match="not JSON"):
        read_report(tmp_path / "broken.json")
