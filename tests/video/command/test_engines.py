"""The engine of ``mostnet-run``: a file, or a checkpoint that is exported once."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mostnet.contract import ExportError, ModelFileError
from mostnet.contract.shipped import checkpoint_path
from mostnet.engine import Engine
from mostnet.video import cli
from mostnet.video.command import engines
from mostnet.video.command.engines import EngineSupply, exported_file, usual_size

from ..samples import moving_frames, write_with_av


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mostnet"


@pytest.fixture
def exports(files: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of exports, which write the toy graph."""
    commands: list[list[str]] = []

    def run(command: list[str], *, cwd: Path, **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        shutil.copy(files[0], cwd / "toy.onnx")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(engines.subprocess, "run", run)
    return commands


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the extra export is missing")
def test_a_shipped_checkpoint_is_exported_by_its_name(cache: Path) -> None:
    said: list[str] = []
    file = exported_file(checkpoint_path("nano"), (64, 64), say=said.append)
    assert said == [f"exporting nano for frames of 64x64, once, into {file}"]
    assert list(cache.iterdir()) == [file]
    with Engine(file) as engine:
        assert (engine.metadata.size_hw, engine.metadata.precision) == ((64, 64), "fp32")


def test_the_next_run_takes_the_same_file(
    files: tuple[str, str], exports: list[list[str]], cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [files[1], "--size", "64x80", "-o", str(tmp_path / "o.mp4")]  # nano is the default
    assert cli.main(command) == 0
    (file,) = cache.iterdir()
    assert file.name.startswith("nano-64x80-fp32-")
    first = f"mostnet-run: exporting nano for frames of 64x80, once, into {file}"
    assert capsys.readouterr().err.splitlines()[0] == first
    assert exports[0][1:3] == ["-m", "mostnet.export.cli"]
    assert "--size 64x80" in " ".join(exports[0])
    assert cli.main(command) == 0
    assert "exporting" not in capsys.readouterr().err
    assert len(exports) == 1


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [(lambda whole: whole[:1000], "truncated: "), (lambda whole: bytes(len(whole)), "not an ONNX model; ")],
)
def test_a_damaged_export_of_an_earlier_run_is_made_again(
    files: tuple[str, str],
    exports: list[list[str]],
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damaged: Callable[[bytes], bytes],
    reason: str,
) -> None:
    command = [files[1], "--size", "64x80", "-o", str(tmp_path / "o.mp4")]
    assert cli.main(command) == 0
    (file,) = cache.iterdir()
    file.write_bytes(damaged(file.read_bytes()))
    capsys.readouterr()
    assert cli.main(command) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(
        f"mostnet-run: the earlier export is made again, because it cannot be opened: {file}: {reason}"
    )
    assert said[1].startswith("mostnet-run: exporting nano ")
    assert len(exports) == 2


@pytest.mark.parametrize("is_old", [False, True])
def test_an_export_that_cannot_be_read_is_made_once_and_is_an_error(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_old: bool
) -> None:
    sizes: list[tuple[int, int]] = []

    def export(checkpoint: Path, size_hw: tuple[int, int], folder: Path) -> Path:
        sizes.append(size_hw)
        (folder / "a.onnx").write_bytes(b"")
        return folder / "a.onnx"

    monkeypatch.setattr(engines, "_export", export)
    if is_old:
        exported_file(checkpoint_path("nano"), (64, 80), say=print)
    sizes.clear()
    with EngineSupply("nano", ("mask",), size_hw=(64, 80), say=print) as supply:
        for _ in range(2 if is_old else 1):
            with pytest.raises(ModelFileError, match="the file is empty"):
                supply.engine_for(0)
    assert len(sizes) == (2 if is_old else 1)


@pytest.mark.parametrize("what", ["weights", "size", "version"])
def test_another_checkpoint_size_or_version_is_another_export(
    exports: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    checkpoint = tmp_path / "a.pt"
    checkpoint.write_bytes(b"1")
    first = exported_file(checkpoint, (64, 80), say=print)
    if what == "weights":
        checkpoint.write_bytes(b"2")
    if what == "version":
        monkeypatch.setattr(engines, "mostnet_version", lambda: "9")
    assert exported_file(checkpoint, (64, 96 if what == "size" else 80), say=print) != first
    assert len(exports) == 2


@pytest.mark.parametrize(
    ("size_hw", "expected"),
    [((480, 640), (480, 640)), ((720, 1280), (416, 736)), ((1280, 720), (736, 416)), ((96, 128), (96, 128))],
)
def test_the_size_follows_the_shape_of_the_video(
    tmp_path: Path, size_hw: tuple[int, int], expected: tuple[int, int]
) -> None:
    video = write_with_av(tmp_path / "v.mp4", moving_frames(1, size_hw))
    assert usual_size(video) == expected


def test_a_camera_and_a_pipe_have_the_usual_size() -> None:
    assert usual_size(0) == usual_size("-") == (480, 640)


def test_what_is_said_of_a_video_is_said_once(
    exports: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_with_av(tmp_path / "one.mp4", moving_frames(3, (64, 80))).read_bytes()
    (tmp_path / "two.mp4").write_bytes(one + one)
    command = [str(tmp_path / "two.mp4"), "--engine", "nano", "-o", str(tmp_path / "o.mp4")]
    assert cli.main(command) == 0
    assert capsys.readouterr().err.count("a second MP4 follows the first one") == 1


def test_without_the_extra_the_error_names_it_and_nothing_is_left(
    files: tuple[str, str],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shadow = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "torch.py").write_text(shadow, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "shadow"), prepend=os.pathsep)
    assert cli.main([files[1], "--engine", "nano", "-o", str(tmp_path / "o.mp4")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("mostnet-run: nano.pt: cannot be exported: ")
    assert error.endswith("pip install 'mostnet[export]'")
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_says_what_to_do(exports: list[list[str]], cache: Path, tmp_path: Path) -> None:
    cache.parent.write_text("a file where a folder must be", encoding="utf-8")
    with pytest.raises(ExportError, match=r"cannot be written .*; name another folder with XDG_CACHE_HOME"):
        exported_file(checkpoint_path("nano"), (64, 64), say=print)


_BY_HAND = "run mostnet-export yourself, and give its .onnx file to --engine"


def test_an_export_that_cannot_start_is_no_fault_of_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.sys, "executable", str(cache / "no python"))
    with pytest.raises(ExportError, match=f"^cannot start mostnet-export: .*No such file.*; {_BY_HAND}$"):
        exported_file(checkpoint_path("nano"), (64, 64), say=print)
    assert list(cache.iterdir()) == []


def test_an_export_without_a_graph_is_an_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(engines.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(ExportError, match=f"^nano.pt: mostnet-export wrote no .onnx file; {_BY_HAND}$"):
        exported_file(checkpoint_path("nano"), (64, 64), say=print)
    assert list(cache.iterdir()) == []


_EXPECTED = "expected .onnx, .plan, CKPT.pt or the name of a shipped checkpoint such as nano"


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("own.pt", f"own.pt: no such file; {_EXPECTED}"),
        ("nano.pt", f"nano.pt: no such file; {_EXPECTED}; did you mean nano?"),
        ("Nano", f"{_EXPECTED}; did you mean nano?"),
        ("nanoo", f"{_EXPECTED}; did you mean nano?"),
        ("b.mov", f"b.mov: neither an engine nor a checkpoint; {_EXPECTED}"),
    ],
)
def test_other_names_are_no_engines(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], engine: str, text: str
) -> None:
    assert cli.main([files[1], "--engine", engine, "-o", "o.mp4"]) == 1
    assert f"{text}\n" in capsys.readouterr().err


def test_a_size_below_the_smallest_is_refused_before_the_export(
    files: tuple[str, str], exports: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main([files[1], "--engine", "nano", "-o", "o.mp4", "--size", "10x10"])
    assert "--size is 10x10; each side must be at least 64 pixels" in capsys.readouterr().err
    assert exports == []


def test_a_size_for_a_file_is_refused(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([files[1], "--engine", files[0], "-o", "o.mp4", "--size", "720p"])
    assert f"--size is for --engine NAME; {files[0]} has the size that it was exported with" in capsys.readouterr().err
