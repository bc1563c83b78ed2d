"""Clips of moving photographs, made batch by batch on the device that uses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mostnet.contract import DatasetError, check_size
from mostnet.training.data.clips import Batch
from mostnet.training.synth.labels import margin_rows

from .folder import Photo
from .motion import (
    PathSource,
    Shutter,
    backward_flow,
    calm_readout,
    known,
    moved,
    sample,
    steps_needed,
    world_points,
)
from .recorded import RecordedPath
from .sheets import Sheet, SheetMaker
from .wear import degrade, draw_wear


@dataclass(frozen=True, kw_only=True)
class PhotoOptions:
    """Options of moving photographs.

    Attributes:
        frames: frames of one clip.
        size_hw: height and width of a frame in pixels.
        clean: fraction of clips without any degradation.
        strength: least and greatest strength of the degradations of the others.
        front: fraction of clips with a second sheet in front.
        no_mouth: fraction of sheets that show fractals or dead leaves instead of a photograph.
        calm: fraction of cameras that stand still, and fraction that move straight.
        tint: standard deviation of a random gain of each channel of reference and input, in half of the clips.
        seed: seed of every random choice.

    Raises:
        DatasetError: a number is out of its range.
        FrameError: the size is too small for the network.
    """

    frames: int
    size_hw: tuple[int, int]
    clean: float = 0.2
    strength: tuple[float, float] = (0.1, 1.0)
    front: float = 0.45
    no_mouth: float = 0.1
    calm: tuple[float, float] = (0.08, 0.1)
    tint: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        check_size(self.size_hw)
        if self.frames < 1:
            raise DatasetError(f"frames is {self.frames}; expected at least 1")
        for name in ("clean", "front", "no_mouth"):
            if not 0 <= getattr(self, name) <= 1:
                raise DatasetError(f"{name} is {getattr(self, name)}; expected a fraction of 0 to 1")
        low, high = self.strength
        if not 0 <= low <= high <= 1:
            raise DatasetError(f"strength is {low} to {high}; expected least and greatest, from 0 to 1")
        if min(self.calm) < 0 or not sum(self.calm) <= 1:
            raise DatasetError(f"calm is {self.calm[0]} and {self.calm[1]}; expected two fractions, together 1 at most")
        for name in ("tint", "seed"):
            if not getattr(self, name) >= 0:
                raise DatasetError(f"{name} is {getattr(self, name)}; expected 0 or more")


class PhotoClips:
    """An endless, seeded list of batches: batch ``i`` depends only on the arguments and ``i``.

    Each clip is a photograph as a flat sheet, in many clips with a second sheet in front, under a moving camera with a
    rolling shutter. The degraded input is the mean over the exposure. The reference is sharp, and drawn at the mean
    pose of the exposure. Flow and mask are exact.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        options: PhotoOptions,
        *,
        recorded: Sequence[RecordedPath] = (),
        device: torch.device | None = None,
    ) -> None:
        """Load the photographs onto ``device``.

        Raises:
            DatasetError: there are no photographs, or every recorded path is shorter than a clip.
        """
        if not photos:
            raise DatasetError("no photographs; expected at least one")
        longest = max((len(path.shift) for path in recorded), default=0)
        if recorded and longest < steps_needed(options.frames):
            raise DatasetError(
                f"the longest recorded path has {longest} frames of known motion, but a clip of {options.frames} "
                f"frames takes {steps_needed(options.frames)}; make shorter clips, or do without recorded paths"
            )
        self.options = options
        self.device = device or torch.device("cpu")
        self._sheets = SheetMaker(
            photos, options.size_hw, no_mouth=options.no_mouth, device=self.device, seed=options.seed
        )
        self._paths = PathSource(recorded, calm=options.calm)

    @torch.no_grad()
    def batch(self, index: int, count: int) -> Batch:
        """Batch ``index`` of ``count`` clips, on the device."""
        options = self.options
        rng = np.random.default_rng((options.seed, 1 << 42, index))
        noise = torch.Generator(self.device).manual_seed(int(rng.integers(1 << 62)))
        back = self._sheets.background(rng, count)
        front = self._sheets.foreground(rng, count, share=options.front)
        wear = draw_wear(rng, count, options.frames, none=options.clean, strength=options.strength, device=self.device)
        sharp = wear.strength == 0
        tables = np.stack([self._paths.draw(rng, options.frames) for _ in range(count)])
        shutter = self._shutter(rng, tables, sharp)
        table = self._tensor(tables)
        times = shutter.times(options.frames, options.size_hw[0])
        poses = [sample(table, times), self._front_poses(rng, table, times)]
        parallax = [self._tensor(np.ones(count)), self._tensor(np.exp(rng.uniform(-0.4, 0.4, count)))]
        tint = self._tensor(1 + options.tint * rng.normal(0, 1, (count, 3)) * (rng.random((count, 1)) < 0.5))
        taken, reference, tooth, surface = self._pictures((back, front), poses, parallax)
        taken, reference = ((part * tint.view(count, 1, 3, 1, 1)).clamp(0, 1) for part in (taken, reference))
        taken = torch.where(sharp.view(-1, 1, 1, 1, 1), reference, taken)
        flow, valid = self._motion(poses, parallax, surface)
        return Batch(
            _bytes(degrade(taken, wear, noise)),
            _bytes((reference * 255).round()),
            torch.where(tooth >= 0.5, 255, 0).to(torch.uint8),
            flow,
            valid,
            torch.ones(count, dtype=torch.bool, device=self.device),
            torch.ones(count, dtype=torch.bool, device=self.device),
        )

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(self.device)

    def _shutter(self, rng: np.random.Generator, tables: np.ndarray, sharp: Tensor) -> Shutter:
        """Shutters of the clips. ``sharp`` clips have no exposure."""
        count = len(tables)
        readout = rng.uniform(0, 0.9, count) * (rng.random(count) < 0.8)
        readout = np.array([calm_readout(table, value) for table, value in zip(tables, readout, strict=True)])
        exposure = np.exp(rng.uniform(np.log(0.02), np.log(0.4), count))
        instants = int(rng.choice([2, 4, 6]))
        return Shutter(self._tensor(readout), self._tensor(exposure) * ~sharp, instants)

    def _front_poses(self, rng: np.random.Generator, table: Tensor, times: Tensor) -> Tensor:
        """Poses of the second sheets: they move with the camera, and on a path of their own."""
        own = np.stack([self._paths.draw(rng, self.options.frames) for _ in range(len(table))])
        share = rng.uniform(0, 0.5, (len(table), 1, 1)) * (rng.random((len(table), 1, 1)) < 0.7)
        return sample(table + self._tensor(own * share), times)

    def _pictures(
        self, sheets: tuple[Sheet, Sheet], poses: Sequence[Tensor], parallax: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Blurred and sharp pictures ``(N, T, 3, H, W)``, tooth ``(N, T, H, W)``, and the surface in front."""
        moments = [torch.cat([pose, pose.mean(3, keepdim=True)], 3) for pose in poses]  # the last one is sharp
        back, front = sheets
        seen = self._seen(back._replace(canvas=back.canvas[:, :4]), moments[0], parallax[0], "reflection")
        surface = torch.zeros_like(seen[:, :, -1, 3], dtype=torch.uint8)
        covered = (front.canvas[:, 4].flatten(1).amax(1) > 0).nonzero()[:, 0]
        if len(covered):
            sheet = Sheet(*(part[covered] for part in front))
            over = self._seen(sheet, moments[1][covered], parallax[1][covered], "zeros")
            seen = seen.index_copy(0, covered, seen[covered] * (1 - over[:, :, :, 4:]) + over[:, :, :, :4])
            surface = surface.index_copy(0, covered, (over[:, :, -1, 4] >= 0.5).to(torch.uint8))
        return seen[:, :, :-1, :3].mean(2), seen[:, :, -1, :3], seen[:, :, -1, 3], surface

    def _seen(self, sheet: Sheet, pose: Tensor, parallax: Tensor, padding: str) -> Tensor:
        """The C channels of a sheet at poses ``(N, 4, T, K, H + 2 margin)``: ``(N, T, K, C, H, W)``."""
        height, width = self.options.size_hw
        margin = margin_rows(height)
        n, _, frames, count, _ = pose.shape
        rows = moved(pose[..., margin : margin + height], parallax)
        # Along a row the position on the canvas is linear, so the two ends determine it.
        ends = world_points(rows, torch.tensor([0.0, width - 1.0], device=pose.device), (height, width))
        place = ends.flatten(2, 4).permute(0, 2, 3, 1)  # (N, T K H, 2, 2)
        size = place.new_tensor([sheet.canvas.shape[3] - 1, sheet.canvas.shape[2] - 1])
        place = (place * sheet.per_unit.view(n, 1, 1, 2) + sheet.origin.view(n, 1, 1, 2)) * (2 / size) - 1
        first, last = place[:, :, :1], place[:, :, 1:]
        share = torch.linspace(0, 1, width, device=pose.device)[:, None]
        seen = F.grid_sample(
            sheet.canvas, torch.addcmul(first, last - first, share), padding_mode=padding, align_corners=True
        )
        return seen.view(n, -1, frames, count, height, width).permute(0, 2, 3, 1, 4, 5)

    def _motion(self, poses: Sequence[Tensor], parallax: Sequence[Tensor], surface: Tensor) -> tuple[Tensor, Tensor]:
        """Flow ``(N, T, 2, H, W)`` of the surface in front, and where it is known, bool ``(N, T, H, W)``."""
        size = self.options.size_hw
        rows = [moved(pose.mean(3), share) for pose, share in zip(poses, parallax, strict=True)]
        (flow, solved), (front_flow, front_solved) = (backward_flow(part, size) for part in rows)
        in_front = surface == 1
        flow = torch.where(in_front[:, :, None], front_flow, flow)
        solved = torch.where(in_front, front_solved, solved)
        return flow, known(flow, solved, surface)


def _bytes(pictures: Tensor) -> Tensor:
    """Levels ``(N, T, 3, H, W)`` as uint8 ``(N, T, H, W, 3)``."""
    return pictures.to(torch.uint8).permute(0, 1, 3, 4, 2).contiguous()
