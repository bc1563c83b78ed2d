"""Evaluations as tables: for a terminal, for a model card, and side by side for an ablation.

``python -m mostnet.training.evaluation.tables card RUN_DIR EVALUATION.json ... NAME`` writes a model card, and
``... ablation NAME=EVALUATION.json ...`` prints how much each part of the method contributes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from mostnet.contract import MostnetError, write_text
from mostnet.contract.terminal import CommandParser, command, counted

from .card import WEIGHTS, write_card
from .evaluate import Evaluation
from .figures import CONVENTIONS, SHADE_NOTE, Figures, FigureTable, cell, markdown
from .report import EvalReport, labelled_frames, read_report

#: For each kind of measure: its columns, the label it needs, and the task of the network.
_MEASURES = {
    "picture": ("PSNR, fit, SSIM", "reference", "enhance"),
    "shade": ("tooth shade", "reference and mask", "enhance"),
    "flow": ("EPE", "flow", "flow"),
    "mask": ("IoU", "mask", "mask"),
    "motion": ("tooth motion, slope", "flow and mask", "flow"),
}
_ABLATION_COLUMNS = ("network", "steps", "PSNR", "difference", "SSIM", "EPE", "IoU", "tooth motion px")


def print_report(report: EvalReport, console: Console) -> None:
    """Print the tables, which are also valid Markdown, and below them notes on the figures."""
    for table in _terminal_tables(report):
        console.print(table)
    for line in notes(report):
        console.print(line, soft_wrap=True)


def notes(report: EvalReport) -> list[str]:
    """Facts needed to read the figures, such as how they count, and which parts are off."""
    evaluation, model = report.evaluation, report.model
    lines = [
        f"{model.file}: {model.precision}, {model.runs_in}, on {report.data.name}/{report.data.split}: "
        f"{counted(len(evaluation.sequences), 'sequence')}, {counted(len(evaluation.rows.model), 'frame')}. "
        "FPS is of this run.",
        CONVENTIONS[report.convention].note,
    ]
    if labelled_frames(evaluation.rows.baseline)["shade"]:
        lines.append(SHADE_NOTE)
    lines += [line for kind in _MEASURES if (line := _coverage(report, kind))]
    lines += _clean_coverage(evaluation)
    if not model.recurrence:
        lines.append("Trained and run without recurrence: every frame starts from zero state, so there is no flow.")
    if not model.alignment:
        lines.append("Trained and run without alignment of the previous features.")
    healed = sum(sequence.healed for sequence in evaluation.sequences)
    if healed:
        lines.append(f"NOT FINITE: {healed} frames were healed by the network itself, clean input included")
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


def _clean_coverage(evaluation: Evaluation) -> list[str]:
    """A note if the model did not run on clean input, or only in some sequences."""
    rows = evaluation.rows
    count = labelled_frames(rows.baseline)["picture"]
    if count == 0:
        return ["clean input: '-', skipped because no sequence has reference frames"]
    if count < len(rows.model):
        return [f"clean input: run on the {count} of {len(rows.model)} frames that have a reference"]
    return []


def _terminal_tables(report: EvalReport) -> list[Table]:
    rows = {name: asdict(scores) for name, scores in report.evaluation.rows.summary().items()}
    size_and_speed = {"P (M)": cell(report.model.parameters_m, 2), "FPS": cell(report.evaluation.fps, 1)}
    *others, last = CONVENTIONS[report.convention].tables
    return [
        *(_terminal_table(table, rows, report.row_name, {}) for table in others),
        _terminal_table(last, rows, report.row_name, size_and_speed),
    ]


def _terminal_table(figures: FigureTable, rows: Mapping[str, Figures], name: str, of_model: Mapping[str, str]) -> Table:
    """One table; ``of_model`` has more columns, which only the model fills."""
    table = Table(box=box.MARKDOWN)
    for column in (*figures.header(), *of_model):
        table.add_column(column, justify="left" if column == "method" else "right", no_wrap=True)
    for row, cells in figures.cells(rows, name).items():
        table.add_row(*cells, *(value if row == "model" else "-" for value in of_model.values()))
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
    rows = [_ablation_cells(name, full["rows"][name], None, None) for name in ("baseline", "oracle colour")]
    for name, report in reports.items():
        full_db = None if report is full else full["rows"]["model"]["psnr_db"]
        steps = (report["model"]["training"] or {}).get("steps")
        rows.append(_ablation_cells(name, report["rows"]["model"], full_db, steps))
    return f"{markdown(_ABLATION_COLUMNS, rows)}\nConvention: ours. IoU is over all pixels of all frames.\n"


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
        described = (
            f"{data}/{split}, {counted(len(sequences), 'sequence')}, {counted(sum(n for _, n in sequences), 'frame')}"
            for data, split, sequences in (found, wanted)
        )
        raise MostnetError(
            f"{name} was evaluated on {next(described)}, {full_name} on {next(described)}; use the same frames for both"
        )
    made, wanted_made = (r["data"]["descriptions"].get(found[1]) for r in (report, full))
    if made != wanted_made:
        raise MostnetError(
            f"{name} and {full_name} were evaluated on two data sets {found[0]}/{found[1]} that were made differently "
            f"(dataset.json: {made} and {wanted_made}); evaluate both on the same one"
        )


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mostnet.training.evaluation.tables", description="Make tables from the files of mostnet-eval."
    )
    commands = parser.add_subparsers(dest="table", required=True)
    card = commands.add_parser("card", help="write the model card of a trained checkpoint")
    card.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder that mostnet-train wrote")
    card.add_argument(
        "evaluations",
        type=Path,
        nargs="+",
        metavar="EVALUATION.json",
        help="file that mostnet-eval wrote; several of one checkpoint, each on other data, go into one card",
    )
    card.add_argument("name", metavar="NAME", help="name of the weights: the card is NAME.md")
    card.add_argument("--folder", type=Path, default=WEIGHTS, metavar="DIR", help="(default: %(default)s)")
    card.add_argument(
        "--command", default="", metavar="TEXT", help="exact training command (default: uses recipe.yaml)"
    )
    card.add_argument(
        "--attribution", type=Path, metavar="FILE.md", help="text on the makers and the licence of the training data"
    )
    ablation = commands.add_parser(
        "ablation", help="compare the first network, which has the full method, with networks that lack a part of it"
    )
    ablation.add_argument("evaluations", type=_named_path, nargs="+", metavar="NAME=EVALUATION.json")
    ablation.add_argument("--out", type=Path, metavar="FILE.md", help="also write the table (default: only print)")
    return parser


def _write_card(args: argparse.Namespace) -> int:
    path = write_card(
        args.run_dir,
        args.evaluations,
        args.name,
        folder=args.folder,
        command=args.command,
        attribution=args.attribution,
    )
    print(path)
    return 0


def _compare(args: argparse.Namespace) -> int:
    table = ablation_table({name: read_report(path) for name, path in args.evaluations})
    if args.out is not None:
        write_text(args.out, table)
    print(table, end="")
    return 0


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
    make = _write_card if args.table == "card" else _compare
    return command(args.table, extra="train")(make)(args)


if __name__ == "__main__":
    sys.exit(main())
