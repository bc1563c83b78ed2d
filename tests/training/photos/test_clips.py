"""Flow and mask of moving photographs are exact, and a batch depends on its number alone."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from mostnet.contract import DatasetError, FrameError
from mostnet.training.data.clips import Batch
from mostnet.training.photos import PhotoClips, PhotoOptions
from mostnet.training.photos.motion import margin_rows
from mostnet.training.synth.labels import layer_flow, validity

from .drawn import array, drawn_photos, swinging_path, warped

SIZE = (96, 128)
MOVING = PhotoOptions(frames=4, size_hw=SIZE, clean=1, front=0, no_mouth=0, calm=(0, 0), tint=0)
STILL = PhotoOptions(frames=3, size_hw=SIZE, clean=1, front=0, no_mouth=0, calm=(1, 0), tint=0)
STRAIGHT = PhotoOptions(frames=4, size_hw=SIZE, clean=1, front=0, no_mouth=0, calm=(0, 1), tint=0)
BOTH = PhotoOptions(frames=4, size_hw=SIZE, clean=1, front=1, no_mouth=0, calm=(0, 0), tint=0)


def errors(batch: Batch) -> np.ndarray:
    """Absolute differences, in levels, between each reference and its warped predecessor, at all valid pixels."""
    reference, flow, valid = (array(part) for part in (batch.reference, batch.flow, batch.valid))
    found = []
    for clip in range(len(flow)):
        for t in range(1, flow.shape[1]):
            difference = np.abs(warped(reference[clip, t - 1], flow[clip, t]) - reference[clip, t])
            found.append(difference[valid[clip, t]].max(axis=-1))
    return np.concatenate(found)


@pytest.mark.parametrize("options", [MOVING, STRAIGHT, STILL], ids=["hand", "straight", "still"])
def test_flow_carries_the_previous_reference_onto_the_current_one(options: PhotoOptions) -> None:
    batch = PhotoClips(drawn_photos(), options).batch(0, 8)
    found = errors(batch)
    assert found.size > 0.5 * batch.valid[:, 1:].numel()
    assert found.mean() < 0.7 and np.quantile(found, 0.999) < 2.5, "levels of 255"


def test_recorded_paths_too() -> None:
    with_paths = PhotoClips(drawn_photos(), MOVING, recorded=[swinging_path()]).batch(1, 8)
    without = PhotoClips(drawn_photos(), MOVING).batch(1, 8)
    assert not torch.equal(with_paths.flow, without.flow), "some clips follow the recorded path"
    assert errors(with_paths).mean() < 0.7 and np.quantile(errors(with_paths), 0.999) < 2.5


def test_the_check_above_sees_a_flow_that_is_wrong_by_a_fifth_of_a_pixel() -> None:
    batch = PhotoClips(drawn_photos(), MOVING).batch(0, 8)
    assert errors(batch._replace(flow=batch.flow + 0.2)).mean() > 1.3 * errors(batch).mean()


class Seen:
    """What ``_motion`` was called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        motion = PhotoClips._motion

        def recorded(
            clips: PhotoClips, poses: Sequence[Tensor], parallax: Sequence[Tensor], surface: Tensor
        ) -> tuple[Tensor, Tensor]:
            self.poses, self.parallax, self.surface = poses, parallax, array(surface)
            return motion(clips, poses, parallax, surface)

        monkeypatch.setattr(PhotoClips, "_motion", recorded)

    def rows(self, sheet: int, clip: int, t: int) -> np.ndarray:
        """Mean pose of each row of a frame, margins included, x and y in pixels."""
        return (
            array(self.poses[sheet])[clip, :, t].astype(np.float64).mean(1)
            * np.array([SIZE[0], SIZE[0], 1, 1])[:, None]
        )


def test_flow_and_validity_of_both_sheets_against_the_slow_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    batch = PhotoClips(drawn_photos(), BOTH, recorded=[swinging_path()]).batch(0, 6)
    flow, valid, margin = array(batch.flow), array(batch.valid), margin_rows(SIZE[0])
    in_front = seen.surface == 1
    assert 0.02 < in_front.mean() < 0.8
    for clip in range(6):
        for t in range(1, BOTH.frames):
            expected, solved = np.zeros((2, *SIZE), np.float32), np.zeros(SIZE, bool)
            for sheet in range(2):
                now = seen.rows(sheet, clip, t)[:, margin : margin + SIZE[0]]
                share = float(seen.parallax[sheet][clip])
                part = layer_flow(now, seen.rows(sheet, clip, t - 1), share, SIZE)
                chosen = in_front[clip, t] == bool(sheet)
                expected[:, chosen], solved[chosen] = part[0][:, chosen], part[1][chosen]
            known = solved & validity(expected, seen.surface[clip, t], seen.surface[clip, t - 1])
            assert np.abs(flow[clip, t] - expected)[:, valid[clip, t]].max(initial=0) < 0.03
            assert (known != valid[clip, t]).mean() < 0.003, "but for points that fall between two pixels"


