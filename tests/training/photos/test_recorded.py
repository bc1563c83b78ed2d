"""Recorded paths: the poses give back the file's motion, and every bad file is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import DatasetError
from mostnet.training.photos.recorded import RecordedPath, read_paths

from .drawn import HEADER, swinging_path, write_paths


def seen(poses: np.ndarray, world: np.ndarray) -> np.ndarray:
    """Places of world points, complex, in the frames of poses ``(4, N)``: ``(N, points)``."""
    x, y, roll, zoom = poses[..., None]
    return np.exp(zoom + 1j * roll) * (world - (x + 1j * y))


def test_poses_carry_each_frame_onto_the_next_by_the_similarity_of_the_file() -> None:
    path = swinging_path(30)
    world = np.random.default_rng(0).normal(size=5) + 1j * np.random.default_rng(1).normal(size=5)
    poses = path.poses(4, 12)
    places = seen(poses, world)
    for step in range(12):
        expected = path.turn[4 + step] * places[step] + path.shift[4 + step]
        np.testing.assert_allclose(places[step + 1], expected, atol=1e-9)
    np.testing.assert_allclose(poses[:, 6], 0, atol=1e-12, err_msg="the middle frame is at rest")


def test_signs_of_shift_angle_and_zoom() -> None:
    """dx moves the picture to the right, a positive angle turns x towards y (down), and a zoom above 1 magnifies."""
    path = RecordedPath("A", 25.0, np.array([0.1 + 0j, 0, 0]), np.array([1.0, np.exp(0.1j), 1.2]))
    poses = path.poses(0, 3)  # at rest after the first step
    right = seen(poses, np.array([1.0 + 0j]))[:, 0]
    assert right[0] == pytest.approx(0.9)
    assert right[1] == pytest.approx(1.0)
    assert right[2] == pytest.approx(np.cos(0.1) + 1j * np.sin(0.1))
    assert abs(right[3]) == pytest.approx(1.2)
    assert poses[2, 2] == pytest.approx(0.1) and poses[3, 3] == pytest.approx(np.log(1.2))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    paths = [swinging_path(6), replace(swinging_path(9, seed=1), name="A"), replace(swinging_path(4, seed=2), name="B")]
    found = read_paths(write_paths(tmp_path / "paths.csv", paths))
    assert [(path.name, path.fps, len(path.shift)) for path in found] == [
        ("A", 25.0, 6),
        ("A", 25.0, 9),
        ("B", 25.0, 4),
    ]
    for path, expected in zip(found, paths, strict=True):
        np.testing.assert_allclose(path.shift, expected.shift, atol=1e-8)
        np.testing.assert_allclose(path.turn, expected.turn, atol=1e-8)


ROWS = f"{HEADER}\nA,25,1,0.1,0,0,1\nA,25,2,0.2,0,0,1\n"


@pytest.mark.parametrize(
    "content",
    [
        ROWS.encode(),
        b"\xef\xbb\xbf" + ROWS.encode(),
        ROWS.replace("\n", "\r\n").encode(),
        ROWS.replace("\n", "\n\n").encode(),
        ROWS.replace(",0.2,", ", 0.2 ,").encode(),
        b"note,zoom,angle,dy,dx,frame,fps,path\n,1,0,0,0.1,1,25,A\n,1,0,0,0.2,2,25,A",
    ],
    ids=["plain", "byte order mark", "Windows", "blank lines", "spaces", "other order"],
)
def test_variants_of_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "paths.csv").write_bytes(content)
    (path,) = read_paths(tmp_path / "paths.csv")
    assert (path.name, path.fps, path.shift.tolist()) == ("A", 25.0, [0.1, 0.2])


@pytest.mark.parametrize(
    "between",
    ["A,25,3,,,,\nA,25,4", "A,25,3,,,,\nA,25,3", "A,25,4", "B,25,3"],
    ids=["cut", "cut without a number of its own", "frame left out", "other path"],
)
def test_a_run_ends_where_the_motion_is_unknown(tmp_path: Path, between: str) -> None:
    (tmp_path / "paths.csv").write_text(f"{ROWS}{between},0.3,0,0,1\n")
    assert [path.shift.tolist() for path in read_paths(tmp_path / "paths.csv")] == [[0.1, 0.2], [0.3]]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "has no column path; expected the columns path,fps,frame,dx,dy,angle,zoom"),
        ("path,fps,frame,dx,dy,zoom\n", "has no column angle; expected the columns path,fps,frame,dx,dy,angle,zoom"),
        (f"{HEADER}\n", "no row has a motion; expected numbers in dx, dy, angle and zoom"),
        (f"{HEADER}\nA,25,1,,,,\n", "no row has a motion"),
        (
            f"{ROWS}A,25,3,far,0,0,1\n",
            "line 4: frame is '3'; fps, dx, dy, angle and zoom are '25', 'far', '0', '0', '1'",
        ),
        (f"{ROWS}\nA,25,3,0,0,0,0\n", "line 5: .*expected a whole number, then five numbers with fps and zoom above 0"),
        (f"{ROWS}A,25,3,nan,0,0,1\n", "line 4: .*'nan'"),
        (f"{ROWS}A,0,3,0,0,0,1\n", "line 4: .*are '0', '0'"),
        (f"{ROWS}A,25,3,0.1,,,\n", "line 4: .*or empty dx, dy, angle and zoom"),
        (f"{ROWS}A,25,3,0.1\n", "line 4: "),
        (f"{ROWS}A,25,three,0,0,0,1\n", "line 4: frame is 'three'"),
    ],
)
def test_bad_files(tmp_path: Path, content: str, text: str) -> None:
    (tmp_path / "paths.csv").write_text(content)
    with pytest.raises(DatasetError, match=f"paths.csv.*{text}"):
        read_paths(tmp_path / "paths.csv")


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none.csv: cannot be read \(No such file or directory\)"):
        read_paths(tmp_path / "none.csv")
    with pytest.raises(DatasetError, match=r"cannot be read \(Is a directory\)"):
        read_paths(tmp_path)
    (tmp_path / "latin.csv").write_bytes(ROWS.encode() + b"\xe9,25,3,0,0,0,1\n")
    with pytest.raises(
        DatasetError, match=r"latin.csv: not a CSV file in UTF-8 \(invalid continuation byte at byte \d+\)"
    ):
        read_paths(tmp_path / "latin.csv")
    (tmp_path / "long.csv").write_text(ROWS + '"' + "a" * 200_000)
    with pytest.raises(DatasetError, match=r"long.csv: not a CSV file \(field larger than field limit"):
        read_paths(tmp_path / "long.csv")
