"""Files are written whole or not at all."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from mostnet.contract import atomic_path, natural_key, sha256, write_bytes


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


def test_digest(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"x" * 3_000_000)
    assert sha256(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_natural_order_counts() -> None:
    names = ["10.png", "2.png", "1.png", "a10b2.png", "a2b10.png", "a.png", "01.png"]
    assert sorted(names, key=natural_key) == ["01.png", "1.png", "2.png", "10.png", "a2b10.png", "a10b2.png", "a.png"]
    assert natural_key(Path("x") / "7.png") == natural_key("x/7.png")
