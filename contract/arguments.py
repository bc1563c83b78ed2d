"""Types of command-line arguments, for ``argparse``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from fractions import Fraction

#: The slowest and the fastest frame rate that a user may give, in frames per second.
RATES = (Fraction(1, 1000), Fraction(100_000))
#: Sizes that have a name, as ``(height, width)``. ``480p`` has no certain width.
NAMED_SIZES = {"720p": (720, 1280), "1080p": (1080, 1920)}

_BARE = re.compile(r"([0-9]+)x([0-9]+)")
_LETTERED = re.compile(r"h(?P<h>[0-9]+)xw(?P<w>[0-9]+)|w(?P<w2>[0-9]+)xh(?P<h2>[0-9]+)")


def size_hw(example: str) -> Callable[[str], tuple[int, int]]:
    """An argument type that reads a size into ``(height, width)``; its error message shows ``example``.

    It takes HEIGHTxWIDTH of a picture that is not higher than wide, ``h1280xw720`` or ``w720xh1280`` for any picture,
    and the names in ``NAMED_SIZES``. It refuses ``1280x720``: most programs write the width first.
    """

    def convert(text: str) -> tuple[int, int]:
        size = text.lower()
        if size in NAMED_SIZES:
            return NAMED_SIZES[size]
        if found := _LETTERED.fullmatch(size):
            return int(found["h"] or found["h2"]), int(found["w"] or found["w2"])
        if not (found := _BARE.fullmatch(size)):
            raise argparse.ArgumentTypeError(
                f"{text!r} is not HEIGHTxWIDTH, such as {example}, or {' or '.join(NAMED_SIZES)}"
            )
        first, second = int(found[1]), int(found[2])
        if first > second:
            raise argparse.ArgumentTypeError(
                f"{text!r} may mean two sizes: write {second}x{first} for {second} high and {first} wide, or "
                f"h{first}xw{second} for {first} high and {second} wide"
            )
        return first, second

    return convert


def size_text(size_hw: tuple[int, int]) -> str:
    """A size in pixels, ``(height, width)``, as ``size_hw`` reads it: ``720x1280``, but ``h1280xw720``."""
    height, width = size_hw
    return f"h{height}xw{width}" if height > width else f"{height}x{width}"


def positive_int(text: str) -> int:
    """Read a whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return value


def count_from_zero(text: str) -> int:
    """Read a whole number from 0."""
    if not (text.isdecimal() and text.isascii()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


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
