"""``python -m mostnet.bench.scale.warm_up``: how soon a run that begins in mid-video gives what a whole run gives.

Each clip runs whole, and from many frames on with zero state. ``mostnet-archive`` splits long videos by these figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from mostnet.bench.machine import describe_machine
from mostnet.bench.progress import PartProgress
from mostnet.contract import ENHANCED, FLOW, MASK, Frame, write_bytes
from mostnet.contract.arguments import positive_int, size_hw
from mostnet.contract.terminal import PLAIN, CommandParser, command, complain
from mostnet.engine import Output, Session
from mostnet.video import VideoReader, demo_clip

NAME = "mostnet.bench.scale.warm_up"
#: Numbers of warm-up frames in the table.
COUNTS = (0, 1, 2, 4, 8, 16, 32, 64)
#: Frames after the last of them that are compared too.
_AFTER = 8
#: Grey levels by which a pixel may be off.
LEVEL = 1


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far one result is from that of the whole run, or the worst of several.

    Attributes:
        level: largest difference of the enhanced picture, in grey levels.
        share: share of its values that differ by more than one level.
        psnr_db: of the enhanced picture; infinite if it is the same.
        flow_px, flow_mean_px: largest and mean difference of the flow, in pixels of the engine's frame.
        mask_level: largest difference of the mask, of 255.
        mask_share: share of its values that differ by more than one.
    """

    level: float = 0.0
    share: float = 0.0
    psnr_db: float = float("inf")
    flow_px: float = 0.0
    flow_mean_px: float = 0.0
    mask_level: float = 0.0
    mask_share: float = 0.0


@dataclass(frozen=True)
class WarmUpRow:
    """Worst differences over all clips and beginnings.

    Attributes:
        warm_up: frames before.
        beginnings: runs that were compared.
        first: at the first frame after them.
        later: at that frame and all later ones.
        mean: like ``first``, but the mean instead of the worst.
    """

    warm_up: int
    beginnings: int
    first: Difference
    later: Difference
    mean: Difference


@dataclass(frozen=True)
class NamedClip:
    """Frames to run, uint8 ``(H, W, 3)`` BGR at the engine's size."""

    name: str
    frames: Sequence[Frame]


@command(NAME)
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    options = _parser().parse_args(argv)
    from mostnet.video.command.engines import EngineSupply

    supply = EngineSupply(options.engine, (ENHANCED, FLOW, MASK), size_hw=options.size, say=partial(complain, NAME))
    with supply, PartProgress(Console(file=sys.stderr, **PLAIN)) as progress:
        engine = supply.engine_for(demo_clip())
        height, width = engine.metadata.size_hw
        names, table = [], []
        for clip in _clips(options, (height, width)):
            names.append(clip.name)
            progress.update(clip.name, 0, len(clip.frames))
            table += differences(engine, clip.frames, begins=options.begins)
            progress.update(clip.name, len(clip.frames), len(clip.frames))
    rows = rows_of(table)
    console = Console(file=sys.stdout, width=160, **PLAIN)
    console.print(f"{Path(options.engine).name} at {height}x{width}, {len(names)} clips, {len(table)} beginnings")
    console.print(_table(rows))
    if options.json is not None:
        report = {"machine": asdict(describe_machine(gpu=False)), "clips": names}
        write_bytes(options.json, json.dumps(report | {"rows": [asdict(row) for row in rows]}, indent=1).encode())
    return 0


def differences(engine: Session, frames: Sequence[Frame], *, begins: int) -> list[list[Difference]]:
    """For each of ``begins`` frames, the differences at it and the frames after it to the run of all ``frames``.

    The runs from a frame on begin with zero state. Each has ``max(COUNTS) + 9`` frames, fewer at the end of the clip.
    """
    length = max(COUNTS) + _AFTER + 1
    starts = np.unique(np.linspace(1, max(len(frames) - length, 1), begins).astype(int))
    engine.reset()
    whole = _results(engine, frames)
    found = []
    for start in starts:
        engine.reset()
        part = _results(engine, frames[start : start + length])
        found.append([_difference(one, other) for one, other in zip(part, whole[start:], strict=False)])
    return found


