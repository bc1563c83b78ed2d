"""The bare call does the same work as ``infer``: same network, same frames, state carried."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from mostnet.bench import overhead as overhead_module
from mostnet.bench.frames import BenchFrames, synthetic_frames
from mostnet.bench.measure import Loop
from mostnet.bench.overhead import RawCall, measure_overhead
from mostnet.contract import OUTPUTS, VerificationError
from mostnet.engine import Session
from mostnet.engine.open_model import open_model
from mostnet.engine.options import Options

from .conftest import SIZE_HW, Small

OPTIONS = Options(threads=2, provider="cpu")
FRAMES = synthetic_frames(SIZE_HW, 5, seed=0)
SOURCE = BenchFrames(FRAMES, "test")


def onnx_stream(path: Path) -> list[np.ndarray]:
    """Enhanced pictures of FRAMES by plain ``run``, the state carried by hand."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    states = [i for i in session.get_inputs() if i.name != "frame"]
    feeds = {i.name: np.zeros(i.shape, np.float32) for i in states}
    pictures = []
    for frame in FRAMES:
        results = dict(zip(names, session.run(None, {"frame": frame[None], **feeds}), strict=True))
        feeds = {i.name: results[i.name.replace("state_in_", "state_out_")] for i in states}
        pictures.append(results["enhanced"][0])
    return pictures


def test_the_bare_call_carries_the_state(small: Small) -> None:
    model = open_model(small.engine, OPTIONS)
    raw = RawCall(model, OUTPUTS)
    wanted = onnx_stream(small.engine)
    assert np.abs(wanted[0].astype(int) - FRAMES[0]).mean() > 2, "an identity network would prove nothing"
    for frame, picture in zip(FRAMES, wanted, strict=True):
        raw.load(frame)
        raw()
        found = raw.result().enhanced
        assert found is not None and np.abs(found.astype(int) - picture).max() <= 1
    raw.close()
    model.close()


def test_figures_of_one_run_belong_together(small: Small) -> None:
    ticks: list[int] = []
    overhead = measure_overhead(small.engine, OPTIONS, SOURCE, Loop(11, 2, ticks.append))
    engine, raw = np.array(overhead.engine.samples_ms), np.array(overhead.raw.samples_ms)
    assert len(engine) == len(raw) == len(overhead.copies_ms) == 11
    assert ticks == list(range(1, 12))
    assert overhead.difference_ms == np.median(engine - raw)
    assert overhead.ratio == np.median(engine / raw)
    assert overhead.beyond_copies_ms == pytest.approx(np.median(engine - raw - np.array(overhead.copies_ms)))
    low, high = overhead.beyond_copies_95_ms
    assert low <= overhead.beyond_copies_ms <= high
    assert min(overhead.copies_ms) > 0 and max(overhead.copies_ms) < overhead.engine.max_ms


def test_a_bare_call_that_loses_the_state_is_refused(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(RawCall):
        def load(self, frame: np.ndarray) -> None:
            super().load(frame)
            for slot in range(2):
                self._lane.clear_state(slot, self._stream)

    monkeypatch.setattr(overhead_module, "RawCall", Forgetful)
    with pytest.raises(VerificationError, match=r"bare call differ in frame 1: .* their times cannot be compared"):
        measure_overhead(small.engine, OPTIONS, SOURCE, Loop(10, 0, print))


def test_each_goes_first_in_turn(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    infer, bare = Session.infer, RawCall.__call__
    monkeypatch.setattr(Session, "infer", lambda *args: calls.append("infer") or infer(*args))
    monkeypatch.setattr(RawCall, "__call__", lambda raw: calls.append("bare") or bare(raw))
    measure_overhead(small.engine, OPTIONS, SOURCE, Loop(4, 0, print))
    assert calls[-8:] == ["infer", "bare", "bare", "infer"] * 2
