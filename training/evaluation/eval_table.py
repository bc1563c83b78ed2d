"""An evaluation for a terminal, as the rows of the source's Table I."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from .report import Report, labelled_frames

_COLUMNS = ("method", "PSNR", "SSIM", "EPE", "IoU", "P (M)", "FPS", "tooth motion px", "slope")
#: For each kind of measure: its columns, the label it needs, and the task of the network.
_MEASURES = {
    "picture": ("PSNR, SSIM", "reference", "enhance"),
    "flow": ("EPE", "flow", "flow"),
    "mask": ("IoU", "mask", "mask"),
    "motion": ("tooth motion, slope", "flow and mask", "flow"),
}


def print_report(report: Report, console: Console) -> None:
    """Print the table, which is Markdown too, and under it what is missing and why."""
    console.print(_table(report))
    for line in notes(report):
        console.print(line, soft_wrap=True)


def notes(report: Report) -> list[str]:
    """What a reader must know beside the figures: why some are missing or over fewer frames, what was switched off."""
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


def _coverage(report: Report, kind: str) -> str:
    """Why a measure is missing or over fewer frames than there are; empty where it is not."""
    columns, label, task = _MEASURES[kind]
    if task not in report.model.tasks:
        return f"{columns}: '-' for the model, which was not trained for them (only {', '.join(report.model.tasks)})"
    rows = report.evaluation.rows
    count = labelled_frames(rows.model)[kind]
    possible = len(rows.model) - (len(report.evaluation.sequences) if task == "flow" else 0)
    if count == 0:
        return f"{columns}: '-', no frame has a {label} label to measure on"
    return f"{columns}: over the {count} of {possible} frames that have a usable {label} label" * (count < possible)


def _table(report: Report) -> Table:
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


def cell(value: float | None, digits: int) -> str:
    """A figure of a table; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"
