"""Losses: their values on hand-made cases, missing labels, and options of a run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mostnet.contract import TrainingError
from mostnet.model import Matching, MostNet, Prediction, ScalePrediction, initial_checkpoint
from mostnet.training.ablations import Stepper, Unaligned, remove_alignment
from mostnet.training.losses.ours import (
    LossOptions,
    Target,
    TaskWeights,
    best_map,
    frame_losses,
    matching_divergence,
    target_cells,
    tooth_motion_error,
    uncertainty_loss,
)
from mostnet.training.options import TrainOptions
from mostnet.training.run_state import Position
from mostnet.training.schedule import AveragedWeights, learning_rate

SIZE = (64, 64)


def make_target(*, flow: tuple[float, float] = (4.0, -3.0), labelled: bool = True) -> Target:
    ones = torch.full((2,), float(labelled))
    vectors = torch.tensor(flow).view(1, 2, 1, 1).expand(2, 2, *SIZE).clone() * labelled
    mask = torch.zeros(2, 1, *SIZE)
    mask[..., :32] = float(labelled)
    reference = torch.full((2, 3, *SIZE), 0.5 * labelled)
    return Target(reference, mask, vectors, torch.full((2, 1, *SIZE), float(labelled)), ones, ones)


def make_prediction(*, picture: float, flow: tuple[float, float], logit: Tensor | None = None) -> Prediction:
    def at(stride: int, channels: int) -> tuple[int, ...]:
        return (2, channels, SIZE[0] // stride, SIZE[1] // stride)

    logit = torch.zeros(at(1, 1)) if logit is None else logit
    vectors = torch.tensor(flow).view(1, 2, 1, 1)
    scales = tuple(
        ScalePrediction(
            stride,
            torch.full(at(1 if stride == 4 else stride, 3), picture),
            torch.nn.functional.avg_pool2d(logit, stride),
            None if stride == 4 else vectors.expand(at(stride, 2)),
            None,
            None,
        )
        for stride in (4, 8, 16)
    )
    return Prediction(scales[0].enhanced, logit, vectors.expand(at(1, 2)), scales)


def picture_loss(level: float, target: Target) -> float:
    """Loss of a picture of one level at the finest scale, without the detail and fit terms."""
    prediction = make_prediction(picture=level, flow=(0.0, 0.0))
    finest = prediction._replace(scales=prediction.scales[:1])
    return float(frame_losses(finest, target, LossOptions(detail=0.0, fit=0.0))["enhance"])


def decibel_loss(root_mean_square: float) -> float:
    """0.03 for each factor of e above an error of 0.005."""
    return 0.03 * 0.5 * math.log(1 + (root_mean_square / 0.005) ** 2)


def test_values_on_a_hand_made_case() -> None:
    """The error of 0.1 has no detail and no fit error. Flow is off by (3, 4), so by 5 pixels. The mask is undecided."""
    losses = frame_losses(make_prediction(picture=0.6, flow=(7.0, 1.0)), make_target(), LossOptions())
    charbonnier = math.sqrt(0.1**2 + 1e-6) - 1e-3
    assert float(losses["enhance"]) == pytest.approx(1.5 * (charbonnier + decibel_loss(0.1)), rel=1e-4)
    motion = math.sqrt(25 + 0.05**2) - 0.05
    assert float(losses["flow"]) == pytest.approx(2 * (25 + 0.05**2) ** 0.45 + 2 * motion, rel=1e-4)
    dice = [1 - (cells / 2 + 1) / (cells + 1) for cells in (256, 64, 16)]
    assert float(losses["mask"]) == pytest.approx(1.5 * math.log(2) + dice[0] + 0.25 * (dice[1] + dice[2]), rel=1e-4)


def test_perfect_predictions_cost_next_to_nothing() -> None:
    target = make_target()
    logit = (target.mask * 2 - 1) * 30
    losses = frame_losses(make_prediction(picture=0.5, flow=(4.0, -3.0), logit=logit), target, LossOptions())
    assert float(losses["enhance"]) == 0.0
    assert float(losses["flow"]) == pytest.approx(2 * 0.05**0.9, rel=1e-4), "the floor of the robust penalty"
    assert float(losses["mask"]) < 1e-3


def test_blur_costs_detail() -> None:
    stripes = make_target()
    stripes.reference[..., ::2] += 0.2
    flat = make_prediction(picture=0.6, flow=(0.0, 0.0))
    without, with_detail = (
        float(frame_losses(flat, stripes, LossOptions(detail=detail))["enhance"]) for detail in (0.0, 0.5)
    )
    assert with_detail == pytest.approx(without + 0.5 * (math.sqrt(0.04 + 1e-6) - 1e-3), rel=1e-3)


def test_mean_square_counts_each_frame_for_itself() -> None:
    target = make_target()
    target.reference[0] -= 0.1
    target.reference[1, :, :32] -= 0.4
    charbonnier = [math.sqrt(error**2 + 1e-6) - 1e-3 for error in (0.1, 0.4)]
    wanted = charbonnier[0] + charbonnier[1] / 2 + decibel_loss(0.1) + decibel_loss(0.4 / math.sqrt(2))
    assert picture_loss(0.5, target) == pytest.approx(wanted / 2, rel=1e-4)


def test_the_logarithm_counts_each_decibel_alike() -> None:
    """Half the error gains the same in a good picture as in a bad one, apart from the Charbonnier penalty."""
    target = make_target()
    target.reference[:] = 0.0
    errors = [0.02 * 2**k for k in range(5)]  # 34 to 10 dB
    gains = [
        picture_loss(2 * error, target)
        - picture_loss(error, target)
        - (math.hypot(2 * error, 1e-3) - math.hypot(error, 1e-3))
        for error in errors
    ]
    assert gains == pytest.approx([0.03 * math.log(2)] * 5, rel=0.06)


def test_best_map_is_the_least_squares_fit_of_each_channel() -> None:
    generator = torch.Generator().manual_seed(1)
    picture = torch.rand(2, 3, 16, 20, generator=generator)
    picture[1, 2] = 0.4  # flat: only shifted
    factor, offset = torch.rand(2, 2, 3, 1, 1, generator=generator) + 0.3
    reference = picture * factor + offset + 0.05 * torch.randn(picture.shape, generator=generator)
    scale, shift = best_map(picture, reference)
    for n, c in [(n, c) for n in range(2) for c in range(3)]:
        if (n, c) != (1, 2):
            wanted = np.polyfit(picture[n, c].flatten().numpy(), reference[n, c].flatten().numpy(), 1)
            np.testing.assert_allclose([scale[n, c].item(), shift[n, c].item()], wanted, rtol=1e-3, atol=1e-4)
    assert scale[1, 2].item() == 1
    assert (shift[1, 2] + 0.4).item() == pytest.approx(reference[1, 2].mean().item(), abs=1e-5)


def test_best_map_inverts_nothing_and_has_a_greatest_scale() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 1, *SIZE)
    for factor, wanted in ((-0.5, 0.0), (9.0, 4.0)):
        scale, shift = best_map(ramp, factor * ramp)
        assert scale.item() == pytest.approx(wanted)
        assert (scale * ramp + shift).mean().item() == pytest.approx(factor / 2, abs=1e-5)


def test_a_wrong_colour_does_not_hide_an_error_of_a_detail() -> None:
    """A dark picture lacks a stripe. With the fit term, the loss asks to brighten the stripe more than the rest."""
    target = make_target()
    target.reference[:] = torch.linspace(0.3, 0.8, 64)
    target.reference[..., 30:34, :] += 0.1
    slopes = []
    for fit in (0.0, 1.0):
        picture = (torch.linspace(0.3, 0.8, 64) - 0.2).expand(2, 3, *SIZE).clone().requires_grad_(True)
        prediction = make_prediction(picture=0.5, flow=(0.0, 0.0))
        prediction = prediction._replace(scales=(prediction.scales[0]._replace(enhanced=picture),))
        frame_losses(prediction, target, LossOptions(detail=0.0, fit=fit))["enhance"].backward()
        assert picture.grad is not None
        stripe, rest = picture.grad[..., 30:34, :].mean(), picture.grad[..., :20, :].mean()
        assert stripe < 0
        slopes.append(float(rest / stripe))
    assert slopes[0] > 0.67 and abs(slopes[1]) < 0.33


def test_tooth_motion_error_is_the_error_of_the_fitted_similarity() -> None:
    """Against NumPy's least squares. Noise, other surfaces and unknown flow do not count."""
    generator = torch.Generator().manual_seed(3)
    target = make_target()
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    error = torch.stack((0.3 - 0.02 * y + 0.01 * x, -0.2 + 0.02 * x + 0.01 * y)).expand(2, 2, *SIZE).clone()
    error += 0.5 * torch.randn(error.shape, generator=generator)
    target.valid[..., :8] = 0
    error[..., :8] = 50.0
    error[..., 32:] = -70.0
    rows, right = [], []
    for v, u in np.ndindex(64, 24):
        rows += [[1, 0, u + 8, -v], [0, 1, v, u + 8]]
        right += error[1, :, v, u + 8].tolist()
    fitted = np.array(rows) @ np.linalg.lstsq(np.array(rows, float), np.array(right), rcond=None)[0]
    wanted = math.sqrt(np.mean(np.sum(fitted.reshape(-1, 2) ** 2, axis=1)))
    second = target._replace(has_mask=torch.tensor([0.0, 1.0]))
    found = float(tooth_motion_error(target.flow + error, second))
    assert found == pytest.approx(math.sqrt(wanted**2 + 0.05**2) - 0.05, rel=1e-4)
    assert 0.3 < found < 1.0
    assert float(tooth_motion_error(target.flow + error, target._replace(mask=torch.zeros(2, 1, *SIZE)))) == 0.0


