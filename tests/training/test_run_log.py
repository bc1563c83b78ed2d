"""The log of a run."""

from __future__ import annotations

import warnings
from pathlib import Path

from mostnet.training.run_log import TRAIN_COLUMNS, VAL_COLUMNS, CsvLog, plot_curves


def test_a_log_that_a_spreadsheet_saved_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "val.csv"
    CsvLog(path, VAL_COLUMNS).append({"step": 3, "iou": 0.5})
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    log = CsvLog(path, VAL_COLUMNS, resume_step=3)
    log.append({"step": 4, "iou": 0.75})
    assert log.series("iou") == ([3, 4], [0.5, 0.75])


def test_a_loss_of_zero_is_drawn_without_a_warning(tmp_path: Path) -> None:
    train, val = CsvLog(tmp_path / "train.csv", TRAIN_COLUMNS), CsvLog(tmp_path / "val.csv", VAL_COLUMNS)
    train.append({"step": 1, "loss": 2.0, "flow": 0.0})  # a data set without flow
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_curves(train, val, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size
