"""Degradations: none leaves the picture alone, and each has the size that it says."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from mostnet.training.photos.wear import Wear, degrade, draw_wear

from .drawn import array, drawn_photo

CPU = torch.device("cpu")
N, T, SIZE = 2, 2, (96, 128)


def drawn(count: int = 256, *, none: float = 0.0, strength: tuple[float, float] = (0.1, 1.0)) -> Wear:
    return draw_wear(np.random.default_rng(0), count, T, none=none, strength=strength, device=CPU)


def no_wear(size_hw: tuple[int, int] = SIZE) -> Wear:
    """Strength 1, but every degradation switched off."""
    wear = drawn(N, strength=(1.0, 1.0))
    zero = {name: torch.zeros_like(getattr(wear, name)) for name in ("defocus", "veil", "vignette", "grain", "drops")}
    one = {name: torch.ones_like(getattr(wear, name)) for name in ("gain", "cast", "contrast")}
    return replace(wear, **zero, **one, soft=torch.zeros(N), quality=torch.full((N,), 101.0))


def clips(size_hw: tuple[int, int] = SIZE, sigma_px: float = 4) -> torch.Tensor:
    pixels = [drawn_photo(seed, size_hw=size_hw, sigma_px=sigma_px).pixels[..., :3] for seed in range(N)]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)[:, None].repeat(1, T, 1, 1, 1) / 255


def grey(level: float, size_hw: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.full((N, T, 3, *size_hw), level / 255)


def worn(pictures: torch.Tensor, wear: Wear) -> torch.Tensor:
    return degrade(pictures, wear, torch.Generator().manual_seed(0))


def test_strength_zero_is_the_picture_bit_for_bit() -> None:
    wear = drawn(N, none=1.0)
    assert not bool(wear.strength.any())
    assert torch.equal(worn(clips(), wear), (clips() * 255).round())
    assert torch.equal(worn(clips(), replace(drawn(N), strength=torch.zeros(N))), (clips() * 255).round())


def test_degradations_that_are_off_leave_the_picture() -> None:
    assert float((worn(clips(), no_wear()) - clips() * 255).abs().max()) < 1


def test_levels_are_whole_numbers_of_0_to_255() -> None:
    found = worn(clips(), drawn(N, strength=(1.0, 1.0)))
    assert torch.equal(found, found.round()) and float(found.min()) >= 0 and float(found.max()) <= 255


@pytest.mark.parametrize(("level", "expected"), [(128, 8.0), (32, 8 * (32 * 0.7 / 128 + 0.3) ** 0.5)])
@pytest.mark.parametrize("soft", [0.0, 1.0])
def test_deviation_of_the_noise(level: int, expected: float, soft: float) -> None:
    wear = replace(no_wear(), grain=torch.full((N,), 8.0), soft=torch.full((N,), soft))
    noise = worn(grey(level), wear) - level
    assert float(noise.std()) == pytest.approx(expected, rel=0.03)
    assert abs(float(noise.mean())) < 0.2
    neighbours = float((noise[..., 1:] * noise[..., :-1]).mean() / noise.square().mean())
    assert neighbours == pytest.approx(0.5 * soft, abs=0.05), "soft noise is shared by neighbours"
    assert float((noise[:, 0] * noise[:, 1]).mean() / noise.square().mean()) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("height", [96, 240, 720])
def test_deviation_of_the_blur_in_pixels_at_240_rows(height: int) -> None:
    """A vertical edge, blurred: its slope has the deviation of the blur."""
    deviation = 1.5
    edge = torch.zeros(N, T, 3, height, 96)
    edge[..., 48:] = 1.0
    blurred = worn(edge * 0.8 + 0.1, replace(no_wear(), defocus=torch.full((N,), deviation)))
    slope = blurred[0, 0, 0, height // 2].diff().double()
    place = torch.arange(len(slope))
    middle = (slope * place).sum() / slope.sum()
    found = ((slope * (place - middle) ** 2).sum() / slope.sum()).sqrt()
    assert float(found) == pytest.approx(deviation * height / 240, rel=0.05)


def test_gain_and_cast_act_in_linear_light() -> None:
    wear = replace(no_wear(), gain=torch.full((N, T), 0.5), cast=torch.tensor([[1.0, 1.2, 0.8]] * N))
    found = worn(grey(150), wear)[0, 0, :, 0, 0]
    expected = 255 * ((150 / 255) ** 2.2 * 0.5 * np.array([1.0, 1.2, 0.8])) ** (1 / 2.2)
    np.testing.assert_allclose(array(found), expected, atol=0.51)


def test_contrast_is_an_exponent() -> None:
    found = worn(grey(150), replace(no_wear(), contrast=torch.full((N,), 1.3)))
    assert float(found[0, 0, 0, 0, 0]) == pytest.approx(255 * (150 / 255) ** 1.3, abs=0.51)


def test_mist_draws_the_picture_towards_its_colour() -> None:
    wear = replace(no_wear(), veil=torch.full((N, T), 0.5), mist=torch.ones(N, 1, 4, 5), veil_bgr=torch.ones(N, 3))
    assert float(worn(grey(100), wear).mean()) == pytest.approx(100 + 0.5 * 1.2 * 155, abs=1)


def test_light_falls_off_from_the_centre_of_the_vignette() -> None:
    found = worn(grey(200), replace(no_wear(), vignette=torch.tensor([[0.0, 0.0, 0.8]] * N)))[0, 0, 0]
    assert float(found[48, 64]) == pytest.approx(200, abs=1)
    corner = ((SIZE[1] - 1) / 2 / SIZE[0]) ** 2 + ((SIZE[0] - 1) / 2 / SIZE[0]) ** 2
    assert float(found[0, 0]) == pytest.approx(200 / (1 + 0.8 * corner), abs=1)


def test_a_drop_bends_the_picture_inside_of_its_radius_alone() -> None:
    drop = torch.zeros(N, 3, 4)
    drop[0, 0] = torch.tensor([0.1, -0.1, 0.12, 0.6])
    changed = (worn(clips(), replace(no_wear(), drops=drop)) - worn(clips(), no_wear())).abs().amax(2) > 2
    y = (torch.arange(SIZE[0]) - (SIZE[0] - 1) / 2)[:, None] / SIZE[0]
    x = (torch.arange(SIZE[1]) - (SIZE[1] - 1) / 2) / SIZE[0]
    inside = ((x - 0.1) ** 2 + (y + 0.1) ** 2).sqrt() < 0.12
    assert float(changed[0, 0][inside].float().mean()) > 0.5
    assert not bool(changed[0, 0][~inside].any()) and not bool(changed[1].any())


def test_quality_is_that_of_a_jpeg() -> None:
    losses = [
        float((worn(clips(), replace(no_wear(), quality=torch.full((N,), q))) - clips() * 255).abs().mean())
        for q in (20.0, 60.0, 95.0, 101.0)
    ]
    assert losses == sorted(losses, reverse=True) and losses[0] > 2 and losses[-1] < 0.5


def test_what_is_drawn_is_in_range() -> None:
    wear = drawn(512, none=0.25, strength=(0.4, 0.9))
    clean = wear.strength == 0
    assert 0.15 < float(clean.float().mean()) < 0.35
    assert float(wear.strength[~clean].min()) >= 0.4 and float(wear.strength.max()) <= 0.9
    assert float(wear.quality[~clean].min()) >= 30 and float(wear.quality[~clean].max()) <= 100
    assert bool((wear.quality[clean] == 101).all())
    assert float(wear.veil.min()) >= 0 and float(wear.veil.max()) <= 0.6001
    assert float(wear.defocus.max()) <= 1.6 and float(wear.grain.max()) <= 20
    for name in ("defocus", "grain", "veil"):
        assert not bool(getattr(wear, name)[clean].any()), name
    assert not bool(wear.drops[clean][..., 2].any())
    assert all(getattr(wear, field.name).dtype == torch.float32 for field in fields(Wear))


def test_stronger_clips_differ_more_from_their_reference() -> None:
    weak, strong = (float((worn(clips(), drawn(N, strength=(s, s))) - clips() * 255).abs().mean()) for s in (0.05, 1.0))
    assert weak < 10 < strong
