"""The outputs of a plan on a GPU against the float32 reference of its case, frame by frame."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mostnet.contract import OUTPUTS
from mostnet.export.accuracy import BOUNDS, FrameAccuracy, worst


def compare_outputs(outputs: Path, reference: Path, precision: str) -> dict[str, Any]:
    """Worst of each measure, and the frames beyond the bounds of ``mostnet.export.accuracy``.

    Args:
        outputs: ``.npz`` with ``enhanced``, ``flow``, ``mask`` and ``finite``, frames first.
        reference: the same without ``finite``.
        precision: selects the bounds.
    """
    with np.load(outputs) as arrays, np.load(reference) as references:
        finite = arrays["finite"]
        found = zip(*(arrays[name] for name in OUTPUTS), strict=True)
        wanted = zip(*(references[name] for name in OUTPUTS), strict=True)
    frames = [FrameAccuracy.of(*pair, finite=bool(ok)) for *pair, ok in zip(found, wanted, finite, strict=True)]
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
