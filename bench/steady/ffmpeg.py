"""Stabilisers of the ``ffmpeg`` command on this machine: vid.stab in two passes."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from mostnet.contract import Frame, MeasurementError

_LIMIT_S = 600.0


@lru_cache(maxsize=1)
def missing_vidstab() -> str | None:
    """Why vid.stab cannot be measured here; None if it can."""
    found = shutil.which("ffmpeg")
    if found is None:
        return "no ffmpeg command"
    listed = subprocess.run(
        [found, "-hide_banner", "-filters"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=_LIMIT_S,
    )
    both = all(f" {name} " in listed.stdout for name in ("vidstabdetect", "vidstabtransform"))
    return None if both else "ffmpeg has no vid.stab"


def vidstab(frames: Sequence[Frame], *, smoothing: int) -> list[Frame]:
    """vid.stab in two passes with its default zoom; ``smoothing`` frames on either side count.

    Raises:
        MeasurementError: vid.stab is missing or fails.
    """
    if (reason := missing_vidstab()) is not None:
        raise MeasurementError(f"{reason}; install an ffmpeg with vid.stab")
    with tempfile.TemporaryDirectory() as folder:
        _run(frames, "format=yuv420p,vidstabdetect=result=moves.trf", ["-f", "null", "-"], Path(folder))
        steady = f"format=yuv420p,vidstabtransform=input=moves.trf:smoothing={smoothing}"
        data = _run(frames, steady, ["-f", "rawvideo", "-pix_fmt", "bgr24", "-"], Path(folder))
    pictures = np.frombuffer(data, np.uint8).reshape(-1, *frames[0].shape)
    if len(pictures) != len(frames):
        raise MeasurementError(f"vid.stab gave {len(pictures)} of {len(frames)} frames; use another ffmpeg")
    return list(pictures)


def _run(frames: Sequence[Frame], filters: str, output: Sequence[str], folder: Path) -> bytes:
    """Filter frames with the ffmpeg command in ``folder``; returns what it writes."""
    height, width = frames[0].shape[:2]
    source = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}", "-r", "25", "-i", "-"]
    call = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", *source, "-vf", filters, *output]
    given = b"".join(np.ascontiguousarray(frame).tobytes() for frame in frames)
    done = subprocess.run(call, input=given, capture_output=True, cwd=folder, timeout=_LIMIT_S)
    if done.returncode != 0:
        raise MeasurementError(f"ffmpeg failed at {filters}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
