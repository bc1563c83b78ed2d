"""The comparison of waits runs, and prints a row for each kind."""

import pytest

from mostnet.bench.gpu.waits import WAITS, main, measure_waits


def test_every_kind_of_wait_is_measured() -> None:
    rows = measure_waits(frames=3, work_ms=0.5, rounds=2)
    assert list(rows) == list(WAITS)
    assert all(value > 0 for row in rows.values() for value in row.values())


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--frames", "3", "--rounds", "1", "--work-ms", "0.5"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "0.5 ms of work, 1 rounds of 3 frames; microseconds"
    assert [line[:12].strip() for line in lines[2:5]] == list(WAITS)
    assert "usable_cores" in lines[5]
