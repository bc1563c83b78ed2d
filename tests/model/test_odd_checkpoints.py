"""Odd files: each loads as a checkpoint or is refused with one line, in a moment and without memory."""

from __future__ import annotations

import os
import sys
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from mostnet.contract import CheckpointError
from mostnet.contract.shipped import checkpoint_path
from mostnet.model import Checkpoint, load_checkpoint, save_checkpoint

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    found: Document = torch.load(checkpoint_path("nano"), weights_only=True)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "odd.pt"


def refused(path: Path) -> str:
    """The message of the error, which costs a second or two of the processor."""
    begun_s = time.process_time()
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    assert time.process_time() - begun_s < 4
    text = str(error.value)
    assert text.startswith(f"{path}: ") and "\n" not in text and len(text) < 600
    return text


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_prefixes_of_wrappers_load(document: Document, path: Path, prefix: str) -> None:
    torch.save({**document, "weights": {prefix + name: value for name, value in document["weights"].items()}}, path)
    found = load_checkpoint(path).model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in document["weights"].items())


def test_averaged_weights_load(document: Document, path: Path) -> None:
    averaged = AveragedModel(load_checkpoint(checkpoint_path("nano")).model)
    torch.save({**document, "weights": averaged.state_dict()}, path)
    found = load_checkpoint(path).model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in document["weights"].items())


def test_a_compiled_part_loads(document: Document, path: Path) -> None:
    weights = {name.replace("extractor.", "extractor._orig_mod."): value for name, value in document["weights"].items()}
    torch.save({**document, "weights": weights}, path)
    load_checkpoint(path)


def test_the_same_weight_with_and_without_a_prefix_is_refused(document: Document, path: Path) -> None:
    weights = {**document["weights"], "module.extractor.stem.0.bias": torch.zeros(16)}
    torch.save({**document, "weights": weights}, path)
    assert "weight 'extractor.stem.0.bias' is there twice, under two prefixes" in refused(path)


@pytest.mark.parametrize("wrap", [dict, OrderedDict, lambda weights: {"epoch": 3, "state_dict": weights}])
def test_a_bare_state_dict_is_named(document: Document, path: Path, wrap: Callable[[Document], object]) -> None:
    torch.save(wrap(document["weights"]), path)
    assert "a bare state_dict, weights without their config" in refused(path)


def test_the_state_of_a_run_names_its_weights(path: Path) -> None:
    torch.save({"format": "mostnet-training", "parts": {}}, path)
    model = path.with_name("model.pt")
    assert f"the state of a training run, only for mostnet-train --resume; its weights are in model.pt: {model}," in (
        refused(path)
    )
    model.touch()
    assert refused(path).endswith(f"its weights are in model.pt: give {model}")


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def laughs() -> list[Any]:
    """A billion values in a few bytes."""
    value: list[Any] = [1] * 10
    for _ in range(8):
        value = [value] * 10
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "change",
    [
        {"extractor_blocks": (65536,) * 3},
        {"decoder_blocks": (33, 1, 1)},
        {"search_radii": (65536, 2)},
        {"channels": (10**9, 32, 64)},
        {"channels": (True, 32, 64)},
        {"channels": (float("nan"), 32, 64)},
        {"channels": [[16], [32], [64]]},
        {"channels": endless()},
        {"channels": nested(100)},
        {"channels": list(range(100_000))},
        {"channels": torch.zeros(3)},
        {5: 1},
    ],
)
def test_sizes_that_no_network_has(document: Document, path: Path, change: Document) -> None:
    torch.save({**document, "config": {**document["config"], **change}}, path)
    assert "this mostnet does not support its config" in refused(path)


def test_the_largest_config_is_compared_before_anything_is_built(document: Document, path: Path) -> None:
    most = dict.fromkeys(("channels", "state_channels"), (65536,) * 3) | {"search_radii": (32,) * 3}
    blocks = {"extractor_blocks": (32,) * 3, "decoder_blocks": (32,) * 3, "flow_channels": (65536,) * 3}
    torch.save({**document, "config": {**document["config"], **most, **blocks}}, path)
    assert "the weights do not fit the config" in refused(path)


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        (torch.zeros(16, dtype=torch.int8), "is not a dense tensor of real numbers"),
        (torch.zeros(16, dtype=torch.bool), "is not a dense tensor of real numbers"),
        (torch.zeros(16, device="meta"), "is not a dense tensor of real numbers"),
        (torch.zeros(4, 4).to_sparse_csr(), "is not a dense tensor of real numbers"),
        (torch.zeros(1).expand(10**12), "the weights claim 4"),
        ({"nested": torch.zeros(16)}, "is not a dense tensor of real numbers"),
    ],
)
def test_weights_that_are_none(document: Document, path: Path, weight: object, text: str) -> None:
    torch.save({**document, "weights": {**document["weights"], "extractor.stem.0.bias": weight}}, path)
    assert text in refused(path)


