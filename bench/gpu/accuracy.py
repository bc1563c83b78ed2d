"""What a plan gave on a GPU against the float32 reference of its case, frame by frame."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from mostnet.contract import OUTPUTS
from mostnet.contract.metrics import end_point_error_px, overlap, psnr_db


def compare_outputs(outputs: Path, reference: Path, precision: str) -> dict[str, Any]:
    """Worst frame and number of frames beyond the bounds of ``mostnet.export.accuracy``.

    Args:
        outputs: ``.npz`` with ``enhanced``, ``flow``, ``mask`` and ``finite``, frames first.
        reference: the same without ``finite``.
        precision: whose bounds to keep.
    """
    # PyTorch comes with it, so it is imported where the report runs, not beside TensorRT.
    from mostnet.export.accuracy import BOUNDS, FrameAccuracy, few_pixels, worst

    with np.load(outputs) as arrays, np.load(reference) as wanted_arrays:
        finite = arrays["finite"]
        found = [arrays[name] for name in OUTPUTS]
        wanted = [wanted_arrays[name] for name in OUTPUTS]
    frames = [
        FrameAccuracy(
            psnr_db(picture, right_picture),
            end_point_error_px(flow, right_flow),
            overlap(mask, right_mask).iou,
            bool(ok),
            few_pixels(mask, right_mask),
        )
        for picture, flow, mask, right_picture, right_flow, right_mask, ok in zip(*found, *wanted, finite, strict=True)
    ]
    bounds, least = BOUNDS[precision], worst(frames)
    return {
        "frames": len(frames),
        "psnr_db": least.psnr_db if math.isfinite(least.psnr_db) else None,
        "epe_px": least.epe_px if math.isfinite(least.epe_px) else None,
        "iou": float(least.iou),
        "finite": least.finite,
        "broken_frames": [index for index, frame in enumerate(frames) if not frame.keeps(bounds)],
        "bounds": {"psnr_db": bounds.psnr_db, "epe_px": bounds.epe_px, "iou": bounds.iou},
    }
