"""The demo clip and the script that makes it."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import cv2
import numpy as np

from mostnet.video import VideoReader, demo_clip

from ..video.samples import psnr

_PATH = Path(__file__).parents[2] / "docs" / "make_demo_clip.py"
_SPEC = importlib.util.spec_from_file_location("make_demo_clip", _PATH)
script = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(script)


def test_the_shipped_clip_is_what_the_script_makes():
    with VideoReader(demo_clip()) as reader:
        assert reader.frame_count == script.FRAMES == 100
        shipped = list(reader)
    for made, stored in zip(script.frames(12), shipped, strict=False):
        assert psnr(made, stored) > 33


def test_the_clip_is_small():
    assert demo_clip().stat().st_size < 1_000_000


def test_the_seed_decides():
    one, same, other = (list(script.frames(2, seed=seed))[1] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert psnr(one, other) < 30


def test_the_camera_shakes_by_several_pixels_above_5_hz():
    with VideoReader(demo_clip()) as reader:
        grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32)[60:420, :260] for frame in reader]
    window = cv2.createHanningWindow(grey[0].shape[::-1], cv2.CV_32F)
    steps = np.array([cv2.phaseCorrelate(a, b, window)[0] for a, b in itertools.pairwise(grey)])
    spectrum = np.abs(np.fft.rfft(steps - steps.mean(0), axis=0)) * 2 / len(steps)
    frequency = np.fft.rfftfreq(len(steps), 1 / 25)
    assert np.abs(steps).max() > 3
    assert spectrum[frequency > 5].max() > 2
    assert np.abs(steps).max() < 30
