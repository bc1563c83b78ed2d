"""The network: sizes, streaming, state, and the results of single parts."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from mostnet.contract import FrameError
from mostnet.model import VARIANTS, MostNet, initial_checkpoint
from mostnet.model.__main__ import main
from mostnet.model.cells import Shrink, UpsampleToCells
from mostnet.model.cost import parameter_count, step_flops
from mostnet.model.flow import FlowUpdate, GradientStep, Propagate, SoftMatch, UnitLength, has_history
from mostnet.model.layers import LocalCorrelation, Warp, box_mean


@pytest.mark.parametrize(
    ("variant", "millions", "tolerance", "gflop"),
    [("sw", 13.2, 0.02, 100), ("dw", 29.8, 0.02, 200), ("nano", 0.3, 1.0, 3.5)],
)
def test_variants_keep_their_budgets(variant: str, millions: float, tolerance: float, gflop: float) -> None:
    parameters = parameter_count(VARIANTS[variant]) / 1e6
    assert abs(parameters / millions - 1) <= tolerance
    assert 0 < step_flops(VARIANTS[variant], (480, 640)) / 1e9 <= gflop


def test_table_names_every_variant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in VARIANTS)
    assert "1080x1920" in table


@pytest.fixture(scope="module")
def network() -> MostNet:
    return initial_checkpoint("nano", seed=1, random_head=True).model


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    """Smooth noise ``(1, 6, 3, 96, 128)`` that moves two pixels to the left in every frame."""
    generator = torch.Generator().manual_seed(3)
    wide = F.interpolate(torch.rand(1, 3, 24, 40, generator=generator), size=(96, 160), mode="bicubic").clamp(0, 1)
    return torch.stack([wide[..., 2 * t : 2 * t + 128] for t in range(6)], dim=1)


@pytest.mark.parametrize("size", [(64, 64), (65, 77), (96, 128), (405, 613)])
@pytest.mark.parametrize("variant", ["nano", "sw"])
def test_any_size_in_the_same_size_out(variant: str, size: tuple[int, int]) -> None:
    model = initial_checkpoint(variant).model
    frame = torch.rand(1, 3, *size)
    prediction, state = model.step(frame)
    prediction, state = model.step(frame, state)
    assert prediction.enhanced.shape == frame.shape
    assert prediction.mask_logit.shape == (1, 1, *size)
    assert prediction.flow.shape == (1, 2, *size)
    assert [tuple(t.shape) for t in state] == [pair.shape for pair in model.state_pairs(size)]


def test_too_small_a_frame_is_refused(network: MostNet) -> None:
    with pytest.raises(FrameError, match="63x80; each side must be at least 64"):
        network.step(torch.rand(1, 3, 63, 80))


@pytest.mark.parametrize(("variant", "strides"), [("sw", [16]), ("dw", [8, 16]), ("nano", [8, 16])])
def test_every_branch_predicts_its_tasks(variant: str, strides: list[int]) -> None:
    prediction, _ = initial_checkpoint(variant).model.step(torch.rand(2, 3, 64, 80))
    assert [s.stride for s in prediction.scales] == [4, 8, 16]
    assert [s.stride for s in prediction.scales if s.flow is not None] == strides
    assert [tuple(s.enhanced.shape[-2:]) for s in prediction.scales] == [(64, 80), (8, 10), (4, 5)]
    assert [tuple(s.mask_logit.shape) for s in prediction.scales] == [(2, 1, 16, 20), (2, 1, 8, 10), (2, 1, 4, 5)]


def test_clip_form_is_the_stream(network: MostNet, clip: torch.Tensor) -> None:
    together, last = network(clip)
    state = None
    for t in range(clip.shape[1]):
        alone, state = network.step(clip[:, t], state)
        assert torch.equal(alone.enhanced, together[t].enhanced)
        assert torch.equal(alone.flow, together[t].flow)
    assert all(torch.equal(a, b) for a, b in zip(last, state, strict=True))


def test_batch_items_do_not_mix(network: MostNet, clip: torch.Tensor) -> None:
    both = torch.cat((clip, clip.flip(1)))
    alone, _ = network(clip)
    together, _ = network(both)
    torch.testing.assert_close(together[-1].enhanced[:1], alone[-1].enhanced, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[-1].flow[:1], alone[-1].flow, atol=1e-3, rtol=1e-4)


def test_state_reaches_every_output(network: MostNet, clip: torch.Tensor) -> None:
    _, state = network(clip[:, :3])
    carried, _ = network.step(clip[:, 3], state)
    fresh, _ = network.step(clip[:, 3])
    assert (carried.enhanced - fresh.enhanced).abs().mean() > 1e-3
    assert (carried.mask_logit - fresh.mask_logit).abs().mean() > 1e-2
    for i in range(len(state)):
        without = tuple(torch.zeros_like(t) if i == j else t for j, t in enumerate(state))
        assert not torch.equal(network.step(clip[:, 3], without)[0].enhanced, carried.enhanced), f"state {i} is unused"


def test_no_previous_frame_means_no_flow(network: MostNet, clip: torch.Tensor) -> None:
    first, state = network.step(clip[:, 0])
    assert torch.count_nonzero(first.flow) == 0
    second, _ = network.step(clip[:, 1], state)
    assert second.flow.abs().mean() > 0.1


def test_wrong_number_of_state_tensors(network: MostNet, clip: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="2 tensors, this variant carries 6"):
        network.step(clip[:, 0], (torch.zeros(1), torch.zeros(1)))
    with pytest.raises(ValueError, match=r"state hidden4 is \(1, 8, 16, 16\), .* need \(1, 8, 24, 32\)"):
        network.step(clip[:, 0], network.zero_state(torch.rand(1, 3, 64, 64)))
    with pytest.raises(ValueError, match="no frames"):
        network(clip[:, :0])


def test_the_colour_map_is_one_for_the_frame(clip: torch.Tensor) -> None:
    model = initial_checkpoint("nano", seed=1, random_head=True).model
    plain = initial_checkpoint("nano", seed=1, random_head=True).model
    plain.colour.decide.weight.zero_()
    for branch in (*model.branches, *plain.branches):
        branch.residual.weight.zero_()  # what is left is the frame times a factor
    for frames in (clip[:, 0], clip[:, 0] * 0.3):
        changed, kept = (net.step(frames)[0].scales for net in (model, plain))
        ratios, shifts = [], []
        for one, other in zip(changed, kept, strict=True):
            for channel in range(3):
                x, y = other.enhanced[0, channel].flatten(), one.enhanced[0, channel].flatten()
                scale, shift = torch.linalg.lstsq(torch.stack([x, torch.ones_like(x)], 1), y[:, None]).solution[:, 0]
                torch.testing.assert_close(scale * x + shift, y, atol=1e-4, rtol=0)
                ratios.append(float(scale))
                shifts.append(float(shift))
        assert max(abs(ratio - 1) for ratio in ratios) > 0.01, "the map does nothing"
        for values in (ratios, shifts):
            torch.testing.assert_close(torch.tensor(values[:3] * 3), torch.tensor(values), atol=1e-3, rtol=0)


def test_the_colour_map_starts_with_layers_that_tell_frames_apart() -> None:
    """A colour map that starts with a nearly constant hidden layer cannot tell frames apart, and never learns to."""
    model = initial_checkpoint("nano", seed=1).model
    hidden: list[torch.Tensor] = []
    model.colour.decide.register_forward_hook(lambda _, inputs, output: hidden.append(inputs[0]))
    generator = torch.Generator().manual_seed(0)
    for _ in range(12):
        colours = torch.rand(1, 3, 1, 1, generator=generator)
        model.step((colours + 0.2 * torch.randn(1, 3, 64, 64, generator=generator)).clamp(0, 1))
    values = torch.cat(hidden).flatten(1)
    assert values.std(0).median() > 0.1, "the hidden layer hardly differs between frames"
    assert values.abs().median() < 0.95, "the hidden layer is saturated"


def test_gradients_reach_every_parameter(clip: torch.Tensor) -> None:
    model = initial_checkpoint("nano", random_head=True).model.train().requires_grad_(True)
    predictions, _ = model(clip[:, :3])
    loss = sum(
        s.enhanced.square().mean()
        + s.mask_logit.square().mean()
        + (0 if s.flow is None else s.flow.abs().mean())
        + (0 if s.log_error is None else s.log_error.square().mean())
        for p in predictions
        for s in p.scales
    )
    loss.backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


def test_cells_shrink_and_grow_as_pixels_do() -> None:
    frame, factor = torch.rand(2, 3, 64, 96), torch.rand(2, 3, 16, 24)
    half, quarter = Shrink()(F.pixel_unshuffle(frame, 4))
    torch.testing.assert_close(F.pixel_shuffle(half, 2), F.avg_pool2d(frame, 2))
    torch.testing.assert_close(quarter, F.avg_pool2d(frame, 4))
    wanted = F.interpolate(factor, scale_factor=4.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(F.pixel_shuffle(UpsampleToCells()(factor), 4), wanted)


@pytest.mark.parametrize("radius", [1, 3])
def test_correlation_is_the_shifted_products(radius: int) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 5, 6, 9, generator=generator), torch.rand(2, 5, 6, 9, generator=generator)
    found = LocalCorrelation(radius)(a, b)
    padded = F.pad(b, (radius,) * 4)
    shifts = itertools.product(range(2 * radius + 1), repeat=2)
    wanted = [(a * padded[:, :, y : y + 6, x : x + 9]).sum(1) for y, x in shifts]
    torch.testing.assert_close(found, torch.stack(wanted, dim=1))


@pytest.mark.parametrize(("dx", "dy"), [(2, -1), (0, 3), (-3, 0)])
def test_matching_follows_the_flow_convention(dx: int, dy: int) -> None:
    """The content at (x, y) was at (x + dx, y + dy). Matching finds it there, and warping brings it back."""
    generator = torch.Generator().manual_seed(0)
    previous = UnitLength()(torch.randn(1, 16, 12, 14, generator=generator))
    current = torch.roll(previous, (-dy, -dx), dims=(2, 3))
    match = SoftMatch(4)
    match.log_sharpness.data.fill_(3.7)
    inner = (..., slice(4, -4), slice(4, -4))
    cells, found = match(LocalCorrelation(4)(current, previous))
    assert found[:, 2:4].min() > -1e-3, "a variance is negative"
    assert found[:, 2:4][inner].max() < 0.1, "a sure match has a variance"
    assert found[:, 4][inner].abs().max() < 0.01, "the best cost of an equal vector is one"
    torch.testing.assert_close(cells[:, 0][inner], torch.full((1, 4, 6), float(dx)), atol=0.02, rtol=0)
    torch.testing.assert_close(cells[:, 1][inner], torch.full((1, 4, 6), float(dy)), atol=0.02, rtol=0)
    flow = FlowUpdate(8)(None, has_history(previous), cells)
    torch.testing.assert_close(Warp()(previous, flow, 8)[inner], current[inner], atol=0.03, rtol=0)


def test_untrusted_cells_take_the_flow_around_them() -> None:
    flow = torch.zeros(1, 2, 20, 30)
    flow[:, 0], flow[:, 1] = 3.0, -2.0
    trust = torch.full((1, 1, 20, 30), 30.0)
    wild = flow.clone()
    wild[..., 5:12, 8:20], trust[..., 5:12, 8:20] = 50.0, -30.0
    torch.testing.assert_close(Propagate()(wild, trust), flow, atol=1e-3, rtol=0)
    nothing = Propagate()(wild, torch.full_like(trust, -1000.0))
    assert torch.isfinite(nothing).all()


@pytest.mark.parametrize("side", [3, 9])
def test_a_box_mean_counts_the_cells_outside_as_zeros(side: int) -> None:
    cells = torch.randn(2, 5, 6, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(box_mean(cells, side), F.avg_pool2d(cells, side, stride=1, padding=side // 2))


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize(("dx", "dy"), [(0.8, -0.5), (-1.2, 0.9)])
def test_a_gradient_step_finds_what_is_left_of_the_motion(stride: int, dx: float, dy: float) -> None:
    """The previous picture is the current one moved by a coarse flow and a little more. The step finds the little."""

    def picture(moved: torch.Tensor) -> torch.Tensor:
        x = torch.arange(96.0) * 2 + 0.5 + moved[0]
        y = torch.arange(64.0)[:, None] * 2 + 0.5 + moved[1]
        return (torch.sin(x / 5 + y / 9) + torch.sin(x / 8 - y / 6) + 0.2 * torch.sin(y / 4))[None, None] / 5

    coarse = torch.tensor([4.0, -6.0])
    flow = coarse.view(1, 2, 1, 1).expand(1, 2, 128 // stride, 192 // stride)
    current, previous = picture(torch.zeros(2)), picture(-coarse - torch.tensor([dx, dy]))
    seen = torch.ones(1, 1, *flow.shape[-2:])
    better = GradientStep(stride)(current, previous, flow, torch.full_like(flow, -6.0), seen)
    inner = (better - flow)[..., 2:-2, 2:-2].mean((0, 2, 3))
    torch.testing.assert_close(inner, torch.tensor([dx, dy]), atol=0.12, rtol=0)


def test_a_gradient_step_stays_where_there_is_nothing_to_see() -> None:
    flow = torch.zeros(1, 2, 8, 12)
    for level in (0.0, 0.7):
        flat = torch.full((1, 1, 32, 48), level)
        assert GradientStep(8)(flat, flat, flow, flow, torch.ones(1, 1, 8, 12)).abs().max() < 1e-3


@pytest.mark.parametrize("angle", [0.2, 0.785, 1.3])
def test_a_gradient_step_along_an_edge_stays_finite_and_moves_across_it(angle: float) -> None:
    """One straight edge in a flat, large picture: without damping, its equations have no solution along the edge."""
    normal = torch.tensor([angle]).cos(), torch.tensor([angle]).sin()

    def picture(moved: float) -> torch.Tensor:
        x, y = torch.arange(512.0) * 2 - 512, torch.arange(256.0)[:, None] * 2 - 256
        return torch.sigmoid((x * normal[0] + y * normal[1] + moved) / 2)[None, None] - 0.5

    flow, seen = torch.zeros(1, 2, 64, 128), torch.ones(1, 1, 64, 128)
    hardly, usual = (GradientStep(8)(picture(0.0), picture(-0.5), flow, flow + log, seen) for log in (-8.0, -1.0))
    assert torch.isfinite(hardly).all() and usual.abs().max() < 1
    for step in (hardly, usual):
        across = step[0, 0] * normal[0] + step[0, 1] * normal[1]
        assert float(across[32, 64]) == pytest.approx(0.5, abs=0.2)


def test_autocast_leaves_exact_convolutions_alone() -> None:
    frame, factor = torch.rand(1, 3, 64, 96), 1 + torch.rand(1, 3, 16, 24) / 50
    flow, seen = torch.zeros(1, 2, 8, 12), torch.ones(1, 1, 8, 12)
    pictures = torch.rand(1, 1, 32, 48), torch.rand(1, 1, 32, 48)

    def results() -> list[torch.Tensor]:
        step = GradientStep(8)(*pictures, flow, flow - 4, seen)
        return [*Shrink()(F.pixel_unshuffle(frame, 4)), UpsampleToCells()(factor), step]

    exact = results()
    with torch.autocast("cpu", torch.bfloat16):
        narrow = results()
    for one, other in zip(exact, narrow, strict=True):
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-5)


def test_warp_keeps_half_precision_exact_far_from_the_origin() -> None:
    ramp = torch.arange(800.0).repeat(1, 1, 4, 1) / 1024
    flow = torch.full((1, 2, 4, 800), 0.5)
    flow[:, 1] = 0
    warped = Warp()(ramp.half(), flow, 1)
    assert warped.dtype == torch.float16
    torch.testing.assert_close(warped[..., :-1].float(), (ramp + 0.5 / 1024)[..., :-1], atol=3e-4, rtol=0)
