"""``mostnet-export`` from end to end."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mostnet.contract import CalibrationError, ExportError, FrameError, PlanInfo, VerificationError, sha256
from mostnet.engine import Engine
from mostnet.export import CalibrationOptions, ExportOptions, export_sizes, exporter, precision
from mostnet.export import export as export_function
from mostnet.export.accuracy import FrameAccuracy
from mostnet.export.cli import TRIVIAL, main
from mostnet.export.publish import publish
from mostnet.model import initial_checkpoint, save_checkpoint
from mostnet.model.__main__ import main as model_main
from mostnet.video import demo_clip

from .conftest import SIZE, SIZE_TEXT

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="TensorRT for RTX has no wheel for this machine"
)


@needs_rtx
def test_fp16_with_plan_and_verification(
    checkpoint_path: Path, video_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--fp16", "--size", SIZE_TEXT, "--output", str(tmp_path), "--target", "sm_86,sm_89,sm_120"]
    assert main([str(checkpoint_path), *arguments, "--flavour", "rtx", "--verify", str(video_path)]) == 0
    text = capsys.readouterr().out
    assert "worst frame" in text
    assert "was built and checked, but not run: no NVIDIA driver" in text
    name = f"tiny-{SIZE_TEXT}-fp16"
    assert f"{name}.plan: the types of its convolutions are unknown: no NVIDIA driver" in text
    assert "inspecting the plan needs a GPU that it was built for (sm_86, sm_89, sm_120)\n" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{name}.onnx", f"{name}.plan", f"{name}.plan.json"]
    info = PlanInfo.from_json((tmp_path / f"{name}.plan.json").read_text(), source="plan")
    assert info.targets == ("sm_86", "sm_89", "sm_120")
    assert info.flavour == "rtx"
    assert info.plan_sha256 == sha256(tmp_path / f"{name}.plan")
    assert info.checkpoint_sha256 == sha256(checkpoint_path)
    assert info.tools["tensorrt_rtx"] == info.tensorrt_version
    assert info.tools.keys() >= {"mostnet", "torch", "onnx"}
    with Engine(tmp_path / f"{name}.onnx") as engine:
        assert engine.metadata.size_hw == SIZE
        assert engine.infer(np.zeros((*SIZE, 3), np.uint8)).finite


def test_odd_size_opset_17_graph_alone(checkpoint_path: Path, video_path: Path, tmp_path: Path) -> None:
    arguments = ["--fp32", "--size", "101x133", "--opset", "17", "--onnx-only", "--output", str(tmp_path / "new")]
    assert main([str(checkpoint_path), *arguments, "--verify", str(video_path), "--verify-frames", "6"]) == 0
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["tiny-101x133-fp32.onnx"]


def test_trivial_network_has_its_own_exit_status(
    video_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "identity.pt"
    assert model_main(["init", "nano", str(checkpoint)]) == 0
    arguments = [str(checkpoint), "--size", SIZE_TEXT, "--onnx-only", "--output", str(tmp_path)]
    arguments += ["--verify", str(video_path), "--verify-frames", "3"]
    assert main(arguments) == TRIVIAL
    assert "TRIVIAL verification" in capsys.readouterr().out
    assert main([*arguments, "--allow-trivial"]) == 0
    assert "TRIVIAL verification" in capsys.readouterr().out


def test_a_folder_whose_name_looks_like_markup(
    checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ma[/b] :100:"
    (folder / "b]").mkdir(parents=True)
    (folder / f"tiny-{SIZE_TEXT}-fp32.plan").write_bytes(b"an earlier plan")
    assert main([str(checkpoint_path), "--fp32", "--size", SIZE_TEXT, "--onnx-only", "--output", str(folder)]) == 0
    printed = capsys.readouterr()
    assert printed.out.count(str(folder)) == 2 and not printed.err


def test_failed_verification_leaves_the_old_files(
    checkpoint_path: Path, video_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / f"tiny-{SIZE_TEXT}-fp16.onnx"
    old.write_bytes(b"the one before")
    monkeypatch.setattr(FrameAccuracy, "keeps", lambda self, bounds: False)
    options = ExportOptions(size_hw=SIZE, output=tmp_path, onnx_only=True, verify_video=video_path, verify_frames=2)
    shown = Console(record=True, file=io.StringIO())
    with pytest.raises(VerificationError, match="differs from float32 PyTorch in 2 of 2 frames"):
        export_function(checkpoint_path, options, console=shown)
    assert "worst frame" in shown.export_text(), "the figures that break the bound are shown"
    assert [p.name for p in tmp_path.iterdir()] == [old.name]
    assert old.read_bytes() == b"the one before"


def test_interrupt_leaves_nothing(
    checkpoint_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(precision, "build_graph", interrupt)
    assert main([str(checkpoint_path), "--onnx-only", "--output", str(tmp_path)]) == 130
    assert "interrupted; nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["gone.pt", "--onnx-only"], "gone.pt: no such checkpoint"),
        (["CKPT", "--onnx-only", "--size", "32x640"], "32x640; each side must be at least 64"),
        (["CKPT", "--onnx-only", "--verify", "gone.mp4"], "gone.mp4"),
        (["CKPT", "--onnx-only", "--target", "sm_86"], "leave them out with onnx_only"),
        (["CKPT", "--onnx-only", "--verify-frames", "1"], "verify_frames is 1; expected at least 2"),
    ],
)
def test_one_line_errors(
    checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    arguments = [str(checkpoint_path) if a == "CKPT" else a for a in arguments]
    assert main([*arguments, "--output", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("mostnet-export: ")
    assert text in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs")
def test_a_pipe_cannot_be_opened_twice(
    checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    arguments = [str(checkpoint_path), "--onnx-only", "--verify", str(tmp_path / "pipe"), "--output", str(tmp_path)]
    assert main(arguments) == 1
    assert "pipe: a pipe; the video is opened twice, so give a file" in capsys.readouterr().err


def test_missing_tensorrt_is_said_before_any_work(
    checkpoint_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(exporter, "load_either", lambda path: pytest.fail("work was done first"))
    assert main([str(checkpoint_path), "--output", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "pip install 'mostnet[rtx]'" in error
    assert "--onnx-only" in error


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """New files ``a``, ``b`` and ``c``, staged, and a target that has an old ``a``."""
    staged, target = tmp_path / "staged", tmp_path / "target"
    for folder in (staged, target):
        folder.mkdir()
    for name in ("a", "b", "c"):
        (staged / name).write_text("new")
    (target / "a").write_text("old")
    return staged, target


def test_several_files_are_put_in_place_together_or_not_at_all(folders: tuple[Path, Path]) -> None:
    staged, target = folders
    (target / "c").mkdir()
    with pytest.raises(ExportError, match="c: is a folder; move it away"):
        publish(staged, target)
    assert sorted(p.name for p in target.iterdir()) == ["a", "c"]
    (target / "c").rmdir()
    publish(staged, target)
    assert {p.name: p.read_text() for p in target.iterdir()} == {"a": "new", "b": "new", "c": "new"}


def test_a_failure_half_way_puts_the_old_files_back(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    staged, target = folders
    replace = Path.replace

    def fail(self: Path, to: Path) -> Path:
        if self == staged / "c":
            raise KeyboardInterrupt
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        publish(staged, target)
    assert {p.name: p.read_text() for p in target.iterdir()} == {"a": "old"}


def test_a_kill_half_way_leaves_the_old_file_or_the_new_one(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    staged, target = folders
    replace, found = Path.replace, []

    def noted(self: Path, to: Path) -> Path:
        found.append((target / "a").read_text() if (target / "a").exists() else "nothing")
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", noted)
    publish(staged, target)
    assert found == ["old", "new", "new"]


def test_output_is_a_file(checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").touch()
    assert main([str(checkpoint_path), "--onnx-only", "--output", str(tmp_path / "taken")]) == 1
    assert "taken: is a file; name a folder for the output" in capsys.readouterr().err


@needs_rtx
def test_several_sizes_give_one_graph_and_plan_each(checkpoint_path: Path, video_path: Path, tmp_path: Path) -> None:
    arguments = ["--size", SIZE_TEXT, "--size", "64x96", "--size", SIZE_TEXT, "--output", str(tmp_path)]
    arguments += ["--flavour", "rtx", "--target", "sm_86", "--verify", str(video_path), "--verify-frames", "4"]
    assert main([str(checkpoint_path), *arguments]) == 0
    names = [f"tiny-{size}-fp16.{suffix}" for size in (SIZE_TEXT, "64x96") for suffix in ("onnx", "plan", "plan.json")]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)
    for size_hw in (SIZE, (64, 96)):
        text = (tmp_path / f"tiny-{size_hw[0]}x{size_hw[1]}-fp16.plan.json").read_text()
        assert PlanInfo.from_json(text, source="plan").size_hw == size_hw


def test_where_one_size_fails_nothing_of_any_is_written(
    checkpoint_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build = precision.build_graph

    def fail(*args: object, size_hw: tuple[int, int], **options: object) -> object:
        if size_hw == (64, 96):
            raise ExportError("the second size cannot be built")
        return build(*args, size_hw=size_hw, **options)

    monkeypatch.setattr(precision, "build_graph", fail)
    arguments = ["--size", SIZE_TEXT, "--size", "64x96", "--onnx-only", "--output", str(tmp_path)]
    assert main([str(checkpoint_path), *arguments]) == 1
    assert "the second size cannot be built" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_size_too_small_is_refused_before_the_first_is_made(
    checkpoint_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "build_graph", lambda *_, **__: pytest.fail("work was done first"))
    with pytest.raises(FrameError, match="32x640; each side must be at least 64"):
        export_sizes(checkpoint_path, ExportOptions(onnx_only=True, output=tmp_path), [SIZE, (32, 640)])
    with pytest.raises(ExportError, match="no frame size given"):
        export_sizes(checkpoint_path, ExportOptions(onnx_only=True, output=tmp_path), [])


def test_export_without_verification_needs_no_pyav() -> None:
    code = "import sys; sys.modules['av'] = None; import mostnet.export.cli, mostnet.bench.gpu.prepare"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_older_plan_beside_a_new_graph_is_said(
    checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"tiny-{SIZE_TEXT}-fp16.plan").touch()
    assert main([str(checkpoint_path), "--onnx-only", "--size", SIZE_TEXT, "--output", str(tmp_path)]) == 0
    assert "fp16.plan is from an earlier export and was not changed" in capsys.readouterr().out


def test_weights_beyond_half_precision_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = initial_checkpoint("nano")
    loaded.model.branches[0].head.bias.data[0] = 7e4
    save_checkpoint(loaded, tmp_path / "big.pt")
    arguments = [str(tmp_path / "big.pt"), "--onnx-only", "--size", SIZE_TEXT, "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "weight branches.0.head.bias does not fit fp16: it becomes infinite; export it with --fp32" in (
        capsys.readouterr().err
    )
    assert main([*arguments, "--fp32"]) == 0


@pytest.mark.parametrize("size", ["640", "480x", "ax5"])
def test_size_is_height_x_width(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["ckpt.pt", "--size", size])
    assert stop.value.code == 2
    assert "is not HEIGHTxWIDTH" in capsys.readouterr().err


def test_a_size_in_the_order_of_most_programs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ckpt.pt", "--size", "1280x720"])
    assert "write 720x1280 for 720 high and 1280 wide, or h1280xw720" in capsys.readouterr().err


def test_the_word_demo_is_the_shipped_clip(
    checkpoint_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[ExportOptions] = []

    def export_sizes(path: Path, options: ExportOptions, *_: object, **__: object) -> None:
        given.append(options)
        raise ExportError("enough")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    monkeypatch.setattr(exporter, "export_sizes", export_sizes)
    for clip in ("demo", "demo.mp4"):
        assert main([str(checkpoint_path), "--verify", clip]) == 1
    assert [options.verify_video for options in given] == [demo_clip(), Path("demo.mp4")]


def test_a_data_set_is_no_video_to_verify_on(
    checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data/train/a/input").mkdir(parents=True)
    (tmp_path / "data/val/b/input").mkdir(parents=True)
    arguments = ["--onnx-only", "--output", str(tmp_path / "out"), "--verify", str(tmp_path / "data")]
    assert main([str(checkpoint_path), *arguments]) == 1
    advice = f"no video; give one sequence of it, such as {tmp_path / 'data/val/b/input'}"
    assert advice in " ".join(capsys.readouterr().err.split())


@needs_rtx
def test_timing_cache_is_for_classic_tensorrt(
    checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--flavour", "rtx", "--timing-cache", str(tmp_path / "cache"), "--output", str(tmp_path)]
    assert main([str(checkpoint_path), *arguments]) == 1
    assert "a timing cache is for --flavour tensorrt" in capsys.readouterr().err


@pytest.mark.parametrize("variant", ["sw", "dw"])
def test_larger_variants_export_and_keep_their_accuracy(variant: str, video_path: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / f"{variant}.pt"
    assert model_main(["init", variant, str(checkpoint), "--random-head"]) == 0
    arguments = [str(checkpoint), "--fp16", "--size", "64x96", "--output", str(tmp_path), "--target", "sm_86"]
    if importlib.util.find_spec("tensorrt_rtx") is None:
        arguments = [*arguments[:-2], "--onnx-only"]
    assert main([*arguments, "--verify", str(video_path), "--verify-frames", "6"]) == 0
    written = {p.suffix for p in tmp_path.iterdir()}
    assert ".onnx" in written


def test_description_beside_the_plan_is_json(checkpoint_path: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("TensorRT for RTX has no wheel for this machine")
    result = export_function(checkpoint_path, ExportOptions(size_hw=SIZE, output=tmp_path, flavour="rtx"))
    assert result.plan is not None
    described = json.loads(result.plan.with_name(f"{result.plan.name}.json").read_text())
    assert described["size_hw"] == list(SIZE)
    assert described["states"][0]["name"] == "hidden4"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"recurrence": False}, "recurrence"),
        ({"alignment": False}, "alignment"),
        ({"tasks": ["mask"]}, "enhance, flow"),
    ],
    ids=["recurrence", "alignment", "tasks"],
)
def test_a_network_trained_without_a_part_of_the_method_is_refused(
    tmp_path: Path, options: dict[str, object], what: str
) -> None:
    whole = {"recurrence": True, "alignment": True, "tasks": ["enhance", "flow", "mask"]}
    path = tmp_path / "part.pt"
    save_checkpoint(replace(initial_checkpoint("nano"), training={"options": {**whole, **options}}), path)
    with pytest.raises(ExportError, match=f"trained without {what}, for comparison; an exported graph has the whole"):
        export_function(path, ExportOptions(output=tmp_path, onnx_only=True))
    assert [file.name for file in tmp_path.iterdir()] == ["part.pt"]


def test_calibration_data_are_looked_at_before_any_work(
    checkpoint_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "Preparation", lambda *args: pytest.fail("work was done first"))
    pictures = tmp_path / "s" / "input"
    pictures.mkdir(parents=True)
    for k in range(3):
        (pictures / f"{k}.png").write_bytes(b"not a picture, but long enough for its head")
    options = ExportOptions(
        precision="int8", onnx_only=True, output=tmp_path, calibration=CalibrationOptions(data=tmp_path, frames=2)
    )
    with pytest.raises(CalibrationError, match=r"0\.png: not a picture in PNG or JPEG"):
        export_function(checkpoint_path, options)
