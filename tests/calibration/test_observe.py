"""Observed values against PyTorch hooks, with carried state; and the cache of histograms."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from mostnet.calibration import (
    CacheKey,
    CalibrationData,
    Histogram,
    convolutions,
    histograms,
    observe,
    read_cache,
    write_cache,
)
from mostnet.contract import CalibrationError, Metadata
from mostnet.model import Checkpoint, FrameModel

from .conftest import SIZE

MODULE = "network.branches.0.fuse.mix_conv"
KEY = CacheKey(checkpoint_sha256="c", data_sha256="d", graph="fp16", carry_state=True)


def pytorch_inputs(checkpoint: Checkpoint, data: CalibrationData) -> list[np.ndarray]:
    """Inputs of ``MODULE`` over the sequences, state carried within each, taken from float32 PyTorch."""
    model = FrameModel(checkpoint.model).eval()
    seen: list[np.ndarray] = []
    hook = model.get_submodule(MODULE).register_forward_pre_hook(lambda _, args: seen.append(args[0].numpy()))
    with torch.inference_mode():
        for sequence in data.sequences():
            state = model.zero_state(SIZE)
            for frame in sequence:
                _, _, _, _, *state = model(torch.from_numpy(frame)[None], *state)
    hook.remove()
    return seen


def test_observed_values_are_those_of_the_stream(
    checkpoint: Checkpoint, half: onnx.ModelProto, metadata: Metadata, dataset: Path
) -> None:
    data = CalibrationData(dataset, SIZE)
    tensor = convolutions(half)[MODULE].input[0]
    told: list[int] = []
    frames = observe(half, metadata, data, [tensor], threads=1, progress=told.append)
    found = [values[tensor] for values in frames]
    wanted = pytorch_inputs(checkpoint, data)
    assert told == list(range(1, 17))
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == np.float32
        assert np.abs(a - b).mean() < 0.01 * np.abs(b).mean(), "weights are rounded to half, no more"
    alone = [v[tensor] for v in observe(half, metadata, data, [tensor], threads=1, carry_state=False)]
    assert np.array_equal(alone[0], found[0])
    assert np.abs(alone[5] - wanted[5]).mean() > 0.05 * np.abs(wanted[5]).mean(), "without state it is another tensor"


def test_a_diverged_checkpoint_is_named(half: onnx.ModelProto, metadata: Metadata, dataset: Path) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(half)
    name = next(n for n in broken.graph.node if n.op_type == "Conv").input[1]
    weight = next(t for t in broken.graph.initializer if t.name == name)
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] = np.inf
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    tensor = convolutions(half)["network.extractor.blocks.0.0.conv1"].input[0]
    with pytest.raises(CalibrationError, match=f"data: tensor {tensor} is not finite in frame 0"):
        histograms(observe(broken, metadata, CalibrationData(dataset, SIZE), [tensor], threads=1), "data")


def test_state_outputs_are_observed_as_they_are_carried(
    half: onnx.ModelProto, metadata: Metadata, dataset: Path
) -> None:
    tensor = metadata.states[0].output.name
    frames = [v[tensor] for v in observe(half, metadata, CalibrationData(dataset, SIZE), [tensor], threads=1)]
    assert len(frames) == 16
    assert all(frame.shape == metadata.states[0].shape and frame.dtype == np.float32 for frame in frames)
    assert frames[1].any() and not np.array_equal(frames[0], frames[1])


def a_histogram() -> Histogram:
    histogram = Histogram.empty()
    histogram.add(np.linspace(-2, 3, 1000, dtype=np.float32))
    return histogram


def test_the_cache_gives_back_the_histograms(tmp_path: Path) -> None:
    path = tmp_path / "ranges.npz"
    write_cache(path, KEY, {"a": a_histogram(), "b": Histogram.empty()})
    found = read_cache(path, KEY)
    assert list(found) == ["a", "b"]
    assert found["a"].threshold("mse") == a_histogram().threshold("mse")
    assert found["b"].threshold("mse") == 0.0


def test_a_cache_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ranges.npz"
    write_cache(path, KEY, {"a": a_histogram()})
    other = CacheKey(checkpoint_sha256="other", data_sha256="d", graph="fp16", carry_state=False)
    with pytest.raises(CalibrationError, match=r"checkpoint_sha256 is 'c', wanted 'other'; carry_state is True"):
        read_cache(path, other)


def test_a_cache_from_before_states_were_observed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ranges.npz"
    write_cache(path, replace(KEY, version=1), {"a": a_histogram()})
    with pytest.raises(CalibrationError, match=r"a range cache of another origin: version is 1, wanted 2; delete it"):
        read_cache(path, KEY)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"no archive"])
def test_a_damaged_cache_is_refused(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "ranges.npz"
    write_cache(path, KEY, {"a": a_histogram()})
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(CalibrationError, match=r"ranges\.npz: not a range cache, or a damaged one .*; delete it"):
        read_cache(path, KEY)


def test_any_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "ranges"
    write_cache(path, KEY, {"a": a_histogram()})
    assert [file.name for file in tmp_path.iterdir()] == ["ranges"], "exactly the name that was asked for"
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        with suppress(CalibrationError):
            read_cache(path, KEY)
