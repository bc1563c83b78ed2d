"""A missing library of training is one line that names it and its extra."""

from __future__ import annotations

import sys

import pytest

from mostnet.contract import TrainingError
from mostnet.training.extras import load_extra


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("yaml", "PyYAML is not installed; pip install 'mostnet[train]'"),
        ("cycler", "cycler is not installed; pip install 'mostnet[train]'"),  # Matplotlib needs it
    ],
)
def test_a_missing_library_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch, module: str, message: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(TrainingError) as error:
        load_extra(module)
    assert str(error.value) == message
