"""A long stream of a real network leaves memory where it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mostnet.engine import Engine
from mostnet.export.graph import build_graph, save_graph
from mostnet.model import load_checkpoint

from .conftest import moving_clip

SIZE = (64, 96)
WARM_UP, FRAMES = 500, 10_000
STATUS = Path("/proc/self/status")


def resident_mib() -> float:
    return next(int(line.split()[1]) / 1024 for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="reads the resident memory from /proc")
def test_ten_thousand_frames_with_flat_memory(checkpoint_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    graph = build_graph(
        load_checkpoint(checkpoint_path), size_hw=SIZE, precision="fp32", opset=19, checkpoint_sha256="x"
    )
    save_graph(graph, path)
    clip = moving_clip(16, SIZE)

    def camera(count: int) -> Iterator[np.ndarray]:
        return (clip[i % len(clip)] for i in range(count))

    with Engine(path) as engine:
        for _ in engine.stream(camera(WARM_UP)):
            pass
        before = resident_mib()
        for half in (engine.stream(camera(FRAMES // 2)), map(engine.infer, camera(FRAMES // 2))):
            for output in half:
                assert output.finite
        grown = resident_mib() - before
        assert engine.stats.frames == WARM_UP + FRAMES
    print(f"{FRAMES} frames: resident memory {grown:+.1f} MiB from {before:.0f} MiB")
    # The outputs of one frame are 66 kB: one lost in a hundred would show.
    assert grown < 6
