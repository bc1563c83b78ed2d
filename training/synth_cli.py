"""``mostnet-synth``: a data set of synthetic sequences or of moving photographs, from the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mostnet.contract.arguments import size_hw
from mostnet.contract.stopping import exit_status
from mostnet.contract.terminal import PLAIN, CommandParser, command, complain, counted
from mostnet.training.data.dataset import SPLITS, UNFINISHED
from mostnet.training.synth.files import write_split

_NAME = "mostnet-synth"
_SIZE = (240, 320)
_FRAMES, _STILL_FRAMES = 30, 3
#: Options of moving photographs: flag, names of its values, and help. The defaults are those of ``PhotoOptions``.
_PHOTO_FLAGS: dict[str, tuple[tuple[str, ...], str]] = {
    "strength": (("LO", "HI"), "least and greatest strength of the degradations, 0 to 1 (default: 0.1 1)"),
    "clean": (("SHARE",), "share of clips without any degradation (default: 0.2)"),
    "front": (("SHARE",), "share of clips with a second sheet in front (default: 0.45)"),
    "no_mouth": (("SHARE",), "share of sheets without a mouth (default: 0.1)"),
    "calm": (("STILL", "STRAIGHT"), "shares of cameras that stand still and that move straight (default: 0.08 0.1)"),
    "tint": (
        ("SIGMA",),
        "deviation of a random gain of each channel of input and reference, in half of the clips (default: 0.05)",
    ),
}


@command(_NAME, extra="train")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for an error, 2 for wrong arguments, 128 + the signal's number."""
    parser = _parser()
    args = parser.parse_args(argv)
    _check(parser, args)
    folder = args.out / args.split
    was_there = folder.exists()
    columns = (TextColumn("sequences"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(file=sys.stderr, **PLAIN)) as bar:
            task = bar.add_task("sequences", total=_count(args))
            made = _write(args, lambda done: bar.update(task, completed=done))
    except KeyboardInterrupt as stop:
        begun = (folder / UNFINISHED).exists() or (folder.exists() and not was_there)
        advice = f"the same command continues; to start over, remove {folder} before the next try"
        complain(_NAME, f"stopped; {advice if begun else 'nothing was written'}")
        return exit_status(stop)
    print(made)
    return 0


def _count(args: argparse.Namespace) -> int:
    """Number of sequences that will be written."""
    if args.sequences is not None:
        return int(args.sequences)
    from mostnet.training.photos.folder import photo_files  # needs torch, which drawn sequences do without

    return len(photo_files(args.photos))


def _write(args: argparse.Namespace, progress: Callable[[int], None]) -> str:
    """Write the split; returns a line that describes it."""
    frames = args.frames if args.frames is not None else _STILL_FRAMES if args.still else _FRAMES
    size, seed = args.size or _SIZE, args.seed or 0
    common: dict[str, Any] = {"sequences": args.sequences, "progress": progress}
    if args.still:
        from mostnet.training.photos.files import write_still  # needs torch, which drawn sequences do without

        folder = write_still(args.out, args.split, args.photos, frames=frames, **common)
        return f"{folder}: still photographs, {frames} frames of each"
    if args.photos is None:
        common |= {"frames": frames, "size_hw": size, "seed": seed, "workers": args.workers}
        folder = write_split(args.out, args.split, **common)
    else:
        folder = _write_moving(args, {"frames": frames, "size_hw": size, "seed": seed}, common)
    return f"{folder}: {counted(args.sequences, 'sequence')} of {counted(frames, 'frame')}, {size[0]}x{size[1]}"


def _write_moving(args: argparse.Namespace, clip: dict[str, Any], common: dict[str, Any]) -> Path:
    from mostnet.training.photos import PhotoOptions
    from mostnet.training.photos.files import write_moving

    chosen = {name: _value(getattr(args, name)) for name in _PHOTO_FLAGS if getattr(args, name) is not None}
    options = PhotoOptions(**clip, **chosen)
    return write_moving(args.out, args.split, args.photos, options, paths=args.paths, **common)


def _value(numbers: list[float]) -> Any:
    """One number, or a tuple of several."""
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with status 2 if flags do not belong together."""

    def given(*names: str) -> list[str]:
        return [f"--{name.replace('_', '-')}" for name in names if getattr(args, name) is not None]

    moving = given("paths", *_PHOTO_FLAGS)
    if args.photos is None and (moving or args.still):
        parser.error(f"{'--still' if args.still else moving[0]} belongs to photographs; add --photos DIR, or drop it")
    for flag in given("size", "seed") + moving if args.still else ():
        parser.error(f"{flag} has no use with --still, which leaves photographs as they are; drop one of the two")
    if args.photos is not None and args.workers != 1:
        parser.error("--workers serves drawn sequences; photographs are written by one process; drop it")
    if args.sequences is None and not args.still:
        parser.error("the following arguments are required: --sequences")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=_NAME,
        description="Write intra-oral sequences with exact flow, tooth masks and clean references: drawn scenes, or "
        "moving photographs.",
        epilog="Exit status: 0 done, 1 failed, 2 wrong arguments, 128 + N stopped by signal N. After a signal, the "
        "same command continues.",
    )
    add = parser.add_argument
    add(
        "out",
        type=Path,
        metavar="OUT",
        help="data set to add the split to; OUT/SPLIT must be new or unfinished",
    )
    add("--out", dest="out_flag", type=_no_flag, help=argparse.SUPPRESS)  # other commands have it
    add("--sequences", type=int, metavar="N", help="number of sequences; --still takes all photographs without it")
    add(
        "--frames",
        type=int,
        metavar="T",
        help=f"frames of each sequence (default: {_FRAMES}, still {_STILL_FRAMES})",
    )
    shown = f"{_SIZE[0]}x{_SIZE[1]}"
    add("--size", type=size_hw(shown), metavar="HxW", help=f"frame size in pixels (default: {shown})")
    add(
        "--seed",
        type=int,
        metavar="S",
        help="first seed within the split's own range; no two splits share a seed (default: 0)",
    )
    add("--split", choices=SPLITS, default="train", help="split to write (default: %(default)s)")
    add("--workers", type=int, default=1, metavar="K", help="processes that draw scenes (default: %(default)s)")
    _add_photo_flags(parser)
    return parser


def _no_flag(text: str) -> None:
    raise argparse.ArgumentTypeError(f"give the folder as the first argument: {_NAME} {text}")


def _add_photo_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("photographs")
    group.add_argument("--photos", type=Path, metavar="DIR", help="move photographs: DIR/image/*.jpg, DIR/mask/*.png")
    group.add_argument("--paths", type=Path, metavar="FILE.csv", help="recorded camera paths")
    group.add_argument("--still", action="store_true", help="each photograph once, clean, unmoved and at its own size")
    for name, (values, text) in _PHOTO_FLAGS.items():
        flag = "--" + name.replace("_", "-")
        group.add_argument(flag, type=float, nargs=len(values), metavar=values, help=text)


if __name__ == "__main__":
    sys.exit(main())
