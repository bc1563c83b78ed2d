"""Model folders, versions, refusals; and a failure leaves the repository as it was."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mostnet.bench.gpu.standin.toy import METADATA
from mostnet.contract import ExportError, ModelFileError, PlanInfo, sha256
from mostnet.export import ModelFiles, write_repository
from mostnet.export.triton import repository as repository_module
from mostnet.export.triton.options import TritonOptions
from mostnet.export.triton.placing import Placing

from ...toy_graph import save_toy
from .interpreter import read_config
from .twins import save_twins


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too, and empty folders as nothing."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
        if path.is_file() or not any(path.iterdir())
    }


def save_plan(path: Path, *, flavour: str = "tensorrt", **changes: object) -> Path:
    """A file that stands for a plan of the toy, with its description."""
    path.write_bytes(b"plan of " + flavour.encode())
    values = {field.name: getattr(METADATA, field.name) for field in dataclasses.fields(METADATA)}
    values |= {"tools": {"tensorrt": "10.9.0.34"}, **changes}
    info = PlanInfo(
        **values, plan_sha256=sha256(path), flavour=flavour, tensorrt_version="10.9.0.34", targets=("sm_86",)
    )
    path.with_name(f"{path.name}.json").write_text(info.to_json(), encoding="utf-8")
    return path


@pytest.fixture
def toy(tmp_path: Path) -> ModelFiles:
    return ModelFiles(save_toy(tmp_path / "toy.onnx"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "repository"


def test_a_graph_alone(toy: ModelFiles, folder: Path) -> None:
    lines = write_repository(folder, [toy])
    assert set(tree(folder)) == {
        "README.md",
        "onnxruntime/mostnet/config.pbtxt",
        "onnxruntime/mostnet/1/model.onnx",
    }
    assert (folder / "onnxruntime/mostnet/1/model.onnx").read_bytes() == toy.onnx.read_bytes()
    assert lines[0] == f"{folder}/onnxruntime/mostnet  version 1, for Triton's onnxruntime backend"
    assert lines[1].startswith("mostnet: no model for the tensorrt backend: this export has no plan; build it with")
    assert lines[2] == f"{folder}/README.md  says how to run the server"


def test_a_classic_plan_has_its_own_repository(toy: ModelFiles, folder: Path, tmp_path: Path) -> None:
    plan = save_plan(tmp_path / "toy.plan")
    lines = write_repository(folder, [dataclasses.replace(toy, plan=plan)])
    assert (folder / "tensorrt/mostnet/1/model.plan").read_bytes() == plan.read_bytes()
    assert (folder / "tensorrt/mostnet/1/model.plan.json").is_file()
    assert read_config(folder / "tensorrt/mostnet").backend == "tensorrt"
    assert f"{folder}/tensorrt/mostnet  version 1, for Triton's tensorrt backend" in lines
    assert not any("no model" in line for line in lines)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "| `mostnet` | 1 | 64x80 | fp32 | TensorRT 10.9.0.34, sm_86 |" in text
    assert "All models above have a plan." in text


def test_a_plan_of_tensorrt_for_rtx_is_left_out(toy: ModelFiles, folder: Path, tmp_path: Path) -> None:
    plan = save_plan(tmp_path / "toy.plan", flavour="rtx")
    lines = write_repository(folder, [dataclasses.replace(toy, plan=plan)])
    assert not (folder / "tensorrt").exists()
    (line,) = [line for line in lines if "no model" in line]
    assert "it does not load plans of TensorRT for RTX; build it with classic TensorRT (--flavour tensorrt" in line
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert line in " ".join(text.replace("`mostnet`: no", "mostnet: no").split())


def test_the_readme_has_a_line_for_each_backend(toy: ModelFiles, folder: Path) -> None:
    write_repository(folder, [toy], cameras=3, idle_s=4.5)
    text = (folder / "README.md").read_text(encoding="utf-8")
    for backend in ("onnxruntime", "tensorrt"):
        assert f'-v "$PWD/{backend}":/models:ro nvcr.io/nvidia/tritonserver:' in text
    assert 'TritonSession("localhost:8001", "mostnet")' in text
    assert "takes 3 cameras at a time" in text
    assert "nothing for 4.5 s" in text
    assert "4.5 s must be longer than 3 times the time of one frame" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 120


def test_versions_are_added_and_never_changed(toy: ModelFiles, folder: Path, tmp_path: Path) -> None:
    plan = save_plan(tmp_path / "toy.plan")
    write_repository(folder, [toy])
    before = tree(folder)
    newer = save_toy(tmp_path / "newer.onnx", metadata=dataclasses.replace(METADATA, trained=True).to_json())
    write_repository(folder, [ModelFiles(newer)])
    assert (folder / "onnxruntime/mostnet/1/model.onnx").read_bytes() == before["onnxruntime/mostnet/1/model.onnx"]
    assert (folder / "onnxruntime/mostnet/2/model.onnx").read_bytes() == newer.read_bytes()
    assert '"trained": true' in read_config(folder / "onnxruntime/mostnet").parameters["mostnet"].string_value
    write_repository(folder, [dataclasses.replace(toy, plan=plan)])
    assert sorted(path.name for path in (folder / "onnxruntime/mostnet").iterdir()) == ["1", "2", "3", "config.pbtxt"]
    assert sorted(path.name for path in (folder / "tensorrt/mostnet").iterdir()) == ["3", "config.pbtxt"]
    lines = write_repository(folder, [toy])
    assert f"{folder}/tensorrt/mostnet is from an earlier export and was not changed" in lines


def test_several_sizes_are_several_models(toy: ModelFiles, folder: Path, tmp_path: Path) -> None:
    write_repository(folder, [toy, ModelFiles(save_twins(tmp_path / "twins.onnx"))], name="mouth")
    assert sorted(path.name for path in (folder / "onnxruntime").iterdir()) == ["mouth-64x64", "mouth-64x80"]
    assert read_config(folder / "onnxruntime/mouth-64x64").name == "mouth-64x64"


def refuse(folder: Path, models: list[ModelFiles], words: str, **options: object) -> str:
    """The refusal is one line with these words, and changes nothing."""
    before = tree(folder) if folder.is_dir() else None
    with pytest.raises(ExportError) as caught:
        write_repository(folder, models, **options)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tree(folder) if folder.is_dir() else None) == before
    return str(caught.value)


def test_another_network_under_the_same_name(toy: ModelFiles, folder: Path, tmp_path: Path) -> None:
    write_repository(folder, [toy])
    twins = ModelFiles(save_twins(tmp_path / "twins.onnx"))
    message = refuse(folder, [twins], "onnxruntime/mostnet/config.pbtxt: differs from this export: it has")
    assert "dims: [ 1, 64, 80, 3 ]" in message
    assert "dims: [ 1, 64, 64, 3 ]" in message
    same_size = ModelFiles(save_twins(tmp_path / "twins.onnx", size_hw=(64, 80)))
    assert "state_in_seen" in refuse(folder, [same_size], "state_in_slow")


def test_other_cameras_or_a_configuration_changed_by_hand(toy: ModelFiles, folder: Path) -> None:
    write_repository(folder, [toy], cameras=2)
    refuse(
        folder,
        [toy],
        "'oldest { max_candidate_sequences: 2 }', this export 'oldest { max_candidate_sequences: 3 }'",
        cameras=3,
    )
    path = folder / "onnxruntime/mostnet/config.pbtxt"
    path.write_text(path.read_text(encoding="utf-8") + "version_policy { all {} }\n", encoding="utf-8")
    refuse(folder, [toy], "'version_policy { all {} }', this export 'nothing'", cameras=2)


def test_a_folder_that_is_no_model(toy: ModelFiles, folder: Path) -> None:
    (folder / "onnxruntime/mostnet").mkdir(parents=True)
    refuse(folder, [toy], "exists without config.pbtxt; move it away")
    (folder / "onnxruntime/mostnet/config.pbtxt").write_bytes(b"\xff\xfe")
    refuse(folder, [toy], "config.pbtxt: not text")


def test_a_file_in_place_of_a_folder_and_the_other_way_round(toy: ModelFiles, folder: Path) -> None:
    (folder / "README.md").mkdir(parents=True)
    refuse(folder, [toy], "README.md: is a folder; move it away")
    (folder / "README.md").rmdir()
    (folder / "onnxruntime").touch()
    refuse(folder, [toy], "onnxruntime: is a file; move it away")


def test_an_export_waits_for_another_into_the_same_repository(
    toy: ModelFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = repository_module.lock_folder, Event()

    def ask(*arguments: Any, **options: Any) -> int | None:
        asked.set()
        return real(*arguments, **options)

    options = TritonOptions(repository=folder)
    with ThreadPoolExecutor(1) as pool, repository_module.staged_repository(options, [toy]) as place:
        monkeypatch.setattr(repository_module, "lock_folder", ask)
        second = pool.submit(write_repository, folder, [toy])
        assert asked.wait(30)
        assert place(lambda: None)[0].endswith("version 1, for Triton's onnxruntime backend")
    assert second.result()[0].endswith("version 2, for Triton's onnxruntime backend")
    assert sorted(path.name for path in (folder / "onnxruntime/mostnet").iterdir()) == ["1", "2", "config.pbtxt"]


def test_a_repository_behind_a_link(toy: ModelFiles, folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    write_repository(tmp_path / "link", [toy])
    assert (folder / "onnxruntime/mostnet/1/model.onnx").is_file()


def test_options_and_files_that_cannot_be_used(toy: ModelFiles, folder: Path, tmp_path: Path) -> None:
    refuse(folder, [], "no model given")
    refuse(folder, [toy, toy], "two models have the same frame size")
    refuse(folder, [toy], "cameras is 0; a server takes at least 1 camera", cameras=0)
    refuse(folder, [toy], "model name '../x'", name="../x")
    for idle_s in (0.0, -1.0, float("nan"), float("inf")):
        refuse(folder, [toy], "expected seconds", idle_s=idle_s)
    refuse(toy.onnx, [toy], "is a file; name a folder for the model repository")
    refuse(folder, [ModelFiles(save_toy(tmp_path / "bare.onnx", metadata=None))], "has no description of mostnet")
    other = save_plan(tmp_path / "other.plan", checkpoint_sha256="f" * 64)
    refuse(folder, [dataclasses.replace(toy, plan=other)], "built from another graph: checkpoint_sha256 differ")
    assert not folder.exists()


def test_a_graph_whose_tensors_are_not_those_of_its_description(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="do not fit its description"):
        write_repository(folder, [ModelFiles(save_toy(tmp_path / "renamed.onnx", flow_name="stream"))])
    assert not folder.exists()


@pytest.mark.parametrize("earlier", [False, True], ids=["new", "second version"])
@pytest.mark.parametrize("step", ["make_folder", "move_folder", "replace_text"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_failure_at_any_step_leaves_nothing(
    toy: ModelFiles,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: BaseException,
    earlier: bool,
) -> None:
    files = dataclasses.replace(toy, plan=save_plan(tmp_path / "toy.plan"))
    folder.mkdir()
    if earlier:
        write_repository(folder, [files])
    before = tree(folder)
    newer = save_toy(tmp_path / "newer.onnx", metadata=dataclasses.replace(METADATA, trained=True).to_json())
    plan = save_plan(tmp_path / "newer.plan", trained=True)
    real, calls = getattr(Placing, step), []

    def fail_last(self: Placing, *arguments: Path) -> None:
        real(self, *arguments)
        calls.append(arguments)
        if arguments[-1] == folder / "README.md" or "tensorrt" in str(arguments[0]) or step == "replace_text":
            raise error

    monkeypatch.setattr(Placing, step, fail_last)
    with pytest.raises(ExportError if isinstance(error, OSError) else KeyboardInterrupt):
        write_repository(folder, [ModelFiles(newer, plan)])
    assert calls
    assert tree(folder) == before


def test_a_copy_that_fails_leaves_nothing(toy: ModelFiles, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()

    def fail(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:100])
        raise OSError("disk full")

    monkeypatch.setattr(repository_module.shutil, "copyfile", fail)
    with pytest.raises(ExportError, match=r"repository: the repository cannot be written \(disk full\); nothing was"):
        write_repository(folder, [toy])
    assert tree(folder) == {}
