"""``Output``: what it has, what it lacks, and how it is copied."""

import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from mostnet.contract import MostnetError, OutputMissingError
from mostnet.engine import Output

MASK = np.full((4, 5), 7, np.uint8)
OUTPUT = Output(None, None, MASK, False, 3, "now", 12.34)


def test_an_output_that_was_not_asked_for() -> None:
    assert OUTPUT.names == ("mask",)
    assert OUTPUT.mask is MASK
    with pytest.raises(OutputMissingError) as caught:
        _ = OUTPUT.flow
    assert str(caught.value) == ("this result has no flow, only mask; open the Engine with outputs=('mask', 'flow')")
    assert isinstance(caught.value, MostnetError)
    assert not hasattr(OUTPUT, "enhanced") and getattr(OUTPUT, "enhanced", 5) == 5


def test_a_copy_with_other_values() -> None:
    changed = OUTPUT.replace(flow=np.zeros((2, 4, 5), np.float32), mask=None, timestamp=1)
    assert (changed.names, changed.timestamp, changed.frame_id, changed.finite) == (("flow",), 1, 3, False)
    assert OUTPUT.names == ("mask",), "the original stays as it is"
    with pytest.raises(TypeError, match="colour"):
        OUTPUT.replace(colour=1)


def test_it_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError, match=r"^frame_id of an Output cannot be changed; out\.replace\(frame_id="):
        OUTPUT.frame_id = 4
    with pytest.raises(FrozenInstanceError, match=r"^mask of an Output"):
        OUTPUT.mask = MASK
    with pytest.raises(FrozenInstanceError, match=r"^mask of an Output"):
        del OUTPUT.mask


def test_it_is_pickled_and_described() -> None:
    found = pickle.loads(pickle.dumps(OUTPUT))
    assert np.array_equal(found.mask, MASK) and found.names == ("mask",) and found.timestamp == "now"
    assert repr(found) == "Output(frame 3: mask, healed, 12.3 ms)"
