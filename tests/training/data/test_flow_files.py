"""The header of a ``.flo`` file tells the same as the whole file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import DatasetError
from mostnet.training.data.dataset import SequenceFiles
from mostnet.training.data.flow_files import flo_size, read_flow, write_flow
from mostnet.training.evaluation.evaluate import check_files


def test_the_header_has_height_and_width(tmp_path: Path) -> None:
    write_flow(tmp_path / "a.flo", np.zeros((2, 3, 4), np.float32), np.ones((3, 4), np.bool_))
    assert flo_size(tmp_path / "a.flo") == (3, 4)


@pytest.mark.parametrize(("width", "height", "vectors"), [(-2, -1, 2), (0, 3, 0), (2, 1, 1), (1 << 20, 1 << 20, 1)])
def test_a_damaged_header_is_refused_by_both_readers_and_before_a_measurement(
    tmp_path: Path, width: int, height: int, vectors: int
) -> None:
    path = tmp_path / "a.flo"
    path.write_bytes(b"PIEH" + np.array([width, height], "<i4").tobytes() + bytes(8 * vectors))
    message = f"a.flo: {12 + 8 * vectors} bytes do not hold flow of {width}x{height} pixels"
    for read in (flo_size, read_flow):
        with pytest.raises(DatasetError, match=message):
            read(path)
    with pytest.raises(DatasetError, match=message):
        check_files([SequenceFiles("s", tmp_path, (), {"flow": (None, path)})])
