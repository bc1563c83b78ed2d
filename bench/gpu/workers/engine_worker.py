"""Worker: a case through ``mostnet.Engine``, and the bare enqueue loop on the same plan.

``python -m mostnet.bench.gpu.workers.engine_worker CASES/NAME --part PART`` needs numpy and the libraries of that part.
"""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from mostnet.bench.gpu.agenda import ENGINE_PARTS, PLAN_PARTS
from mostnet.bench.gpu.cases import FRAMES, GRAPH, REFERENCE, plan_path
from mostnet.bench.paced import measure_paced
from mostnet.bench.raw_call import RawCall
from mostnet.contract import OUTPUTS
from mostnet.contract.stopping import end_with_parent
from mostnet.contract.terminal import CommandParser
from mostnet.contract.versions import installed_versions
from mostnet.engine import Engine, EngineStats, Output, Provider
from mostnet.engine.cuda.graph import load_bindings
from mostnet.engine.interfaces import Model
from mostnet.engine.open_model import open_model
from mostnet.engine.options import Options
from mostnet.export.accuracy import BOUNDS, FrameAccuracy, worst

from .serve import claim_stdout, limited, serve, time_each

_PACKAGES = {
    "tensorrt": ("tensorrt", "pycuda", "cuda-bindings"),
    "rtx": ("tensorrt-rtx", "pycuda", "cuda-bindings"),
    "standin": ("torch", "pycuda", "cuda-bindings"),
    "ort": ("onnxruntime-gpu", "onnxruntime"),
}
_WARM_UP = 30
_COPY_BYTES = 1 << 30
_COPIES = 20


