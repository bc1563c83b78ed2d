"""Differences between a run of a whole clip and runs that begin in its middle."""

from __future__ import annotations

import json
from collections import deque

import numpy as np
import pytest

from mostnet.bench.scale import warm_up
from mostnet.bench.scale.warm_up import Difference, differences, rows_of
from mostnet.engine import Output

from ...toy_graph import save_toy


class Forgetful:
    """Its picture is 100 plus ten for each of the last four frames; flow and mask follow it."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.seen = deque(maxlen=4)

    def stream(self, frames):
        for k, (frame, _) in enumerate(frames):
            self.seen.append(frame)
            level = 100 + 10 * len(self.seen)
            mask = np.full((4, 6), level, np.uint8)
            yield Output(frame * 0 + level, np.full((2, 4, 6), level, np.float32), mask, True, k, None, 0.0)


FRAMES = [np.zeros((4, 6, 3), np.uint8)] * 100


def test_a_memory_of_four_frames_needs_three_to_warm_up():
    lines = differences(Forgetful(), FRAMES, begins=3)
    assert len(lines) == 3
    assert all(len(line) == 73 for line in lines)
    rows = {row.warm_up: row for row in rows_of(lines)}
    assert list(rows) == [0, 1, 2, 4, 8, 16, 32, 64]
    # Whole runs from frame 5 on show 140; the first beginning is frame 1, which shows 120.
    assert [rows[count].first.level for count in (0, 1, 2, 4, 64)] == [30, 20, 10, 0, 0]
    assert rows[0].first.flow_px == pytest.approx(30 * 2**0.5)
    assert (rows[0].first.mask_level, rows[0].first.mask_share, rows[0].first.share) == (30, 1, 1)
    assert rows[0].first.psnr_db == pytest.approx(20 * np.log10(255 / 30))
    assert rows[4].later == Difference()
    assert rows[0].mean.level == pytest.approx((10 + 30 + 30) / 3)


def test_later_frames_count_too():
    worse = [[Difference(), Difference(level=2, psnr_db=40), Difference(level=5, psnr_db=30)]]
    rows = {row.warm_up: row for row in rows_of(worse)}
    assert rows[1].first == Difference(level=2, psnr_db=40)
    assert rows[1].later == Difference(level=5, psnr_db=30)
    assert [row.later.level for row in rows.values()] == [5, 5, 5]


def test_a_short_clip_counts_where_it_is_long_enough():
    rows = rows_of([[Difference(level=9)] * 2, [Difference(level=1)] * 9])
    assert [(row.warm_up, row.beginnings, row.first.level) for row in rows] == [
        (0, 2, 9),
        (1, 2, 9),
        (2, 1, 1),
        (4, 1, 1),
        (8, 1, 1),
    ]


def test_the_command(tmp_path, capsys):
    engine = save_toy(tmp_path / "toy.onnx")
    arguments = ["--engine", str(engine), "--frames", "12", "--begins", "1", "--json", str(tmp_path / "r.json")]
    assert warm_up.main(arguments) == 0
    text = capsys.readouterr().out
    assert "4 clips, 4 beginnings" in text
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert report["clips"][0] == "demo"
    assert [row["warm_up"] for row in report["rows"]] == [0, 1, 2, 4, 8, 16, 32, 64]
