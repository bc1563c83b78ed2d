"""The log of a run."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mostnet.training.run_log import TRAIN_COLUMNS, VAL_COLUMNS, CsvLog, _draw_curve, plot_curves


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


def drawn(steps: list[float], values: list[float], unit: str) -> tuple[str, str, list[str], list[str]]:
    """Scale and label of the upright axis of a panel, and the numbers on both axes."""
    figure = Figure()
    axes = figure.add_subplot()
    _draw_curve(axes, steps, values, unit)
    figure.draw_without_rendering()
    upright, level = ([tick.label1.get_text() for tick in axis.get_major_ticks()] for axis in (axes.yaxis, axes.xaxis))
    offsets = axes.yaxis.get_offset_text().get_text() + axes.xaxis.get_offset_text().get_text()
    assert offsets == "", "every number stands for itself"
    return axes.get_yscale(), axes.get_ylabel(), upright, level


def test_axes_have_plain_numbers_and_a_unit() -> None:
    scale, label, upright, level = drawn([1e6, 2e6], [24.00001, 24.00003], "dB")
    assert (scale, label) == ("linear", "dB")
    assert "1,250,000" in level and "24.00002" in upright
    rates = drawn([1, 2], [1e-5, 3e-5], "learning rate")[2]
    assert "0.00002" in rates


def test_a_loss_that_falls_far_has_a_logarithmic_axis_that_says_so() -> None:
    steps = list(np.arange(1.0, 101))
    far = drawn(steps, list(np.geomspace(10, 0.02, 100)), "loss")
    assert far[:2] == ("log", "loss (logarithmic axis)")
    assert {"0.05", "0.1", "0.2", "1", "5"} <= set(far[2])
    assert drawn(steps, list(np.linspace(3, 1, 100)), "loss")[:2] == ("linear", "loss")
    assert drawn(steps, list(np.linspace(3, -1, 100)), "loss")[:2] == ("linear", "loss")


def test_a_panel_without_values_says_so() -> None:
    assert drawn([], [], "dB")[2:] == ([], [])
