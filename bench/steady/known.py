"""Bounds on clips of known camera path, and every method side by side on its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np

from mostnet.engine import Engine
from mostnet.video.steady.metrics import Path2d, measure

from .checks import (
    START,
    Check,
    lag_frames,
    motion_cost_ms,
    outside_px,
    path_array,
    stabilised_path,
    tooth_off_px,
    vibration_ratio,
)
from .clips import KnownClip, synthetic
from .methods import methods

#: Dark frames of the blackout clip.
DARK = range(60, 75)
#: Most processor time of a frame: of finding its motion, and of everything including the warp.
_MOTION_MS, _ALL_MS = 5.0, 12.0
#: Largest ratio of vibration after to before, by look-ahead.
_BOUNDS = {0: 0.25, 5: 0.15}

#: One method on one clip, by column of the table.
Figures = dict[str, str | float]


def known_path_checks(*, count: int) -> tuple[list[Check], dict[str, Path2d]]:
    """Checks on clips of known path, and the paths of the swaying clip for a plot."""
    sway = synthetic("sway", count=count)
    pan = synthetic("pan", count=count, pan_px=3.0)
    blackout = synthetic("blackout", count=DARK.stop + 30, dark=DARK)
    assert sway.poses and sway.base and pan.base
    checks = [Check("cost per frame of finding the motion", motion_cost_ms(sway), _MOTION_MS, "ms")]
    paths = {"camera": path_array(sway.poses), "intended": path_array(sway.base)}
    for lookahead, bound in _BOUNDS.items():
        path, corrections, cost_ms = stabilised_path(sway, lookahead)
        paths[f"steady, look-ahead {lookahead}"] = path
        shift, turn = vibration_ratio(paths["camera"], path)
        what = f"look-ahead {lookahead}"
        checks += [
            Check(f"vibration after / before, shift, {what}", shift, bound),
            Check(f"vibration after / before, angle, {what}", turn, bound),
            Check(f"picture beyond the frame, {what}", outside_px(corrections), 0.0, "px"),
        ]
        panned, panned_corrections, _ = stabilised_path(pan, lookahead)
        lag = lag_frames(path_array(pan.base)[:, 0], panned[:, 0])
        off = tooth_off_px(blackout, stabilised_path(blackout, lookahead)[1], DARK)
        checks += [
            Check(f"lag behind a pan of 3 px per frame, {what}", lag, 5.0, "frames"),
            Check(f"picture beyond the frame, panning, {what}", outside_px(panned_corrections), 0.0, "px"),
            Check(f"tooth off its place 10 frames after 15 dark ones, {what}", off, 4.0, "px"),
            Check(f"cost per frame with the warp, {what}", cost_ms, _ALL_MS, "ms"),
        ]
    return checks, paths


def added_jitter_checks(clip: KnownClip, unshaken: KnownClip) -> list[Check]:
    """Ratio of vibration after stabilising to before, for known jitter added to a video file.

    The steady path of the unshaken file is subtracted, because it is the motion of the file itself.
    """
    assert clip.poses is not None
    checks = []
    for lookahead, bound in _BOUNDS.items():
        left = stabilised_path(clip, lookahead)[0] - stabilised_path(unshaken, lookahead)[0]
        what = f"vibration after / before, added jitter, {clip.name}, look-ahead {lookahead}"
        checks.append(Check(what, vibration_ratio(path_array(clip.poses), left)[0], bound))
    return checks


def compare(clip: KnownClip) -> list[Figures]:
    """Every method on one clip, measured on its pictures. The lag is NaN if the intended path is unknown."""
    rows: list[Figures] = []
    before = None
    for method in methods():
        found = measure(picture for picture in method.run(clip.pairs)[START:])
        before = before or found
        lag = float("nan")
        if clip.base is not None and method.name != "none":
            # Content moves against the camera. Both paths lack the first frames.
            intended = -path_array(clip.base)[START:, 0]
            lag = lag_frames(intended, found.path[:, 0])
        rows.append(
            {
                "clip": clip.name,
                "method": method.name,
                "look-ahead": method.lookahead,
                "vibration px": found.vibration_px,
                "ratio": found.vibration_px / before.vibration_px,
                "jitter ratio": found.jitter_px / before.jitter_px,
                "angle ratio": found.vibration_deg / before.vibration_deg,
                "ITF dB": found.itf_db,
                "ITF gain dB": found.itf_db - before.itf_db,
                "lag": lag,
            }
        )
    return rows


def picture_checks(rows: Sequence[Figures]) -> list[Check]:
    """Bounds on our rows of the comparison."""
    checks = []
    for row in rows:
        if row["method"] == "mostnet" and row["clip"] != "pan 3 px":
            what, bound = f"{row['clip']}, look-ahead {row['look-ahead']}", _BOUNDS[int(row["look-ahead"])]
            # A video's vibration includes objects that move by themselves, but not above 0.15 cycles per frame.
            name = "ratio" if row["clip"] == "sway" else "jitter ratio"
            measured = "vibration" if name == "ratio" else "jitter above 0.15 cycles/frame"
            checks.append(Check(f"{measured} after / before by tracks, {what}", float(row[name]), bound))
            checks.append(Check(f"gain of ITF, {what}", float(row["ITF gain dB"]), 3.0, "dB", at_least=True))
    return checks


def engine_ms(path: Path) -> float:
    """Median processor time of one frame of an engine on one thread, in milliseconds."""
    with Engine(path, threads=1) as engine:
        frame = np.zeros((*engine.metadata.size_hw, 3), np.uint8)
        times = []
        for _ in range(12):
            begun_s = process_time()
            engine.infer(frame)
            times.append(process_time() - begun_s)
    return float(np.median(times[2:])) * 1e3
