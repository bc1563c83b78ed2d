"""Compare an exported model with the float32 PyTorch network on a video, each with its own carried state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.table import Table

from mostnet.contract import Frame, VerificationError
from mostnet.engine import Output
from mostnet.model import StreamOutput
from mostnet.model.table1 import AnyCheckpoint, network_stream

from .accuracy import BOUNDS, Activity, Bounds, FrameAccuracy, mean, worst

#: The remedy for an INT8 graph that breaks its bounds.
_MORE_FLOAT = "; keep more convolutions float: --accuracy-budget, with more --budget-frames, or --exclude"


class Candidate(Protocol):
    """The model to verify: an ``Engine``, or anything that infers frame after frame."""

    def infer(self, frame: Frame) -> Output:
        """Outputs of the next frame of the stream."""


@dataclass(frozen=True)
class VerificationReport:
    """Outcome of one verification, frame by frame.

    Attributes:
        name: of the candidate.
        frames: accuracy of every frame, in order.
        activity: of the reference on this clip.
        bounds: limits that every frame must keep.
    """

    name: str
    frames: tuple[FrameAccuracy, ...]
    activity: Activity
    bounds: Bounds

    @property
    def failures(self) -> tuple[int, ...]:
        """Indices of the frames that break a bound."""
        return tuple(i for i, frame in enumerate(self.frames) if not frame.keeps(self.bounds))

    @property
    def trivial(self) -> tuple[str, ...]:
        """Why passing proves little; empty if it proves something."""
        return self.activity.trivial(self.bounds)

    def drift(self) -> tuple[FrameAccuracy, FrameAccuracy]:
        """Means over the first and the last tenth of the clip: a state that drifts makes the last tenth worse."""
        tenth = max(1, len(self.frames) // 10)
        return mean(self.frames[:tenth]), mean(self.frames[-tenth:])

    def check(self) -> None:
        """Raise if a frame breaks a bound.

        Raises:
            VerificationError: names the first such frame and its figures.
        """
        if not self.failures:
            return
        first = self.failures[0]
        found, bounds = self.frames[first], self.bounds
        raise VerificationError(
            f"{self.name} differs from float32 PyTorch in {len(self.failures)} of {len(self.frames)} frames, first in "
            f"frame {first}: PSNR {found.psnr_db:.2f} dB (at least {bounds.psnr_db:g}), EPE {found.epe_px:.4f} px (at "
            f"most {bounds.epe_px:g}), IoU {found.iou:.4f} (at least {bounds.iou:g})"
            + ("" if found.finite else ", not finite")
            + (_MORE_FLOAT if bounds == BOUNDS["int8"] else "")
        )

    def table(self) -> Table:
        """The figures as a table for a terminal."""
        first, last = self.drift()
        rows = {"mean": mean(self.frames), "worst frame": worst(self.frames), "first tenth": first, "last tenth": last}
        table = Table(title=f"{self.name} against float32 PyTorch, {len(self.frames)} frames", title_justify="left")
        for column in ("", "enhanced PSNR dB", "flow EPE px", "mask IoU"):
            table.add_column(column, justify="right" if column else "left")
        for name, row in rows.items():
            table.add_row(name, f"{row.psnr_db:.2f}", f"{row.epe_px:.4f}", f"{row.iou:.4f}")
        few = sum(frame.few_mask_px and frame.iou < self.bounds.iou for frame in self.frames)
        if few:
            table.caption = f"{few} frames keep the bound of the mask because only a few mask pixels differ"
        table.add_row("bound", f"{self.bounds.psnr_db:g}", f"{self.bounds.epe_px:g}", f"{self.bounds.iou:g}")
        return table


def read_frames(video: Path, *, size_hw: tuple[int, int], limit: int) -> Iterator[Frame]:
    """Up to ``limit`` frames of a video, uint8 ``(H, W, 3)`` BGR, scaled to ``size_hw`` as ``mostnet-run`` does.

    Raises:
        VideoError: the video cannot be read, is damaged in these frames, or is truncated before ``limit`` frames.
    """
    from mostnet.video import VideoReader  # only a verification needs PyAV
    from mostnet.video.fit import FrameFit

    with VideoReader(video) as reader:
        fit = FrameFit(reader.size_hw, size_hw, reader.pixel_aspect)
        for _, frame in zip(range(limit), reader, strict=False):
            yield fit.to_engine(frame)
        reader.check()


def reference_stream(checkpoint: AnyCheckpoint, frames: Iterable[Frame]) -> Iterator[tuple[Frame, StreamOutput]]:
    """Each frame with the outputs of the float32 PyTorch network, which carries its state from frame to frame."""
    stream = network_stream(checkpoint.model)
    for frame in frames:
        yield frame, stream.infer(frame)


def frame_accuracy(output: Output, reference: StreamOutput) -> FrameAccuracy:
    """Compare one frame of a candidate with the reference. The candidate must have every output."""
    return FrameAccuracy.of((output.enhanced, output.flow, output.mask), reference[:3], finite=output.finite)


def verify(
    checkpoint: AnyCheckpoint,
    candidate: Candidate,
    frames: Iterable[Frame],
    *,
    precision: str,
    name: str = "exported model",
    progress: Callable[[int], None] | None = None,
) -> VerificationReport:
    """Compare a candidate with the checkpoint over a clip.

    Args:
        frames: uint8 ``(H, W, 3)`` BGR, all of the candidate's size.
        precision: ``fp32``, ``fp16`` or ``int8``, each with its bounds.
        progress: called with the number of frames done.

    Raises:
        VerificationError: fewer than two frames, so that no state was carried.
    """
    found: list[FrameAccuracy] = []
    activity: list[Activity] = []
    for frame, wanted in reference_stream(checkpoint, frames):
        found.append(frame_accuracy(candidate.infer(frame), wanted))
        activity.append(Activity.of(frame, wanted[:3]))
        if progress is not None:
            progress(len(found))
    if len(found) < 2:
        raise VerificationError(f"verification needs at least two frames to carry state between, got {len(found)}")
    return VerificationReport(name, tuple(found), Activity.over(activity), BOUNDS[precision])