def rows_of(table: Sequence[Sequence[Difference]]) -> list[WarmUpRow]:
    """The rows of the table. A beginning counts where its clip is long enough; a row without any is left out."""
    rows = []
    for count in COUNTS:
        lines = [line for line in table if len(line) > count]
        if lines:
            later = _worst(difference for line in lines for difference in line[count:])
            first = [line[count] for line in lines]
            rows.append(WarmUpRow(count, len(lines), _worst(first), later, _mean(first)))
    return rows


def _results(engine: Session, frames: Sequence[Frame]) -> list[Output]:
    return list(engine.stream((frame, None) for frame in frames))


def _difference(one: Output, other: Output) -> Difference:
    picture, mask = _levels(one.enhanced, other.enhanced), _levels(one.mask, other.mask)
    flow = np.hypot(*(one.flow.astype(np.float64) - other.flow))
    error = float(np.mean(picture.astype(np.float64) ** 2))
    return Difference(
        level=float(picture.max()),
        share=float(np.mean(picture > LEVEL)),
        psnr_db=float(10 * np.log10(255**2 / error)) if error else float("inf"),
        flow_px=float(flow.max()),
        flow_mean_px=float(flow.mean()),
        mask_level=float(mask.max()),
        mask_share=float(np.mean(mask > LEVEL)),
    )


def _levels(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    return np.asarray(np.abs(one.astype(np.int16) - other))


def _worst(found: Iterable[Difference]) -> Difference:
    lines = [asdict(one) for one in found]
    return Difference(**{name: (min if name == "psnr_db" else max)(line[name] for line in lines) for name in lines[0]})


def _mean(found: Sequence[Difference]) -> Difference:
    lines = [asdict(one) for one in found]
    return Difference(**{name: float(np.mean([line[name] for line in lines])) for name in lines[0]})


def _clips(options: argparse.Namespace, size_hw: tuple[int, int]) -> Iterator[NamedClip]:
    from mostnet.bench.steady.recordings import drawn_still, drawn_ways, moved_clips, photos_of, ways_of

    with VideoReader(demo_clip()) as reader:
        yield NamedClip("demo", [cv2.resize(frame, size_hw[::-1], interpolation=cv2.INTER_AREA) for frame in reader])
    ways = drawn_ways(frames=options.frames)
    for clip in moved_clips([drawn_still()], ways, size_hw=size_hw):
        yield NamedClip(f"drawn, {clip.name}", clip.frames)
    if options.photos is not None:
        ways = ways if options.paths is None else ways_of(options.paths, frames=options.frames)
        for clip in moved_clips(photos_of(options.photos), ways, size_hw=size_hw):
            yield NamedClip(f"photograph, {clip.name}", clip.frames)


def _table(rows: Sequence[WarmUpRow]) -> Table:
    table = Table(title=f"difference to the whole run; 'off': by more than {LEVEL} level")
    columns = ("warm-up", "picture: max", "mean of max", "off", "off later", "PSNR dB", "flow: max px", "mean px")
    for name in (*columns, "mask: max", "off", "off later"):
        table.add_column(name, justify="right")
    for row in rows:
        first, later = row.first, row.later
        cells = [f"{first.level:.0f}", f"{row.mean.level:.1f}", _percent(first.share), _percent(later.share)]
        cells += [f"{first.psnr_db:.1f}", f"{first.flow_px:.2f}", f"{first.flow_mean_px:.4f}"]
        cells += [f"{first.mask_level:.0f}", _percent(first.mask_share), _percent(later.mask_share)]
        table.add_row(str(row.warm_up), *cells)
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.4f} %"


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=f"python -m {NAME}",
        description="Measure how many frames must run before a part of a video, so that its results are those of the "
        "whole video.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--engine", default="nano", help="exported file, or a checkpoint, which is exported as FP32")
    parser.add_argument("--size", type=size_hw("480x640"), metavar="HxW", help="frame size of a checkpoint's engine")
    parser.add_argument("--frames", type=positive_int, default=120, help="frames of each clip that is made")
    parser.add_argument("--begins", type=positive_int, default=8, help="beginnings in each clip")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="move the photographs of DIR/image and DIR/mask too")
    parser.add_argument("--paths", type=Path, metavar="CSV", help="recorded camera paths for the photographs")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
