"""Cameras, an engine and a screen that follow a script."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from mostnet.contract import OUTPUTS
from mostnet.engine import Output
from mostnet.video import LAYOUTS, FlowScale, Stabiliser
from mostnet.video.fit import FrameFit
from mostnet.video.sink import Sink

from ..samples import FakeEngine, moving_frames

FRAMES = moving_frames(60, (64, 80))
FIT = FrameFit((64, 80), (64, 80))


class Screen:
    """Records the pictures that are shown."""

    def __init__(self) -> None:
        self.pictures: list[np.ndarray] = []
        self.closed = False

    def show(self, picture: np.ndarray) -> None:
        self.pictures.append(picture)

    def close(self) -> None:
        self.closed = True


class FakeCamera:
    """Gives ``script``: frames, pauses in seconds, or an error; then waits until it is closed."""

    size_hw = (64, 80)
    fps = Fraction(25)

    def __init__(self, script: list[object], *, screen: Screen | None = None) -> None:
        """With a ``screen``, each frame waits until all pictures before it have been shown."""
        self._script = script
        self._screen = screen
        self.closed = threading.Event()
        self.given = threading.Event()

    def pictures(self) -> Iterator[tuple[Fraction, np.ndarray]]:
        for place, item in enumerate(self._script):
            limit = time.monotonic() + 5
            while self._screen and len(self._screen.pictures) < place and time.monotonic() < limit:
                time.sleep(0.002)
            if isinstance(item, Exception):
                raise item
            if isinstance(item, float):
                time.sleep(item)
            else:
                yield Fraction(0), item
        self.given.set()
        self.closed.wait(5)

    def close(self) -> None:
        self.closed.set()


def opener(*cameras: object) -> Callable[[], FakeCamera]:
    waiting = list(cameras)

    def open_source() -> FakeCamera:
        camera = waiting.pop(0)
        if isinstance(camera, Exception):
            raise camera
        return camera

    return open_source


class ScriptedEngine:
    """Each call of ``infer`` follows ``acts``: it waits, raises, or returns at once."""

    outputs = OUTPUTS

    def __init__(self, acts: list[object]) -> None:
        self.metadata = FakeEngine((64, 80)).metadata
        self._acts = acts
        self.calls = self.resets = 0
        self.gate = threading.Event()

    def infer(self, frame: np.ndarray, *, timestamp: object = None) -> Output:
        act = self._acts[self.calls] if self.calls < len(self._acts) else None
        self.calls += 1
        if isinstance(act, Exception):
            raise act
        if act == "late":
            self.gate.wait(5)
        flow, mask = np.zeros((2, 64, 80), np.float32), np.full((64, 80), 255, np.uint8)
        return Output(255 - frame, flow, mask, True, self.calls - 1, timestamp, 1.0)

    def reset(self) -> None:
        self.resets += 1


def make_sink(
    screen: Screen, *, layout: str = "enhanced", status: bool = False, stabiliser: Stabiliser | None = None
) -> Sink:
    return Sink(LAYOUTS[layout], FlowScale(), FIT, writer=None, window=screen, stabiliser=stabiliser, status=status)


def is_warned(picture: np.ndarray) -> bool:
    return picture[-1, 40].tolist() == [60, 60, 255]
