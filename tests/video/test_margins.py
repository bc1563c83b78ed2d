"""The margins of the engine's frame do not disturb the network that is shipped."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from mostnet.contract import FOREGROUND
from mostnet.contract.shipped import checkpoint_path
from mostnet.engine import Output
from mostnet.model import NetworkStream, load_checkpoint
from mostnet.video import VideoReader, demo_clip
from mostnet.video.fit import FrameFit

from .samples import psnr

FRAMES = 8
SQUARE, WIDE = (240, 240), (240, 320)


def _results(frames: list[np.ndarray], engine_hw: tuple[int, int]) -> list[Output]:
    """The network's results on the demo's frames in a frame of ``engine_hw``, brought back to the frames' size."""
    fit = FrameFit(SQUARE, engine_hw)
    stream = NetworkStream(load_checkpoint(checkpoint_path("nano")).model)
    found = []
    for k, frame in enumerate(frames):
        enhanced, flow, mask = stream.infer(fit.to_engine(frame))[:3]
        found.append(fit.back(Output(enhanced, flow, mask, True, k, None, 0.0)))
    return found


def test_results_between_margins_are_those_without():
    with VideoReader(demo_clip()) as reader:
        frames = [cv2.resize(frame[:, 80:560], SQUARE) for frame in itertools.islice(reader, 30, 30 + FRAMES)]
    one, other = _results(frames, SQUARE)[-1], _results(frames, WIDE)[-1]
    assert psnr(one.enhanced, other.enhanced) > 42, "34 dB with black margins"
    assert np.median(np.linalg.norm(one.flow - other.flow, axis=0)) < 0.5
    teeth, others = one.mask >= FOREGROUND, other.mask >= FOREGROUND
    assert (teeth & others).sum() > 0.95 * (teeth | others).sum()
