"""``python -m mostnet.bench.scale.cameras`` at a real Triton server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mostnet.bench.scale import cameras

from ...toy_graph import save_toy
from .real_server import need_triton


@pytest.mark.parametrize("processes", [1, 2])
def test_cameras_at_a_triton_server(tmp_path: Path, processes: int) -> None:
    need_triton()
    engine, target = save_toy(tmp_path / "toy.onnx"), tmp_path / "report.json"
    sizes = ["--cameras", "1,3", "--places", "1", "--most", "2", "--processes", str(processes)]
    lengths = ["--fps", "50", "--seconds", "0.2", "--samples", "3"]

    assert cameras.main(["--server", "triton", "--engine", str(engine), *sizes, *lengths, "--json", str(target)]) == 0

    one, three = json.loads(target.read_text(encoding="utf-8"))["trials"]
    assert one["measured"]["cameras"][0]["served"] > 0
    assert (three["measured"]["refused"], three["simulated"]["refused"]) == (1, 1)
    for camera in one["measured"]["cameras"] + three["measured"]["cameras"]:
        assert camera["served"] + camera["dropped"] == camera["captured"]
