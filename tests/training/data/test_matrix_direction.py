"""The direction of motion matrices: found in drawn scenes for every convention, and not where nothing tells it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mostnet.contract import DatasetError, natural_key
from mostnet.training.data import matrix_direction
from mostnet.training.data.matrices import read_matrices
from mostnet.training.data.matrix_direction import (
    Direction,
    Found,
    MovingPictures,
    as_similarity,
    backward,
    find_direction,
    similarity_flow,
)
from mostnet.training.data.pictures import read_mask
from mostnet.video.steady.similarity import Similarity
from tests.training.moving_scenes import moving_clip
from tests.training.vident_tree import published, write_tree

SIZE_HW = (96, 128)
FRAMES = 6
Scenes = list[tuple[tuple[Path, ...], npt.NDArray[np.float64]]]


def pictures_of(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted((folder / "input").iterdir(), key=natural_key))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    """Three sequences and their exact backward matrices."""
    root = tmp_path_factory.mktemp("vident")
    write_tree(root, sequences={"train": 3}, frames=FRAMES, size_hw=SIZE_HW, direction=Direction.FROM_THIS)
    folders = sorted((root / "train").iterdir())
    return [(pictures_of(folder), read_matrices(folder / "homo_4df.pkl", FRAMES)) for folder in folders]


def found_in(sequences: Scenes) -> Found:
    return find_direction([MovingPictures(pictures, matrices) for pictures, matrices in sequences])


def test_the_teeth_decide_where_there_are_masks(tmp_path: Path) -> None:
    """A small tooth moves as the matrices say, and the large rest in another way."""
    tooth = moving_clip(FRAMES, size_hw=SIZE_HW, step_px=(5.0, 2.0), seed=3).reference
    rest = moving_clip(FRAMES, size_hw=SIZE_HW, step_px=(-4.0, 3.0), seed=4).reference
    matrices, pictures, masks = np.tile(np.eye(3), (FRAMES, 1, 1)), [], []
    for t in range(FRAMES):
        mask = np.zeros(SIZE_HW, np.uint8)
        mask[20 + 2 * t : 60 + 2 * t, 20 + 5 * t : 50 + 5 * t] = 255
        picture = np.where(mask[..., None] > 0, tooth[t], rest[t])
        for kind, content, paths in (("input", picture, pictures), ("mask", mask, masks)):
            paths.append(tmp_path / f"{kind}{t}.png")
            assert cv2.imwrite(str(paths[-1]), content)
    matrices[1:, :2, 2] = -5.0, -2.0
    matrices[2:4, :2, 2] += 1e-3  # not the same in every frame
    directions = published(matrices, Direction.TO_COMMON)
    assert found_in([(tuple(pictures), directions)]).direction is None
    found = find_direction([MovingPictures(pictures, directions, masks)])
    assert found.direction is Direction.TO_COMMON, found.text


def in_direction(scenes: Scenes, direction: Direction) -> Scenes:
    return [(pictures, published(matrices, direction)) for pictures, matrices in scenes]


@pytest.mark.parametrize("direction", Direction)
def test_each_direction_is_found(direction: Direction, scenes: Scenes) -> None:
    found = found_in(in_direction(scenes, direction))
    assert found.direction is direction
    assert found.pairs == 3 * (FRAMES - 1)
    assert min(found.residuals, key=found.residuals.__getitem__) is direction
    assert found.residuals[direction] < 0.6 * found.still
    assert found.text.startswith(f"homo_4df.pkl: {direction.text} (residual ")
    assert found.text.endswith(f"; without motion {found.still:.1f}; 15 pairs of 3 sequences)")


@pytest.mark.parametrize("direction", Direction)
def test_backward_of_each_direction(direction: Direction, scenes: Scenes) -> None:
    matrices = scenes[0][1]
    steps = backward(published(matrices, direction), direction)
    assert steps.shape == matrices.shape and steps.dtype == np.float64
    np.testing.assert_allclose(steps, matrices, atol=1e-9)
    np.testing.assert_array_equal(steps[0], np.eye(3))


def test_backward_maps_a_point_to_the_frame_before() -> None:
    shift = np.array([[[1.0, 0, dx], [0, 1, 0], [0, 0, 1]] for dx in (1, 10, 100)])
    moved = {direction: backward(shift, direction)[1:, 0, 2].tolist() for direction in Direction}
    assert moved == {
        Direction.TO_THIS: [-10, -100],
        Direction.FROM_THIS: [10, 100],
        Direction.TO_NEXT: [-1, -10],
        Direction.FROM_NEXT: [1, 10],
        Direction.TO_COMMON: [9, 90],
        Direction.FROM_COMMON: [-9, -90],
    }


@pytest.mark.parametrize("frames", [0, 1])
def test_backward_of_no_pair(frames: int) -> None:
    assert backward(np.full((frames, 3, 3), 2.0), Direction.TO_COMMON).tolist() == [np.eye(3).tolist()] * frames


def test_matrices_of_other_sequences_tell_nothing(scenes: Scenes) -> None:
    pictures, matrices = [scene[0] for scene in scenes], [scene[1] for scene in scenes]
    found = found_in(list(zip(pictures, matrices[1:] + matrices[:1], strict=True)))
    assert found.direction is None
    assert "the matrices do not tell their direction: the best residual is " in found.text
    assert found.text.endswith(
        "(15 pairs of 3 sequences); expected at most 90% of that without motion and 95% of the next"
    )


@pytest.mark.parametrize("spread", [0.1, 1e3, 1e200])
def test_random_matrices_tell_nothing(spread: float, scenes: Scenes) -> None:
    rng = np.random.default_rng(3)
    noise = np.zeros((3, FRAMES, 3, 3))
    noise[:, :, :2] = rng.normal(size=(3, FRAMES, 2, 3)) * spread * [1, 1, 100]
    found = found_in([(scene[0], np.eye(3) + more) for scene, more in zip(scenes, noise, strict=True)])
    assert found.direction is None
    assert all(np.isfinite(residual) for residual in found.residuals.values())


def test_identities_hold_no_motion(scenes: Scenes) -> None:
    still = np.tile(np.eye(3), (FRAMES, 1, 1))
    found = found_in([(pictures, still) for pictures, _ in scenes])
    assert (found.direction, found.residuals, found.still, found.pairs) == (None, {}, 0.0, 0)
    assert found.text == "homo_4df.pkl: the matrices of 3 sequences hold no motion"


def test_less_than_a_pixel_is_no_motion(scenes: Scenes) -> None:
    little = np.tile(np.eye(3), (FRAMES, 1, 1))
    little[:, 0, 2] = 0.4
    assert found_in([(scenes[0][0], little)]).text == "homo_4df.pkl: the matrices of 1 sequence hold no motion"


def test_steady_motion_does_not_tell_to_which_pair_a_matrix_belongs(tmp_path: Path) -> None:
    pictures, matrices = moving_scene(tmp_path, (3.0, -2.0))
    found = found_in([(pictures, matrices)])
    assert found.direction is None
    assert Direction.FROM_THIS.text in found.text and Direction.FROM_NEXT.text in found.text


def moving_scene(folder: Path, step_px: tuple[float, float]) -> tuple[list[Path], npt.NDArray[np.float64]]:
    """Four pictures of even motion and their backward matrices."""
    clip = moving_clip(4, size_hw=SIZE_HW, step_px=step_px)
    pictures = [folder / f"{t}.png" for t in range(4)]
    for path, picture in zip(pictures, clip.input, strict=True):
        assert cv2.imwrite(str(path), picture)
    matrices = np.tile(np.eye(3), (4, 1, 1))
    matrices[:, :2, 2] = -np.array(step_px)
    return pictures, matrices


def test_three_sequences_with_motion_are_used(scenes: Scenes) -> None:
    still = scenes[0][0], np.tile(np.eye(3), (FRAMES, 1, 1))
    single = scenes[0][0][:1], np.eye(3)[None]
    found = found_in([single, still, *scenes, *scenes])
    assert found.direction is Direction.FROM_THIS
    assert found.text.endswith("15 pairs of 3 sequences)")


def test_eight_pairs_of_a_long_sequence_are_used(scenes: Scenes) -> None:
    pictures, matrices = scenes[0]
    there_and_back = [*range(FRAMES), *range(FRAMES - 2, -1, -1)] * 2
    common = published(matrices, Direction.TO_COMMON)[there_and_back]
    found = found_in([([pictures[t] for t in there_and_back], common)])
    assert found.direction is Direction.TO_COMMON and found.pairs == 8


def test_large_pictures_and_changes_of_exposure(scenes: Scenes, tmp_path: Path) -> None:
    """The matrices are in pixels of the picture on disk, and the brightness of frames does not matter."""
    large: Scenes = []
    share, gains = 4, (1.0, 0.6, 0.8, 0.5, 0.9, 0.7)
    scale = np.array([[share, 0, (share - 1) / 2], [0, share, (share - 1) / 2], [0, 0, 1]])
    for number, (pictures, matrices) in enumerate(scenes):
        paths = [tmp_path / f"{number}-{t}.png" for t in range(FRAMES)]
        for path, picture, gain in zip(paths, pictures, gains, strict=True):
            scaled = cv2.resize(cv2.imread(str(picture)), None, fx=share, fy=share, interpolation=cv2.INTER_LINEAR)
            assert cv2.imwrite(str(path), (scaled * gain + 20).astype(np.uint8))
        large.append((tuple(paths), scale @ matrices @ np.linalg.inv(scale)))
    found = found_in(in_direction(large, Direction.TO_COMMON))
    assert found.direction is Direction.TO_COMMON
    assert found.residuals[Direction.TO_COMMON] < 0.6 * found.still


def test_a_shrunk_picture_keeps_its_points() -> None:
    """The corners of the first and the last pixel are the corners of the shrunk picture."""
    scale = matrix_direction._scaling((600, 800), (240, 320))
    ends = scale @ np.array([[-0.5, 799.5], [-0.5, 599.5], [1, 1]])
    np.testing.assert_allclose(ends[:2], [[-0.5, 319.5], [-0.5, 239.5]])


def test_a_damaged_picture_is_named(scenes: Scenes, tmp_path: Path) -> None:
    damaged = tmp_path / "3.jpg"
    damaged.write_bytes(b"no picture")
    pictures, matrices = scenes[0]
    with pytest.raises(DatasetError, match=r"3\.jpg: not a picture"):
        found_in([([*pictures[:3], damaged, *pictures[4:]], matrices)])


def test_pictures_of_two_sizes_are_refused(scenes: Scenes, tmp_path: Path) -> None:
    small = tmp_path / "3.png"
    assert cv2.imwrite(str(small), np.zeros((48, 64, 3), np.uint8))
    pictures, matrices = scenes[0]
    with pytest.raises(DatasetError, match=r"3\.png: has another size than 41072\.jpg"):
        found_in([([*pictures[:3], small, *pictures[4:]], matrices)])


def test_flow_of_a_similarity() -> None:
    matrix = np.array([[0.0, -2, 3], [2, 0, 1], [0, 0, 1]])  # a quarter turn, twice as large
    flow, valid = similarity_flow(matrix, (4, 5))
    assert flow.dtype == np.float32 and flow.shape == (2, 4, 5)
    assert valid.dtype == bool and valid.shape == (4, 5)
    for y in range(4):
        for x in range(5):
            place = -2 * y + 3, 2 * x + 1
            inside = 0 <= place[0] <= 4 and 0 <= place[1] <= 3
            assert valid[y, x] == inside
            assert flow[:, y, x].tolist() == ([place[0] - x, place[1] - y] if inside else [0, 0])
    assert 0 < valid.sum() < valid.size


def test_flow_of_no_motion_is_valid_to_the_edge() -> None:
    rounded = np.eye(3) + 1e-12 * np.random.default_rng(0).normal(size=(3, 3))
    flow, valid = similarity_flow(rounded, SIZE_HW)
    assert valid.all() and np.abs(flow).max() < 1e-6


def test_flow_of_a_huge_motion_is_zero() -> None:
    flow, valid = similarity_flow(np.array([[1e300, 0, -1e300], [0, 1e300, -5], [0, 0, 1]]), (4, 5))
    assert not valid.any() and not flow.any()


def test_flow_is_that_of_the_drawn_teeth(scenes: Scenes) -> None:
    pictures, matrices = scenes[0]
    folder = pictures[0].parent.parent
    for t in range(1, FRAMES):
        drawn = np.load(folder / f"OF_backw/{pictures[t].stem}.npy").transpose(2, 0, 1)
        teeth = read_mask(folder / f"masks/{pictures[t].stem}.png") > 0
        flow, valid = similarity_flow(matrices[t], SIZE_HW)
        known = teeth & valid & np.isfinite(drawn).all(axis=0)
        assert np.abs(flow - drawn)[:, known].max() < 0.1


@pytest.mark.parametrize("similarity", [Similarity(), Similarity(0.9 + 0.1j, 3 - 2j), Similarity(-2j, 1j)])
def test_a_similarity_is_its_own_nearest(similarity: Similarity) -> None:
    matrix = np.vstack([similarity.matrix(SIZE_HW), [0, 0, 1]])
    found = as_similarity(matrix, SIZE_HW)
    assert found.a == pytest.approx(similarity.a) and found.b == pytest.approx(similarity.b)


def test_nearest_similarity_of_a_shear() -> None:
    matrix = np.array([[1.2, 0.3, 5], [0.1, 1.0, -4], [0, 0, 1]])
    found = as_similarity(matrix, (101, 201))  # its centre is (100, 50)
    assert found.a == pytest.approx(1.1 - 0.1j)
    assert found.b == pytest.approx(complex(1.2 * 100 + 0.3 * 50 + 5 - 100, 0.1 * 100 + 50 - 4 - 50))


def test_the_tree_has_the_published_layout(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.vident_tree", str(tmp_path), "--frames", "3", "--size", "64", "96"]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[3])
    assert [len(list((tmp_path / split).iterdir())) for split in ("train", "val", "test")] == [3, 1, 1]
    first, second, _ = sorted((tmp_path / "train").iterdir())
    assert [path.name for path in pictures_of(first)] == ["41070.jpg", "41071.jpg", "41072.jpg"]
    assert [path.name for path in pictures_of(second)] == ["999.jpg", "1000.jpg", "1001.jpg"]
    assert sorted(path.name for path in (second / "OF_backw").iterdir()) == ["1000.npy", "1001.npy"]
    flow = np.load(second / "OF_backw/1000.npy")
    assert flow.shape == (64, 96, 2) and flow.dtype == np.float32
    assert read_matrices(second / "homo_4df.pkl", 3).shape == (3, 3, 3)
