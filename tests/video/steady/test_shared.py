"""What is computed once for all stabilisers of a process."""

from __future__ import annotations

import pytest

from mostnet.video.steady import jitter_watch
from mostnet.video.steady.motion import pyramid
from mostnet.video.steady.paths.forecast import forecast
from mostnet.video.steady.paths.least_energy import kernel
from mostnet.video.steady.shutter import velocity


@pytest.mark.parametrize(
    "shared",
    [
        lambda: kernel(16, 0, 3.0),
        lambda: forecast(5),
        lambda: velocity._weights(3),
        lambda: jitter_watch._parabolas(20),
        lambda: pyramid._places(pyramid._grid((8, 8), (64, 64), 1), (64, 64))[0],
    ],
)
def test_it_is_read_only(shared):
    assert not shared().flags.writeable
