"""Smooth drawn pictures in the place of photographs, and camera paths as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mostnet.training.photos.folder import Photo
from mostnet.training.photos.recorded import RecordedPath

HEADER = "path,fps,frame,dx,dy,angle,zoom"


def drawn_photo(seed: int, *, size_hw: tuple[int, int] = (240, 320), sigma_px: float = 14) -> Photo:
    """A smooth texture whose bright part counts as tooth."""
    noise = np.random.default_rng(seed).normal(size=(*size_hw, 4)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigma_px)
    smooth = smooth / smooth.std((0, 1))
    colour = np.clip(128 + 40 * smooth[..., :3], 0, 255)
    tooth = np.where(smooth[..., 3] > 0.3, 255, 0)
    return Photo(f"{seed:04}", np.dstack([colour, tooth]).astype(np.uint8))


def drawn_photos(count: int = 4) -> list[Photo]:
    return [drawn_photo(seed) for seed in range(count)]


def write_photos(folder: Path, photos: Sequence[Photo], *, suffix: str = ".png") -> Path:
    """Write photographs and masks in the layout of ``read_photos``."""
    for name in ("image", "mask"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for photo in photos:
        assert cv2.imwrite(str(folder / f"image/{photo.name}{suffix}"), photo.pixels[..., :3])
        assert cv2.imwrite(str(folder / f"mask/{photo.name}.png"), photo.pixels[..., 3])
    return folder


def swinging_path(frames: int = 40, *, seed: int = 0) -> RecordedPath:
    """A path that shifts, rolls and zooms, slowly varying from frame to frame."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / 8 + rng.uniform(0, 6, 4)
    dx, dy, angle, zoom = (np.sin(time) * [0.02, 0.015, 0.02, 0.01]).T
    return RecordedPath("A", 25.0, dx + 1j * dy, np.exp(zoom + 1j * angle))


def write_paths(file: Path, paths: Sequence[RecordedPath]) -> Path:
    """Write paths in the layout of ``read_paths``; a path that follows another of its name comes after a cut."""
    lines, frame = [HEADER], 0
    for path in paths:
        lines.append(f"{path.name},{path.fps},{frame},,,,")
        for shift, turn in zip(path.shift, path.turn, strict=True):
            frame += 1
            numbers = (shift.real, shift.imag, np.angle(turn), abs(turn))
            lines.append(f"{path.name},{path.fps},{frame}," + ",".join(f"{number:.9g}" for number in numbers))
        frame += 1
    file.write_text("\n".join(lines) + "\n")
    return file


def warped(picture: npt.NDArray[np.uint8], flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The previous picture, sampled where the flow says that each pixel was."""
    y, x = np.mgrid[: flow.shape[1], : flow.shape[2]].astype(np.float32)
    return cv2.remap(
        picture.astype(np.float64), x + flow[0], y + flow[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def array(tensor: torch.Tensor) -> npt.NDArray:
    return tensor.cpu().numpy()
