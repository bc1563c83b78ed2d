"""``python -m mostnet.training.evaluation.card RUN_DIR EVALUATION.json NAME``: the model card of a trained checkpoint."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mostnet.contract import MostnetError, sha256, write_bytes
from mostnet.model import load_checkpoint

from .eval_table import cell
from .report import read_report

#: Where the package keeps its weights, from the root of the repository.
WEIGHTS = Path("api/weights")

_LIMITS = """\
- **Not for clinical use.** Nothing here was tested on patients or by clinicians; it is no medical device.
- The figures hold for the data named above. Where that is synthetic, it is simpler than a mouth: the figures say that
  the method works, not how well it does on real video, and blood, gloves, other instruments or light that the
  generator does not draw are unknown to this network.
- A picture that looks clean can be wrong: the network may smooth away or invent detail. Keep the input frame at hand.
- Frame sizes and frame rates far from the training ones are untested.
"""


def write_card(run_dir: Path, evaluation: Path, name: str, *, folder: Path = WEIGHTS, command: str = "") -> Path:
    """Write ``folder/NAME.md`` for the checkpoint of ``run_dir`` that was evaluated.

    Args:
        run_dir: what ``mostnet-train`` wrote.
        evaluation: the ``evaluation.json`` of one of its checkpoints.
        command: the exact training command; by default the one that repeats it from the recipe.

    Returns:
        Path of the card.

    Raises:
        MostnetError: the evaluation is of no checkpoint in ``run_dir``, or that is untrained.
        CheckpointError: the checkpoint cannot be read.
    """
    report = read_report(evaluation)
    checkpoint = load_checkpoint(_find_checkpoint(run_dir, report))
    if checkpoint.training is None:
        raise MostnetError(f"{report['model']['file']} has no record of a training run; a card is for trained weights")
    sections = [
        _head(name, report),
        f"## Figures\n\n{_figures(report)}",
        f"## Training\n\n{_training(checkpoint.training, command)}",
        f"## Data\n\n{_data(checkpoint.training, report)}",
        f"## Limits\n\n{_LIMITS}",
    ]
    path = folder / f"{name}.md"
    write_bytes(path, "\n".join(sections).encode())
    return path


def _find_checkpoint(run_dir: Path, report: Mapping[str, Any]) -> Path:
    model = report["model"]
    for path in sorted(run_dir.glob("*.pt")):
        if sha256(path) == model["sha256"]:
            return path
    raise MostnetError(
        f"{run_dir}: no checkpoint here is the one that was evaluated ({model['file']}, SHA-256 "
        f"{model['sha256'][:12]}...); run mostnet-eval on the model.pt or best.pt of this run"
    )


def _head(name: str, report: Mapping[str, Any]) -> str:
    model = report["model"]
    return (
        f"# Model card: {name}\n\n"
        f"MOST-NET+ `{model['variant']}`, {cell(model['parameters_m'], 2)} M parameters: from each frame of intra-oral "
        "video an enhanced picture, the optical flow to the previous frame, and a mask of the teeth.\n\n"
        f"SHA-256 of the checkpoint that was evaluated: `{model['sha256']}`\n"
    )


def _figures(report: Mapping[str, Any]) -> str:
    data, model = report["data"], report["model"]
    lines = [
        f"`{data['name']}/{data['split']}`: {len(report['sequences'])} sequences, {report['frames']} frames, streamed "
        f"with carried state; {model['precision']}, {model['runs_in']}.\n",
        "| method | PSNR dB | SSIM | EPE px | IoU | tooth motion px | slope |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row, figures in report["rows"].items():
        cells = [cell(figures[key], digits) for key, digits in _DIGITS.items()]
        if row != "model":
            cells[-1] = "-"
        lines.append(f"| {model['variant'] if row == 'model' else row} | {' | '.join(cells)} |")
    return "\n".join(lines) + f"\n\nMeasured with `{report['command']}`; {_tools(report)}.\n"


_DIGITS = {"psnr_db": 2, "ssim": 3, "epe_px": 2, "iou": 3, "motion_px": 2, "slope": 3}


def _tools(report: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in report["versions"].items())


def _training(record: Mapping[str, Any], command: str) -> str:
    minutes = record.get("minutes")
    wall = "not recorded" if minutes is None else f"{minutes:.0f} minutes"
    data = (record.get("data") or {}).get("name", "DATA")
    init = record.get("init")
    start = f" --init {init['file']}" if init else ""
    before = f" on from the weights of {init['file']}" if init else ""
    command = command or f"mostnet-train {data} --config recipe.yaml --out RUN_DIR{start}"
    recipe = yaml.safe_dump(record.get("options"), sort_keys=False)
    return (
        f"{record.get('steps', '?')} steps{before}, wall time {wall}, torch {record.get('torch', '?')}.\n\n"
        f"```sh\n{command}\n```\n\n`recipe.yaml`:\n\n```yaml\n{recipe}```\n"
    )


def _data(record: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    data = report["data"]
    trained_on = json.dumps(record.get("data"), indent=1, default=str)
    evaluated_on = json.dumps(data["descriptions"], indent=1)
    return (
        "Seeds and options are those of the generator, where the data is generated. Trained on:\n\n"
        f"```json\n{trained_on}\n```\n\n"
        f"Evaluated on `{data['split']}` of `{data['name']}`, whose splits are:\n\n```json\n{evaluated_on}\n```\n"
    )


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m mostnet.training.evaluation.card", description="Write the model card of a trained checkpoint."
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="what mostnet-train wrote")
    parser.add_argument("evaluation", type=Path, metavar="EVALUATION.json", help="what mostnet-eval wrote")
    parser.add_argument("name", metavar="NAME", help="of the weights: the card is NAME.md")
    parser.add_argument("--folder", type=Path, default=WEIGHTS, metavar="DIR", help="(default: %(default)s)")
    parser.add_argument(
        "--command", default="", metavar="TEXT", help="exact training command (default: by recipe.yaml)"
    )
    args = parser.parse_args(argv)
    try:
        path = write_card(args.run_dir, args.evaluation, args.name, folder=args.folder, command=args.command)
    except (MostnetError, OSError) as error:
        print(f"card: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