def test_matching_divergence_is_zero_only_for_the_true_displacement() -> None:
    """The true flow is (4, -3): at stride 8 half a cell to the right, three eighths up; probabilities by hand."""
    cell = target_cells(make_target())[8]
    share = torch.zeros(5, 5)  # rows dy, columns dx, from -2 to 2
    share[1, 2], share[1, 3], share[2, 2], share[2, 3] = 3 / 16, 3 / 16, 5 / 16, 5 / 16
    cost = share.clamp_min(1e-30).log().view(1, 25, 1, 1).expand(2, 25, 8, 8)
    right = Matching(cost, torch.tensor(1.0), None, cell.flow, cell.flow)
    assert float(matching_divergence(right, cell, 8)) == pytest.approx(0.0, abs=1e-5)
    flat = Matching(torch.zeros(2, 25, 8, 8), torch.tensor(1.0), None, cell.flow, cell.flow)
    entropy = -2 * (3 / 16 * math.log(3 / 16) + 5 / 16 * math.log(5 / 16))
    assert float(matching_divergence(flat, cell, 8)) == pytest.approx(math.log(25) - entropy, rel=1e-5)
    transposed = Matching(
        cost.reshape(2, 5, 5, 8, 8).transpose(1, 2).reshape(2, 25, 8, 8), torch.tensor(1.0), None, cell.flow, cell.flow
    )
    assert float(matching_divergence(transposed, cell, 8)) > 1.0
    around = torch.zeros(2, 2, 8, 8, requires_grad=True)
    moved = Matching(
        torch.zeros(2, 25, 8, 8, requires_grad=True), torch.tensor(1.0), around + cell.flow, cell.flow, cell.flow
    )
    matching_divergence(moved, cell, 8).backward()
    assert around.grad is None, "the coarser flow gets no gradient from the search around it"
    far = flat._replace(around=cell.flow + 17.0)
    assert float(matching_divergence(far, cell, 8)) == 0.0, "beyond the search"
    unknown = cell._replace(valid=torch.full_like(cell.valid, 0.5))
    assert float(matching_divergence(flat, unknown, 8)) == 0.0


