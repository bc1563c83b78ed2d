"""The model card of trained weights, from the folder of their training run and from evaluations of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mostnet.contract import MostnetError, sha256, write_text
from mostnet.training.extras import load_extra

from .figures import CONVENTIONS, SHADE_NOTE, cell, markdown
from .report import read_report

#: Where the package keeps its weights, from the root of the repository.
WEIGHTS = Path("api/weights")

_LIMITS = """\
- **Not for clinical use.** Nothing here was tested on patients or by clinicians; it is no medical device.
- The figures hold for the data named above. Drawn scenes are simpler than a mouth. A photograph that a program moves
  and degrades is no video either: nothing in it moves by itself, and its blur and noise are computed. So the figures
  say how well the method works on such data, not how well it works on real video.
- The network may fail on anything that its training data does not show, such as blood, other instruments, other light
  or another camera.
- The network may change the shade of a tooth. Do not read a shade, or any other diagnosis, from its picture.
- A picture that looks clean can be wrong: the network may smooth away or invent detail. Keep the input frame at hand.
- Frame sizes and frame rates far from the training ones are untested.
"""


def write_card(
    run_dir: Path,
    evaluations: Sequence[Path],
    name: str,
    *,
    folder: Path = WEIGHTS,
    command: str = "",
    attribution: Path | None = None,
) -> Path:
    """Write ``folder/NAME.md``, the model card of the checkpoint in ``run_dir`` that was evaluated; returns its path.

    Args:
        run_dir: folder that ``mostnet-train`` wrote.
        evaluations: one or more ``evaluation.json`` of one checkpoint, each on other data. The card has them in this
            order.
        name: name under which the weights ship.
        command: the exact training command; by default, a command that repeats the training from the recipe.
        attribution: Markdown file for the section on the data: who made the training data, and under which licence.

    Raises:
        MostnetError: the evaluations are of different checkpoints, ``run_dir`` does not have that checkpoint, the
            checkpoint is untrained, or the attribution is not a text file.
        CheckpointError: the checkpoint cannot be read.
    """
    reports = [read_report(path) for path in evaluations]
    _check_one_model(evaluations, reports)
    credit = "" if attribution is None else _read_attribution(attribution)
    from mostnet.model import load_checkpoint  # needs torch, which --help does without

    checkpoint = load_checkpoint(_find_checkpoint(run_dir, reports[0]))
    if checkpoint.training is None:
        file = reports[0]["model"]["file"]
        raise MostnetError(f"{file} has no record of a training run; a card is for trained weights")
    sections = [
        _head(name, reports[0]),
        f"## Figures\n\n{_figures(reports)}",
        f"## Training\n\n{_training(checkpoint.training, command)}",
        f"## Data\n\n{_data(checkpoint.training, reports, credit)}",
        f"## Limits\n\n{_LIMITS}",
    ]
    path = folder / f"{name}.md"
    write_text(path, "\n".join(sections))
    return path


def _check_one_model(paths: Sequence[Path], reports: Sequence[Mapping[str, Any]]) -> None:
    first = reports[0]["model"]
    for path, report in zip(paths, reports, strict=True):
        model = report["model"]
        if model["sha256"] != first["sha256"]:
            raise MostnetError(
                f"{path} is of {model['file']} (SHA-256 {model['sha256'][:12]}...), {paths[0]} is of {first['file']} "
                f"({first['sha256'][:12]}...); a card is for one checkpoint, so evaluate the same one on each data set"
            )


def _read_attribution(path: Path) -> str:
    if not path.is_file():
        raise MostnetError(f"{path}: no such file; give a text that names the makers of the data and its licence")
    try:
        text = path.read_text(encoding="utf-8-sig").strip()  # editors of Windows begin a file with a mark
    except UnicodeDecodeError as error:
        raise MostnetError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    if not text:
        raise MostnetError(f"{path}: is empty; write who made the data and under which licence it stands")
    return text


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


def _figures(reports: Sequence[Mapping[str, Any]]) -> str:
    convention = CONVENTIONS["ours"].note
    return "\n".join([*map(_figures_of_one, reports), f"{convention}\n", f"{SHADE_NOTE}\n"])


def _figures_of_one(report: Mapping[str, Any]) -> str:
    data, model = report["data"], report["model"]
    tables = [
        markdown(table.header(), list(table.cells(report["rows"], model["variant"]).values()))
        for table in CONVENTIONS["ours"].tables
    ]
    versions = ", ".join(f"{package} {version}" for package, version in report["versions"].items())
    return "\n".join(
        [
            f"### `{data['name']}/{data['split']}`\n",
            f"{len(report['sequences'])} sequences, {report['frames']} frames, streamed with carried state; "
            f"{model['precision']}, {model['runs_in']}.\n",
            *tables,
            f"Measured with `{report['command']}`; {versions}.\n",
        ]
    )


def _training(record: Mapping[str, Any], command: str) -> str:
    minutes = record.get("minutes")
    wall = "not recorded" if minutes is None else f"{minutes:.0f} minutes"
    trained_on = record.get("data") or {}
    data, photos = trained_on.get("name", "DATA"), trained_on.get("photos")
    if photos:
        data += " --photos PHOTOS" + " --paths paths.csv" * bool(photos["recorded_paths"])
    init = record.get("init")
    start = f" --init {init['file']}" if init else ""
    before = f" on from the weights of {init['file']}" if init else ""
    command = command or f"mostnet-train {data} --config recipe.yaml --out RUN_DIR{start}"
    recipe = load_extra("yaml").safe_dump(record.get("options"), sort_keys=False)
    return (
        f"{record.get('steps', '?')} steps{before}, wall time {wall}, torch {record.get('torch', '?')}.\n\n"
        f"```sh\n{command}\n```\n\n`recipe.yaml`:\n\n```yaml\n{recipe}```\n"
    )


def _data(record: Mapping[str, Any], reports: Sequence[Mapping[str, Any]], credit: str) -> str:
    parts = [f"Trained on:\n\n{_json_block(record.get('data'))}"]
    for report in reports:
        data = report["data"]
        parts.append(
            f"Evaluated on `{data['split']}` of `{data['name']}`, whose splits are:\n\n"
            f"{_json_block(data['descriptions'])}"
        )
    if credit:
        parts.append(f"### Attribution and licence\n\n{credit}\n")
    return "\n".join(parts)


def _json_block(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=1, default=str)}\n```\n"
