from __future__ import annotations

import argparse
import re
from fractions import Fraction

import pytest

from mostnet.contract.arguments import frame_rate, positive_float, positive_int, size_hw, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("720X1280", (720, 1280)),
        ("96x96", (96, 96)),
        ("h1280xw720", (1280, 720)),
        ("W720xH1280", (1280, 720)),
        ("w1280xh720", (720, 1280)),
        ("720p", (720, 1280)),
        ("1080P", (1080, 1920)),
    ],
)
def test_sizes_are_height_x_width_or_say_their_order(text: str, size: tuple[int, int]) -> None:
    assert size_hw("480x640")(text) == size
    assert size_hw("480x640")(size_text(size)) == size


def test_a_size_that_may_be_width_first_is_refused_with_both_ways_to_write_it() -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        size_hw("480x640")("1280x720")
    assert str(caught.value) == (
        "'1280x720' may mean two sizes: write 720x1280 for 720 high and 1280 wide, "
        "or h1280xw720 for 1280 high and 720 wide"
    )


@pytest.mark.parametrize("text", ["640", "480x", "ax5", "-4x5", "1x2x3", "²x4", "480p", "h5x6", "h5xh6", "5xw6", ""])
def test_other_sizes_are_refused_with_an_example(text: str) -> None:
    shown = f"{text!r} is not HEIGHTxWIDTH, such as 192x256, or 720p or 1080p"
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(shown)):
        size_hw("192x256")(text)


def test_numbers_above_zero() -> None:
    assert positive_int("3") == 3
    assert positive_float("0.5") == 0.5
    assert positive_float("inf") == float("inf")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", ""])
def test_other_counts_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(f"{text!r} is not a whole number above 0")):
        positive_int(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "x", ""])
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(f"{text!r} is not a number above 0")):
        positive_float(text)


def test_frame_rates() -> None:
    assert [frame_rate(text) for text in ("25", "12.5", "30000/1001")] == [
        25,
        Fraction(25, 2),
        Fraction(30000, 1001),
    ]


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "x", "", "1/0", "1e12", "1e-12"])
def test_other_rates_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(f"{text!r} is not a frame rate")):
        frame_rate(text)