def test_cells_average_only_the_known_flow() -> None:
    target = make_target(flow=(4.0, -3.0))
    target.valid[..., 1::2] = 0
    target.flow[..., 1::2] = 0
    target.valid[..., :16] = 0
    cell = target_cells(target)[8]
    assert cell.flow[:, :, :, 2:].unique().tolist() == [-3.0, 4.0]
    assert cell.valid[..., 2:].unique().tolist() == [0.5] and float(cell.valid[..., :2].sum()) == 0
    assert cell.mask[..., :4].unique().tolist() == [1.0]


def test_clips_without_a_label_do_not_count() -> None:
    both = make_target()
    one = both._replace(has_reference=torch.tensor([1.0, 0.0]), has_mask=torch.tensor([1.0, 0.0]))
    one.reference[1] = 0.0
    one.mask[1] = 0.0
    prediction = make_prediction(picture=0.6, flow=(0.0, 0.0))
    expected = frame_losses(prediction, make_target(), LossOptions())
    found = frame_losses(prediction, one, LossOptions())
    assert float(found["enhance"]) == pytest.approx(float(expected["enhance"]))
    assert float(found["mask"]) == pytest.approx(float(expected["mask"]))


@pytest.mark.parametrize("learned", [False, True])
def test_no_labels_at_all_give_no_loss_and_finite_zero_gradients(learned: bool) -> None:
    model = initial_checkpoint("nano", random_head=True).model.requires_grad_(True)
    weights = TaskWeights(LossOptions(), learned=learned)
    prediction, state = model.step(torch.rand(2, 3, *SIZE))
    prediction, _ = model.step(torch.rand(2, 3, *SIZE), state)
    total = weights(frame_losses(prediction, make_target(labelled=False), LossOptions()))
    assert float(total.detach()) == 0.0
    total.backward()
    values = [p.grad for p in [*model.parameters(), *weights.parameters()] if p.grad is not None]
    assert values and all(float(value.abs().max()) == 0.0 for value in values)


