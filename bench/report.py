"""What a benchmark found, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mostnet.contract import Metadata, write_bytes

from .machine import Machine

FORMAT_VERSION = 1

#: What "real time" means: a camera's frame rate, and the time it leaves for a frame.
CAMERA_FPS = 25.0
BUDGET_MS = 1e3 / CAMERA_FPS

#: Most that ``infer`` may cost over the backend's bare call, copies aside.
OVERHEAD_TARGET_MS = 0.2


@dataclass(frozen=True)
class Timings:
    """Percentiles (linear interpolation), maximum and mean of ``samples_ms``, which are in the order of the frames."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float
    samples_ms: tuple[float, ...]

    @classmethod
    def of(cls, samples_ms: Sequence[float]) -> Timings:
        """Summarise at least one sample."""
        p50, p90, p99 = (float(p) for p in np.percentile(samples_ms, (50, 90, 99)))
        return cls(p50, p90, p99, max(samples_ms), float(np.mean(samples_ms)), tuple(samples_ms))


@dataclass(frozen=True)
class Split:
    """Where the latency of ``infer`` went, mean per frame, by the engine's own account (``EngineStats``)."""

    copy_in_ms: float
    compute_ms: float
    copy_out_ms: float
    host_ms: float


@dataclass(frozen=True)
class Throughput:
    """Throughput of ``stream``: frames per second, times between results, and each frame's latency."""

    fps: float
    intervals: Timings
    latency: Timings

    @property
    def factor(self) -> float:
        """How many cameras of ``CAMERA_FPS`` that is."""
        return self.fps / CAMERA_FPS


@dataclass(frozen=True)
class Overhead:
    """``infer`` against the backend's bare call on bound buffers, frame by frame in turn; figures are paired medians.

    Attributes:
        engine, raw: times of ``infer`` and of the bare call.
        copies_ms: copy in and copy out of each frame in ``engine``.
        difference_ms, ratio: ``engine`` over ``raw``.
        copy_in_ms, copy_out_ms: medians of the two copies.
        beyond_copies_ms: the difference less the frame's copies; what ``OVERHEAD_TARGET_MS`` bounds.
        beyond_copies_95_ms: 95 % confidence interval of that median.
        own_ms: ``infer`` less its own copies and its own compute time: no second run of the network in it, so less
            noisy, but blind to what the engine does inside its compute stage.
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
        """Whether the overhead beyond copies keeps ``OVERHEAD_TARGET_MS``."""
        return self.beyond_copies_ms <= OVERHEAD_TARGET_MS


@dataclass(frozen=True)
class Memory:
    """Resident memory of the process in MiB, None where the system does not say. PyTorch is not in it."""

    before_opening_mib: float | None
    opened_mib: float | None
    clip_loaded_mib: float | None
    after_run_mib: float | None
    peak_mib: float | None


@dataclass(frozen=True)
class PrecisionTimings:
    """One engine of the same checkpoint and size: its file, precision and size, and the latency of ``infer``.

    ``convolutions`` counts those of a plan by the type that they run in; None where nobody inspected it.
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
        threads: CPU threads of either.
        psnr_db, epe_px, iou: the engine's worst frame against PyTorch; the PSNR is None where all frames are equal.
        checked_frames: how many frames that was found on.
        trivial: why that accuracy proves little; empty where it proves something.
        speed_ratio: median time of PyTorch over that of the engine.
        precisions: the engine and those beside it of the same weights in other precisions, in alternating blocks;
            empty where there are none.
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
class EngineInfo:
    """The engine that was measured."""

    file: str
    sha256: str
    provider: str
    metadata: Metadata


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """Everything about one benchmark.

    Attributes:
        command: the command line; empty where it was called as a function.
        engine: name, SHA-256 and provider of the file, and what it says of itself.
        settings: the options, the number of distinct frames and their source.
        checked_frames: frames whose outputs were looked at before anything was timed.
        comparison: None unless asked for.
        other_cores: for each part, how many cores' worth of work other processes did meanwhile; None where the system
            does not say.
        disturbed: the parts that this spoiled: their figures say little.
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
    other_cores: Mapping[str, float | None]
    disturbed: tuple[str, ...]

    @property
    def real_time(self) -> bool:
        """Whether 99 of 100 frames are done before a camera has the next one."""
        return self.latency.p99_ms <= BUDGET_MS

    def to_json(self) -> str:
        """The report as a JSON object: the fields, and the verdicts drawn from them."""
        document = {"format_version": FORMAT_VERSION, **asdict(self)}
        document["stream"]["factor"] = self.stream.factor
        document["overhead"] |= {"target_ms": OVERHEAD_TARGET_MS, "within_target": self.overhead.within_target}
        document["verdict"] = {
            "camera_fps": CAMERA_FPS,
            "budget_ms": BUDGET_MS,
            "p99_ms": self.latency.p99_ms,
            "real_time": self.real_time,
            "stream_factor": self.stream.factor,
        }
        return json.dumps(document, indent=1, allow_nan=False)

    def write_json(self, path: Path) -> None:
        """Write ``to_json`` to ``path``, whole or not at all."""
        write_bytes(path, self.to_json().encode())
