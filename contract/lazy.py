"""Packages that import a module only when one of its names is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for the ``__init__`` module of ``package``.

    Args:
        package: its ``__name__``.
        homes: module of each public name, below the package. A name must differ from all of its modules: importing a
            module sets the attribute of the package that has the module's name.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f".{homes[name]}", package), name)

    return get