def test_content_that_a_sheet_uncovers_is_not_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    batch = PhotoClips(drawn_photos(), BOTH).batch(2, 6)
    before, now = seen.surface[:, :-1], seen.surface[:, 1:]
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    place = np.rint(array(batch.flow)[:, 1:] + np.stack([x, y])).astype(int)
    inside = (place[:, :, 0] >= 0) & (place[:, :, 0] < SIZE[1]) & (place[:, :, 1] >= 0) & (place[:, :, 1] < SIZE[0])
    clip, t = np.indices(now.shape)[:2]
    there = before[clip, t, place[:, :, 1].clip(0, SIZE[0] - 1), place[:, :, 0].clip(0, SIZE[1] - 1)]
    changed = inside & (there != now)
    assert changed.any() and not array(batch.valid)[:, 1:][changed].any()


def test_a_still_clip_has_no_flow_and_is_valid_everywhere() -> None:
    batch = PhotoClips(drawn_photos(), STILL).batch(0, 4)
    assert float(batch.flow.abs().max()) < 1e-3
    assert bool(batch.valid[:, 1:].all()) and not bool(batch.valid[:, 0].any())
    assert torch.equal(batch.reference[:, 0], batch.reference[:, 2])


def test_a_straight_path_has_one_flow_over_the_whole_clip() -> None:
    batch = PhotoClips(drawn_photos(), STRAIGHT).batch(0, 8)
    flow = batch.flow[:, 1:]
    middle = flow.mean((1, 3, 4), keepdim=True)
    assert float((flow - middle).abs().max()) < 0.01
    speed = middle.norm(dim=2).flatten()
    assert float(speed.min()) > 0.002 * SIZE[0] * 0.5 and float(speed.std()) > 0.3


def test_the_mask_travels_with_the_picture() -> None:
    batch = PhotoClips(drawn_photos(), MOVING).batch(0, 8)
    mask, flow, valid = (array(part) for part in (batch.mask, batch.flow, batch.valid))
    assert set(np.unique(mask)) == {0, 255} and 0.1 < (mask == 255).mean() < 0.7
    for clip in range(8):
        for t in range(1, MOVING.frames):
            carried = warped(mask[clip, t - 1], flow[clip, t])
            sure = valid[clip, t] & (np.abs(carried - 127.5) > 120)
            assert sure.mean() > 0.8 * valid[clip, t].mean()
            assert ((carried[sure] > 127) != (mask[clip, t][sure] == 255)).mean() < 1e-3


def test_a_mask_and_its_picture_lie_on_each_other() -> None:
    """On this photograph, tooth is where green is above 128."""
    photo = drawn_photos(1)[0]
    photo.pixels[..., 3] = np.where(photo.pixels[..., 1] >= 128, 255, 0)
    batch = PhotoClips([photo], MOVING).batch(0, 6)
    green, mask = array(batch.reference)[..., 1].astype(int), array(batch.mask)
    sure = np.abs(green - 128) > 4
    assert np.array_equal(green[sure] >= 128, mask[sure] == 255)


