"""The record of a training run in a checkpoint: commands print it, write it as JSON and look for options in it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch

from .weights import shown

#: Types of values that a record may hold, how many values, and how deep. A subclass, such as NumPy's ``float64``, may
#: not be readable without running code.
_PLAIN = {type(None), bool, int, float, str, list, tuple, dict, OrderedDict, torch.Size}
_MOST_VALUES, _MOST_DEPTH = 100_000, 20
#: Characters of a text that count as one more value.
_TEXT = 100
#: Entries that commands read, by the names that lead to them. Each may be missing.
_TYPES: dict[tuple[str, ...], tuple[type, ...]] = {
    ("steps",): (int,),
    ("minutes",): (int, float),
    ("torch",): (str,),
    ("options",): (dict,),
    ("options", "tasks"): (list, tuple),
    ("options", "recurrence"): (bool,),
    ("options", "alignment"): (bool,),
    ("data",): (dict, type(None)),
    ("data", "name"): (str,),
    ("data", "photos"): (dict, type(None)),
    ("init",): (dict, type(None)),
    ("init", "file"): (str,),
}


def record_problem(record: Any) -> str:
    """What is wrong with a record; empty if nothing is, or if there is none."""
    if record is None:
        return ""
    if not isinstance(record, dict):
        return f"is {shown(record)}, expected a dictionary"
    return _not_plain(record) or _wrong_type(record)


def _not_plain(record: dict[Any, Any]) -> str:
    todo: list[tuple[Any, int]] = [(record, 0)]
    count = 0
    while todo:
        value, depth = todo.pop()
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        count += 1 + (len(value) // _TEXT if isinstance(value, str) else 0)
        if type(value) not in _PLAIN:
            return f"holds a {type(value).__name__}, expected plain values"
        if isinstance(value, dict) and not all(isinstance(name, str) for name in value):
            return f"has names that are not text: {shown(list(value))}"
        if depth > _MOST_DEPTH or count + len(todo) + len(inner) > _MOST_VALUES:
            return f"holds more than {_MOST_VALUES} values, or is nested more than {_MOST_DEPTH} deep"
        todo += [(each, depth + 1) for each in inner]
    return ""


def _wrong_type(record: dict[str, Any]) -> str:
    for names, types in _TYPES.items():
        found: Any = record
        for name in names:
            found = found.get(name, _MISSING) if isinstance(found, dict) else _MISSING
        if found is not _MISSING and not isinstance(found, types):
            return f"has {'.'.join(names)} {shown(found)}, expected {' or '.join(each.__name__ for each in types)}"
    return ""


_MISSING = object()
