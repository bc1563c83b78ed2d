"""Small data sets with exact labels: a smooth texture that moves by a known number of pixels per frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.training.data.augment import Clip
from mostnet.training.data.flow_files import write_flow


def moving_clip(
    frames: int, *, size_hw: tuple[int, int] = (96, 128), step_px: tuple[float, float] = (3.0, -2.0), seed: int = 0
) -> Clip:
    """A texture that moves by ``step_px`` ``(dx, dy)`` per frame. The input is darker, and the mask is the bright part.

    Flow is exact. ``valid`` is false where the content came from outside, and in the first frame.
    """
    height, width = size_hw
    margin = 16 * frames
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(height + 2 * margin, width + 2 * margin, 3)).astype(np.float32)
    canvas = cv2.GaussianBlur(noise, (0, 0), 5)
    canvas = 127 + 50 * canvas / canvas.std()
    y, x = np.mgrid[:height, :width].astype(np.float32)
    references, flows, valids = [], [], []
    for t in range(frames):
        at_x, at_y = x + margin - step_px[0] * t, y + margin - step_px[1] * t
        picture = cv2.remap(canvas, at_x, at_y, cv2.INTER_CUBIC)
        references.append(np.rint(np.clip(picture, 0, 255)).astype(np.uint8))
        flows.append(np.stack([np.full_like(x, -step_px[0]), np.full_like(x, -step_px[1])]))
        from_x, from_y = x - step_px[0], y - step_px[1]
        inside = (from_x >= 0) & (from_x <= width - 1) & (from_y >= 0) & (from_y <= height - 1)
        valids.append(inside & (t > 0))
    reference = np.stack(references)
    mask = np.where(reference[..., 1] > 140, 255, 0).astype(np.uint8)
    flow = np.stack(flows) * (np.arange(frames) > 0)[:, None, None, None]
    return Clip((reference * 0.7).astype(np.uint8), reference, mask, flow.astype(np.float32), np.stack(valids))


def write_sequence(folder: Path, clip: Clip, *, flow_suffix: str = ".png") -> None:
    """Write a clip and its labels in the layout of a data set."""
    for kind in ("input", "reference", "mask"):
        pictures = getattr(clip, kind)
        for t, picture in enumerate(() if pictures is None else pictures):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(folder / kind / f"{t:06d}.png"), picture)
    if clip.flow is not None:
        assert clip.valid is not None
        for t in range(len(clip.flow)):
            write_flow(folder / "flow" / f"{t:06d}{flow_suffix}", clip.flow[t], clip.valid[t])


def write_dataset(root: Path, *, train: int = 3, val: int = 1, frames: int = 6, **scene: object) -> Path:
    """A data set of small moving textures; every sequence differs."""
    for split, count in (("train", train), ("val", val)):
        for i in range(count):
            step: npt.NDArray = np.random.default_rng(i + 1).uniform(-4, 4, 2)
            clip = moving_clip(frames, step_px=(float(step[0]), float(step[1])), seed=i, **scene)  # type: ignore[arg-type]
            write_sequence(root / split / f"{i:04d}", clip, flow_suffix=".png" if i % 2 else ".flo")
    return root