def test_weights_in_a_list_or_with_numbers_for_names(document: Document, path: Path) -> None:
    for weights in ([torch.zeros(3)], {5: torch.zeros(3)}, None, torch.zeros(3)):
        torch.save({**document, "weights": weights}, path)
        assert "weights of the checkpoint must be a dictionary of tensors by name" in refused(path)


@pytest.mark.parametrize(
    ("training", "text"),
    [
        ([1], r"is [1], expected a dictionary"),
        ("x" * 10**7, "expected a dictionary"),
        ({"options": 5}, "has options 5, expected dict"),
        ({"options": {"tasks": 5}}, "has options.tasks 5, expected list or tuple"),
        ({"steps": "many"}, "has steps 'many', expected int"),
        ({"data": {"name": 7}}, "has data.name 7, expected str"),
        ({"losses": torch.zeros(3)}, "holds a Tensor, expected plain values"),
        ({("a", "b"): 1}, "has names that are not text"),
        ({"losses": endless()}, "is nested more than 20 deep"),
        ({"losses": nested(100)}, "is nested more than 20 deep"),
        ({"losses": laughs()}, "holds more than 100000 values"),
        ({"notes": "x" * 10**8}, "holds more than 100000 values"),
    ],
)
def test_a_training_record_that_is_none(document: Document, path: Path, training: object, text: str) -> None:
    torch.save({**document, "training": training}, path)
    found = refused(path)
    assert "the record of its training" in found and text in found


@pytest.mark.parametrize("value", [np.float64(1.5), np.int64(2), [Path("clips")]])
def test_a_record_that_could_not_be_read_is_not_written(path: Path, value: object) -> None:
    model = load_checkpoint(checkpoint_path("nano")).model
    with pytest.raises(CheckpointError, match=r"not written: the record of its training holds a .*expected plain"):
        save_checkpoint(Checkpoint("nano", model, {"best": value}), path)
    assert not path.exists()


@pytest.mark.parametrize("version", ["2", True, torch.ones(2), [2], None])
def test_a_version_that_is_no_number(document: Document, path: Path, version: object) -> None:
    torch.save({**document, "format_version": version}, path)
    assert "this mostnet reads 3" in refused(path)


@pytest.mark.parametrize("variant", [[1], torch.ones(2), "x" * 10**6])
def test_a_variant_that_is_no_name(document: Document, path: Path, variant: object) -> None:
    torch.save({**document, "variant": variant}, path)
    assert "calls itself variant" in refused(path)


def test_one_wrong_bit_of_a_weight(path: Path) -> None:
    data = bytearray(checkpoint_path("nano").read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "truncated or damaged" in refused(path)


def test_archives_that_are_not_of_torch_save(document: Document, path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    assert "a TorchScript archive, whose loading would run code; refused" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("frames.npy", b"")
    assert "a zip file, but not a PyTorch checkpoint" in refused(path)
    torch.save(document, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("odd/data/999", bytes(50_000_000))
    assert "a compressed archive, which torch.save does not write; refused" in refused(path)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("nano.onnx", b"\x08\x0a", "an exported model, not a PyTorch checkpoint; give the .pt"),
        ("nano.plan", b"ftrt", "an exported model, not a PyTorch checkpoint; give the .pt"),
        ("nano.safetensors", b'\x08\0\0\0\0\0\0\0{"a":{}}', "a safetensors file, not a PyTorch checkpoint"),
        ("nano.pt", b'\x08\0\0\0\0\0\0\0{"a":{}}', "a safetensors file, not a PyTorch checkpoint"),
        ("nano.pt", b"", "empty, so not a PyTorch checkpoint; copy it again"),
    ],
)
def test_files_of_other_kinds(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert text in refused(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "a folder; give a checkpoint in it, a .pt file" in refused(tmp_path)
    (tmp_path / "model.pt").touch()
    assert f"a folder; give a checkpoint in it, {tmp_path / 'model.pt'}" in refused(tmp_path)
    if sys.platform == "linux":
        os.mkfifo(tmp_path / "pipe.pt")
        for path in (tmp_path / "pipe.pt", Path("/dev/zero")):
            assert "a pipe or a device, not a file" in refused(path)
