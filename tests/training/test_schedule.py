"""The length of a run in epochs, and a warm-up that would outlast it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

from mostnet.contract import TrainingError
from mostnet.training import TrainOptions, train, trainer
from mostnet.training.data.frame_source import FrameSource
from mostnet.training.run_log import TRAIN_COLUMNS, CsvLog
from mostnet.training.run_state import Position, load_run
from mostnet.training.schedule import SETTLING_STEPS, end_step, learning_rate, steps_of_epochs

from .moving_scenes import write_dataset

SMALL = TrainOptions(
    batch=2, clip=1, chunks=2, crop_hw=(64, 64), warmup=0, threads=1, log_every=1, validate_every=0, device="cpu"
)
FRAMES = 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=2, val=0, frames=FRAMES, size_hw=(64, 64))


def rates(
    options: TrainOptions,
    *,
    steps: int,
    minutes_a_step: float = 0.0,
    slow: Mapping[int, float] = MappingProxyType({}),
    resumed: int = 0,
) -> list[float]:
    """The rates of a run whose steps all take as long, but those in ``slow``; it is resumed before step ``resumed``."""
    at, found = Position(), []
    for step in range(steps):
        found.append(learning_rate(options, at))
        at.step += 1
        begun = resumed if step >= resumed else 0
        minutes = at.minutes + slow.get(step, minutes_a_step)
        end_step(options, at, minutes=minutes, counts=at.step - begun > SETTLING_STEPS)
    return found


def test_a_warm_up_that_outlasts_the_steps_takes_a_tenth_of_them() -> None:
    options = TrainOptions(steps=100, warmup=200, lr=1.0, final_lr=1.0)
    assert options.warm_up_steps == 10
    found = rates(options, steps=100)
    assert found[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11]) and found[10:] == [1.0] * 90
    assert replace(options, steps=201).warm_up_steps == 200
    assert rates(replace(options, steps=201), steps=200)[99] == pytest.approx(100 / 201)


def test_a_warm_up_takes_a_quarter_of_the_minutes_at_most() -> None:
    options = TrainOptions(steps=10**6, max_minutes=10, warmup=200, lr=1.0, final_lr=1.0)
    found = rates(options, minutes_a_step=0.1, steps=100)
    assert found[:4] == pytest.approx([(step + 1) / 201 for step in range(4)]), "they may be slow"
    assert found[4:28] == pytest.approx([step / 25 for step in range(1, 25)]) and found[28:] == pytest.approx(
        [1.0] * 72
    )
    assert rates(options, minutes_a_step=0.01, steps=200)[99] == pytest.approx(100 / 201), "it fits into the minutes"


@pytest.mark.parametrize("slow", [{0: 1.0}, {0: 1.0, 1: 1.0}, {0: 0.5, 50: 1.0}])
def test_slow_steps_at_the_start_of_a_process_do_not_shorten_the_warm_up(slow: dict[int, float]) -> None:
    options = TrainOptions(steps=10**6, max_minutes=10, warmup=70, lr=1.0, final_lr=1.0)
    found = rates(options, minutes_a_step=0.01, slow=slow, resumed=50, steps=100)
    assert found == pytest.approx([min(1.0, (step + 1) / 71) for step in range(100)])


def test_the_rate_never_falls_in_the_warm_up() -> None:
    options = TrainOptions(steps=10**6, max_minutes=10, warmup=190, lr=1.0, final_lr=1.0)
    paces = {step: 0.06 if step % 3 else 0.01 for step in range(200)}
    found = rates(options, slow=paces, steps=200)
    assert found == sorted(found) and found[50] < 1 and found[65] == 1


def test_what_counts_for_the_warm_up_goes_on_after_a_resume(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    times = {"s": 0.0}
    step = trainer.Learner.step

    def slow(self: trainer.Learner, *args: object, number: int, **options: object) -> object:
        times["s"] += 60 if number <= 3 else 6
        return step(self, *args, number=number, **options)

    monkeypatch.setattr(trainer.time, "monotonic", lambda: times["s"])
    monkeypatch.setattr(trainer.Learner, "step", slow)
    options = replace(SMALL, steps=5, max_minutes=10.0, warmup=4, lr=1e-3)
    train(data, tmp_path / "run", options=options, report=lines.append)
    train(data, tmp_path / "run", resume=True, steps=9, report=lines.append)
    at = load_run(tmp_path / "run/last.pt")[0]
    assert (at.minutes, at.counted_minutes) == pytest.approx((3.6, 0.3)), (
        "two steps count, and one of the second process"
    )
    assert (at.warm_step, at.warm_minutes) == (4, 3.1)
    assert not [line for line in lines if "warmup" in line]
    logged = [float(row["lr"]) for row in CsvLog(tmp_path / "run/train.csv", TRAIN_COLUMNS, resume_step=9).rows()]
    assert logged[:4] == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4]), "the rate of each step, not of the next"


@pytest.mark.parametrize(
    ("steps", "step", "warm_step", "rate"),
    [(1000, 600, 200, 0.5), (1000, 200, 200, 1.0), (1000, 100, 100, 101 / 201), (200, 110, 20, 0.5)],
)
def test_a_run_of_an_earlier_version_goes_on_at_its_learning_rate(
    data: Path, tmp_path: Path, steps: int, step: int, warm_step: int, rate: float
) -> None:
    train(data, tmp_path / "run", options=replace(SMALL, steps=1))
    document = torch.load(tmp_path / "run/last.pt", weights_only=True)
    for name in ("counted_minutes", "warm_step", "warm_minutes", "is_warm"):
        del document["position"][name]
    document["position"] |= {"step": step, "minutes": 6.0}
    document["options"] |= {"steps": steps, "warmup": 200}
    torch.save(document, tmp_path / "run/last.pt")
    at = load_run(tmp_path / "run/last.pt")[0]
    assert (at.warm_step, at.warm_minutes) == (warm_step, pytest.approx(6.0 * warm_step / step))
    options = TrainOptions(steps=steps, warmup=200, lr=1.0, final_lr=0.0)
    assert learning_rate(options, at) == pytest.approx(rate)


def test_a_longer_resumed_run_warms_up_no_second_time() -> None:
    options = TrainOptions(steps=10**6, max_minutes=10, warmup=500, lr=1.0, final_lr=1.0)
    at = Position()
    for _ in range(40):
        at.step += 1
        end_step(options, at, minutes=at.minutes + 0.1, counts=at.step > SETTLING_STEPS)
    longer = replace(options, max_minutes=60)
    assert 0 < at.warm_step < at.step
    assert learning_rate(longer, at) == 1.0
    assert end_step(longer, replace(at, step=at.step + 1), minutes=at.minutes + 9, counts=True) == ""


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (TrainOptions(steps=9, warmup=200), 9),  # no warm-up at all
        (TrainOptions(steps=10**6, max_minutes=10, warmup=500), 28),  # the process ends at the end of its warm-up
    ],
)
def test_a_warm_up_that_ended_with_its_process_is_over(options: TrainOptions, steps: int) -> None:
    at = Position()
    for _ in range(steps):
        assert not at.is_warm or not options.warm_up_steps
        at.step += 1
        end_step(options, at, minutes=at.minutes + 0.1, counts=at.step > SETTLING_STEPS)
    assert at.is_warm
    longer = replace(options, steps=10**6, max_minutes=6 * options.max_minutes, lr=1.0, final_lr=1.0)
    assert learning_rate(longer, at) == 1.0


def test_a_run_that_ends_in_its_warm_up_says_so(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10000, 25))
    monkeypatch.setattr(trainer.time, "monotonic", lambda: float(next(clock)))
    lines: list[str] = []
    options = replace(SMALL, steps=1000, max_minutes=1.0, warmup=100)
    train(data, tmp_path / "run", options=options, report=lines.append)
    said = "the minutes ended within the warm-up; raise --max-minutes, or lower --warmup"
    assert lines[-2] == said and lines[-1].startswith("done: ")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"steps": 6, "warmup": 6}, "--warmup 6 does not fit into 6 steps; the run has no warm-up"),
        (
            {"steps": 1000, "max_minutes": 1.0, "warmup": 100},
            "--warmup 100 takes more than a quarter of 1 min; the learning rate rose over 6 steps",
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


def test_the_rate_that_was_asked_for_is_reached_at_the_end_of_a_long_warm_up() -> None:
    options = TrainOptions(steps=100, warmup=15, lr=1.0, final_lr=0.0)
    found = rates(options, steps=101)
    assert found[15] == 1.0 and found[:16] == sorted(found[:16]) and found[15:] == sorted(found[15:], reverse=True)
    assert found[100] == pytest.approx(0.0)
    timed = rates(replace(options, steps=10**6, max_minutes=10.0), minutes_a_step=0.1, steps=101)
    assert timed == pytest.approx(found), "minutes at an even pace are as good as steps"


def test_a_finished_run_says_so_and_nothing_of_its_warm_up(data: Path, tmp_path: Path) -> None:
    options = replace(SMALL, steps=2, warmup=6)
    lines: list[str] = []
    train(data, tmp_path / "run", options=options, report=lines.append)
    steps = [line for line in lines if line.startswith("step ")]
    assert len(steps) == 2 and all(" s/step lr " in line for line in steps)
    lines.clear()
    train(data, tmp_path / "run", options=options, resume=True, report=lines.append)
    assert "this run was already finished; --steps above 2 continues it" in lines
    assert not [line for line in lines if "warmup" in line]


def test_a_change_of_the_cpu_threads_and_bad_files_are_said(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([2, 2, 1])
    monkeypatch.setattr(trainer.TorchThreads, "__init__", lambda self, asked: setattr(self, "most", 2))
    monkeypatch.setattr(trainer.TorchThreads, "follow", lambda self: None)
    monkeypatch.setattr(trainer.torch, "get_num_threads", lambda: next(counts, 1))
    copy = Path(shutil.copytree(data, tmp_path / "data"))
    (copy / "train/0001/input/000002.png").write_bytes(b"damaged")
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrameSource.__init__, "__kwdefaults__", {**FrameSource.__init__.__kwdefaults__, "most_bad": 0.5})
        result = train(copy, tmp_path / "run", options=replace(SMALL, cache="ram", steps=3), report=lines.append)
    assert result.bad_frames == 1 and lines[-1].endswith("; 1 frame could not be read")
    assert lines.count("1 of 2 CPU threads now, because other processes use the CPU") == 1


def test_a_warm_up_that_fits_is_not_spoken_of(data: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    train(data, tmp_path / "run", options=replace(SMALL, steps=4, warmup=3), report=lines.append)
    assert not [line for line in lines if "warmup" in line]


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
    longer = tmp_path / "longer"
    train(data, longer, options=SMALL, epochs=1, max_minutes=1e-9, report=lines.append)
    assert "1 epoch is 6 steps" in lines
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