class EngineWorker:
    """An engine and a bare call on one model file, each opened on first use."""

    def __init__(self, folder: Path, *, part: str, provider: Provider = "cuda", slots: int = 3) -> None:
        self._part = part
        self._path = plan_path(folder, part) if part in PLAN_PARTS else folder / GRAPH
        self._reference = folder / REFERENCE
        self._provider = provider
        self._slots = slots
        self._frames = list(np.load(folder / FRAMES))
        self._engine: Engine | None = None
        self._model: Model | None = None
        self._raw: RawCall | None = None

    def info(self) -> dict[str, Any]:
        """Versions of the libraries, and whether the engine finds what CUDA graphs need."""
        versions = installed_versions(("mostnet", "numpy", *_PACKAGES[self._part]))
        if self._part in PLAN_PARTS:
            versions["CUDA graphs"] = "off" if load_bindings() is None else "on"
        return {"versions": versions}

    def open(self, method: str) -> dict[str, Any]:
        """Open what the method needs, and warm up."""
        run = limited(self._frames, count=_WARM_UP, seconds=5.0)
        if method in ("infer", "stream"):
            engine = self._open_engine()
            for _ in engine.stream(run):
                pass
        else:
            raw = self._open_raw()
            with raw.active():
                for frame in run:
                    raw.loaded_call(frame)
        return {}

    def round(self, method: str, count: int, seconds: float) -> dict[str, Any]:
        """One round: ``fps``; ``samples_ms`` if the method waits for each frame; ``gpu_ms`` if the device gives it."""
        gc.collect()
        call = {
            "infer": self._infer,
            "stream": self._stream,
            "enqueue": self._enqueue,
            "enqueue+copies": self._enqueue_with_copies,
        }[method]
        return call(count, seconds)

    def check(self, precision: str) -> dict[str, Any]:
        """Stream all frames of the case from an empty state, and compare the results with the reference."""
        engine = self._open_engine()
        engine.reset()
        return compare(engine.stream(self._frames), self._reference, precision)

    def soak(self, count: int) -> dict[str, Any]:
        """Stream ``count`` frames and count the Python memory blocks that are still allocated afterwards."""
        engine = self._open_engine()
        blocks = []
        for frames in (count // 10, count):  # the first run fills caches and free lists
            for _ in engine.stream(limited(self._frames, count=frames, seconds=60.0)):
                pass
            gc.collect()
            blocks.append(sys.getallocatedblocks())
        return {"python_blocks": blocks[1] - blocks[0], "frames": count}

    def paced(self, fps: float, seconds: float, how: str) -> dict[str, Any]:
        """Latency from a frame's arrival to its result, at the rate of a camera that does not wait."""
        run = measure_paced(self._open_engine(), self._frames, fps=fps, seconds=seconds, how=how, warmup=round(fps))
        clock = run.gpu_clock
        return {
            **{name: getattr(run.latency, name) for name in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")},
            "frames": run.arrived,
            "late_share": run.late_share,
            "clock_mhz": None if clock is None else [clock.min_mhz, clock.median_mhz, clock.max_mhz],
        }

    def copy_peak(self) -> dict[str, Any]:
        """Bandwidth of a copy within the GPU's memory in GB/s, bytes read and written."""
        from mostnet.engine.cuda.device import cuda_device

        device = cuda_device()
        with device:
            driver = device.driver
            source, target = driver.mem_alloc(_COPY_BYTES), driver.mem_alloc(_COPY_BYTES)
            begun, ended = driver.Event(), driver.Event()
            driver.memset_d8(source, 1, _COPY_BYTES)
            driver.memcpy_dtod(target, source, _COPY_BYTES)
            begun.record()
            for _ in range(_COPIES):
                driver.memcpy_dtod_async(target, source, _COPY_BYTES)
            ended.record()
            ended.synchronize()
            took_s = begun.time_till(ended) / 1e3
            source.free()
            target.free()
        return {"memcpy_gb_s": 2 * _COPY_BYTES * _COPIES / took_s / 1e9}

    def close(self) -> dict[str, Any]:
        """Free everything. A second call does nothing."""
        for held in (self._raw, self._model, self._engine):
            if held is not None:
                held.close()
        self._raw = self._model = self._engine = None
        return {}

    def _infer(self, count: int, seconds: float) -> dict[str, Any]:
        engine = self._open_engine()
        before = engine.stats
        samples, fps = time_each(engine.infer, limited(self._frames, count=count, seconds=seconds))
        return {"fps": fps, "samples_ms": samples, **self._split(before, engine.stats)}

    def _stream(self, count: int, seconds: float) -> dict[str, Any]:
        engine = self._open_engine()
        before = engine.stats
        samples: list[float] = []
        marks_s: list[float] = []
        for output in engine.stream(limited(self._frames, count=count, seconds=seconds)):
            marks_s.append(perf_counter())
            samples.append(output.latency_ms)
        # From the first result to the last: filling the pipeline does not count.
        fps = (len(marks_s) - 1) / (marks_s[-1] - marks_s[0])
        return {"fps": fps, "samples_ms": samples, **self._split(before, engine.stats)}

    def _split(self, before: EngineStats, after: EngineStats) -> dict[str, Any]:
        """The parts of the mean latency of the frames between two readings: ``split_ms``, and ``gpu_ms`` of plans."""
        frames = after.frames - before.frames

        def mean_ms(name: str) -> float:
            return float(getattr(after, name) * after.frames - getattr(before, name) * before.frames) / frames

        split = {name: mean_ms(name) for name in ("copy_in_ms", "compute_ms", "copy_out_ms", "host_ms")}
        # With ONNX Runtime, compute_ms is the time of a call on the host.
        return {"split_ms": split, **({"gpu_ms": split["compute_ms"]} if self._part in PLAN_PARTS else {})}

    def _enqueue(self, count: int, seconds: float) -> dict[str, Any]:
        raw = self._open_raw()
        with raw.active():
            begun_s = perf_counter()
            for _ in range(10):
                raw()
            frames = max(10, min(count, int(10 * seconds / (perf_counter() - begun_s))))
            begun_s = perf_counter()
            gpu_ms = raw.time_on_device_ms(frames)
            return {"fps": frames / (perf_counter() - begun_s), "gpu_ms": gpu_ms}

    def _enqueue_with_copies(self, count: int, seconds: float) -> dict[str, Any]:
        raw = self._open_raw()
        with raw.active():
            samples, fps = time_each(raw.loaded_call, limited(self._frames, count=count, seconds=seconds))
        return {"fps": fps, "samples_ms": samples}

    def _open_engine(self) -> Engine:
        if self._engine is None:
            self._engine = Engine(self._path, provider=self._provider, slots=self._slots)
        return self._engine

    def _open_raw(self) -> RawCall:
        if self._raw is None:
            options = Options(provider=self._provider, slots=self._slots)
            self._model = open_model(self._path, options)
            self._raw = RawCall(self._model, OUTPUTS, slots=self._slots)
        return self._raw


def compare(outputs: Iterable[Output], reference: Path, precision: str) -> dict[str, Any]:
    """Worst of each measure, and the frames beyond the bounds of ``mostnet.export.accuracy``.

    Args:
        reference: ``.npz`` with ``enhanced``, ``flow`` and ``mask``, frames first.
        precision: selects the bounds.
    """
    with np.load(reference) as arrays:
        references = zip(*(arrays[name] for name in OUTPUTS), strict=True)
    frames = []
    for output, wanted in zip(outputs, references, strict=True):
        found = tuple(getattr(output, name) for name in OUTPUTS)
        frames.append(FrameAccuracy.of(found, wanted, finite=bool(output.finite)))
    bounds, least = BOUNDS[precision], worst(frames)
    return {
        "frames": len(frames),
        "psnr_db": least.psnr_db if math.isfinite(least.psnr_db) else None,
        "epe_px": least.epe_px if math.isfinite(least.epe_px) else None,
        "iou": float(least.iou),
        "finite": least.finite,
        "broken_frames": [index for index, frame in enumerate(frames) if not frame.keeps(bounds)],
        "bounds": asdict(bounds),
    }


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = CommandParser(prog="python -m mostnet.bench.gpu.workers.engine_worker", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="CASES/NAME")
    parser.add_argument("--part", choices=ENGINE_PARTS, default="tensorrt")
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu", "miniature"),
        default="cuda",
        help="without a GPU: cpu for ort, miniature for the stand-in (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    end_with_parent()
    answers = claim_stdout()
    if args.part == "standin":
        from mostnet.bench.gpu.standin.install import install

        install(miniature=args.device == "miniature")
    provider: Provider = "cpu" if args.device == "cpu" else "cuda"
    worker = EngineWorker(args.folder, part=args.part, provider=provider)
    names = ("info", "open", "round", "check", "soak", "paced", "copy_peak", "close")
    try:
        serve({name: getattr(worker, name) for name in names}, sys.stdin, answers)
    finally:
        worker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
