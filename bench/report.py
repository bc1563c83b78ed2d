"""The results of a benchmark, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mostnet.contract import Metadata, write_text

from .machine import Machine
from .paced import ENGINE_ONLY, PUBLISHED_DELAYS, PacedRun
from .timings import Timings

FORMAT_VERSION = 1

#: Frame rate of a camera and its time per frame: "real time" means to keep up with it.
CAMERA_FPS = 25.0
BUDGET_MS = 1e3 / CAMERA_FPS

#: Most that ``infer`` may cost over the backend's bare call, without copies.
OVERHEAD_TARGET_MS = 0.2


@dataclass(frozen=True)
class Split:
    """Stages of the latency of ``infer``, mean per frame, by the engine's own clock (``EngineStats``)."""

    copy_in_ms: float
    compute_ms: float
    copy_out_ms: float
    host_ms: float


@dataclass(frozen=True)
class Throughput:
    """Throughput of ``stream``: frames per second, intervals between results, and latency of each frame."""

    fps: float
    intervals: Timings
    latency: Timings

    @property
    def factor(self) -> float:
        """Throughput as a multiple of ``CAMERA_FPS``."""
        return self.fps / CAMERA_FPS


@dataclass(frozen=True)
class Overhead:
    """``infer`` against the backend's bare call on bound buffers, frame by frame in turn.

    Every scalar is a median over frames, and differences and ratios are taken frame by frame.

    Attributes:
        engine, raw: times of ``infer`` and of the bare call.
        copies_ms: copy in plus copy out of each frame in ``engine``.
        difference_ms, ratio: of ``engine`` to ``raw``.
        copy_in_ms, copy_out_ms: the two copies.
        beyond_copies_ms: the difference minus the frame's copies; the target is ``OVERHEAD_TARGET_MS``.
        beyond_copies_95_ms: 95 % confidence interval of ``beyond_copies_ms``.
        own_ms: ``infer`` minus its own copies and compute time. It needs no second run of the network, so it is less
            noisy, but it misses the engine's cost within the compute stage.
    """

    engine: Timings
    raw: Timings
    copies_ms: tuple[float, ...]
    difference_ms: float
    ratio: float
    copy_in_ms: float
    copy_out_ms: float
    beyond_copies_ms: float
    beyond_copies_95_ms: tuple[float, float]
    own_ms: float

    @property
    def within_target(self) -> bool:
        """Whether the overhead beyond copies is at most ``OVERHEAD_TARGET_MS``."""
        return self.beyond_copies_ms <= OVERHEAD_TARGET_MS


@dataclass(frozen=True)
class Memory:
    """Resident memory of the process in MiB, without PyTorch; None if the system does not report it."""

    before_opening_mib: float | None
    opened_mib: float | None
    clip_loaded_mib: float | None
    after_run_mib: float | None
    peak_mib: float | None


@dataclass(frozen=True)
class PrecisionTimings:
    """Latency of ``infer`` of one engine among several of the same checkpoint and frame size.

    Attributes:
        file: its name.
        precision: ``fp32``, ``fp16`` or ``int8``.
        megabytes: size of the file.
        timings: latency of ``infer``.
        convolutions: a plan's convolutions, counted by the type they run in; None if the plan was not inspected.
    """

    file: str
    precision: str
    megabytes: float
    timings: Timings
    convolutions: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Comparison:
    """The engine against PyTorch eager in float32, in alternating blocks of the same frames.

    Attributes:
        checkpoint: file name of the weights.
        device: where PyTorch ran.
        threads: CPU threads of each.
        psnr_db, epe_px, iou: the engine's worst frame against PyTorch; the PSNR is None if all frames are equal.
        checked_frames: number of frames compared for these three.
        trivial: reasons why that accuracy proves little; empty if there are none.
        speed_ratio: median time of PyTorch divided by the engine's.
        precisions: the engine and its siblings in other precisions, in alternating blocks; empty without siblings.
    """

    checkpoint: str
    device: str
    threads: int
    psnr_db: float | None
    epe_px: float
    iou: float
    checked_frames: int
    trivial: tuple[str, ...]
    engine: Timings
    pytorch: Timings
    speed_ratio: float
    precisions: tuple[PrecisionTimings, ...] = ()


@dataclass(frozen=True)
class PacedPart:
    """``infer`` back to back, and right after it the runs at a camera's pace."""

    back_to_back: Timings
    runs: tuple[PacedRun, ...]

    def slowdown(self, run: PacedRun) -> float:
        """Median latency of ``run`` divided by the one back to back."""
        return run.latency.p50_ms / self.back_to_back.p50_ms

    def to_json(self) -> dict[str, Any]:
        """The fields, the slowdown of each run, and the published delays."""
        return {
            "back_to_back": asdict(self.back_to_back),
            "runs": [{**run.to_json(), "slowdown": self.slowdown(run)} for run in self.runs],
            "published_delays": [{"text": text, "source": source} for text, source in PUBLISHED_DELAYS],
            "note": ENGINE_ONLY,
        }


@dataclass(frozen=True)
class EngineInfo:
    """The measured engine."""

    file: str
    sha256: str
    provider: str
    metadata: Metadata


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """All results of one benchmark.

    Attributes:
        command: the command line; empty if called as a function.
        created_utc: start of the benchmark, ISO 8601.
        engine: name, SHA-256, provider and metadata of the file.
        settings: the options, the number of distinct frames and their source.
        checked_frames: frames whose outputs were checked before anything was timed.
        comparison: the engine against PyTorch; None unless asked for.
        paced: the engine with a paced camera; None unless asked for.
        other_cores: load by other processes during each part, in cores; None if the system does not report it.
        disturbed: parts whose figures are unreliable because of this load.
    """

    command: str
    created_utc: str
    engine: EngineInfo
    settings: Mapping[str, str | int | float | None]
    machine: Machine
    versions: Mapping[str, str]
    checked_frames: int
    latency: Timings
    split: Split
    stream: Throughput
    overhead: Overhead
    memory: Memory
    comparison: Comparison | None
    paced: PacedPart | None
    other_cores: Mapping[str, float | None]
    disturbed: tuple[str, ...]

    @property
    def real_time(self) -> bool:
        """Whether 99 of 100 frames are done before a camera delivers the next one."""
        return self.latency.p99_ms <= BUDGET_MS

    def to_json(self) -> str:
        """The report as a JSON object: its fields, and the verdicts drawn from them."""
        document = {"format_version": FORMAT_VERSION, **asdict(self)}
        document["stream"]["factor"] = self.stream.factor
        document["overhead"] |= {"target_ms": OVERHEAD_TARGET_MS, "within_target": self.overhead.within_target}
        document["paced"] = None if self.paced is None else self.paced.to_json()
        document["verdict"] = {
            "camera_fps": CAMERA_FPS,
            "budget_ms": BUDGET_MS,
            "p99_ms": self.latency.p99_ms,
            "real_time": self.real_time,
            "stream_factor": self.stream.factor,
        }
        return json.dumps(document, indent=1, allow_nan=False)

    def write_json(self, path: Path) -> None:
        """Write ``to_json`` to ``path`` atomically."""
        write_text(path, self.to_json())
