"""PyTorch eager in float32 beside the engine: same weights, same frames, same number of threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter_ns

import numpy as np
import torch

from mostnet.engine import Session
from mostnet.export.accuracy import worst
from mostnet.export.verification import verify
from mostnet.model import Checkpoint, FrameModel, NetworkStream, load_checkpoint

from .checks import CHECKED_FRAMES
from .frames import Clip, Frame
from .measure import Tick, no_collection
from .report import Comparison, Timings

#: Frames in a row of one kind: a few, so that both see the machine in the same moods.
_BLOCK = 5

#: PyTorch's threads go on spinning for some milliseconds after their last work, and would take the cores.
_SETTLE_S = 0.02


class EagerModel:
    """The checkpoint's network as PyTorch runs it, frame after frame with carried state."""

    def __init__(self, checkpoint: Checkpoint, size_hw: tuple[int, int], device: str) -> None:
        self._device = torch.device(device)
        self._module = FrameModel(checkpoint.model).eval().to(self._device)
        self._state = list(self._module.zero_state(size_hw))

    def infer(self, frame: Frame) -> tuple[torch.Tensor, ...]:
        """Enhanced picture, flow, mask and the finite flag of the next frame, in host memory."""
        with torch.inference_mode():
            picture = torch.from_numpy(frame)[None].to(self._device)
            enhanced, flow, mask, finite, *self._state = self._module(picture, *self._state)
            return enhanced.cpu(), flow.cpu(), mask.cpu(), finite.cpu()


def compare(
    session: Session, checkpoint: Path, clip: Clip, *, frames: int, warmup: int, threads: int, tick: Tick
) -> Comparison:
    """Check the engine's outputs against PyTorch, then time both.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        VerificationError: the engine's outputs are not those of the checkpoint.
    """
    loaded = load_checkpoint(checkpoint)
    device = "cuda" if session.provider == "cuda" and torch.cuda.is_available() else "cpu"
    with _torch_threads(threads):
        session.reset()
        first = [clip[i] for i in range(CHECKED_FRAMES)]
        accuracy = verify(loaded, session, first, precision=session.metadata.precision, name="the engine")
        accuracy.check()
        eager = NetworkStream(loaded.model, device=device)
        session.reset()
        engine_ms, pytorch_ms = _time_blocks(session.infer, eager.infer, clip, frames, warmup, tick)
    found = worst(accuracy.frames)
    return Comparison(
        checkpoint=checkpoint.name,
        device=device,
        threads=threads,
        psnr_db=found.psnr_db if np.isfinite(found.psnr_db) else None,
        epe_px=found.epe_px,
        iou=found.iou,
        checked_frames=len(accuracy.frames),
        trivial=accuracy.trivial,
        engine=engine_ms,
        pytorch=pytorch_ms,
        speed_ratio=pytorch_ms.p50_ms / engine_ms.p50_ms,
    )


def _time_blocks(
    engine: Callable[[Frame], object],
    eager: Callable[[Frame], object],
    clip: Clip,
    frames: int,
    warmup: int,
    tick: Tick,
) -> tuple[Timings, Timings]:
    for i in range(warmup):
        engine(clip[i])
        eager(clip[i])
    engine_ms: list[float] = []
    eager_ms: list[float] = []
    with no_collection():
        for start in range(0, frames, _BLOCK):
            indices = range(start, min(start + _BLOCK, frames))
            kinds = [(engine, engine_ms), (eager, eager_ms)]
            for infer, samples in kinds if (start // _BLOCK) % 2 else reversed(kinds):
                time.sleep(_SETTLE_S)
                infer(clip[start - 1])
                samples.extend(_time_ms(infer, clip[i]) for i in indices)
            tick(indices[-1] + 1)
    return Timings.of(engine_ms), Timings.of(eager_ms)


def _time_ms(infer: Callable[[Frame], object], frame: Frame) -> float:
    begun_ns = perf_counter_ns()
    output = infer(frame)
    elapsed_ms = (perf_counter_ns() - begun_ns) / 1e6
    del output  # held until here: freeing it is the caller's time
    return elapsed_ms


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
