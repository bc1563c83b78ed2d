"""``mostnet-export --triton``."""

from __future__ import annotations

from pathlib import Path

import pytest

from mostnet.export.cli import main

from ..conftest import SIZE_TEXT
from .interpreter import ConfiguredModel


def usual(checkpoint: Path, folder: Path, *more: str, size: str = SIZE_TEXT) -> list[str]:
    out, repository = str(folder / "out"), str(folder / "repository")
    return [str(checkpoint), "--size", size, "--onnx-only", "-o", out, "--triton", repository, *more]


def test_the_usual_files_and_a_repository(
    checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(usual(checkpoint_path, tmp_path, "--triton-cameras", "4", "--triton-idle", "30")) == 0
    name = f"tiny-{SIZE_TEXT}-fp16.onnx"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    model = tmp_path / "repository/onnxruntime/mostnet"
    assert (model / "1/model.onnx").read_bytes() == (tmp_path / "out" / name).read_bytes()
    sequences = ConfiguredModel(model).config.sequence_batching
    assert sequences.oldest.max_candidate_sequences == 4
    assert sequences.max_sequence_idle_microseconds == 30_000_000
    lines = capsys.readouterr().out.splitlines()
    assert f"{model}  version 1, for Triton's onnxruntime backend" in lines
    assert [
        line for line in lines if line.startswith("mostnet: no model for the tensorrt backend: this export has no plan")
    ]

    same = ["--triton", str(tmp_path / "repository")]
    # Another number of cameras is refused before the usual files are put in place.
    assert main([*usual(checkpoint_path, tmp_path / "x"), *same, "--triton-idle", "30"]) == 1
    assert "max_candidate_sequences: 4" in capsys.readouterr().err
    assert list((tmp_path / "x/out").iterdir()) == []

    # A file that cannot be put in place leaves the repository as it was.
    (tmp_path / "y/out" / name).mkdir(parents=True)
    options = ["--triton-cameras", "4", "--triton-idle", "30", *same]
    assert main([*usual(checkpoint_path, tmp_path / "y"), *options]) == 1
    assert "is a folder; move it away" in capsys.readouterr().err
    assert sorted(path.name for path in model.iterdir()) == ["1", "config.pbtxt"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--triton-cameras", "3"], "--triton-cameras needs --triton REPOSITORY"),
        (["--triton-idle", "3"], "--triton-idle needs --triton REPOSITORY"),
        (["--triton", "FILE"], "is a file; name a folder for the model repository"),
    ],
)
def test_arguments_that_do_not_go_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (tmp_path / "file").touch()
    arguments = [str(tmp_path / "file") if argument == "FILE" else argument for argument in arguments]
    assert main(["nano", "-o", str(tmp_path / "out"), *arguments]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_no_cameras(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["nano", "--triton", "x", "--triton-cameras", "0"])
    assert stopped.value.code == 2
    assert "'0' is not a whole number above 0" in capsys.readouterr().err
