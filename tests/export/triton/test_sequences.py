"""A written model, run by its configuration, gives what an engine gives, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from mostnet.bench.gpu.standin.toy import frame_of
from mostnet.engine import Engine, Output
from mostnet.export import ModelFiles, write_repository
from mostnet.export.graph import save_graph

from ...toy_graph import save_toy
from .interpreter import ConfiguredModel
from .twins import SIZE_HW, save_twins


def served(path: Path, tmp_path: Path, *, pairs: dict[str, str] | None = None) -> ConfiguredModel:
    repository = tmp_path / "repository"
    if not repository.exists():
        write_repository(repository, [ModelFiles(path)])
    return ConfiguredModel(repository / "onnxruntime/mostnet", pairs=pairs)


def same(found: dict[str, Any], wanted: Output) -> bool:
    assert set(found) == {"enhanced", "flow", "mask", "finite"}
    pictures = all(np.array_equal(found[name][0], getattr(wanted, name)) for name in ("enhanced", "flow", "mask"))
    return pictures and bool(found["finite"][0]) == wanted.finite


def engine_outputs(path: Path, frames: Iterable[np.ndarray]) -> list[Output]:
    with Engine(path, provider="cpu") as engine:
        return [engine.infer(frame) for frame in frames]


def test_a_sequence_with_start_in_the_middle(tmp_path: Path) -> None:
    path = save_toy(tmp_path / "toy.onnx")
    model = served(path, tmp_path)
    frames = [frame_of(number) for number in (3, 8, 5, 7)]
    wanted = engine_outputs(path, frames)
    for start_again in range(2):
        for index, frame in enumerate(frames):
            assert same(model.infer(1, frame, start=index == 0), wanted[index]), (start_again, index)


def test_sequences_that_take_turns(tmp_path: Path) -> None:
    path = save_toy(tmp_path / "toy.onnx")
    model = served(path, tmp_path)
    clips = {7: [frame_of(number) for number in (1, 2, 3)], 9: [frame_of(number) for number in (50, 40, 30)]}
    wanted = {sequence: engine_outputs(path, clip) for sequence, clip in clips.items()}
    for index in range(3):
        for sequence, clip in clips.items():
            found = model.infer(sequence, clip[index], start=index == 0, end=index == 2)
            assert same(found, wanted[sequence][index])
    with pytest.raises(LookupError, match="START"):
        model.infer(7, clips[7][0])


def test_a_real_network_in_half_precision(half: onnx.ModelProto, clip: list[np.ndarray], tmp_path: Path) -> None:
    save_graph(half, tmp_path / "net.onnx")
    wanted = engine_outputs(tmp_path / "net.onnx", clip[:3])
    model = served(tmp_path / "net.onnx", tmp_path)
    for index, frame in enumerate(clip[:3]):
        assert same(model.infer(1, frame, start=index == 0), wanted[index])


def test_states_are_paired_by_name_not_by_order(tmp_path: Path) -> None:
    path = save_twins(tmp_path / "twins.onnx")
    frames = [np.full((*SIZE_HW, 3), value, np.uint8) for value in (3, 4, 6)]
    wanted = engine_outputs(path, frames)
    assert [output.flow[:, 0, 0].tolist() for output in wanted] == [[3, 6], [7, 14], [13, 26]]
    model = served(path, tmp_path)
    inputs = [node.name for node in model.session.get_inputs() if node.name != "frame"]
    outputs = [node.name for node in model.session.get_outputs() if node.name.startswith("state_")]
    by_order = dict(zip(outputs, inputs, strict=True))
    assert by_order == {"state_out_fast": "state_in_slow", "state_out_slow": "state_in_fast"}, "the graph is no trap"
    for index, frame in enumerate(frames):
        assert same(model.infer(1, frame, start=index == 0), wanted[index])
    wrong = served(path, tmp_path, pairs=by_order)
    assert [same(wrong.infer(1, frame, start=k == 0), wanted[k]) for k, frame in enumerate(frames)] == [
        True,
        False,
        False,
    ]