def test_every_weight_of_the_network_learns() -> None:
    model = initial_checkpoint("nano", random_head=True).model.requires_grad_(True)
    torch.manual_seed(0)
    state, total = None, torch.zeros(())
    for _ in range(3):
        prediction, state = model.step(torch.rand(2, 3, *SIZE), state)
        total = total + TaskWeights(LossOptions())(frame_losses(prediction, make_target(), LossOptions()))
    total.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not bool((p.grad != 0).any())] == []


def test_task_weights_fixed_and_learned() -> None:
    losses = {"enhance": torch.tensor(2.0), "flow": torch.tensor(10.0), "mask": torch.tensor(3.0)}
    fixed = TaskWeights(LossOptions(enhance=1.0, flow=0.1, mask=0.5))
    assert float(fixed(losses)) == pytest.approx(4.5)
    assert float(TaskWeights(LossOptions(("flow",), flow=0.1))(losses)) == pytest.approx(1.0)
    learned = TaskWeights(LossOptions(enhance=1.0, flow=0.1, mask=0.5), learned=True)
    assert learned.log_variance is not None
    learned.log_variance.data = torch.tensor([math.log(2.0), 0.0, 0.0])
    assert float(learned(losses).detach()) == pytest.approx(1.0 + 0.5 * math.log(2.0) + 1.0 + 1.5)


def test_single_task_has_no_other_loss() -> None:
    losses = frame_losses(make_prediction(picture=0.6, flow=(7.0, 1.0)), make_target(), LossOptions(("mask",)))
    assert float(losses["enhance"]) == float(losses["flow"]) == 0.0 < float(losses["mask"])


def test_ablated_networks() -> None:
    checkpoint = initial_checkpoint("nano", random_head=True)
    frames = torch.rand(3, 1, 3, *SIZE)

    def last(model: MostNet, *, recurrence: bool = True) -> Prediction:
        step, state = Stepper(model, recurrence=recurrence), None
        for frame in frames:
            prediction, state = step(frame, state)
        return prediction

    with torch.no_grad():
        full, still = last(checkpoint.model), last(checkpoint.model, recurrence=False)
        first, _ = checkpoint.model.step(frames[-1])
        names = list(checkpoint.model.state_dict())
        remove_alignment(checkpoint.model)
        unaligned = last(checkpoint.model)
    assert torch.equal(still.enhanced, first.enhanced) and not torch.equal(full.enhanced, first.enhanced)
    assert not torch.equal(unaligned.enhanced, full.enhanced) and unaligned.flow.abs().max() > 0
    assert list(checkpoint.model.state_dict()) == names
    assert sum(isinstance(module, Unaligned) for module in checkpoint.model.modules()) == 3


