"""Files are written whole or not at all."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from mostnet.contract import atomic_path, natural_key, sha256, staging_folder, write_bytes


def test_written_whole_with_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "new" / "model.onnx"
    write_bytes(path, b"graph")
    assert path.read_bytes() == b"graph"
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "model.plan"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            assert temporary.suffix == ".plan"
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def interrupt_at_line(number: int) -> Callable[[FrameType, str, object], object]:
    """A trace function that raises before so many lines, whatever code they are in, have run."""
    left = number

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal left
        if event == "line":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        return trace

    return trace


def test_an_interrupt_while_a_folder_is_made_leaves_none(tmp_path: Path) -> None:
    for number in range(10_000):
        sys.settrace(interrupt_at_line(number))
        try:
            with staging_folder(tmp_path):
                sys.settrace(None)
                break
        except KeyboardInterrupt:
            assert list(tmp_path.iterdir()) == [], f"line {number}"
    assert 20 < number < 9_999


def test_digest(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"x" * 3_000_000)
    assert sha256(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_natural_order_counts() -> None:
    names = ["10.png", "2.png", "1.png", "a10b2.png", "a2b10.png", "a.png", "01.png"]
    assert sorted(names, key=natural_key) == ["01.png", "1.png", "2.png", "10.png", "a2b10.png", "a10b2.png", "a.png"]
    assert natural_key(Path("x") / "7.png") == natural_key("x/7.png")


#: Makes a folder, says so, and waits for its end.
_HOLDS = """
import sys, time
from pathlib import Path
from mostnet.contract import staging_folder
with staging_folder(Path(sys.argv[1])) as folder:
    (folder / "half.plan").write_bytes(b"half")
    print(folder.name, flush=True)
    time.sleep(60)
"""
needs_locks = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which start of a machine this is")


@contextmanager
def holder(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process with a staging folder in ``folder``."""
    process = subprocess.Popen([sys.executable, "-c", _HOLDS, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, folder / process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@needs_locks
def test_the_next_writer_removes_the_folder_of_a_dead_one_and_leaves_that_of_a_living_one(tmp_path: Path) -> None:
    with holder(tmp_path) as (dead, left), holder(tmp_path) as (_, living):
        dead.kill()
        dead.wait()
        assert (left / "half.plan").exists() and (living / "half.plan").exists()
        write_bytes(tmp_path / "model.onnx", b"graph")
        assert not left.exists()
        assert (living / "half.plan").exists()


@needs_locks
def test_a_folder_is_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[Path] = []
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: searched.append(self) or glob(self, pattern))
    for name in ("000000.png", "000001.png"):
        write_bytes(tmp_path / name, b"picture")
    monkeypatch.chdir(tmp_path)
    write_bytes(Path("000002.png"), b"picture")
    assert searched == [tmp_path]


@needs_locks
def test_a_folder_of_another_machine_or_start_is_left(tmp_path: Path) -> None:
    other = tmp_path / ".mostnet-00000000-0000-abcdefgh"
    other.mkdir()
    write_bytes(tmp_path / "model.onnx", b"graph")
    assert other.exists()


@needs_locks
def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    with holder(tmp_path / "work") as (_, folder):
        name = folder.name
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "picture.png").touch()
    (tmp_path / "work" / name[:-1]).symlink_to(tmp_path / "kept")
    write_bytes(tmp_path / "work" / "model.onnx", b"graph")
    assert (tmp_path / "kept" / "picture.png").exists()


def test_writers_at_the_same_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for again in range(20):
            write_bytes(tmp_path / f"{number}", b"%d" % again)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert sorted(path.name for path in tmp_path.iterdir()) == list("01234567")
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"19"}


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".onnx")
    write_bytes(path, b"graph")
    assert path.read_bytes() == b"graph"
