"""A small engine with its checkpoint, and made-up reports to print and draw."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from mostnet.bench.machine import Machine
from mostnet.bench.overhead import summarise_pairs
from mostnet.bench.report import BenchReport, EngineInfo, Memory, Split, Throughput
from mostnet.bench.timings import Timings
from mostnet.contract import Metadata, sha256
from mostnet.export.graph import build_graph, save_graph
from mostnet.model import initial_checkpoint, save_checkpoint

from ..traces import trace_once  # noqa: F401

SIZE_HW = (64, 96)


class Small(NamedTuple):
    """Files of a random-head ``nano`` at 64x96."""

    engine: Path
    checkpoint: Path
    other_checkpoint: Path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small")
    files = Small(folder / "nano.onnx", folder / "nano.pt", folder / "other.pt")
    checkpoint = initial_checkpoint("nano", seed=1, random_head=True)
    save_checkpoint(checkpoint, files.checkpoint)
    save_checkpoint(initial_checkpoint("nano", seed=2, random_head=True), files.other_checkpoint)
    digest = sha256(files.checkpoint)
    graph = build_graph(checkpoint, size_hw=SIZE_HW, precision="fp32", opset=19, checkpoint_sha256=digest)
    save_graph(graph, files.engine)
    return files


def make_report(samples_ms: list[float], **changes: object) -> BenchReport:
    """A report whose latencies are ``samples_ms``; the rest is made up."""
    latency = Timings.of(samples_ms)
    split = Split(copy_in_ms=0.5, compute_ms=8.0, copy_out_ms=0.25, host_ms=0.25)
    metadata = Metadata(
        variant="nano",
        size_hw=SIZE_HW,
        precision="fp16",
        opset=19,
        trained=False,
        states=(),
        checkpoint_sha256="0" * 64,
    )
    values = {
        "command": "mostnet-bench --engine x.onnx",
        "created_utc": "2026-01-01T00:00:00+00:00",
        "engine": EngineInfo("x[red].onnx", "1" * 64, "cpu", metadata),
        "settings": {"frames": len(samples_ms), "threads": 2, "source": "clip.mp4"},
        "machine": Machine("Some CPU", 4, 2, 8.0, None, "Linux", 0.1),
        "versions": {"python": "3.11.7", "mostnet": "0.1.0"},
        "checked_frames": 10,
        "latency": latency,
        "split": split,
        "stream": Throughput(50.0, latency, latency),
        "overhead": summarise_pairs([10.0] * 10, [8.0] * 10, [split] * 10),
        "memory": Memory(80.0, 120.0, 130.0, None, 150.0),
        "comparison": None,
        "paced": None,
        "other_cores": {"infer": 0.0},
        "disturbed": (),
    }
    return BenchReport(**(values | changes))
