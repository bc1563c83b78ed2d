"""The frame module: uint8 in and out, and a state that heals."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mostnet.model import FrameModel, initial_checkpoint
from mostnet.model.frame import FrameToCells, SoundCells

SIZE = (72, 96)


@pytest.fixture(scope="module")
def frames() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 256, (1, *SIZE, 3), dtype=torch.uint8, generator=generator) for _ in range(4)]


@pytest.fixture(scope="module", params=[torch.float32, torch.float16], ids=["fp32", "fp16"])
def module(request: pytest.FixtureRequest) -> FrameModel:
    return FrameModel(initial_checkpoint("nano", random_head=True).model.to(request.param))


def test_outputs(module: FrameModel, frames: list[torch.Tensor]) -> None:
    enhanced, flow, mask, finite, *state = module(frames[0], *module.zero_state(SIZE))
    assert (enhanced.dtype, tuple(enhanced.shape)) == (torch.uint8, (1, *SIZE, 3))
    assert (flow.dtype, tuple(flow.shape)) == (torch.float32, (1, 2, *SIZE))
    assert (mask.dtype, tuple(mask.shape)) == (torch.uint8, (1, *SIZE))
    assert (finite.dtype, finite.tolist()) == (torch.bool, [True])
    assert len(state) == len(module.zero_state(SIZE))
    assert all(t.abs().max() <= 1 for t in state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_untrained_network_returns_its_frame_exactly(dtype: torch.dtype) -> None:
    module = FrameModel(initial_checkpoint("nano").model.to(dtype))
    levels = torch.arange(256, dtype=torch.uint8).repeat(SIZE[0] * SIZE[1] * 3 // 256).reshape(1, *SIZE, 3)
    assert torch.equal(module(levels, *module.zero_state(SIZE))[0], levels)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("index", range(6))
def test_poisoned_state_is_reported_and_heals(
    module: FrameModel, frames: list[torch.Tensor], poison: float, index: int
) -> None:
    _, _, _, _, *state = module(frames[0], *module.zero_state(SIZE))
    state[index][0, 0] = poison
    _, flow, _, finite, *state = module(frames[1], *state)
    assert torch.isfinite(flow).all()
    assert all(torch.isfinite(t).all() for t in state)
    _, _, _, healed, *_ = module(frames[2], *state)
    assert healed.tolist() == [True]
    if poison != poison:
        assert finite.tolist() == [False]


def test_wholly_poisoned_picture_is_the_frame(module: FrameModel, frames: list[torch.Tensor]) -> None:
    state = [torch.full_like(t, torch.nan) for t in module.zero_state(SIZE)]
    enhanced, flow, mask, finite, *_ = module(frames[1], *state)
    assert finite.tolist() == [False]
    assert torch.equal(enhanced, frames[1])
    assert not flow.any()
    assert not mask.any()


@pytest.mark.parametrize("size", [(64, 80), (70, 85)])
def test_cells_are_the_padded_pixels_of_the_frame(size: tuple[int, int]) -> None:
    frame = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8)
    padding = (0, -size[1] % 16, 0, -size[0] % 16)
    wanted = F.pad(frame.permute(0, 3, 1, 2).float(), padding, mode="replicate") / 255
    torch.testing.assert_close(F.pixel_shuffle(FrameToCells()(frame), 4), wanted)


def test_one_bad_feature_leaves_the_whole_picture_as_it_is(module: FrameModel, frames: list[torch.Tensor]) -> None:
    """A picture of which a part was enhanced and another not would have an edge that is not there."""
    _, _, _, _, *state = module(frames[0], *module.zero_state(SIZE))
    state[0][0, 0, 3, 4] = torch.nan
    enhanced, _, _, finite, *_ = module(frames[1], *state)
    assert finite.tolist() == [False]
    assert torch.equal(enhanced, frames[1])


def test_values_that_cancel_are_not_sound() -> None:
    x = torch.zeros(1, 2, 2, 3)
    x[0, :, 0, 0] = torch.tensor([1e6, -1e6])
    x[0, 0, 1, 2] = torch.nan
    assert SoundCells()(x)[0, 0].tolist() == [[False, True, True], [True, True, False]]
