"""Libraries that only training needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mostnet.contract import TrainingError


def load_extra(name: str, *, extra: str = "train") -> Any:
    """Import a module of a library that one of our extras installs.

    Raises:
        TrainingError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise TrainingError(f"{error.name} is not installed; pip install 'mostnet[{extra}]'") from error
