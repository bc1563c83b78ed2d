"""Camera paths, the rolling shutter, and exact flow against the slow computation of the drawn scenes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mostnet.training.photos.motion import (
    PathSource,
    Shutter,
    backward_flow,
    calm_readout,
    known,
    margin_rows,
    moved,
    sample,
    steps_needed,
    world_points,
)
from mostnet.training.photos.recorded import RecordedPath
from mostnet.training.synth.labels import layer_flow
from mostnet.training.synth.render import motion, to_screen, to_world

from .drawn import array, swinging_path

SIZE = (72, 96)
FRAMES = 3


def table(seed: int, **options: object) -> torch.Tensor:
    """Poses of one clip, ``(1, 4, samples)``."""
    poses = PathSource(**options).draw(np.random.default_rng(seed), FRAMES)  # type: ignore[arg-type]
    return torch.from_numpy(poses.astype(np.float32))[None]


def row_poses(paths: torch.Tensor, readout: float) -> torch.Tensor:
    """Pose of each row, margins included, ``(1, 4, T, H + 2 margin)``."""
    shutter = Shutter(torch.tensor([readout]), torch.tensor([0.0]), 1)
    return sample(paths, shutter.times(FRAMES, SIZE[0]))[:, :, :, 0]


@pytest.mark.parametrize("readout", [0.0, 0.8])
@pytest.mark.parametrize("parallax", [1.0, 0.7, 1.4])
def test_flow_against_the_slow_computation(readout: float, parallax: float) -> None:
    margin, share = margin_rows(SIZE[0]), torch.tensor([parallax])
    compared = 0
    for seed in range(6):
        poses = row_poses(table(seed, calm=(0.0, 0.0)), readout)
        flow, solved = backward_flow(moved(poses, share), SIZE)
        pixels = array(poses)[0].astype(np.float64) * np.array([SIZE[0], SIZE[0], 1, 1])[:, None, None]
        for t in range(1, FRAMES):
            now = pixels[:, t, margin : margin + SIZE[0]]
            expected, expected_solved = layer_flow(now, pixels[:, t - 1], parallax, SIZE)
            both = array(solved)[0, t] & expected_solved
            compared += both.sum()
            assert np.abs(array(flow)[0, t] - expected)[:, both].max(initial=0) < 0.03
    assert compared > 0.9 * 6 * (FRAMES - 1) * SIZE[0] * SIZE[1]


def test_flow_at_single_pixels_by_trying_every_row() -> None:
    """The previous frame shows a point in the row whose own pose puts it there."""
    paths = table(1, calm=(0.0, 0.0))
    poses = row_poses(paths, 0.8)
    flow, solved = backward_flow(moved(poses, torch.ones(1)), SIZE)
    fine = np.linspace(-margin_rows(SIZE[0]), SIZE[0] - 1 + margin_rows(SIZE[0]), 60001)
    times = torch.from_numpy(((fine / (SIZE[0] - 1) - 0.5) * 0.8).astype(np.float32))[None]
    before = motion(array(sample(paths, times))[0].astype(np.float64), 1.0)
    before[:2] *= SIZE[0]
    for y, x in ((0, 0), (10, 90), (36, 48), (71, 3), (50, 60)):
        assert bool(solved[0, 1, y, x])
        now = motion(array(poses)[0, :, 1, margin_rows(SIZE[0]) :][:, : SIZE[0]].astype(np.float64), 1.0)
        now[:2] *= SIZE[0]
        world = to_world(now, np.array([float(x)]), SIZE)[:, y]
        seen = to_screen(world, before, SIZE)
        row = np.argmin(np.abs(seen[1] - fine))
        assert array(flow)[0, 1, :, y, x] == pytest.approx(seen[:, row] - [x, y], abs=0.02)


def test_the_first_frame_has_no_flow() -> None:
    flow, solved = backward_flow(moved(row_poses(table(0), 0.5), torch.ones(1)), SIZE)
    assert not bool(flow[:, 0].any()) and not bool(solved[:, 0].any())


def test_a_picture_that_moves_down_like_the_shutter_is_not_solved() -> None:
    """It vibrates up and down by twice the shutter's speed: the previous frame shows points never, or three times."""
    poses = torch.zeros(1, 4, FRAMES, SIZE[0] + 2 * margin_rows(SIZE[0]))
    time = torch.arange(poses.shape[3]) / SIZE[0] + torch.arange(FRAMES)[:, None] * 0.4
    poses[:, 1] = 0.1 * torch.sin(time * 2 * torch.pi * 3)
    solved = backward_flow(moved(poses, torch.ones(1)), SIZE)[1]
    assert float(solved[:, 1:].float().mean()) < 0.7


def test_world_points_are_those_of_the_drawn_scenes() -> None:
    pose = torch.tensor([[0.1, -0.2, 0.3, 0.1]]).view(1, 4, 1).expand(1, 4, SIZE[0])
    columns = torch.arange(SIZE[1]).float()
    found = world_points(moved(pose, torch.tensor([0.8])), columns, SIZE)[0]
    pixels = array(pose)[0].astype(np.float64) * np.array([SIZE[0], SIZE[0], 1, 1])[:, None]
    expected = to_world(motion(pixels, 0.8), array(columns).astype(np.float64), SIZE) / SIZE[0]
    np.testing.assert_allclose(array(found), expected, atol=1e-5)


