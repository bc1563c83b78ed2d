"""The demo clip and the script that makes it."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from mostnet.video import VideoReader, demo_clip, scene

from .video_samples import psnr


def test_the_shipped_clip_is_what_the_script_makes():
    with VideoReader(demo_clip()) as reader:
        assert reader.frame_count == scene.FRAMES == 100
        shipped = list(reader)
    for made, stored in zip(scene.frames(12), shipped, strict=False):
        assert psnr(made, stored) > 33


def test_the_clip_is_small():
    assert demo_clip().stat().st_size < 1_000_000


def test_the_seed_decides():
    one, same, other = (list(scene.frames(2, seed=seed))[1] for seed in (1, 1, 2))
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


def test_the_picture_has_teeth_gum_and_a_warm_cast():
    frame = next(scene.frames(1)).astype(int)
    blue, green, red = (frame[..., c] for c in range(3))
    gum = (red > green + 50) & (red > blue + 40)
    enamel = (red > 130) & (green > 120)
    assert 0.2 < gum.mean() < 0.7
    assert 0.15 < enamel.mean() < 0.6
    assert red[enamel].mean() > blue[enamel].mean() + 15


def test_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scene, "FRAMES", 3)
    monkeypatch.setattr(scene, "frames", lambda: (np.zeros((480, 640, 3), np.uint8) for _ in range(3)))
    assert scene.main([str(tmp_path / "d.mp4")]) == 0
    assert "3 frames" in capsys.readouterr().out
    with VideoReader(tmp_path / "d.mp4") as reader:
        assert len(list(reader)) == 3
    assert scene.main([str(tmp_path / "none" / "d.mp4")]) == 1
    assert "there is no folder" in capsys.readouterr().err
