"""Libraries that only training needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mostnet.contract import TrainingError


def load_extra(name: str) -> Any:
    """Import a library of the ``train`` extra.

    Raises:
        TrainingError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise TrainingError(f"{error.name} is not installed; pip install 'mostnet[train]'") from error
