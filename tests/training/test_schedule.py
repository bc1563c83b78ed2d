"""The length of a run in epochs, and a warm-up that would outlast it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mostnet.contract import TrainingError
from mostnet.training import TrainOptions, train, trainer
from mostnet.training.run_state import load_run
from mostnet.training.schedule import learning_rate, steps_of_epochs, warm_up_steps

from .moving_scenes import write_dataset

SMALL = TrainOptions(
    batch=2, clip=1, chunks=2, crop_hw=(64, 64), warmup=0, threads=1, log_every=1, validate_every=0, device="cpu"
)
FRAMES = 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=2, val=0, frames=FRAMES, size_hw=(64, 64))


def rates(options: TrainOptions, *, minutes_a_step: float = 0.0, steps: int) -> list[float]:
    return [learning_rate(options, step=step, minutes=step * minutes_a_step) for step in range(steps)]


def test_a_warm_up_that_outlasts_the_steps_takes_a_tenth_of_them() -> None:
    options = TrainOptions(steps=100, warmup=200, lr=1.0, final_lr=1.0)
    assert warm_up_steps(options) == 10
    found = rates(options, steps=100)
    assert found[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11]) and found[10:] == [1.0] * 90
    assert warm_up_steps(replace(options, steps=201)) == 200
    assert rates(replace(options, steps=201), steps=200)[99] == pytest.approx(100 / 201)


def test_a_warm_up_that_outlasts_the_minutes_takes_a_tenth_of_them() -> None:
    options = TrainOptions(steps=10**6, max_minutes=10, warmup=200, lr=1.0, final_lr=1.0)
    assert rates(options, minutes_a_step=0.1, steps=100)[5] == pytest.approx(0.5)
    assert rates(options, minutes_a_step=0.1, steps=100)[10:] == [1.0] * 90
    assert rates(options, minutes_a_step=0.01, steps=200)[99] == pytest.approx(100 / 201), "it fits into the minutes"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"steps": 6, "warmup": 6}, "the warm-up takes 0 of 6 steps, because the run has only 6"),
        (
            {"steps": 1000, "max_minutes": 1.0, "warmup": 100},
            "the warm-up takes 1 of 100 steps, because the run has only 1 min",
        ),
    ],
)
def test_the_run_says_that_its_warm_up_is_shorter(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict, expected: str
) -> None:
    clock = iter(range(0, 10000, 5))
    monkeypatch.setattr(trainer.time, "monotonic", lambda: float(next(clock)))
    lines: list[str] = []
    train(data, tmp_path / "run", options=replace(SMALL, **changes), report=lines.append)
    assert lines.count(expected) == 1


def test_a_warm_up_that_fits_is_not_spoken_of(data: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    train(data, tmp_path / "run", options=replace(SMALL, steps=4, warmup=3), report=lines.append)
    assert not [line for line in lines if "warm-up" in line]


@pytest.mark.parametrize(
    ("changes", "counts", "expected"),
    [
        ({}, {}, 3 * 25 * 2),  # 100 frames are 50 clips of 2 frames, 25 batches of 2 steps
        ({"repeats": 2}, {}, 3 * 25 * 2 * 2),
        ({"batch": 3}, {}, 50 * 2),  # 3 * 50 clips in batches of 3
        ({}, {"photos": 7, "photo_clips": 1}, 3 * 50 * 2),
        ({}, {"photos": 7, "photo_clips": 2}, 11 * 2),  # 21 photographs in batches of 2
        ({"overfit": 4}, {}, 3 * 2 * 2),
    ],
)
def test_steps_of_epochs(changes: dict, counts: dict, expected: int) -> None:
    options = replace(SMALL, epochs=3, **changes)
    given = {"sequences": 4, "frames": 100, "photos": 0, "photo_clips": 0, **counts}
    assert steps_of_epochs(options, **given) == expected


def test_a_run_of_epochs_draws_its_frames_that_often_and_resumes_by_its_steps(data: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    result = train(data, tmp_path / "run", options=SMALL, epochs=2, report=lines.append)
    drawn = result.steps * SMALL.batch * SMALL.clip
    assert result.steps == 10 and drawn == 2 * 2 * FRAMES
    assert "2 epochs are 10 steps" in lines
    saved = load_run(tmp_path / "run/last.pt")[1]
    assert (saved.steps, saved.epochs) == (10, 0)
    assert train(data, tmp_path / "run", resume=True, epochs=3, report=lines.append).steps == 16


def test_steps_and_epochs_exclude_each_other_and_the_later_choice_counts() -> None:
    with pytest.raises(TrainingError, match="flags: both steps and epochs; each is the length of the run, so drop one"):
        SMALL.updated({"steps": 5, "epochs": 2}, source="flags")
    file = SMALL.updated({"epochs": 2}, source="a.yaml")
    assert file.updated({"steps": 5}, source="flags").epochs == 0
    assert SMALL.updated({"steps": 5}, source="a.yaml").updated({"epochs": 2}, source="flags").epochs == 2
    assert SMALL.updated(SMALL.to_dict(), source="options.yaml") == SMALL
    with pytest.raises(TrainingError, match="epochs is -1; expected at least 0"):
        replace(SMALL, epochs=-1)
