"""What the parts of an archive run hand to each other. All of it can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from mostnet.engine import Provider
from mostnet.video.spans.span import Span as Span  # here too, as the other records are
from mostnet.video.steady.options import StabiliserOptions

#: How a video of an archive may end. ``kept``: the result of an earlier run was whole and is still there.
Ending = Literal["done", "kept", "failed", "stopped", "not begun"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a result depends on beside its video and its engine, as ``mostnet.video.run.run`` takes it."""

    layout: str = "enhanced"
    frames: int | None = None
    fps: Fraction | None = None
    flow_max_px: float | None = None
    stabilise: StabiliserOptions | None = None
    read_ahead: bool = False
    status: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """How and where a task runs the network.

    Attributes:
        provider: as ``Engine`` takes it.
        threads: CPU threads of the network.
    """

    provider: Provider = "cpu"
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found in a video.

    Attributes:
        picture: PNG of one moment: before beside after.
        teeth_share: mean share of mask pixels that are tooth, 0 to 1; None if no frame could be looked at.
        jitter_before_px, jitter_after_px: how unsteady video and result are (``docs/steadiness.md``); None if that
            could not be measured.
        events: counts of special events, by name, such as new scenes.
    """

    picture: bytes | None = None
    teeth_share: float | None = None
    jitter_before_px: float | None = None
    jitter_after_px: float | None = None
    events: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry:
    """One video of an archive in the report.

    Attributes:
        video: as the source names it.
        result: the file written, relative to the folder of results; None without one.
        ending: how it ended.
        error: what failed, or None.
        columns: other columns of the table that named the video.
        video_sha256: digest of the video; empty if it could not be read.
        frames: frames written.
        duration_s: length of the result.
        elapsed_s: work on it, summed over its tasks.
        workers: the machine and provider of each task, such as ``node7 cpu``.
        findings: what was found in it.
    """

    video: str
    result: Path | None = None
    ending: Ending = "not begun"
    error: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    video_sha256: str = ""
    frames: int = 0
    duration_s: float = 0.0
    elapsed_s: float = 0.0
    workers: tuple[str, ...] = ()
    findings: Findings | None = None