def test_a_sheet_in_front_hides_the_teeth_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The photographs are all tooth, and the first kind of sheet in front is an instrument."""
    seen = Seen(monkeypatch)
    photos = drawn_photos(1)
    photos[0].pixels[..., 3] = 255
    clips = PhotoClips(photos, BOTH)
    monkeypatch.setattr(type(clips._sheets), "_front", instrument)
    mask = array(clips.batch(0, 8).mask)
    assert np.array_equal(mask == 0, seen.surface == 1), "half covered counts as covered"
    assert 0 < (mask == 0).mean() < 0.9


def instrument(sheets, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    tool = sheets._tools[int(rng.integers(len(sheets._tools)))].float() / 255
    return torch.cat([tool[:3], torch.zeros_like(tool[:1]), tool[3:]]), *sheets._placed(rng, 0.0, (0.8, 1.3))


def test_sheets_without_a_mouth_have_no_tooth() -> None:
    options = PhotoOptions(frames=2, size_hw=SIZE, clean=1, front=1, no_mouth=1)
    batch = PhotoClips(drawn_photos(), options).batch(0, 6)
    assert not bool(batch.mask.any()) and float(batch.reference.float().std()) > 5


def test_without_wear_the_input_is_the_reference_bit_for_bit() -> None:
    options = PhotoOptions(frames=3, size_hw=SIZE, clean=1, tint=0.3)
    batch = PhotoClips(drawn_photos(), options).batch(0, 6)
    assert torch.equal(batch.input, batch.reference)
    mixed = PhotoClips(drawn_photos(), PhotoOptions(frames=2, size_hw=SIZE, clean=0.5)).batch(0, 16)
    same = [torch.equal(a, b) for a, b in zip(mixed.input, mixed.reference, strict=True)]
    assert 2 < sum(same) < 14


def test_the_exposure_blurs_the_input_around_the_reference() -> None:
    """Without other wear, the input differs from the reference only by its blur, which keeps its mean."""
    options = PhotoOptions(frames=3, size_hw=SIZE, clean=0, strength=(1e-6, 1e-6), front=0, no_mouth=0, calm=(0, 0))
    batch = PhotoClips(drawn_photos(), options).batch(0, 8)
    difference = batch.input.float() - batch.reference.float()
    assert float(difference.abs().mean()) < 2 and float(difference.mean().abs()) < 0.5
    assert not torch.equal(batch.input, batch.reference)


def test_shapes_and_types_of_a_batch() -> None:
    batch = PhotoClips(drawn_photos(), MOVING).batch(0, 2)
    shapes = [(part.dtype, tuple(part.shape)) for part in batch]
    height, width = SIZE
    assert shapes == [
        (torch.uint8, (2, 4, height, width, 3)),
        (torch.uint8, (2, 4, height, width, 3)),
        (torch.uint8, (2, 4, height, width)),
        (torch.float32, (2, 4, 2, height, width)),
        (torch.bool, (2, 4, height, width)),
        (torch.bool, (2,)),
        (torch.bool, (2,)),
    ]
    assert bool(batch.has_reference.all()) and bool(batch.has_mask.all())
    assert not bool(batch.flow[:, 0].any())


def test_a_clip_may_have_one_frame() -> None:
    batch = PhotoClips(drawn_photos(), PhotoOptions(frames=1, size_hw=SIZE)).batch(0, 2)
    assert batch.input.shape[:2] == (2, 1) and not bool(batch.valid.any())


SCRIPT = """
import hashlib, torch
from mostnet.training.photos import PhotoClips, PhotoOptions, sheets
from tests.training.photos.drawn import drawn_photos
torch.set_num_threads(1)
sheets._BANK = 4
batch = PhotoClips(drawn_photos(), PhotoOptions(frames=2, size_hw=(64, 80))).batch(3, 3)
print(hashlib.sha256(b"".join(part.numpy().tobytes() for part in batch)).hexdigest())
"""


def test_a_batch_is_the_same_in_another_process() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    batch = PhotoClips(drawn_photos(), PhotoOptions(frames=2, size_hw=(64, 80))).batch(3, 3)
    assert done.stdout.strip() == hashlib.sha256(b"".join(array(part).tobytes() for part in batch)).hexdigest()


def test_a_batch_depends_on_its_number_and_the_seed_alone() -> None:
    options = PhotoOptions(frames=2, size_hw=(64, 80))
    clips = PhotoClips(drawn_photos(), options)
    first = clips.batch(3, 3)
    other = clips.batch(4, 3)
    again = PhotoClips(drawn_photos(), options).batch(3, 3)
    seeded = PhotoClips(drawn_photos(), PhotoOptions(frames=2, size_hw=(64, 80), seed=1)).batch(3, 3)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first, clips.batch(3, 3), strict=True))
    for different in (other, seeded):
        assert not torch.equal(first.input, different.input) and not torch.equal(first.flow, different.flow)


def test_no_global_generator_is_touched() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    cv2.setRNGSeed(1)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]
    PhotoClips(drawn_photos(), PhotoOptions(frames=2, size_hw=(64, 80))).batch(0, 2)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"frames": 0}, "frames is 0; expected at least 1"),
        ({"clean": 1.5}, "clean is 1.5; expected a fraction of 0 to 1"),
        ({"front": -0.1}, "front is -0.1; expected a fraction of 0 to 1"),
        ({"no_mouth": float("nan")}, "no_mouth is nan; expected a fraction of 0 to 1"),
        ({"strength": (0.8, 0.2)}, "strength is 0.8 to 0.2; expected least and greatest, from 0 to 1"),
        ({"strength": (0.5, 3.0)}, "strength is 0.5 to 3.0; expected least and greatest, from 0 to 1"),
        ({"calm": (0.7, 0.7)}, "calm is 0.7 and 0.7; expected two fractions, together 1 at most"),
        ({"calm": (-0.1, 0.5)}, "calm is -0.1 and 0.5; expected two fractions"),
        ({"tint": -1.0}, "tint is -1.0; expected 0 or more"),
        ({"seed": -1}, "seed is -1; expected 0 or more"),
    ],
)
def test_options_out_of_range(options: dict[str, object], text: str) -> None:
    with pytest.raises(DatasetError, match=text):
        PhotoOptions(**{"frames": 2, "size_hw": SIZE, **options})  # type: ignore[arg-type]


def test_refusals() -> None:
    with pytest.raises(FrameError, match="frame size is 32x96; each side must be at least 64"):
        PhotoOptions(frames=2, size_hw=(32, 96))
    with pytest.raises(DatasetError, match="no photographs; expected at least one"):
        PhotoClips([], MOVING)
    with pytest.raises(
        DatasetError, match="longest recorded path has 5 frames of known motion, but a clip of 4 frames"
    ):
        PhotoClips(drawn_photos(), MOVING, recorded=[swinging_path(5)])
