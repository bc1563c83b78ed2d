"""Checkpoints of the networks of Table I: a round trip, and one line for each kind of bad file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mostnet.contract import CheckpointError, sha256
from mostnet.model.table1 import BaselineCheckpoint, build, combine, is_baseline, load_baseline, save_baseline
from mostnet.model.table1.__main__ import main

from .needs import built


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "estrnn.pt"
    save_baseline(BaselineCheckpoint("estrnn", built("estrnn"), {"steps": 7}), path)
    return path


def edit(path: Path, **changes: object) -> None:
    torch.save({**torch.load(path, weights_only=True), **changes}, path)


@pytest.mark.parametrize("name", ["estrnn", "raft", "deeplabv3+"])
def test_round_trip(name: str, tmp_path: Path) -> None:
    network, path = built(name), tmp_path / "network.pt"
    save_baseline(BaselineCheckpoint(name, network, {"steps": 7}), path)
    loaded = load_baseline(path)
    assert (loaded.name, loaded.training, loaded.model.training) == (name, {"steps": 7}, False)
    state = loaded.model.state_dict()
    assert state.keys() == network.state_dict().keys()
    for key, value in network.state_dict().items():
        assert state[key].dtype == value.dtype and torch.equal(state[key], value), key
    assert not any(tensor.is_meta for tensor in [*loaded.model.parameters(), *loaded.model.buffers()])
    assert is_baseline(path) and list(tmp_path.iterdir()) == [path]


def test_counts_of_batches_survive(tmp_path: Path) -> None:
    network, path = built("deeplabv3+"), tmp_path / "network.pt"
    counts = [key for key in network.state_dict() if key.endswith("num_batches_tracked")]
    network.state_dict()[counts[0]].fill_(1 << 40)
    save_baseline(BaselineCheckpoint("deeplabv3+", network), path)
    assert int(load_baseline(path).model.state_dict()[counts[0]]) == 1 << 40
    edit(path, weights={**torch.load(path, weights_only=True)["weights"], counts[0]: torch.tensor(1.5)})
    with pytest.raises(CheckpointError, match="num_batches_tracked' is not a whole number; save it again"):
        load_baseline(path)


def test_missing_and_foreign_files(path: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.pt"
    with pytest.raises(CheckpointError, match=r"gone\.pt: no such checkpoint; `python -m mostnet\.model\.table1 init"):
        load_baseline(gone)
    assert not is_baseline(gone) and not is_baseline(tmp_path)
    torch.save({"format": "mostnet-checkpoint"}, gone)
    with pytest.raises(CheckpointError, match="not a checkpoint of Table I"):
        load_baseline(gone)
    assert not is_baseline(gone)
    gone.write_bytes(b"hello, I am not a checkpoint")
    assert not is_baseline(gone)


@pytest.mark.parametrize("keep", [0.1, 0.99])
def test_truncated(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    assert not is_baseline(path)
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        load_baseline(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "checkpoint format 2, this mostnet reads 1"),
        ({"name": "pwc"}, "network 'pwc' is not one of flownet, raft"),
        ({"name": ["estrnn"]}, r"network \['estrnn'\] is not one of"),
        ({"name": "mimo-unet"}, r"the weights do not fit the config: \d+ missing"),
        ({"training": 7}, "the record of its training is 7, expected a dictionary"),
        ({"weights": [1]}, "the weights must be a dictionary of tensors by name"),
        ({"weights": {3: torch.zeros(1)}}, "must be a dictionary of tensors by name"),
    ],
)
def test_parts_that_do_not_fit(path: Path, changes: dict[str, object], message: str) -> None:
    edit(path, **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_baseline(path)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit(path: Path) -> None:
    weights = torch.load(path, weights_only=True)["weights"]
    for value, message in ((torch.zeros(3), "has shape"), (torch.full((16,), torch.nan), "is not finite")):
        edit(path, weights={**weights, "cell.extract.0.bias": value})
        with pytest.raises(CheckpointError, match=rf"weight cell\.extract\.0\.bias {message}"):
            load_baseline(path)


def test_combine(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [path, *(tmp_path / f"{part}.pt" for part in ("raft", "deeplab", "out"))]
    for name, target in (("raft", paths[1]), ("deeplabv3+", paths[2])):
        save_baseline(BaselineCheckpoint(name, built(name), {"torch": "2"}), target)
    assert main(["combine", *map(str, paths)]) == 0
    assert capsys.readouterr().out == f"{paths[3]}: combination of {path}, {paths[1]} and {paths[2]}\n"
    loaded = load_baseline(paths[3])
    assert loaded.training["parts"]["estrnn"] == {"sha256": sha256(path), "training": {"steps": 7}}
    for part, name in (("estrnn", "estrnn"), ("raft", "raft"), ("deeplab", "deeplabv3+")):
        state = loaded.model.get_submodule(part).state_dict()
        assert all(torch.equal(state[key], value) for key, value in built(name).state_dict().items())
    with pytest.raises(CheckpointError, match=r"estrnn\.pt: holds estrnn, expected raft in this place"):
        combine(path, path, paths[2], tmp_path / "other.pt")


def test_init_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.pt"
    assert main(["init", "mimo-unet", str(path), "--seed", "3"]) == 0
    assert capsys.readouterr().out == f"{path}: mimo-unet, seed 3, untrained\n"
    assert torch.equal(next(load_baseline(path).model.parameters()), next(build("mimo-unet", seed=3).parameters()))
    assert main(["combine", *[str(tmp_path / "gone.pt")] * 4]) == 1
    assert "no such checkpoint" in capsys.readouterr().err
