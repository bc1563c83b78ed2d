"""Types of command-line arguments, for ``argparse``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

N = TypeVar("N", int, float)


def size_hw(example: str) -> Callable[[str], tuple[int, int]]:
    """A type that reads HEIGHTxWIDTH into ``(height, width)``; its message shows ``example``."""

    def convert(text: str) -> tuple[int, int]:
        height, x, width = text.lower().partition("x")
        if not (x and height.isdecimal() and width.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, as {example}")
        return int(height), int(width)

    return convert


def _positive(kind: type[N], name: str) -> Callable[[str], N]:
    def convert(text: str) -> N:
        with suppress(ValueError):
            value = kind(text)
            if value > 0:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a {name} above 0")

    return convert


#: Types that read a number above 0.
positive_int, positive_float = _positive(int, "whole number"), _positive(float, "number")
