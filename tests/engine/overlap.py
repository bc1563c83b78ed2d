"""How far ``stream`` overlaps, on a fake device with three stages of 10 ms: ``python -m tests.engine.overlap``.

Prints the throughput of ``stream`` against a serial loop (3.00 is perfect), and for a source paced at 25 FPS the median
latency against the sum of the stages.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from tests.toy_graph import frame_of

from .fake import fake_session


def serial_over_streamed(frames: int) -> float:
    """Seconds per frame of ``infer`` in a loop, over those of ``stream``."""
    session, _ = fake_session((10, 10, 10))
    with session:
        begun_s = time.perf_counter()
        for number in range(frames):
            session.infer(frame_of(number))
        serial_s = time.perf_counter() - begun_s
        begun_s = time.perf_counter()
        for _ in session.stream(frame_of(number) for number in range(frames)):
            pass
        return serial_s / (time.perf_counter() - begun_s)


def paced_ms(frames: int) -> tuple[float, float]:
    """Median latency of a source at 25 FPS, and the mean sum of its stages."""
    session, _ = fake_session((10, 10, 10))

    def camera() -> Iterator[np.ndarray]:
        for number in range(frames):
            time.sleep(0.04)
            yield frame_of(number)

    with session:
        latencies_ms = [output.latency_ms for output in session.stream(camera())]
        stats = session.stats
    return float(np.median(latencies_ms)), stats.copy_in_ms + stats.compute_ms + stats.copy_out_ms


def main(frames: int = 100) -> None:
    """Print both."""
    print(f"stream: {serial_over_streamed(frames):.2f} x a serial loop")
    latency_ms, stages_ms = paced_ms(frames)
    print(f"paced at 25 FPS: {latency_ms:.1f} ms from frame to result, {stages_ms:.1f} ms of stages")


if __name__ == "__main__":
    main()
