"""Motion matrices from pickles: what is read, and that a hostile pickle runs nothing."""

from __future__ import annotations

import builtins
import copyreg
import functools
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mostnet.contract import DatasetError
from mostnet.training.data import matrices as module
from mostnet.training.data.matrices import read_matrices

PROTOCOLS = range(6)
EXPECTED = np.array([[[k + 1, -2, 300 + k], [2, k + 1, -7], [0, 0, 1]] for k in range(3)], np.float64)


def stored(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "homo_4df.pkl"
    path.write_bytes(data)
    return path


def refusal(tmp_path: Path, data: bytes, count: int = 3) -> str:
    """The one line that refuses this file."""
    path = stored(tmp_path, data)
    with pytest.raises(DatasetError) as caught:
        read_matrices(path, count)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    return line


def big_endian(m: npt.NDArray[np.float64]) -> list[Any]:
    return list(m.astype(">f4"))


FORMS: dict[str, Callable[[npt.NDArray[np.float64]], Any]] = {
    "float64": lambda m: list(m),
    "float32": lambda m: list(m.astype(np.float32)),
    "float16": lambda m: list(m.astype(np.float16)),
    "int64": lambda m: list(m.astype(np.int64)),
    "int16": lambda m: list(m.astype(np.int16)),
    "big-endian": big_endian,
    "Fortran order": lambda m: [np.asfortranarray(one) for one in m],
    "a view": lambda m: [np.tile(one, (2, 2))[:3, 3:] for one in m],
    "nested lists": lambda m: m.tolist(),
    "lists of integers": lambda m: m.astype(int).tolist(),
    "tuples": lambda m: tuple(tuple(map(tuple, one)) for one in m.tolist()),
    "lists of rows": lambda m: [list(one) for one in m],
    "NumPy scalars": lambda m: [[list(row) for row in one.astype(np.float32)] for one in m],
    "NumPy integers": lambda m: [[list(row) for row in one.astype(np.int32)] for one in m],
    "one array": lambda m: m,
    "one array in Fortran order": lambda m: np.asfortranarray(m),
    "one array of float32": lambda m: m.astype(np.float32),
    "one shared matrix": lambda m: [m[0], m[0], m[0]],
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_every_protocol(form: str, protocol: int, tmp_path: Path) -> None:
    read = read_matrices(stored(tmp_path, pickle.dumps(FORMS[form](EXPECTED), protocol)), 3)
    assert read.dtype == np.float64 and read.flags.writeable and read.shape == (3, 3, 3)
    np.testing.assert_array_equal(read, EXPECTED[[0, 0, 0]] if form == "one shared matrix" else EXPECTED)


def test_booleans(tmp_path: Path) -> None:
    assert read_matrices(stored(tmp_path, pickle.dumps([np.eye(3, dtype=bool)])), 1).tolist() == [np.eye(3).tolist()]


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_names_of_numpy_1(protocol: int, tmp_path: Path) -> None:
    data = pickle.dumps([*EXPECTED[:2], [list(row) for row in EXPECTED[2]]], protocol)
    old = data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert old != data or np.__version__ < "2"
    np.testing.assert_array_equal(read_matrices(stored(tmp_path, old), 3), EXPECTED)


def test_names_of_numpy_1_in_protocol_5(tmp_path: Path) -> None:
    data = pickle.dumps(EXPECTED, 5)
    name, old = b"numpy._core.numeric", b"numpy.core.numeric"
    assert data.startswith(b"\x80\x05\x95") and name in data
    frame = data[11:].replace(bytes([0x8C, len(name)]) + name, bytes([0x8C, len(old)]) + old)
    data = data[:3] + struct.pack("<Q", len(frame)) + frame
    np.testing.assert_array_equal(read_matrices(stored(tmp_path, data), 3), EXPECTED)


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_program_is_started(protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "was here"
    line = refusal(tmp_path, pickle.dumps([Calls(os.system, f"touch '{marker}'")], protocol))
    assert "system, whose loading would run code; refused: expected a pickled list of 3x3 matrices" in line
    pickle.loads(pickle.dumps(Calls(os.system, f"touch '{marker}'"), protocol))
    assert marker.exists()  # the same pickle does harm where pickles are trusted


HOSTILE = {
    "eval": (Calls(eval, "1"), "eval"),
    "getattr": (Calls(getattr, np.eye(3), "tofile"), "getattr"),
    "numpy.load": (Calls(np.load, "x.npy", None, True), "load"),
    "numpy.fromfile": (np.fromfile, "fromfile"),
    "functools.partial": (functools.partial(print, "x"), "functools.partial"),
    "an array of objects": (np.array([Calls(os.system, "true")], dtype=object), "an array of type 'O8', not numbers"),
    "a matrix of text": (np.full((3, 3), "1"), "an array of type 'U1', not numbers"),
    "records": (np.zeros(3, dtype=[("x", "f8")]), "an array of type 'V8', not numbers"),
    "complex numbers": (np.eye(3, dtype=complex), "an array of type 'c16', not numbers"),
    "a class": (Path("x"), "PosixPath"),
    "a type": (np.float64, "numpy.float64"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("what", HOSTILE)
def test_other_names_are_refused(what: str, protocol: int, tmp_path: Path) -> None:
    hostile, said = HOSTILE[what]
    line = refusal(tmp_path, pickle.dumps([np.eye(3), hostile], protocol))
    assert said in line and "; refused: " in line


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


NDARRAY = text("numpy") + text("ndarray") + b"\x93"
RECONSTRUCT = text("numpy._core.multiarray") + text("_reconstruct") + b"\x93"
INSTRUCTIONS = {
    "a name by instance": (b"(S'true'\nios\nsystem\n.", "os.system, whose loading would run code; refused"),
    "a dotted name": (text("numpy") + text("dtype.mro") + b"\x93.", "numpy.dtype.mro, whose loading"),
    "a name with a line end": (text("a\nb") + text("c\x1b") + b"\x93.", "a\\nb.c\\x1b, whose loading"),
    "a long name": (b"c" + b"a" * 5000 + b"\nb\n.", "aaa, whose loading"),
    "an extension": (b"\x82\x07.", "the pickle instruction EXT1"),
    "a persistent identifier": (b"Pmatrix\n.", "the pickle instruction PERSID"),
    "a persistent object": (b"K\x01Q.", "the pickle instruction BINPERSID"),
    "a buffer beside the file": (b"\x80\x05\x97.", "the pickle instruction NEXT_BUFFER"),
    "an ndarray that is called": (NDARRAY + b"(tR.", "calling numpy.ndarray; refused"),
    "a state for a function": (RECONSTRUCT + b"}" + text("_function") + b"K\x01sb.", "a state for a function"),
    "slots for a function": (RECONSTRUCT + b"N}" + text("_function") + b"K\x01s\x86b.", "a state for a function"),
    "attributes for a list": (b"]}" + text("x") + b"K\x01sb.", "damaged"),
    "a new instance of a function": (RECONSTRUCT + b")\x81.", "damaged"),
    "a huge index": (b"]r\xff\xff\xff\x7f.", "an object numbered 2147483647"),
    "a huge index in text": (b"]p99999999999\n.", "an object numbered 99999999999"),
    "bytes beyond the file": (b"\x8e" + struct.pack("<Q", 1 << 62) + b"x.", "damaged"),
    "text beyond the file": (b"\x8d" + struct.pack("<Q", 1 << 40) + b"x.", "damaged"),
    "a byte array beyond the file": (b"\x96" + struct.pack("<Q", 1 << 40) + b"x.", "damaged"),
    "a frame beyond the file": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"].", "damaged"),
    "a later protocol": (b"\x80\x09].", "damaged"),
    "no object": (b"0.", "damaged"),
    "a number of many digits": (b"L" + b"9" * 5000 + b"L\n.", "damaged"),
    "an unknown instruction": (b"\xff.", "damaged"),
    "encoding as something else": (b"c_codecs\nencode\n(Vx\nVrot13\ntR.", "text encoded as 'rot13'"),
}


@pytest.mark.parametrize("what", INSTRUCTIONS)
def test_hostile_instructions(what: str, tmp_path: Path) -> None:
    data, said = INSTRUCTIONS[what]
    line = refusal(tmp_path, data)
    assert said in line and len(line) < 400 + len(str(tmp_path))


def test_a_registered_extension_is_refused(tmp_path: Path) -> None:
    name = builtins.eval.__module__, "eval", 7
    copyreg.add_extension(*name)
    try:
        data = pickle.dumps([eval], 2)
        assert pickle.loads(data) == [eval]  # from now on in the cache, which no name is asked for
        assert "EXT1" in refusal(tmp_path, data)
    finally:
        copyreg.remove_extension(*name)


def test_an_array_is_not_longer_than_its_data(tmp_path: Path) -> None:
    data = pickle.dumps([np.eye(3)], 4)
    shape = b"K\x03K\x03\x86"
    assert shape in data
    for wrong in (b"K\x03K\x04\x86", b"K\x03K\xff\x86", b"K\x01K\x03\x86"):
        assert "damaged" in refusal(tmp_path, data.replace(shape, wrong))


def test_copies_of_one_long_text_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_COPIED", 1 << 16)
    call = b"(h\x00Vlatin1\ntR0"
    data = b"V" + b"x" * 4000 + b"\nq\x000" + b"c_codecs\nencode\n" + b"q\x010" + (b"h\x01" + call) * 40 + b"]."
    assert "40 calls with up to 4000 bytes each; refused" in refusal(tmp_path, data)


def test_too_many_instructions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_INSTRUCTIONS", 100)
    assert "more than 100 pickle instructions" in refusal(tmp_path, b"]" * 200 + b".")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cut_off_at_every_byte(protocol: int, tmp_path: Path) -> None:
    data = pickle.dumps([np.eye(3), np.eye(3).tolist()], protocol)
    for length in range(len(data)):
        assert "damaged, or no pickle" in refusal(tmp_path, data[:length])


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_changed_byte_is_an_error_or_a_matrix(protocol: int, tmp_path: Path) -> None:
    data = pickle.dumps([np.eye(3), [[np.float32(1), 0, 0], [0, 1, 0], [0, 0, 1]]], protocol)
    rng = np.random.default_rng(protocol)
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ int(rng.integers(1, 256))]) + data[at + 1 :]
        try:
            read = read_matrices(stored(tmp_path, changed), 2)
        except DatasetError:
            continue
        assert read.shape == (2, 3, 3) and np.isfinite(read).all()


def test_files_that_are_no_pickle(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.pkl: no such file; expected a pickled list of 3x3 matrices"):
        read_matrices(tmp_path / "gone.pkl", 1)
    with pytest.raises(DatasetError, match="a folder, pipe or device"):
        read_matrices(tmp_path, 1)
    assert "no pickle (0 bytes)" in refusal(tmp_path, b"")
    assert "no pickle (17 bytes)" in refusal(tmp_path, b"1 0 0\n0 1 0\n0 0 1")
    assert "no pickle" in refusal(tmp_path, b"\x89PNG\r\n\x1a\n" + bytes(20))


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "homo_4df.pkl"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)  # takes no space on the disk
    with pytest.raises(DatasetError, match="has 64 MiB, but expected at most 64"):
        read_matrices(path, 1)


def changed(row: int, column: int, value: float) -> list[npt.NDArray[np.float64]]:
    matrix = EXPECTED[1].copy()
    matrix[row, column] = value
    return [EXPECTED[0], matrix, EXPECTED[2]]


WRONG = {
    "a number": (1.0, "holds no list"),
    "a dictionary": ({0: np.eye(3)}, "holds no list"),
    "a NumPy number": (np.float64(1), "holds no list"),
    "too few": (list(EXPECTED[:2]), "2 matrices for 3 frames; expected one per frame"),
    "none": ([], "0 matrices for 3 frames"),
    "one matrix": (np.eye(3), "matrix 0 has the shape (3,); expected (3, 3)"),
    "2x3": (list(EXPECTED[:, :2]), "matrix 0 has the shape (2, 3); expected (3, 3)"),
    "lists of two rows": (EXPECTED[:, :2].tolist(), "matrix 0 is not 3x3"),
    "lists of two columns": (EXPECTED[:, :, :2].tolist(), "matrix 0 is not 3x3"),
    "a missing matrix": ([np.eye(3), None, np.eye(3)], "matrix 1 is not 3x3"),
    "text": ([[["1", 0, 0], [0, 1, 0], [0, 0, 1]]] * 3, "matrix 0 holds other things than numbers"),
    "an array of arrays": ([[[np.eye(1)] * 3] * 3] * 3, "matrix 0 holds other things than numbers"),
    "not a number": (changed(0, 2, float("nan")), "matrix 1 has numbers that are not finite"),
    "infinite": (changed(0, 2, float("inf")), "matrix 1 has numbers that are not finite"),
    "a long integer": ([[[10**400, 0, 0], [0, 1, 0], [0, 0, 1]]] * 3, "matrix 0 has numbers that are not finite"),
    "perspective": (changed(2, 0, 0.001), "matrix 1 has the last row (0.001, 0, 1); expected (0, 0, 1)"),
    "homogeneous scale": (changed(2, 2, 2), "matrix 1 has the last row (0, 0, 2); expected (0, 0, 1)"),
    "flat": ([np.diag([1.0, 0, 1])] * 3, "matrix 0 flattens or mirrors the picture (determinant 0,"),
    "mirrored": ([np.diag([1.0, -1, 1])] * 3, "matrix 0 flattens or mirrors the picture (determinant -1,"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_motion_per_frame(what: str, tmp_path: Path) -> None:
    held, said = WRONG[what]
    assert said in refusal(tmp_path, pickle.dumps(held))


def test_the_last_row_may_be_rounded(tmp_path: Path) -> None:
    read = read_matrices(stored(tmp_path, pickle.dumps(changed(2, 0, 1e-9))), 3)
    np.testing.assert_array_equal(read, EXPECTED)


def test_matrices_that_python_2_wrote(tmp_path: Path) -> None:
    """Python 2 wrote the bytes of an array as text."""
    wanted = np.array([[0.9, -0.1, 200.5], [0.1, 0.9, -3.25], [0, 0, 1]])
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x03K\x03\x86cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    (tmp_path / "homo_4df.pkl").write_bytes(b"\x80\x02]" + array + b"\x89U\x48" + wanted.tobytes() + b"tba.")
    assert np.array_equal(read_matrices(tmp_path / "homo_4df.pkl", 1), wanted[None])
