"""Types of command-line arguments, for ``argparse``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from fractions import Fraction

#: The slowest and the fastest frame rate that a user may give, in frames per second.
RATES = (Fraction(1, 1000), Fraction(100_000))


def size_hw(example: str) -> Callable[[str], tuple[int, int]]:
    """An argument type that reads HEIGHTxWIDTH into ``(height, width)``; its error message shows ``example``."""

    def convert(text: str) -> tuple[int, int]:
        height, x, width = text.lower().partition("x")
        if not (x and height.isdecimal() and width.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as {example}")
        return int(height), int(width)

    return convert


def positive_int(text: str) -> int:
    """Read a whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return value


def positive_float(text: str) -> float:
    """Read a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def frame_rate(text: str) -> Fraction:
    """Read a frame rate within ``RATES``, such as 25, 29.97 or 30000/1001."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not RATES[0] <= value <= RATES[1]:
        raise argparse.ArgumentTypeError(f"{text!r} is not a frame rate, such as 25 or 30000/1001")
    return value