def test_learning_rate_over_steps_and_minutes() -> None:
    options = TrainOptions(steps=100, lr=1.0, warmup=9, final_lr=0.1)

    def rate(options: TrainOptions, step: int, minutes: float = 0.0) -> float:
        return learning_rate(options, Position(step=step, minutes=minutes, warm_step=min(step, options.warmup)))

    assert rate(options, 0) == pytest.approx(0.1)
    assert rate(options, 9) == 1.0, "the warm-up ends at the rate that was asked for"
    assert 0.55 < rate(options, 50) < rate(options, 10) < 1.0
    assert rate(replace(options, warmup=0), 50) == pytest.approx(0.55)
    assert rate(options, 100) == pytest.approx(0.1)
    timed = replace(options, max_minutes=10.0)
    no_warm_up = replace(timed, warmup=0)
    assert rate(no_warm_up, 18, minutes=5) == pytest.approx(0.55), "time is further than steps"
    assert rate(timed, 75, minutes=1) == rate(options, 75)
    assert rate(timed, 20, minutes=11) == pytest.approx(0.1)


def test_averaged_weights_start_fast_and_settle() -> None:
    model = initial_checkpoint("nano").model
    average = AveragedWeights(model, decay=0.9)
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(1.0)
        for p in average.model.parameters():
            p.zero_()
    average.update(model, 1)
    assert next(average.model.parameters()).unique().tolist() == pytest.approx([1 - 2 / 11])
    average.update(model, 10**6)
    assert next(average.model.parameters()).unique().tolist() == pytest.approx([1 - 0.9 * 2 / 11])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 5", r"unknown option 'stepz'; did you mean steps\?"),
        ("crop: 5", r"unknown option 'crop'; did you mean crop_hw\?"),
        ("max-minutes: 5", r"unknown option 'max-minutes'; did you mean max_minutes\?"),
        ("quick: 5", "unknown option 'quick'; known are network, variant, steps"),
        ("steps: many", "steps is 'many'; expected int"),
        ("steps: true", "steps is True; expected int"),
        ("lr: [1]", r"lr is \[1\]; expected float"),
        ("steps: 0", "steps is 0; expected at least 1"),
        ("lr: 0", "lr is 0.0; expected a number above 0"),
        ("lr: .nan", "lr is nan; expected a number above 0"),
        ("ema: 1", "ema is 1.0; expected a decay"),
        ("amp: fp8", "amp is 'fp8'; expected one of off, bf16, fp16"),
        ("crop_hw: [60, 64]", "crop is 60x64; expected multiples of 16 from 64"),
        ("crop_hw: [64]", r"crop_hw is \[64\]; expected a list of two whole numbers"),
        ("tasks: [enhance, depth]", "tasks are enhance, depth; expected one or more of enhance, flow, mask"),
        ("scale_min: 2", "scale_min is 2.0; expected above 0 and at most 1.4"),
        ("- steps", "holds list, expected one `option: value` per line"),
        ("a: [", "not YAML"),
    ],
)
def test_yaml_files_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=message):
        TrainOptions().updated(TrainOptions.values_from_yaml(path), source=str(path))


def test_a_bare_off_in_yaml_is_a_word(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("amp: off\nrecurrence: off\n")
    options = TrainOptions(amp="bf16").updated(TrainOptions.values_from_yaml(tmp_path / "run.yaml"), source="")
    assert (options.amp, options.recurrence) == ("off", False)


def test_missing_yaml_file(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none.yaml: cannot be read \(No such file"):
        TrainOptions.values_from_yaml(tmp_path / "none.yaml")


def test_uncertainty_is_least_wrong_at_the_mean_error_and_does_not_move_the_flow() -> None:
    """All errors are 5 pixels."""
    cell = target_cells(make_target())[8]
    flow = torch.tensor([7.0, 1.0]).view(1, 2, 1, 1).expand(2, 2, 8, 8).clone().requires_grad_()
    logs = torch.linspace(0.5, 3.0, 26)
    losses = [float(uncertainty_loss(torch.full((2, 1, 8, 8), float(x)), flow, cell)) for x in logs]
    assert float(logs[int(torch.tensor(losses).argmin())]) == pytest.approx(math.log(5), abs=0.1)
    assert min(losses) > 0, "a loss below zero would count as no label"
    still = uncertainty_loss(torch.full((2, 1, 8, 8), -200.0), cell.flow, cell)
    assert float(still) == pytest.approx(0, abs=1e-4), "a flow without error"
    log_error = torch.zeros(2, 1, 8, 8, requires_grad=True)
    uncertainty_loss(log_error, flow, cell).backward()
    assert flow.grad is None and log_error.grad is not None and log_error.grad.abs().sum() > 0
