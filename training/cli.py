"""``mostnet-train``: the command line of ``mostnet.training.train``."""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from mostnet.contract import TrainingError
from mostnet.contract.arguments import size_hw
from mostnet.contract.cores import limit_spinning
from mostnet.contract.terminal import CommandParser, command

from .options import TrainOptions


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _help() -> dict[str, str]:
    """Help of each option, from the docstring of ``TrainOptions``."""
    text = inspect.getdoc(TrainOptions) or ""  # without the indentation, which Python 3.13 removes by itself
    entries = re.findall(r"^ {4}(\w+): (.+?)(?=^ {4}\w+: |\Z)", text, re.MULTILINE | re.DOTALL)
    plain = {name: " ".join(text.split()).rstrip(".").replace("``", "") for name, text in entries}
    return {name: text.replace("%", "%%") for name, text in plain.items()}


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mostnet-train",
        description="Train a network on DATA/{train,val}/SEQUENCE/{input,reference,mask,flow}/, or on Vident-real.",
        epilog="Exit status: 0 done, or saved after a signal; 1 failed. A flag overrides the YAML file.",
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN_DIR", help="folder for all files of the run")
    parser.add_argument(
        "--config", type=Path, metavar="FILE.yaml", help="options, one `name: value` per line; vident.yaml is shipped"
    )
    parser.add_argument("--recipe", metavar="NAME", help="recipe of a FILE.yaml that has several, such as source")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="move photographs: DIR/image/*.jpg, DIR/mask/*.png")
    parser.add_argument("--paths", type=Path, metavar="FILE.csv", help="recorded camera paths for the photographs")
    parser.add_argument(
        "--init",
        metavar="CKPT.pt",
        help="start from these, maybe of a narrower variant; a name such as nano is a shipped one",
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in RUN_DIR, with its options")
    for field in fields(TrainOptions):
        _add_option(parser, field.name, field.default, _help()[field.name])
    return parser


def _add_option(parser: argparse.ArgumentParser, name: str, default: Any, text: str) -> None:
    flag = "--" + name.removesuffix("_hw").replace("_", "-")
    if isinstance(default, bool):
        action = argparse.BooleanOptionalAction
        shown = "on" if default else "off"
        parser.add_argument(flag, dest=name, action=action, default=None, help=f"{text} (default: {shown})")
        return
    kind: Any = type(default)
    shown, metavar = str(default), name.upper()
    if name == "crop_hw":
        kind, shown, metavar = size_hw("192x256"), f"{default[0]}x{default[1]}", "HxW"
    elif kind is tuple:
        kind, shown = _names, ",".join(default)
    parser.add_argument(flag, dest=name, type=kind, metavar=metavar, help=f"{text} (default: {shown})")


def chosen_options(args: argparse.Namespace) -> TrainOptions:
    """The run's options. Flags override the YAML file, which overrides the resumed run or the defaults.

    Raises:
        TrainingError: a file cannot be read, an unknown option or a bad value.
    """
    from .run import first_options  # needs torch, which --help does without

    options = first_options(args.out, resume=args.resume)
    if args.config is not None:
        options = options.updated(TrainOptions.values_from_yaml(args.config, args.recipe), source=str(args.config))
    elif args.recipe is not None:
        raise TrainingError(f"--recipe {args.recipe} chooses from a file; give it with --config, such as vident.yaml")
    given = {field.name: getattr(args, field.name) for field in fields(TrainOptions)}
    return options.updated({name: value for name, value in given.items() if value is not None}, source="flags")


@command("mostnet-train", extra="train", interrupted="interrupted before the run could be saved again")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    limit_spinning()
    options = chosen_options(args)
    from .run import train
    from .trainer import TrainingInterrupt

    with suppress(TrainingInterrupt):  # the run is saved, and its last line says so
        train(
            args.data,
            args.out,
            options=options,
            photos=args.photos,
            paths=args.paths,
            init=args.init,
            resume=args.resume,
            report=lambda line: print(line, flush=True),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
