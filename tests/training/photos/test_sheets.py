"""Sheets: windows of photographs lie where their origin and scale say, and shares are kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mostnet.training.photos.sheets import Sheet, SheetMaker

from .drawn import array, drawn_photo, drawn_photos

SIZE = (96, 128)


def maker(photos: list, *, no_mouth: float = 0.0, seed: int = 0) -> SheetMaker:  # type: ignore[type-arg]
    return SheetMaker(photos, SIZE, no_mouth=no_mouth, device=torch.device("cpu"), seed=seed)


def ramp() -> object:
    """A photograph whose blue grows from left to right, and whose green grows from top to bottom."""
    photo = drawn_photo(0, size_hw=(200, 250))
    photo.pixels[..., 0] = np.arange(250)
    photo.pixels[..., 1] = np.arange(200)[:, None]
    return photo


def test_a_window_lies_where_its_origin_and_scale_say() -> None:
    """One view height right and one down on the canvas are equally many pixels of the photograph."""
    sheet = maker([ramp()]).background(np.random.default_rng(0), 40)
    mirrored = 0
    for canvas, origin, per_unit in zip(*map(array, sheet), strict=True):
        high, wide = canvas.shape[1:]
        blue = np.polyfit(np.arange(wide // 4, 3 * wide // 4), canvas[0, high // 2, wide // 4 : 3 * wide // 4] * 255, 1)
        green = np.polyfit(
            np.arange(high // 4, 3 * high // 4), canvas[1, high // 4 : 3 * high // 4, wide // 2] * 255, 1
        )
        across, down = blue[0] * per_unit[0], green[0] * per_unit[1]
        assert abs(across) == pytest.approx(abs(down), rel=0.02), "pixels of the photograph in one view height"
        rows = abs(down)
        assert 0.6 * SIZE[0] * 0.98 <= rows <= 1.1 * 250 * 96 / 128 * 1.02
        x, y = np.polyval(blue, origin[0]), np.polyval(green, origin[1])
        assert -1 <= x <= 250 and -1 <= y <= 200, "the middle of the view is on the photograph"
        assert abs(x - 124.5) <= max(0, 250 - rows * 128 / 96) / 2 + 1 and abs(y - 99.5) <= max(0, 200 - rows) / 2 + 1
        mirrored += (across < 0) + (down < 0)
    assert 25 < mirrored < 55


def test_backgrounds_are_opaque_and_show_photographs_or_none() -> None:
    photos = drawn_photos(2)
    for photo in photos:
        photo.pixels[..., 3] = 255
    for share, expected in ((0.0, 1.0), (1.0, 0.0), (0.5, 0.5)):
        sheet = maker(photos, no_mouth=share).background(np.random.default_rng(0), 40)
        assert bool((sheet.canvas[:, 4] == 1).all())
        assert float(sheet.canvas[:, 3].amax((1, 2)).mean()) == pytest.approx(expected, abs=0.2)


def test_share_of_sheets_in_front() -> None:
    sheets = maker(drawn_photos(2))
    for share, least, most in ((0.0, 0, 0), (1.0, 60, 60), (0.5, 18, 42)):
        sheet = sheets.foreground(np.random.default_rng(0), 60, share=share)
        covered = int((sheet.canvas[:, 4].amax((1, 2)) > 0.9).sum())
        assert least <= covered <= most
        assert sheet.canvas.shape == (60, 5, *sheets.canvas_hw)


def test_colour_and_tooth_of_a_sheet_are_times_its_alpha() -> None:
    sheet = maker(drawn_photos(2)).foreground(np.random.default_rng(1), 60, share=1.0)
    alpha = sheet.canvas[:, 4:]
    assert float(sheet.canvas.min()) >= 0 and float(alpha.max()) <= 1
    assert bool((sheet.canvas[:, :4] <= alpha + 1 / 255).all())
    assert not bool(sheet.canvas[:, :4][(alpha == 0).expand(-1, 4, -1, -1)].any())
    assert bool((sheet.canvas[:, 3] > 0.5).any()), "a cut-out of a photograph has teeth of its own"


def test_sheets_depend_on_the_seed_and_the_generator_alone() -> None:
    def made(seed: int, draws: int) -> Sheet:
        sheets = maker(drawn_photos(2), no_mouth=0.5, seed=seed)
        return sheets.background(np.random.default_rng(draws), 8)

    first, again, other_draws, other_seed = made(0, 0), made(0, 0), made(0, 1), made(1, 0)
    assert torch.equal(first.canvas, again.canvas)
    assert not torch.equal(first.canvas, other_draws.canvas)
    assert not torch.equal(first.canvas, other_seed.canvas), "the pictures without a mouth are others"
