"""Augmentations of a clip that keep its flow and mask correct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame
from mostnet.contract.metrics import Mask

from .dataset import LabelledFrame

#: A resized flow vector is known if at least this share of its source vectors, by weight, is known.
_KNOWN = 0.999
#: A reversed flow vector is known if vectors of at least this total weight land on the pixel, and if their variance is
#: below ``_SPREAD_PX2``.
_LANDED = 0.4
_SPREAD_PX2 = 1.0


@dataclass(frozen=True)
class Clip:
    """T frames with labels; None for a missing label.

    Attributes:
        input: uint8 ``(T, H, W, 3)`` BGR.
        reference: like ``input``.
        mask: uint8 ``(T, H, W)``, 0 or 255.
        flow: float32 ``(T, 2, H, W)`` in pixels, backward.
        valid: bool ``(T, H, W)``; false in the first frame, whose previous frame is not in the clip.
    """

    input: Frame
    reference: Frame | None
    mask: Mask | None
    flow: npt.NDArray[np.float32] | None
    valid: npt.NDArray[np.bool_] | None


def stack(frames: Sequence[LabelledFrame], window: tuple[slice, slice] = (slice(None), slice(None))) -> Clip:
    """Make one clip of consecutive frames, cut to a window of rows and columns."""

    def gather(name: str) -> npt.NDArray[Any] | None:
        parts = [getattr(frame, name) for frame in frames]
        if any(part is None for part in parts):
            return None
        is_flow = name == "flow"
        return np.stack([part[(slice(None), *window) if is_flow else window] for part in parts])

    pictures = gather("input")
    assert pictures is not None
    valid, flow = gather("valid"), gather("flow")
    if valid is not None:
        valid[0] = False
    return Clip(pictures, gather("reference"), gather("mask"), None if flow is None else flow.astype(np.float32), valid)


def flip(clip: Clip, *, horizontal: bool = False, vertical: bool = False) -> Clip:
    """Mirror left and right, top and bottom, or both."""
    rows, columns = slice(None, None, -1 if vertical else 1), slice(None, None, -1 if horizontal else 1)

    def turn(array: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if array is None else array[:, rows, columns]

    flow = clip.flow
    if flow is not None:
        signs = np.array([-1 if horizontal else 1, -1 if vertical else 1], np.float32)
        flow = flow[:, :, rows, columns] * signs[:, None, None]
    return Clip(clip.input[:, rows, columns], turn(clip.reference), turn(clip.mask), flow, turn(clip.valid))


def rescale(clip: Clip, size_hw: tuple[int, int]) -> Clip:
    """Resize to ``size_hw``. Flow vectors scale with the picture, and unknown ones spread to their neighbours."""
    height, width = clip.input.shape[1:3]
    if (height, width) == size_hw:
        return clip
    shrinks = size_hw[0] < height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR

    def resize(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.stack([cv2.resize(picture, size_hw[::-1], interpolation=interpolation) for picture in array])

    reference = None if clip.reference is None else resize(clip.reference)
    mask = None if clip.mask is None else np.where(resize(clip.mask) >= 128, 255, 0).astype(np.uint8)
    flow, valid = clip.flow, clip.valid
    if flow is not None and valid is not None:
        valid = resize(valid.astype(np.float32)) >= _KNOWN
        growth = np.array([size_hw[1] / width, size_hw[0] / height], np.float32)
        flow = resize(flow.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) * growth[:, None, None] * valid[:, None]
    return Clip(resize(clip.input), reference, mask, flow, valid)


def reverse(clip: Clip) -> Clip:
    """Play backwards. The flow becomes the forward flow, known where the backward flow determines it."""

    def turn(array: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if array is None else array[::-1]

    flow, valid = clip.flow, clip.valid
    if flow is not None and valid is not None:
        forward = [forward_flow(flow[t], valid[t]) for t in range(len(flow) - 1, 0, -1)]
        none = (np.zeros_like(flow[0]), np.zeros_like(valid[0]))
        flow, valid = (np.stack(part) for part in zip(none, *forward, strict=True))
    return Clip(clip.input[::-1], turn(clip.reference), turn(clip.mask), flow, valid)


def forward_flow(
    flow: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Invert backward flow. Returns the flow from the previous frame to the current one, and where it is known.

    Each known vector is reversed and splatted bilinearly where it points to. Holes, and places where different vectors
    land (edges of things that move apart), are unknown.

    Args:
        flow: ``(2, H, W)`` float32 in pixels.
        valid: ``(H, W)`` bool.
    """
    height, width = valid.shape
    y, x = np.nonzero(valid)
    dx, dy = flow[0, y, x], flow[1, y, x]
    left, top = np.floor(x + dx), np.floor(y + dy)
    sums = np.zeros((4, height * width))
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        to_x, to_y = left + column, top + row
        weight = (1 - np.abs(x + dx - to_x)) * (1 - np.abs(y + dy - to_y))
        inside = (to_x >= 0) & (to_x < width) & (to_y >= 0) & (to_y < height)
        cell = (to_y[inside] * width + to_x[inside]).astype(np.intp)
        for k, value in enumerate((1.0, dx, dy, dx * dx + dy * dy)):
            sums[k] += np.bincount(cell, (weight * value)[inside], minlength=height * width)
    total = np.maximum(sums[0], 1e-6)
    mean_x, mean_y, square = sums[1:] / total
    known = (sums[0] >= _LANDED) & (square - mean_x**2 - mean_y**2 < _SPREAD_PX2)
    forward = -np.stack([mean_x, mean_y]) * known
    return forward.reshape(2, height, width).astype(np.float32), known.reshape(height, width)


def jitter(clip: Clip, rng: np.random.Generator) -> Clip:
    """Change the colours of the whole clip: a little in input and reference alike, and more in the input alone."""
    grey = np.arange(256) / 255.0
    joint = rng.normal(1.0, 0.03) * rng.normal(1.0, 0.01, 3)
    gain = rng.normal(1.0, 0.06) * rng.normal(1.0, 0.03, 3)
    gamma = np.exp(rng.normal(0.0, 0.06))
    offset = rng.normal(0.0, 0.015)
    shared = grey[:, None] * joint
    alone = np.clip(shared, 0, 1) ** gamma * gain + offset
    reference = None if clip.reference is None else _look_up(clip.reference, shared)
    return replace(clip, input=_look_up(clip.input, alone), reference=reference)


def _look_up(pictures: Frame, curve: npt.NDArray[Any]) -> Frame:
    """Apply a curve per channel, ``(256, 3)`` of 0..1, to pictures ``(T, H, W, 3)``."""
    table = np.rint(np.clip(curve, 0, 1) * 255).astype(np.uint8)
    height = pictures.shape[0] * pictures.shape[1]
    flat = np.ascontiguousarray(pictures).reshape(height, pictures.shape[2], 3)
    changed: Frame = cv2.LUT(flat, table[None])
    return changed.reshape(pictures.shape)
