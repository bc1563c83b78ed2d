"""One benchmark, from the engine's file to the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path

from mostnet.contract import OUTPUTS, BackendNotInstalledError, CheckpointError, sha256
from mostnet.contract.cores import default_threads
from mostnet.contract.versions import installed_versions
from mostnet.engine import Engine
from mostnet.engine.options import Options

from .checks import check_outputs
from .frames import BenchFrames, load_frames
from .load import LoadMeter, disturbed_parts
from .machine import describe_machine, peak_resident_mib, resident_mib
from .measure import Loop, time_infer, time_stream
from .options import BenchOptions
from .overhead import measure_overhead
from .paced import HOWS, PacedRun, measure_paced, run_name
from .report import BenchReport, Comparison, EngineInfo, Memory, PacedPart

#: Called between frames, outside the timings, with the current part, the frames done in it, and their total.
Progress = Callable[[str, int, int], None]


_PACKAGES = ("mostnet", "onnxruntime", "onnxruntime-gpu", "numpy")


def benchmark(
    engine: str | Path, options: BenchOptions | None = None, *, progress: Progress | None = None, command: str = ""
) -> BenchReport:
    """Measure an engine on this machine.

    Args:
        engine: the model file, as ``Engine`` opens it.
        options: what to measure.
        progress: see ``Progress``.
        command: the command line, for the report.

    Raises:
        VerificationError: the engine's outputs are wrong, so there are no figures.
        CheckpointError: the checkpoint to compare with is not the engine's.
        BackendNotInstalledError: the comparison needs PyTorch, or the engine needs a library that is missing.
        MostnetError: the engine or the video cannot be opened.
    """
    options = options or BenchOptions()
    if options.compare is not None and find_spec("torch") is None:
        raise BackendNotInstalledError(
            "a comparison needs PyTorch: pip install 'mostnet[export]', or leave --compare out"
        )
    return _Benchmark(Path(engine), options, progress or _no_progress).run(command)


def find_checkpoint(place: Path, digest: str) -> Path:
    """The checkpoint with SHA-256 ``digest``: the file ``place``, or a ``.pt`` in the folder ``place``.

    Raises:
        CheckpointError: it is missing, or ``place`` is another checkpoint.
    """
    if place.is_dir():
        for path in sorted(place.glob("*.pt")):
            if sha256(path) == digest:
                return path
        raise CheckpointError(
            f"{place}: no .pt in this folder is the engine's checkpoint (SHA-256 {digest[:12]}...); give it with "
            "--compare CKPT.pt"
        )
    if not place.is_file():
        raise CheckpointError(f"{place}: no such checkpoint; give the checkpoint that the engine was exported from")
    found = sha256(place)
    if found != digest:
        raise CheckpointError(
            f"{place}: not the engine's checkpoint: its SHA-256 is {found[:12]}..., the engine was exported from "
            f"{digest[:12]}...; give that checkpoint, or export this one"
        )
    return place


class _Benchmark:
    """The parts of one benchmark. The engine runs alone first, so that its memory figures include nothing else."""

    def __init__(self, path: Path, options: BenchOptions, progress: Progress) -> None:
        self._path = path
        self._options = options
        self._progress = progress
        self._threads = options.threads or default_threads()
        self._meter = LoadMeter()
        self._others: dict[str, float | None] = {}
        self._engine_options = Options(outputs=OUTPUTS, threads=self._threads, provider=options.provider)

    def run(self, command: str) -> BenchReport:
        """Measure everything."""
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        before_mib = resident_mib()
        with self._open() as engine:
            machine = describe_machine(gpu=engine.provider == "cuda")
            opened_mib = resident_mib()
            checkpoint = self._find_checkpoint(engine)
            frames = self._load_frames(engine)
            loaded_mib = resident_mib()
            checked = check_outputs(engine, frames)
            engine.reset()
            with self._part("infer") as loop:
                latency, split = time_infer(engine, frames, loop)
            with self._part("stream") as loop:
                stream = time_stream(engine, frames, loop)
            memory = Memory(before_mib, opened_mib, loaded_mib, resident_mib(), peak_resident_mib())
            with self._part("overhead") as loop:
                overhead = measure_overhead(self._path, self._engine_options, frames, loop)
            comparison = self._compare(engine, checkpoint, frames)
            paced = self._measure_paced(engine, frames)
            disturbed = disturbed_parts(self._others, threads=self._threads, cores=machine.cores)
            return BenchReport(
                command=command,
                created_utc=created,
                engine=EngineInfo(self._path.name, sha256(self._path), engine.provider, engine.metadata),
                settings=self._settings(frames),
                machine=machine,
                versions=installed_versions((*_PACKAGES, "torch") if comparison else _PACKAGES),
                checked_frames=checked,
                latency=latency,
                split=split,
                stream=stream,
                overhead=overhead,
                memory=memory,
                comparison=comparison,
                paced=paced,
                other_cores=self._others,
                disturbed=tuple(disturbed),
            )

    def _open(self) -> Engine:
        options = self._engine_options
        return Engine(self._path, outputs=options.outputs, threads=options.threads, provider=options.provider)

    def _load_frames(self, engine: Engine) -> BenchFrames:
        size_hw, options = engine.metadata.size_hw, self._options
        return load_frames(options.video, size_hw, limit=options.frames, seed=options.seed)

    def _find_checkpoint(self, engine: Engine) -> Path | None:
        place = self._options.compare
        return None if place is None else find_checkpoint(place, engine.metadata.checkpoint_sha256)

    def _compare(self, engine: Engine, checkpoint: Path | None, frames: BenchFrames) -> Comparison | None:
        if checkpoint is None:
            return None
        # Imports PyTorch, which the memory figures must not include.
        from .compare import compare_precisions, compare_pytorch

        with self._part("comparison") as loop:
            found = compare_pytorch(engine, checkpoint, frames, loop, threads=self._threads)
        with self._part("precisions") as loop:
            siblings = compare_precisions(self._path, engine, self._engine_options, frames, loop)
        return replace(found, precisions=siblings)

    def _measure_paced(self, engine: Engine, frames: BenchFrames) -> PacedPart | None:
        if not self._options.paced:
            return None
        with self._part("back to back") as loop:
            back_to_back, _ = time_infer(engine, frames, loop)
        runs = [self._measure_pace(engine, frames, fps, how) for fps in self._options.paced for how in HOWS]
        return PacedPart(back_to_back, tuple(runs))

    def _measure_pace(self, engine: Engine, frames: BenchFrames, fps: float, how: str) -> PacedRun:
        with self._part(run_name(how, fps), self._options.paced_frames) as loop:
            return measure_paced(
                engine,
                frames.frames,
                fps=fps,
                seconds=loop.count / fps,
                how=how,
                warmup=loop.warmup,
                tick=loop.tick,
            )

    @contextmanager
    def _part(self, name: str, count: int | None = None) -> Iterator[Loop]:
        """Loop settings of one part; the load by other processes is measured until the block ends."""
        count = self._options.frames if count is None else count
        self._meter.lap()
        self._progress(name, 0, count)
        yield Loop(count, self._options.warmup, lambda done: self._progress(name, done, count))
        self._others[name] = self._meter.lap()

    def _settings(self, frames: BenchFrames) -> dict[str, str | int | float | None]:
        return {
            "frames": self._options.frames,
            "warmup": self._options.warmup,
            "threads": self._threads,
            "provider": self._options.provider,
            "seed": self._options.seed,
            "paced_frames": self._options.paced_frames if self._options.paced else None,
            "source": frames.source,
            "distinct_frames": len(frames.frames),
            "slots": self._engine_options.slots,
            "garbage_collection": "before each part, off in the timed loops",
        }


def _no_progress(part: str, done: int, frames: int) -> None:
    pass
