"""Batches of moving photographs that are made ahead, and the options of a CUDA graph."""

from __future__ import annotations

import threading

import pytest
import torch

from mostnet.contract import TrainingError
from mostnet.training.batches import BatchSource, _made_ahead, photo_clips, turned
from mostnet.training.data.clips import Batch
from mostnet.training.learner import choose_device
from mostnet.training.options import TrainOptions


class _Made:
    """Notes which window is made by which thread."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []

    def __getitem__(self, window: int) -> int:
        self.asked.append((window, threading.current_thread() is threading.main_thread()))
        return window


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_batches_made_ahead_come_in_order(count: int) -> None:
    assert list(_made_ahead(_Made(), range(7, 7 + count))) == list(range(7, 7 + count))  # type: ignore[arg-type]


def test_nothing_is_made_ahead_during_the_first_step() -> None:
    made = _Made()
    batches = _made_ahead(made, range(9))  # type: ignore[arg-type]
    next(batches)
    assert made.asked == [(0, True)]
    next(batches)
    assert [window for window, _ in made.asked][:2] == [0, 1]
    assert not any(here for window, here in made.asked if window)


@pytest.mark.parametrize(
    ("share", "batch", "count"), [(0.0, 4, 0), (0.1, 4, 1), (0.75, 2, 1), (0.75, 4, 3), (0.95, 4, 3), (1.0, 4, 4)]
)
def test_a_batch_has_photographs_and_drawn_clips_unless_the_share_says_otherwise(
    share: float, batch: int, count: int
) -> None:
    assert photo_clips(TrainOptions(photo_share=share, batch=batch)) == count


def test_a_batch_of_one_clip_cannot_be_shared() -> None:
    assert photo_clips(TrainOptions(photo_share=1.0, batch=1)) == 1
    with pytest.raises(TrainingError, match=r"--photo-share is 0\.75 \(the default\), but a batch has one clip"):
        photo_clips(TrainOptions(photo_share=0.75, batch=1))


def moving_clip() -> Batch:
    """Two frames of 4x6 pixels that differ everywhere, whose content moves right by one and down by two."""
    numbers = torch.arange(2 * 4 * 6 * 3, dtype=torch.uint8).view(1, 2, 4, 6, 3)
    flow = torch.tensor([-1.0, -2.0]).view(1, 1, 2, 1, 1).expand(1, 2, 2, 4, 6).clone()
    flow[..., 0, 0] *= 3
    mask = numbers[..., 0]
    ones = torch.ones(1, dtype=torch.bool)
    return Batch(numbers, numbers + 1, mask, flow, mask > 40, ones, ones)


def test_a_turned_batch_moves_the_other_way() -> None:
    batch = moving_clip()
    mirrored, upside_down, both = (turned(batch, turn) for turn in (1, 2, 3))
    assert turned(batch, 0) is batch
    assert torch.equal(mirrored.input, batch.input[:, :, :, range(5, -1, -1)])
    assert torch.equal(upside_down.mask, batch.mask[:, :, range(3, -1, -1)])
    assert mirrored.flow[0, 1, :, 0, 5].tolist() == [3.0, -6.0]
    assert upside_down.flow[0, 1, :, 3, 0].tolist() == [-3.0, 6.0]
    assert both.flow[0, 1, :, 3, 5].tolist() == [3.0, 6.0]
    for part, back in zip(batch, turned(both, 3), strict=True):
        assert torch.equal(part, back)


class _Drawn(torch.utils.data.Dataset):
    """Clips whose pictures hold the number of the clip."""

    def __getitem__(self, item: int) -> Batch:
        parts = moving_clip()
        return Batch(*(part[0] for part in parts._replace(input=torch.full_like(parts.input, item))))


@pytest.mark.parametrize("first", [0, 1, 2, 5])
def test_every_batch_is_used_again_and_a_resumed_run_goes_on_in_its_midst(first: int) -> None:
    options = TrainOptions(batch=1, repeats=3, steps=9)
    source = BatchSource(_Drawn(), None, options, device=torch.device("cpu"))  # type: ignore[arg-type]
    found = [(int(batch.input[0, 0, 0, 0, 0]), float(batch.flow[0, 0, 0, 1, 1])) for batch in source.batches(first)]
    wanted = [(i // 3, 1.0 if i % 3 == 1 else -1.0) for i in range(12)]
    assert found == wanted[first:]


def test_a_batch_can_be_turned_in_four_ways() -> None:
    with pytest.raises(TrainingError, match="repeats is 5; a batch can be turned in 4 ways at most"):
        TrainOptions(repeats=5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_cuda_graph_needs_cuda() -> None:
    with pytest.raises(TrainingError, match="cuda_graph needs CUDA; drop --cuda-graph on the CPU"):
        choose_device(TrainOptions(cuda_graph=True))


@pytest.mark.parametrize("other", [{"compile": True}, {"recurrence": False}])
def test_a_cuda_graph_holds_neither_a_compiled_network_nor_one_without_state(
    monkeypatch: pytest.MonkeyPatch, other: dict[str, bool]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(TrainingError, match="does not go with compile, or without recurrence"):
        choose_device(TrainOptions(cuda_graph=True, **other))
