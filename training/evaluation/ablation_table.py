"""``python -m mostnet.training.evaluation.ablation_table NAME=EVALUATION.json ...``: what each part is worth.

The first evaluation is the full method; the others are compared with it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mostnet.contract import MostnetError, write_bytes

from .eval_table import cell
from .report import read_report

_HEADER = ("network", "steps", "PSNR", "difference", "SSIM", "EPE", "IoU", "tooth motion px")


def ablation_table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of evaluations by name, as ``read_report`` gives them; the first is what the others are compared with.

    Raises:
        MostnetError: they were not made on the same frames, so that their figures cannot be compared.
    """
    full_name, full = next(iter(reports.items()))
    for name, report in reports.items():
        _check_same_frames(full_name, full, name, report)
    lines = [_line(_HEADER), _line(("---", *["---:"] * (len(_HEADER) - 1)))]
    for name in ("baseline", "oracle colour"):
        lines.append(_line(_cells(name, full["rows"][name], None, None)))
    for name, report in reports.items():
        compared_with = None if report is full else full["rows"]["model"]["psnr_db"]
        steps = (report["model"]["training"] or {}).get("steps")
        lines.append(_line(_cells(name, report["rows"]["model"], compared_with, steps)))
    return "\n".join(lines) + "\n"


def _cells(name: str, row: Mapping[str, float | None], full_db: float | None, steps: int | None) -> tuple[str, ...]:
    psnr = row["psnr_db"]
    difference = "" if full_db is None or psnr is None else f"{psnr - full_db:+.2f}"
    return (
        name,
        "" if steps is None else str(steps),
        cell(psnr, 2),
        difference,
        cell(row["ssim"], 3),
        cell(row["epe_px"], 2),
        cell(row["iou"], 3),
        cell(row["motion_px"], 2),
    )


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _check_same_frames(full_name: str, full: Mapping[str, Any], name: str, report: Mapping[str, Any]) -> None:
    found, wanted = (
        (r["data"]["name"], r["data"]["split"], [(s["name"], s["frames"]) for s in r["sequences"]])
        for r in (report, full)
    )
    if found != wanted:
        described = (f"{f[0]}/{f[1]}, {len(f[2])} sequences, {sum(n for _, n in f[2])} frames" for f in (found, wanted))
        raise MostnetError(
            f"{name} was evaluated on {next(described)}, {full_name} on {next(described)}; evaluate both on the same"
        )
    made, wanted_made = (r["data"]["descriptions"].get(found[1]) for r in (report, full))
    if made != wanted_made:
        raise MostnetError(
            f"{name} and {full_name} were evaluated on two data sets {found[0]}/{found[1]} that were made differently "
            f"(dataset.json: {made} and {wanted_made}); evaluate both on the same"
        )


def _named_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=EVALUATION.json")
    return name, Path(path)


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m mostnet.training.evaluation.ablation_table",
        description="Compare evaluations of networks that lack a part of the method with the first, the full one.",
    )
    parser.add_argument("evaluations", type=_named_path, nargs="+", metavar="NAME=EVALUATION.json")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="also write the table (default: only print)")
    args = parser.parse_args(argv)
    if len(dict(args.evaluations)) < len(args.evaluations):
        parser.error("two evaluations have the same name")
    try:
        table = ablation_table({name: read_report(path) for name, path in args.evaluations})
        if args.out is not None:
            write_bytes(args.out, table.encode())
    except (MostnetError, OSError) as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 1
    print(table, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
