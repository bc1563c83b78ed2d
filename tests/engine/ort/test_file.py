"""An ONNX file that cannot be opened."""

import json
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from mostnet.bench.gpu.standin.toy import METADATA
from mostnet.contract import BackendNotInstalledError, ModelFileError, ModelMissingError
from mostnet.engine import Engine
from mostnet.engine.ort import model as onnx_backend
from mostnet.engine.ort.file import check_onnx_file, onnx_digest
from tests.toy_graph import save_toy


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return save_toy(tmp_path / "toy.onnx")


def description(**changes: object) -> str:
    """The toy's metadata as JSON, with fields replaced."""
    return json.dumps(json.loads(METADATA.to_json()) | changes)


def test_no_such_file(toy: Path) -> None:
    with pytest.raises(ModelFileError, match=r"other.onnx: no such file \(that folder has toy.onnx\); mostnet-export"):
        Engine(toy.with_name("other.onnx"))
    with pytest.raises(ModelFileError, match=r"x.onnx: no such file; mostnet-export makes one"):
        Engine(toy.parent / "nowhere" / "x.onnx")
    with pytest.raises(FileNotFoundError) as caught:
        Engine(toy.with_name("other.onnx"))
    assert type(caught.value) is ModelMissingError and "other.onnx: no such file" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "the path of the model is empty; expected that of a .onnx or .plan file"),
        ("nano", "which this command makes: mostnet-export nano (mostnet-run --engine nano does it by itself)"),
        ("dir/my clip.pt", "expected .onnx or .plan, which this command makes: mostnet-export 'dir/my clip.pt'"),
    ],
)
def test_what_is_often_handed_in_instead(name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError) as caught:
        Engine(name)
    assert str(caught.value).endswith(text)


@pytest.mark.parametrize("name", ["model", "model.onnx.zip"])
def test_another_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"whatever")
    with pytest.raises(ModelFileError, match=r"not a model file; expected .onnx or .plan, which mostnet-export makes"):
        Engine(tmp_path / name)


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").mkdir()
    with pytest.raises(ModelFileError, match=r"a folder, not a file; name the \.onnx or \.plan in it$"):
        Engine(tmp_path / "x.onnx")
    (tmp_path / "a.plan").touch()
    with pytest.raises(ModelFileError, match=r"a folder, not a file; .* \(that folder has a\.plan\)"):
        Engine(tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the file is empty"),
        (b"hello, this is no model at all" * 10, "not an ONNX model; name a file made by mostnet-export"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not an ONNX model"),
        (b"PK\x03\x04" + b"\xff" * 100, "not an ONNX model"),
        (b"\x08\x09", "it holds no graph"),
        (b"\x08\x09\x3a" + b"\xff" * 12, "truncated: 15 bytes, expected at least"),
    ],
)
def test_no_model_in_the_file(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=text):
        Engine(path)


def test_a_truncated_model_is_called_truncated(toy: Path) -> None:
    whole = toy.read_bytes()
    for size in range(5, len(whole), 97):
        toy.write_bytes(whole[:size])
        with pytest.raises(ModelFileError, match=f"truncated: {size} bytes"):
            check_onnx_file(toy)
    toy.write_bytes(whole[:-1])
    with pytest.raises(ModelFileError, match=f"truncated: {len(whole) - 1} bytes, expected at least {len(whole)}"):
        Engine(toy)


def test_a_model_that_onnx_runtime_refuses(toy: Path) -> None:
    toy.write_bytes(toy.read_bytes().replace(b"Expand", b"Expend"))
    with pytest.raises(ModelFileError, match=r"ONNX Runtime [\d.]+ cannot load it .*Expend.*export or copy it again"):
        Engine(toy, provider="cpu")


def test_a_model_without_a_description(tmp_path: Path) -> None:
    path = save_toy(tmp_path / "x.onnx", metadata=None)
    with pytest.raises(ModelFileError, match="without a mostnet description, so not made by mostnet-export"):
        Engine(path, provider="cpu")


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        (description(format_version=99), "description format 99, this mostnet reads 1"),
        ("{", "is not JSON"),
        (
            description(size_hw=[64, 64]),
            r"inputs do not fit .*missing frame uint8\[1, 64, 64, 3\], unexpected frame",
        ),
        (description(states=[]), r"missing none, unexpected state_in_last float16\[1, 64, 80, 1\], state_in_length"),
    ],
)
def test_a_description_that_does_not_fit(tmp_path: Path, metadata: str, text: str) -> None:
    path = save_toy(tmp_path / "x.onnx", metadata=metadata)
    with pytest.raises(ModelFileError, match=text):
        Engine(path, provider="cpu")


def test_an_output_of_another_name(tmp_path: Path) -> None:
    path = save_toy(tmp_path / "x.onnx", flow_name="motion")
    with pytest.raises(ModelFileError, match=r"outputs .*missing flow float32\[1, 2, 64, 80\], unexpected motion"):
        Engine(path, provider="cpu")


def test_onnx_runtime_is_not_installed(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_backend, "find_spec", lambda name: None)
    with pytest.raises(
        BackendNotInstalledError, match=r"not installed; pip install 'mostnet\[cpu\]'.*'mostnet\[gpu\]'"
    ):
        Engine(toy)


def test_an_altered_graph_is_told_from_the_exported_one(toy: Path) -> None:
    model = onnx.load(toy)
    constant = model.graph.initializer[0]
    changed = numpy_helper.to_array(constant) + 1
    constant.CopyFrom(numpy_helper.from_array(changed, constant.name))
    onnx.save(model, toy)
    with pytest.raises(ModelFileError, match="altered since mostnet-export wrote it"):
        Engine(toy)


def test_the_digest_leaves_out_the_description_alone(toy: Path) -> None:
    before = onnx_digest(toy)
    model = onnx.load(toy)
    model.metadata_props.add(key="note", value="mine")
    onnx.save(model, toy)
    assert onnx_digest(toy) == before
    model.producer_name = "somebody else"
    onnx.save(model, toy)
    assert onnx_digest(toy) != before
