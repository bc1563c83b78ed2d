"""The log of a run."""

from __future__ import annotations

from pathlib import Path

from mostnet.training.run_log import VAL_COLUMNS, CsvLog


def test_a_log_that_a_spreadsheet_saved_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "val.csv"
    CsvLog(path, VAL_COLUMNS).append({"step": 3, "iou": 0.5})
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    log = CsvLog(path, VAL_COLUMNS, resume_step=3)
    log.append({"step": 4, "iou": 0.75})
    assert log.series("iou") == ([3, 4], [0.5, 0.75])
