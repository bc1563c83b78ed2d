"""A camera of another shape than the engine's keeps its geometry."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np

from mostnet.video import LAYOUTS, FlowScale
from mostnet.video.camera.live import Live
from mostnet.video.sink import Sink

from .fakes import FakeCamera, Screen, ScriptedEngine, is_warned, opener


def test_a_wide_camera_lies_between_margins():
    frames = []
    for k in range(4):
        frame = np.full((72, 128, 3), 60 + k, np.uint8)
        cv2.circle(frame, (64, 36), 20, (200, 200, 200), -1)
        frames.append(frame)
    screen, seen = Screen(), []

    class Engine(ScriptedEngine):
        def infer(self, frame, *, timestamp=None):
            seen.append(frame)
            return super().infer(frame, timestamp=timestamp)

    camera = FakeCamera(frames, screen=screen)
    camera.size_hw = (72, 128)
    engine = Engine([])
    engine.metadata = SimpleNamespace(size_hw=(64, 80))
    live = Live(0, engine, 4, open_source=opener(camera), late_ms=5000)
    sink = Sink(LAYOUTS["enhanced"], FlowScale(), live.fit, writer=None, window=screen, stabiliser=None, status=False)
    live.pump(sink, None, None)
    camera.closed.set()
    live.close()
    assert seen[0].shape == (64, 80, 3)
    assert np.array_equal(seen[0][8::-1], seen[0][10:19]), "mirrored"
    rows, columns = np.nonzero(seen[0][9:-10, :, 0] > 150)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1
    shown = next(picture for picture in screen.pictures if not is_warned(picture))
    assert shown.shape == (72, 128, 3)
    assert abs(int(shown[36, 64, 0]) - 55) < 4 and abs(int(shown[4, 4, 0]) - 195) < 4
