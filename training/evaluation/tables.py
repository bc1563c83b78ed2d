"""Evaluations as tables: for a terminal, for a model card, and side by side for an ablation.

``python -m mostnet.training.evaluation.tables card RUN_DIR EVALUATION.json NAME`` writes a model card, and
``... ablation NAME=EVALUATION.json ...`` prints how much each part of the method contributes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from mostnet.contract import MostnetError, sha256, write_bytes
from mostnet.model import load_checkpoint
from mostnet.training.extras import load_extra

from .report import EvalReport, labelled_frames, read_report

#: Where the package keeps its weights, from the root of the repository.
WEIGHTS = Path("api/weights")

_COLUMNS = ("method", "PSNR", "SSIM", "EPE", "IoU", "P (M)", "FPS", "tooth motion px", "slope")
#: For each kind of measure: its columns, the label it needs, and the task of the network.
_MEASURES = {
    "picture": ("PSNR, SSIM", "reference", "enhance"),
    "flow": ("EPE", "flow", "flow"),
    "mask": ("IoU", "mask", "mask"),
    "motion": ("tooth motion, slope", "flow and mask", "flow"),
}
#: Figures of a model card, and their decimals.
_DIGITS = {"psnr_db": 2, "ssim": 3, "epe_px": 2, "iou": 3, "motion_px": 2, "slope": 3}
_ABLATION_COLUMNS = ("network", "steps", "PSNR", "difference", "SSIM", "EPE", "IoU", "tooth motion px")

_LIMITS = """\
- **Not for clinical use.** Nothing here was tested on patients or by clinicians; it is no medical device.
- The figures hold for the data named above. Synthetic data is simpler than a mouth: its figures say that the method
  works, not how well it does on real video. Blood, gloves, other instruments and light that the generator does not
  draw are unknown to this network.
- A picture that looks clean can be wrong: the network may smooth away or invent detail. Keep the input frame at hand.
- Frame sizes and frame rates far from the training ones are untested.
"""


def cell(value: float | None, digits: int) -> str:
    """A figure of a table; a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def print_report(report: EvalReport, console: Console) -> None:
    """Print the table, which is also valid Markdown, and below it notes on the figures."""
    console.print(_terminal_table(report))
    for line in notes(report):
        console.print(line, soft_wrap=True)


def notes(report: EvalReport) -> list[str]:
    """Facts needed to read the figures: missing labels, parts switched off, frames healed."""
    evaluation, model = report.evaluation, report.model
    lines = [
        f"{model.file}: {model.precision}, {model.runs_in}, on {report.data.name}/{report.data.split}: "
        f"{len(evaluation.sequences)} sequences, {len(evaluation.rows.model)} frames. FPS is of this run."
    ]
    lines += [line for kind in _MEASURES if (line := _coverage(report, kind))]
    if not model.recurrence:
        lines.append("Trained and run without recurrence: every frame starts from zero state, so there is no flow.")
    if not model.alignment:
        lines.append("Trained and run without alignment of the previous features.")
    healed = sum(sequence.healed for sequence in evaluation.sequences)
    if healed:
        lines.append(f"NOT FINITE: {healed} frames were healed by the network itself")
    if not model.trained:
        lines.append("The model is untrained: seeded initial weights.")
    return lines


def _coverage(report: EvalReport, kind: str) -> str:
    """Why a measure is missing, or covers only some of the frames; empty if it covers all."""
    columns, label, task = _MEASURES[kind]
    if task not in report.model.tasks:
        return f"{columns}: '-' for the model, which was not trained for them (only {', '.join(report.model.tasks)})"
    rows = report.evaluation.rows
    count = labelled_frames(rows.model)[kind]
    possible = len(rows.model) - (len(report.evaluation.sequences) if task == "flow" else 0)
    if count == 0:
        return f"{columns}: '-', no frame has a {label} label to measure on"
    return f"{columns}: over the {count} of {possible} frames that have a usable {label} label" * (count < possible)


