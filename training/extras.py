"""Libraries that only training needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mostnet.contract import BackendNotInstalledError, TrainingError
from mostnet.contract.extras import extras_named, install_command


def load_extra(name: str, *, extra: str = "train") -> Any:
    """Import a module of a library that one of our extras installs.

    Raises:
        TrainingError: it is not installed.
    """
    try:
        with extras_named(extra):
            return import_module(name)
    except BackendNotInstalledError as error:
        raise TrainingError(str(error)) from error
    except ModuleNotFoundError as error:  # something that a library of ours needs
        raise TrainingError(f"{error.name} is not installed; {install_command(extra)}") from error
