"""The warp of bands of rows against a slow one that looks up every pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mostnet.bench.steady.rolling import places
from mostnet.video.steady.border import BorderHistory, warp
from mostnet.video.steady.shutter.rows import RowSkew, warp_rows
from mostnet.video.steady.similarity import Similarity, centre_of

SKEW = RowSkew(1.5e-5 + 2e-5j, 0.02 - 0.01j, 0.0002 - 0.002j, 0.1 + 0.2j)
VIEW = Similarity(1.1 + 0.01j, 3 + 2j)


def _picture(size_hw: tuple[int, int]) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (*size_hw, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def _looked_up(picture: np.ndarray, matrix: np.ndarray, skew: RowSkew) -> np.ndarray:
    size_hw = picture.shape[:2]
    back = Similarity.of_matrix(matrix, size_hw).inverse()
    seen = back.a * places(size_hw) + back.b
    at = seen - skew.displacement(seen) + centre_of(size_hw)
    x, y = at.real.astype(np.float32), at.imag.astype(np.float32)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("size_hw", [(240, 320), (101, 90), (5, 7)])
def test_bands_show_what_a_look_up_of_every_pixel_shows(size_hw: tuple[int, int]) -> None:
    picture, matrix = _picture(size_hw), VIEW.matrix(size_hw)
    shown = warp_rows(picture, matrix, SKEW)
    assert np.abs(shown.astype(int) - _looked_up(picture, matrix, SKEW)).max() <= 2
    if size_hw[0] > 200:
        assert np.abs(shown.astype(int) - warp(picture, matrix)).max() > 10


def test_no_skew_is_the_plain_warp() -> None:
    picture, matrix = _picture((240, 320)), VIEW.matrix((240, 320))
    shown = warp_rows(picture, matrix, RowSkew(0j, 0j, 0j, 0j))
    assert np.abs(shown.astype(int) - warp(picture, matrix)).max() <= 1


def test_the_border_is_filled_from_the_other_picture() -> None:
    size_hw = (64, 80)
    white, onto = np.full((*size_hw, 3), 255, np.uint8), np.full((*size_hw, 3), 40, np.uint8)
    shown = warp_rows(white, Similarity(0.5 + 0j).matrix(size_hw), SKEW, onto=onto)
    assert shown is onto
    assert (shown[:12] == 40).all() and (shown[-12:] == 40).all() and (shown[24:40, 30:50] == 255).all()


def test_the_furthest_displacement_is_that_of_a_look_at_every_pixel() -> None:
    size_hw = (240, 320)
    assert SKEW.furthest_px(size_hw) == pytest.approx(np.abs(SKEW.displacement(places(size_hw))).max(), rel=1e-6)


@pytest.mark.parametrize("drift", [None, Similarity().matrix((64, 80))])
def test_the_warps_of_all_borders_undo_the_skew(drift: np.ndarray | None) -> None:
    size_hw = (64, 80)
    picture, matrix = _picture(size_hw), Similarity(1.3 + 0j).matrix(size_hw)
    expected = warp_rows(picture, matrix, SKEW)
    assert (warp(picture, matrix, rows=SKEW) == expected).all()
    history = BorderHistory()
    history.fill(picture, matrix, None)
    assert (history.fill(picture, matrix, drift, rows=SKEW) == expected).all()
