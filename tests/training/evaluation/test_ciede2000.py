"""CIELAB and CIEDE2000, against published values and the paper's formulas written out for one pair."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mostnet.training.evaluation.ciede2000 import ciede2000, lab_of_bgr

#: Table 1 of Sharma, Wu and Dalal (2005): L*, a*, b* of two colours, and their difference.
PAIRS = [
    [50.0, 2.6772, -79.7751, 50.0, 0.0, -82.7485, 2.0425],
    [50.0, 3.1571, -77.2803, 50.0, 0.0, -82.7485, 2.8615],
    [50.0, 2.8361, -74.02, 50.0, 0.0, -82.7485, 3.4412],
    [50.0, -1.3802, -84.2814, 50.0, 0.0, -82.7485, 1.0],
    [50.0, -1.1848, -84.8006, 50.0, 0.0, -82.7485, 1.0],
    [50.0, -0.9009, -85.5211, 50.0, 0.0, -82.7485, 1.0],
    [50.0, 0.0, 0.0, 50.0, -1.0, 2.0, 2.3669],
    [50.0, -1.0, 2.0, 50.0, 0.0, 0.0, 2.3669],
    [50.0, 2.49, -0.001, 50.0, -2.49, 0.0009, 7.1792],
    [50.0, 2.49, -0.001, 50.0, -2.49, 0.001, 7.1792],
    [50.0, 2.49, -0.001, 50.0, -2.49, 0.0011, 7.2195],
    [50.0, 2.49, -0.001, 50.0, -2.49, 0.0012, 7.2195],
    [50.0, -0.001, 2.49, 50.0, 0.0009, -2.49, 4.8045],
    [50.0, -0.001, 2.49, 50.0, 0.001, -2.49, 4.8045],
    [50.0, -0.001, 2.49, 50.0, 0.0011, -2.49, 4.7461],
    [50.0, 2.5, 0.0, 50.0, 0.0, -2.5, 4.3065],
    [50.0, 2.5, 0.0, 73.0, 25.0, -18.0, 27.1492],
    [50.0, 2.5, 0.0, 61.0, -5.0, 29.0, 22.8977],
    [50.0, 2.5, 0.0, 56.0, -27.0, -3.0, 31.903],
    [50.0, 2.5, 0.0, 58.0, 24.0, 15.0, 19.4535],
    [50.0, 2.5, 0.0, 50.0, 3.1736, 0.5854, 1.0],
    [50.0, 2.5, 0.0, 50.0, 3.2972, 0.0, 1.0],
    [50.0, 2.5, 0.0, 50.0, 1.8634, 0.5757, 1.0],
    [50.0, 2.5, 0.0, 50.0, 3.2592, 0.335, 1.0],
    [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
    [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.263],
    [61.2901, 3.7196, -5.3901, 61.4292, 2.248, -4.962, 1.8731],
    [35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645],
    [22.7233, 20.0904, -46.694, 23.0331, 14.973, -42.5619, 2.0373],
    [36.4612, 47.858, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146],
    [90.8027, -2.0831, 1.441, 91.1528, -1.6435, 0.0447, 1.4441],
    [90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381],
    [6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377],
    [2.0776, 0.0795, -1.135, 0.9033, -0.0636, -0.5514, 0.9082],
]


def by_hand(lab: np.ndarray, reference: np.ndarray) -> float:
    """Equations 2 to 22 of the paper for one pair, in degrees, grey colours set apart as there."""
    (l1, a1, b1), (l2, a2, b2) = lab, reference
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, a)) % 360 if (a, b) != (0, 0) else 0.0 for a, b in ((a1, b1), (a2, b2)))
    if c1 * c2 == 0:
        turn, hue = 0.0, h1 + h2
    elif abs(h2 - h1) <= 180:
        turn, hue = h2 - h1, (h1 + h2) / 2
    else:
        turn = h2 - h1 - 360 if h2 > h1 else h2 - h1 + 360
        hue = (h1 + h2 + 360) / 2 if h1 + h2 < 360 else (h1 + h2 - 360) / 2
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 - 0.17 * math.cos(math.radians(hue - 30)) + 0.24 * math.cos(math.radians(2 * hue))
    t += 0.32 * math.cos(math.radians(3 * hue + 6)) - 0.20 * math.cos(math.radians(4 * hue - 63))
    s_l = 1 + 0.015 * (lightness - 50) ** 2 / math.sqrt(20 + (lightness - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    r_c = 2 * math.sqrt(chroma**7 / (chroma**7 + 25**7))
    r_t = -math.sin(math.radians(60 * math.exp(-(((hue - 275) / 25) ** 2)))) * r_c
    d_l, d_c = (l2 - l1) / s_l, (c2 - c1) / s_c
    d_h = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2)) / s_h
    return math.sqrt(d_l**2 + d_c**2 + d_h**2 + r_t * d_c * d_h)


def test_published_pairs_in_both_directions() -> None:
    table = np.array(PAIRS)
    assert table.shape == (34, 7)
    np.testing.assert_allclose(ciede2000(table[:, :3], table[:, 3:6]), table[:, 6], atol=5.1e-5)
    np.testing.assert_allclose(ciede2000(table[:, 3:6], table[:, :3]), table[:, 6], atol=5.1e-5)


def test_any_colours_have_the_difference_of_the_formulas_written_out() -> None:
    rng = np.random.default_rng(0)
    lab = rng.uniform((0, -90, -90), (100, 90, 90), (2000, 3))
    near = lab + rng.normal(0, 5, lab.shape)
    near[:50, 1:], lab[50:100, 1:] = 0, 0  # one colour of the pair is grey
    wanted = [by_hand(one, other) for one, other in zip(lab, near, strict=True)]
    np.testing.assert_allclose(ciede2000(lab, near), wanted, rtol=1e-9)


def test_single_precision_is_exact_to_a_thousandth() -> None:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (20_000, 3), np.uint8)
    near = np.clip(pixels + rng.integers(-9, 10, pixels.shape), 0, 255).astype(np.uint8)
    lab, reference = lab_of_bgr(pixels), lab_of_bgr(near)
    found = ciede2000(lab, reference)
    assert found.dtype == lab.dtype == np.float32
    assert np.abs(found - ciede2000(lab.astype(np.float64), reference.astype(np.float64))).max() < 1e-3


def test_equal_colours_do_not_differ() -> None:
    lab = np.random.default_rng(1).uniform((0, -90, -90), (100, 90, 90), (40, 5, 3))
    assert (ciede2000(lab, lab) == 0).all()


@pytest.mark.parametrize(
    ("bgr", "lab"),
    [
        ((0, 0, 255), (53.2408, 80.0925, 67.2032)),
        ((0, 255, 0), (87.7347, -86.1827, 83.1793)),
        ((255, 0, 0), (32.2970, 79.1875, -107.8602)),
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_lab_of_the_primaries_is_the_published_one(bgr: tuple[int, ...], lab: tuple[float, ...]) -> None:
    np.testing.assert_allclose(lab_of_bgr(np.uint8(bgr)), lab, atol=1e-3)


def test_greys_have_no_colour_and_the_lightness_of_the_standard() -> None:
    levels = np.arange(256)
    lab = lab_of_bgr(np.stack([levels] * 3, axis=-1).astype(np.uint8))
    assert np.abs(lab[:, 1:]).max() < 1e-4
    for level in (1, 10, 11, 60, 119, 200):
        value = level / 255
        light = value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        lightness = 116 * light ** (1 / 3) - 16 if light > 0.008856452 else 903.2963 * light
        assert lab[level, 0] == pytest.approx(lightness, abs=1e-4)
