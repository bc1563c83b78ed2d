"""Contents of an ``evaluation.json``, for the tests of what is made of it."""

from __future__ import annotations

import json
from pathlib import Path

FIGURES = {
    "psnr_db": 24.123,
    "fit_db": 26.5,
    "ssim": 0.91,
    "shade_mean_de00": 1.75,
    "shade_p95_de00": 4.25,
    "epe_px": 2.5,
    "iou": 0.8,
    "iou_frame_mean": 0.79,
    "motion_px": 0.25,
    "slope": 0.98,
}
RECORD = {
    "steps": 4000,
    "minutes": 90.0,
    "data": {"name": "scenes", "seed": 11},
    "options": {"variant": "nano", "lr": 0.001},
    "torch": "2.13.0",
}


def document(**model: object) -> dict:
    """The parts of an ``evaluation.json`` that the tables read."""
    return {
        "format": "mostnet-evaluation",
        "format_version": 2,
        "command": "mostnet-eval run/model.pt data/scenes --threads 1 --out run/eval",
        "versions": {"torch": "2.13.0"},
        "frames": 20,
        "model": {
            "file": "model.pt",
            "sha256": "0" * 64,
            "variant": "nano",
            "precision": "fp32",
            "runs_in": "PyTorch on cpu",
            "parameters_m": 0.5535,
            "training": RECORD,
            **model,
        },
        "data": {"name": "scenes", "split": "test", "descriptions": {"test": {"seed": 900}}},
        "rows": {
            "baseline": {**FIGURES, "psnr_db": 17.8, "fit_db": 21.0, "motion_px": 8.0, "slope": None},
            "oracle colour": {name: 21.0 if name == "psnr_db" else None for name in FIGURES},
            "DIS": {name: 0.5 if name == "epe_px" else None for name in FIGURES},
            "model": dict(FIGURES),
            "clean input": {**FIGURES, "psnr_db": 35.0, "iou": None},
        },
        "sequences": [{"name": "a", "frames": 10}, {"name": "b", "frames": 10}],
    }


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path
