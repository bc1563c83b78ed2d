"""RAFT as a labeller: its weights, the direction of its flow, and refusals."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from mostnet.contract import CheckpointError
from mostnet.model.table1 import BaselineCheckpoint, Raft, build, load_table1, save_baseline
from mostnet.training.data.flow_files import read_flow
from mostnet.training.labelling.cli import main
from mostnet.training.labelling.raft_flow import RaftFlow
from tests.model.table1.needs import need
from tests.training.vident_tree import write_tree

SIZE = (128, 136)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("raft")
    path = tmp_path_factory.mktemp("raft") / "raft.pt"
    save_baseline(BaselineCheckpoint("raft", build("raft", seed=2)), path)
    return path


def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (*SIZE, 3), np.uint8), rng.integers(0, 255, (*SIZE, 3), np.uint8)


def test_it_is_the_flow_of_a_stream(weights: Path) -> None:
    previous, frame = pictures()
    flow = RaftFlow(weights, device="cpu", threads=1)(frame, previous)
    network = cast(Raft, build("raft", seed=2))

    def tensor(picture: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255

    with torch.inference_mode():
        _, state = network.step(tensor(previous))
        prediction, _ = network.step(tensor(frame), state)
    assert flow.shape == (2, *SIZE) and flow.dtype == np.float32
    np.testing.assert_allclose(flow, prediction.flow[0].numpy(), atol=1e-4)
    assert np.abs(flow).max() > 0


def test_weights_of_torchvision_are_read(weights: Path, tmp_path: Path) -> None:
    official = load_table1("torchvision.models.optical_flow").raft_large(weights=None, progress=False).eval()
    torch.save(official.state_dict(), tmp_path / "raft_large.pth")
    previous, frame = pictures()
    found = RaftFlow(tmp_path / "raft_large.pth", device="cpu", threads=1)(frame, previous)

    def tensor(picture: np.ndarray) -> torch.Tensor:  # torchvision's weights expect RGB from -1 to 1
        return torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255 * 2 - 1

    with torch.inference_mode():
        wanted = official(tensor(frame), tensor(previous), num_flow_updates=12)[-1][0].numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-3, rtol=2e-3)


def test_the_command_labels_with_it(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tree(tmp_path / "tree", sequences={"train": 1}, frames=2, size_hw=SIZE)
    (sequence,) = (tmp_path / "tree/train").iterdir()
    shutil.rmtree(sequence / "OF_backw")
    assert main([str(tmp_path / "tree"), "--weights", str(weights), "--device", "cpu", "--threads", "1"]) == 0
    assert "1 flow files written" in capsys.readouterr().out
    (path,) = (sequence / "OF_backw").iterdir()
    flow, valid = read_flow(path)
    assert flow.shape == (2, *SIZE) and valid.shape == SIZE


def test_other_weights_are_refused(tmp_path: Path, weights: Path) -> None:
    other = tmp_path / "estrnn.pt"
    save_baseline(BaselineCheckpoint("estrnn", build("estrnn")), other)
    with pytest.raises(CheckpointError, match=r"estrnn.pt: holds estrnn; flow labels need raft"):
        RaftFlow(other, device="cpu", threads=1)
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(CheckpointError, match=r"text.pth: not a PyTorch checkpoint"):
        RaftFlow(tmp_path / "text.pth", device="cpu", threads=1)
