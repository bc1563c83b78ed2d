"""Checkpoints: a round trip, and an error for each kind of bad file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mostnet.contract import CheckpointError
from mostnet.model import Checkpoint, initial_checkpoint, load_checkpoint, save_checkpoint
from mostnet.model.__main__ import main


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return initial_checkpoint("nano", seed=5, random_head=True)


@pytest.fixture
def path(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "nano.pt"
    save_checkpoint(checkpoint, path)
    return path


def edit(path: Path, **changes: object) -> None:
    torch.save({**torch.load(path, weights_only=True), **changes}, path)


def test_round_trip(checkpoint: Checkpoint, path: Path) -> None:
    save_checkpoint(Checkpoint("nano", checkpoint.model, {"steps": 7, "losses": [1.0, 0.5]}), path)
    loaded = load_checkpoint(path)
    assert (loaded.variant, loaded.training) == ("nano", {"steps": 7, "losses": [1.0, 0.5]})
    assert loaded.model.config == checkpoint.model.config
    frame = torch.rand(1, 3, 64, 64)
    assert torch.equal(loaded.model.step(frame)[0].enhanced, checkpoint.model.step(frame)[0].enhanced)
    assert list(path.parent.iterdir()) == [path]


def test_half_precision_halves_the_file_and_rounds_the_weights(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = path.with_name("half.pt")
    assert main(["half", str(path), str(small)]) == 0
    assert capsys.readouterr().out == f"{small}: {path} with its weights in half precision\n"
    assert small.stat().st_size < 0.6 * path.stat().st_size
    loaded = load_checkpoint(small).model.state_dict()
    for name, value in load_checkpoint(path).model.state_dict().items():
        assert loaded[name].dtype == torch.float32
        assert torch.equal(loaded[name], value.half().float()), name


def test_a_weight_beyond_half_precision_is_not_written(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load_checkpoint(path)
    name, weight = next(iter(loaded.model.named_parameters()))
    weight.view(-1)[3] = 70000.0
    save_checkpoint(loaded, path)
    small = path.with_name("half.pt")
    assert main(["half", str(path), str(small)]) == 1
    assert f"{small}: not written: weight {name} is too large for half precision" in capsys.readouterr().err
    assert list(path.parent.iterdir()) == [path]


def test_seed_decides_the_weights() -> None:
    def first_weight(seed: int) -> torch.Tensor:
        return next(initial_checkpoint("nano", seed=seed).model.parameters())

    before = torch.random.get_rng_state()
    assert torch.equal(first_weight(1), first_weight(1))
    assert not torch.equal(first_weight(1), first_weight(2))
    assert torch.equal(torch.random.get_rng_state(), before), "the caller's random state moved"


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.pt: no such checkpoint; `python -m mostnet\.model init"):
        load_checkpoint(tmp_path / "gone.pt")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_truncated(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"hello, I am not a checkpoint", b"\x00" * 100])
def test_not_a_checkpoint(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a PyTorch checkpoint"):
        load_checkpoint(path)


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/mostnet-payload-ran",)


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_is_refused_and_not_run(path: Path, write) -> None:
    ran = Path("/tmp/mostnet-payload-ran")
    ran.unlink(missing_ok=True)
    write({"format": "mostnet-checkpoint", "payload": Payload()}, path)
    with pytest.raises(CheckpointError, match="would run code; refused"):
        load_checkpoint(path)
    assert not ran.exists()


def test_other_pytorch_file(path: Path) -> None:
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="not a mostnet checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("version", "advice"),
    [(4, "save it again with this mostnet"), (2, "its network finds flow in another way: train it again")],
)
def test_other_version(path: Path, version: int, advice: str) -> None:
    edit(path, format_version=version)
    with pytest.raises(CheckpointError, match=f"checkpoint format {version}, this mostnet reads 3; {advice}"):
        load_checkpoint(path)


def test_wrong_keys(checkpoint: Checkpoint, path: Path) -> None:
    weights = dict(checkpoint.model.state_dict())
    weights["extra.weight"] = weights.pop("extractor.stem.0.weight")
    edit(path, weights=weights)
    with pytest.raises(
        CheckpointError, match=r"1 missing \['extractor\.stem\.0\.weight'\], 1 unknown \['extra\.weight'\]"
    ):
        load_checkpoint(path)


def test_wrong_shapes(checkpoint: Checkpoint, path: Path) -> None:
    weights = {**checkpoint.model.state_dict(), "extractor.stem.0.bias": torch.zeros(3)}
    edit(path, weights=weights)
    with pytest.raises(CheckpointError, match=r"extractor\.stem\.0\.bias has shape \(3,\), the config wants \(16,\)"):
        load_checkpoint(path)


def test_not_finite(checkpoint: Checkpoint, path: Path) -> None:
    weights = {**checkpoint.model.state_dict(), "extractor.stem.0.bias": torch.full((16,), torch.nan)}
    edit(path, weights=weights)
    with pytest.raises(CheckpointError, match=r"extractor\.stem\.0\.bias is not finite"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": [16, 32]},
        {"channels": "wide"},
        {"channels": [16, -32, 64]},
        {"channels": [16, 32.5, 64]},
        {"state_channels": [8, 16, 10**19]},
        {"image_channels": [1, 2]},
        {"colour": 1},
        {"search_radii": []},
    ],
)
def test_wrong_config(checkpoint: Checkpoint, path: Path, change: dict[str, object]) -> None:
    edit(path, config={**checkpoint.model.config.to_dict(), **change})
    with pytest.raises(CheckpointError, match=r"nano\.pt: this mostnet does not support its config"):
        load_checkpoint(path)


@pytest.mark.parametrize("weight", ["text", torch.zeros(16, dtype=torch.complex64), torch.zeros(16).to_sparse()])
def test_weights_of_a_wrong_type(checkpoint: Checkpoint, path: Path, weight: object) -> None:
    edit(path, weights={**checkpoint.model.state_dict(), "extractor.stem.0.bias": weight})
    with pytest.raises(CheckpointError, match=r"'extractor\.stem\.0\.bias' is not a dense tensor of real numbers"):
        load_checkpoint(path)


def test_beyond_single_precision(checkpoint: Checkpoint, path: Path) -> None:
    weights = {**checkpoint.model.state_dict(), "extractor.stem.0.bias": torch.full((16,), 1e300, dtype=torch.float64)}
    edit(path, weights=weights)
    with pytest.raises(CheckpointError, match="is not finite"):
        load_checkpoint(path)


def test_variant_of_another_config(path: Path) -> None:
    edit(path, variant="dw")
    with pytest.raises(CheckpointError, match="calls itself variant 'dw', but has another config"):
        load_checkpoint(path)
    edit(path, variant=7)
    with pytest.raises(CheckpointError, match="calls itself variant 7"):
        load_checkpoint(path)


def test_huge_config_allocates_nothing(checkpoint: Checkpoint, path: Path) -> None:
    edit(path, config={**checkpoint.model.config.to_dict(), "channels": [1 << 16, 1 << 16, 1 << 16]})
    with pytest.raises(CheckpointError, match="the config wants"):
        load_checkpoint(path)


def test_failed_write_keeps_the_old_file(path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def fail(_: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(checkpoint, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_init_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.pt"
    assert main(["init", "nano", str(path), "--seed", "3"]) == 0
    assert "seed 3, identity enhancement head, untrained" in capsys.readouterr().out
    loaded = load_checkpoint(path)
    frame = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    prediction, _ = loaded.model.step(frame)
    assert torch.equal(prediction.enhanced, frame), "an untrained network returns its frame"
    for scale in prediction.scales[1:]:
        torch.testing.assert_close(scale.enhanced, F.avg_pool2d(frame, scale.stride))