def test_known_is_false_outside_where_the_surface_changes_and_in_the_first_frame() -> None:
    flow = torch.zeros(1, 3, 2, 8, 10)
    flow[0, 1, 0] = 2.0  # came from the right
    flow[0, 2, 1] = -3.0  # came from above
    surface = torch.zeros(1, 3, 8, 10, dtype=torch.uint8)
    surface[0, 1, :, 4] = 1
    result = array(known(flow, torch.ones(1, 3, 8, 10, dtype=torch.bool), surface))[0]
    assert not result[0].any()
    assert result[1, 0].tolist() == [True] * 4 + [False] + [True] * 3 + [False] * 2
    assert result[2, :, 0].tolist() == [False] * 3 + [True] * 5
    assert not result[2, :, 4].any()


def test_sample_interpolates_between_the_samples_of_a_path() -> None:
    straight = table(0, calm=(0.0, 1.0))
    time = torch.tensor([[0.0, 0.25, 1.013, 2.9]])
    found = sample(straight, time)[0, :2]
    velocity = (sample(straight, time + 0.1)[0, :2] - found) / 0.1
    assert float(velocity.norm(dim=0).min()) > 0.0015 and float(velocity.std(1).max()) < 1e-5
    np.testing.assert_allclose(found, velocity * (time - FRAMES / 2), atol=1e-5)


def test_times_of_rows_and_instants() -> None:
    margin = margin_rows(SIZE[0])
    times = Shutter(torch.tensor([0.5]), torch.tensor([0.2]), 2).times(FRAMES, SIZE[0])
    assert times.shape == (1, FRAMES, 2, SIZE[0] + 2 * margin)
    np.testing.assert_allclose(times[0, 1].mean(0)[[margin, -margin - 1]], [0.75, 1.25], atol=1e-6)
    np.testing.assert_allclose(times[0, 0, 1] - times[0, 0, 0], 0.1, atol=1e-6)


def test_shares_of_calm_paths() -> None:
    rng = np.random.default_rng(0)
    source = PathSource(calm=(0.3, 0.3))
    paths = [source.draw(rng, 2) for _ in range(200)]
    still = [not path.any() for path in paths]
    straight = [np.allclose(np.diff(path, 2), 0, atol=1e-9) and not path[2:].any() for path in paths]
    assert 35 < sum(still) < 85 and 80 < sum(straight) < 160, "a still path is straight too"


def test_a_fast_picture_shortens_the_readout() -> None:
    path = PathSource(calm=(0.0, 1.0)).draw(np.random.default_rng(0), 2)
    path[1] = np.linspace(0, 2.0, path.shape[1])
    speed = 2.0 / (path.shape[1] - 1) * 48  # view heights per frame
    assert calm_readout(path, 0.9) == pytest.approx(0.3 / speed)
    assert calm_readout(path, 0.1) == 0.1
    assert calm_readout(np.zeros_like(path), 0.9) == 0.9


def recorded_draws(path: RecordedPath, count: int) -> list[np.ndarray]:
    """Draws at whole frames, from -1 to FRAMES + 1, that follow the recorded path."""
    draws = []
    for seed in range(count):
        poses = PathSource([path], calm=(0.0, 0.0)).draw(np.random.default_rng(seed), FRAMES)
        if np.allclose(np.diff(poses[:, :49], 2), 0, atol=1e-9):  # between frames, only a recorded path is straight
            draws.append(poses[:, ::48])
    return draws


def test_windows_of_a_recorded_path_are_scaled_mirrored_and_reversed() -> None:
    """The path is as long as a clip, so that there is one window, whose variants are told apart by their signs."""
    path = swinging_path(steps_needed(FRAMES))
    base = path.poses(0, steps_needed(FRAMES))
    signs = np.array([-1, 1, -1, 1])[:, None]
    variants = [base, base * signs, base[:, ::-1], base[:, ::-1] * signs]
    found = [0] * 4
    for poses in recorded_draws(path, 200):
        factors = [np.vdot(poses, v) / np.vdot(v, v) for v in variants]
        fits = [i for i, v in enumerate(variants) if np.allclose(poses, factors[i] * v, atol=1e-9)]
        assert len(fits) == 1 and 0.6 <= factors[fits[0]] <= 2.5
        found[fits[0]] += 1
    assert min(found) > 5 and 50 < sum(found) < 110, "four in ten of the moving clips"


def test_a_path_that_is_too_short_is_not_used() -> None:
    assert not recorded_draws(swinging_path(steps_needed(FRAMES) - 1), 40)


def test_a_violent_recorded_path_is_played_smaller() -> None:
    violent = RecordedPath("C", 25.0, np.full(40, 0.5 + 0.3j), np.ones(40, complex))
    for poses in recorded_draws(violent, 20):
        steps = np.hypot(*np.diff(poses[:2], axis=1))
        np.testing.assert_allclose(steps.max(), 0.15, rtol=1e-6)
