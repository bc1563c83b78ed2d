"""Train, evaluate and time the rows of the table."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from mostnet.model import initial_checkpoint, save_checkpoint
from mostnet.model.table1 import BaselineCheckpoint, build, save_baseline
from mostnet.training import EvalOptions
from mostnet.training.synth.files import write_split

from .budget import Budget
from .notes import facts, notes
from .quality import Quality, measure_quality, quality_of
from .rows import NO_METHOD, cost, is_ours, network_option
from .speed import measure_speed
from .table import MeasuredTable, TableRow
from .train import check_data, steps_of, train_row

#: Sequences and frames of each split of the data that are drawn if no root is given.
_DRAWN = {"train": (96, 12), "test": (4, 8)}
_DRAWN_HW = (240, 320)


def measure_table(args: argparse.Namespace, line: str, report: Callable[[str], None]) -> MeasuredTable:
    """The table that ``args``, the arguments of ``mostnet.bench.table1.report``, ask for.

    Args:
        line: the command, for the facts.
        report: called with each line of progress.

    Raises:
        MostnetError: a row cannot be trained, evaluated or timed; see ``train_row``, ``measure_quality`` and
            ``measure_speed``.
    """
    budget = Budget(minutes=args.minutes, threads=args.threads, crop_hw=args.crop)
    qualities: dict[str, Quality] = {}
    steps: dict[str, int | None] = {}
    checkpoints: dict[str, Path] = {}
    data = args.data if args.data is not None else args.out / "data"
    if "quality" in args.parts:
        if args.data is None:
            _draw(data, report)
        check_data(data, args.out)
        options = EvalOptions(split="test", max_sequences=args.sequences, frames=args.frames, threads=args.threads)
        for row in args.rows:
            checkpoints[row] = train_row(row, data, args.out / "runs", budget, report=report)
            steps[row] = steps_of(row, args.out / "runs")
        for row in args.rows:
            document = measure_quality(row, checkpoints[row], data, args.out / "quality", options, report=report)
            qualities[row] = quality_of(document)
            qualities[NO_METHOD] = quality_of(document, "baseline")
    else:
        checkpoints = {row: _untrained(row, args.out / "untrained") for row in args.rows}
    speeds = None
    if "speed" in args.parts:
        graphs = args.out / "graphs"
        speeds = measure_speed(
            checkpoints, graphs, size_hw=args.size, rounds=args.rounds, threads=args.threads, report=report
        )
    times = {} if speeds is None else speeds.rows
    rows = [
        TableRow(row, qualities.get(row), steps.get(row), cost(row, args.size), times.get(row, {})) for row in args.rows
    ]
    if NO_METHOD in qualities:
        rows.insert(0, TableRow(NO_METHOD, qualities[NO_METHOD], None, None, {}))
    return MeasuredTable(tuple(rows), facts(args, line, data, budget, speeds), notes(args, data, budget, rows, speeds))


def _draw(root: Path, report: Callable[[str], None]) -> None:
    for split, (sequences, frames) in _DRAWN.items():
        if (root / split / "dataset.json").is_file():
            continue
        report(f"drawing {root / split}: {sequences} sequences of {frames} frames")
        write_split(root, split, sequences=sequences, frames=frames, size_hw=_DRAWN_HW, workers=2)


def _untrained(row: str, folder: Path) -> Path:
    path = folder / f"{row}.pt"
    folder.mkdir(parents=True, exist_ok=True)
    if is_ours(row):
        save_checkpoint(initial_checkpoint(network_option(row)["variant"], seed=1, random_head=True), path)
    else:
        save_baseline(BaselineCheckpoint(row, build(row, seed=1)), path)
    return path
