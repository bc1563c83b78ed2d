"""Short videos of every kind, and an engine that needs no model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np

from mostnet.contract import OUTPUTS
from mostnet.engine import Output

FPS = Fraction(25)
SIZE_HW = (96, 128)


def moving_frames(count: int, size_hw: tuple[int, int] = SIZE_HW) -> list[np.ndarray]:
    """A soft warm texture that moves by (2, 1) pixels a frame, uint8 BGR; each frame differs from all others."""
    large_hw = (size_hw[0] + count, size_hw[1] + 2 * count)
    grey = np.random.default_rng(3).uniform(40, 215, (large_hw[0] // 8, large_hw[1] // 8)).astype(np.float32)
    grey = cv2.resize(grey, large_hw[::-1], interpolation=cv2.INTER_CUBIC)
    # Colour is weak, because yuv420p halves its resolution, which is not tested here.
    large = np.clip(grey[..., None] * np.array([0.7, 0.9, 1.0]), 0, 255).astype(np.uint8)
    return [large[k : k + size_hw[0], 2 * k : 2 * k + size_hw[1]].copy() for k in range(count)]


def write_with_av(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    codec: str = "libx264",
    fps: Fraction = FPS,
    movflags: str = "",
    rotation: int = 0,
    pts: Iterable[int] | None = None,
    crf: int = 10,
    key_every: int = 12,
) -> Path:
    """Write ``frames`` with PyAV alone, so that the reader is tested on files that the writer did not make."""
    frames = list(frames)
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.options = {"g": str(key_every), "crf": str(crf)}
        stream.bit_rate = 4_000_000  # for codecs that know no crf
        if rotation:
            stream.set_display_rotation(rotation)
        for index, frame in zip(pts or range(len(frames)), frames, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, "bgr24")
            picture.pts, picture.time_base = index, 1 / fps
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def damage_packet(path: Path, index: int) -> None:
    """Zero the first bytes of one packet, so that only its frame does not decode."""
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0)][index]
    data = bytearray(path.read_bytes())
    data[place : place + 40] = bytes(40)
    path.write_bytes(data)


def write_yuv(
    path: Path, yuv: tuple[int, int, int], *, matrix: int, full_range: bool, size_hw: tuple[int, int]
) -> Path:
    """Write five lossless frames of one YUV colour with the given H.273 matrix code."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *size_hw, "yuv420p"
        stream.options = {"qp": "0"}
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full_range else 1
        for index in range(5):
            picture = av.VideoFrame(size_hw[1], size_hw[0], "yuv420p")
            for plane, value in zip(picture.planes, yuv, strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures, in dB."""
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


class FakeEngine:
    """Inverts the frame; flow is (frame_id, 0), the mask is the left half; frames in ``heal`` are not finite."""

    outputs = OUTPUTS

    def __init__(self, size_hw: tuple[int, int] = (64, 80), *, heal: tuple[int, ...] = ()) -> None:
        self.metadata = SimpleNamespace(size_hw=size_hw)
        self.heal = heal
        self.resets = 0
        self.first_id = 5
        self.closed_streams = 0

    def reset(self) -> None:
        self.resets += 1

    def stream(self, frames: Iterable[tuple[np.ndarray, object]]) -> Iterator[Output]:
        """Run two frames ahead of the consumer, like the real engine."""
        waiting: list[Output] = []
        try:
            for k, (frame, timestamp) in enumerate(frames):
                waiting.append(self._output(k, frame, timestamp))
                if len(waiting) > 2:
                    yield waiting.pop(0)
            yield from waiting
        finally:
            self.closed_streams += 1

    def _output(self, k: int, frame: np.ndarray, timestamp: object) -> Output:
        height, width = self.metadata.size_hw
        assert frame.shape == (height, width, 3)
        assert frame.flags.c_contiguous
        flow = np.zeros((2, height, width), np.float32)
        flow[0] = k
        mask = np.zeros((height, width), np.uint8)
        mask[:, : width // 2] = 255
        return Output(255 - frame, flow, mask, k not in self.heal, self.first_id + k, timestamp, 1.0)
