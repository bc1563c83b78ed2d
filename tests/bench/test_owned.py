"""The benchmark of owned results runs. Its figures depend on the machine."""

from __future__ import annotations

import pytest

from mostnet.bench.owned import BATCHES, KEPT, main


def test_a_row_for_each_consumer(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--frames", "5", "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    names = [line[:18].rstrip() for line in lines[2:-1]]
    assert names == [*KEPT, *BATCHES]
    for line in lines[2:-1]:
        fresh, again, ratio = map(float, line[18:].split())
        assert min(fresh, again, ratio) > 0
    assert "cores" in lines[-1]