def _terminal_table(report: EvalReport) -> Table:
    """The rows and columns of Table I in the talk that ``mostnet.model`` follows, and the motion of the teeth."""
    table = Table(box=box.MARKDOWN)
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "method" else "right", no_wrap=True)
    for name, scores in report.evaluation.rows.summary().items():
        is_model = name == "model"
        table.add_row(
            report.model.variant if is_model else name,
            cell(scores.psnr_db, 2),
            cell(scores.ssim, 3),
            cell(scores.epe_px, 2),
            cell(scores.iou, 3),
            cell(report.model.parameters_m if is_model else None, 2),
            cell(report.evaluation.fps if is_model else None, 1),
            cell(scores.motion_px, 2),
            cell(scores.slope if is_model else None, 3),
        )
    return table


def ablation_table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Compare evaluations with the first of them, the full method; Markdown.

    Args:
        reports: results of ``read_report``, by name of the network.

    Raises:
        MostnetError: they were not made on the same frames, so their figures cannot be compared.
    """
    full_name, full = next(iter(reports.items()))
    for name, report in reports.items():
        _check_same_frames(full_name, full, name, report)
    rows = [_ABLATION_COLUMNS, ("---", *["---:"] * (len(_ABLATION_COLUMNS) - 1))]
    rows += [_ablation_cells(name, full["rows"][name], None, None) for name in ("baseline", "oracle colour")]
    for name, report in reports.items():
        full_db = None if report is full else full["rows"]["model"]["psnr_db"]
        steps = (report["model"]["training"] or {}).get("steps")
        rows.append(_ablation_cells(name, report["rows"]["model"], full_db, steps))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _ablation_cells(
    name: str, row: Mapping[str, float | None], full_db: float | None, steps: int | None
) -> tuple[str, ...]:
    psnr = row["psnr_db"]
    return (
        name,
        "" if steps is None else str(steps),
        cell(psnr, 2),
        "" if full_db is None or psnr is None else f"{psnr - full_db:+.2f}",
        cell(row["ssim"], 3),
        cell(row["epe_px"], 2),
        cell(row["iou"], 3),
        cell(row["motion_px"], 2),
    )


def _check_same_frames(full_name: str, full: Mapping[str, Any], name: str, report: Mapping[str, Any]) -> None:
    found, wanted = (
        (r["data"]["name"], r["data"]["split"], [(s["name"], s["frames"]) for s in r["sequences"]])
        for r in (report, full)
    )
    if found != wanted:
        described = (f"{f[0]}/{f[1]}, {len(f[2])} sequences, {sum(n for _, n in f[2])} frames" for f in (found, wanted))
        raise MostnetError(
            f"{name} was evaluated on {next(described)}, {full_name} on {next(described)}; use the same frames for both"
        )
    made, wanted_made = (r["data"]["descriptions"].get(found[1]) for r in (report, full))
    if made != wanted_made:
        raise MostnetError(
            f"{name} and {full_name} were evaluated on two data sets {found[0]}/{found[1]} that were made differently "
            f"(dataset.json: {made} and {wanted_made}); evaluate both on the same one"
        )


def write_card(run_dir: Path, evaluation: Path, name: str, *, folder: Path = WEIGHTS, command: str = "") -> Path:
    """Write ``folder/NAME.md``, the model card of the checkpoint in ``run_dir`` that was evaluated; returns its path.

    Args:
        run_dir: folder that ``mostnet-train`` wrote.
        evaluation: the ``evaluation.json`` of one of its checkpoints.
        name: name under which the weights ship.
        command: the exact training command; by default, a command that repeats the training from the recipe.

    Raises:
        MostnetError: ``run_dir`` does not have the evaluated checkpoint, or the checkpoint is untrained.
        CheckpointError: the checkpoint cannot be read.
    """
    report = read_report(evaluation)
    checkpoint = load_checkpoint(_find_checkpoint(run_dir, report))
    if checkpoint.training is None:
        raise MostnetError(f"{report['model']['file']} has no record of a training run; a card is for trained weights")
    sections = [
        _card_head(name, report),
        f"## Figures\n\n{_card_figures(report)}",
        f"## Training\n\n{_card_training(checkpoint.training, command)}",
        f"## Data\n\n{_card_data(checkpoint.training, report)}",
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


def _card_head(name: str, report: Mapping[str, Any]) -> str:
    model = report["model"]
    return (
        f"# Model card: {name}\n\n"
        f"MOST-NET+ `{model['variant']}`, {cell(model['parameters_m'], 2)} M parameters: from each frame of intra-oral "
        "video an enhanced picture, the optical flow to the previous frame, and a mask of the teeth.\n\n"
        f"SHA-256 of the checkpoint that was evaluated: `{model['sha256']}`\n"
    )


def _card_figures(report: Mapping[str, Any]) -> str:
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
    versions = ", ".join(f"{package} {version}" for package, version in report["versions"].items())
    return "\n".join(lines) + f"\n\nMeasured with `{report['command']}`; {versions}.\n"


def _card_training(record: Mapping[str, Any], command: str) -> str:
    minutes = record.get("minutes")
    wall = "not recorded" if minutes is None else f"{minutes:.0f} minutes"
    data = (record.get("data") or {}).get("name", "DATA")
    init = record.get("init")
    start = f" --init {init['file']}" if init else ""
    before = f" on from the weights of {init['file']}" if init else ""
    command = command or f"mostnet-train {data} --config recipe.yaml --out RUN_DIR{start}"
    recipe = load_extra("yaml").safe_dump(record.get("options"), sort_keys=False)
    return (
        f"{record.get('steps', '?')} steps{before}, wall time {wall}, torch {record.get('torch', '?')}.\n\n"
        f"```sh\n{command}\n```\n\n`recipe.yaml`:\n\n```yaml\n{recipe}```\n"
    )


def _card_data(record: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    data = report["data"]
    trained_on = json.dumps(record.get("data"), indent=1, default=str)
    evaluated_on = json.dumps(data["descriptions"], indent=1)
    return (
        "Trained on:\n\n"
        f"```json\n{trained_on}\n```\n\n"
        f"Evaluated on `{data['split']}` of `{data['name']}`, whose splits are:\n\n```json\n{evaluated_on}\n```\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mostnet.training.evaluation.tables", description="Make tables from the files of mostnet-eval."
    )
    commands = parser.add_subparsers(dest="table", required=True)
    card = commands.add_parser("card", help="write the model card of a trained checkpoint")
    card.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder that mostnet-train wrote")
    card.add_argument("evaluation", type=Path, metavar="EVALUATION.json", help="file that mostnet-eval wrote")
    card.add_argument("name", metavar="NAME", help="name of the weights: the card is NAME.md")
    card.add_argument("--folder", type=Path, default=WEIGHTS, metavar="DIR", help="(default: %(default)s)")
    card.add_argument(
        "--command", default="", metavar="TEXT", help="exact training command (default: uses recipe.yaml)"
    )
    ablation = commands.add_parser(
        "ablation", help="compare the first network, which has the full method, with networks that lack a part of it"
    )
    ablation.add_argument("evaluations", type=_named_path, nargs="+", metavar="NAME=EVALUATION.json")
    ablation.add_argument("--out", type=Path, metavar="FILE.md", help="also write the table (default: only print)")
    return parser


def _named_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=EVALUATION.json")
    return name, Path(path)


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.table == "ablation" and len(dict(args.evaluations)) < len(args.evaluations):
        parser.error("two evaluations have the same name")
    try:
        if args.table == "card":
            print(write_card(args.run_dir, args.evaluation, args.name, folder=args.folder, command=args.command))
            return 0
        table = ablation_table({name: read_report(path) for name, path in args.evaluations})
        if args.out is not None:
            write_bytes(args.out, table.encode())
    except (MostnetError, OSError) as error:
        print(f"{args.table}: {error}", file=sys.stderr)
        return 1
    print(table, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
