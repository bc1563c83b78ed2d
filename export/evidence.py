"""Reports beside an export: ranges, calibration, and the choice of layers, as JSON, Markdown and a chart."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mostnet.calibration import TensorRange
from mostnet.contract import BackendNotInstalledError

from .left_float import reason_markdown
from .options import CalibrationOptions
from .sensitivity import Choice

_FLOAT, _INT8 = "#b3202a", "#4a6fa5"
#: Largest number of rows of the range report in Markdown. The JSON has all rows.
_ROWS = 20


def require_chart() -> None:
    """Check that the bar chart of a choice can be drawn.

    Raises:
        BackendNotInstalledError: matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        raise BackendNotInstalledError("--accuracy-budget draws a chart with matplotlib: pip install 'mostnet[plot]'")


def range_markdown(ranges: Sequence[TensorRange], kept: Sequence[str]) -> str:
    """Largest magnitudes beside the limits of half precision, 65504 and 6.1e-5. Tensors at risk come first."""
    risky = [r for r in ranges if r.risk]
    lines = [
        "# FP16 range report",
        "",
        f"{len(ranges)} half-precision tensors, {len(risky)} at risk, {len(kept)} nodes kept in float32.",
        "",
        "| node | tensor | largest magnitude | of 65504 | risk |",
        "|---|---|---|---|---|",
    ]
    rows = [*risky, *[r for r in ranges if not r.risk][: max(0, _ROWS - len(risky))]]
    lines += [f"| {r.node} | {r.tensor} | {r.largest:.4g} | {r.largest / 65504:.2%} | {r.risk or '-'} |" for r in rows]
    if len(rows) < len(ranges):
        lines += ["", f"The other {len(ranges) - len(rows)} are smaller; the JSON beside this has them."]
    return "\n".join(lines) + "\n"


def write_calibration(
    path: Path,
    *,
    thresholds: Mapping[str, float],
    states: Mapping[str, float],
    largest: Mapping[str, float],
    by_hand: Sequence[str],
    reasons: Mapping[str, str],
    choice: Choice | None,
    options: CalibrationOptions,
    data_sha256: str,
) -> None:
    """Write the origin of an INT8 graph to ``path`` (JSON); write the choice of layers also as ``.md`` and ``.png``.

    Args:
        thresholds: the magnitude that becomes 127, by module path of each INT8 convolution.
        states: the same by name of each INT8 state.
        largest: the largest magnitude in calibration, by module path and by name of the state output.
        by_hand: convolutions and states that the user excluded.
        reasons: why each other convolution stays float, by module path.
    """
    document = {
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()},
        "data_sha256": data_sha256,
        "int8": {name: {"threshold": value, "largest": largest[name]} for name, value in thresholds.items()},
        "int8_states": {
            name: {"threshold": value, "largest": largest[f"state_out_{name}"]} for name, value in states.items()
        },
        "excluded_by_hand": list(by_hand),
        "float": dict(reasons),
        "choice": None if choice is None else _plain(asdict(choice)),
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    if choice is not None:
        path.with_suffix(".md").write_text(f"{choice_markdown(choice)}\n{reason_markdown(reasons)}", encoding="utf-8")
        path.with_suffix(".png").write_bytes(choice_chart(choice))


def choice_markdown(choice: Choice) -> str:
    """The attempts and the ranking as tables."""
    states = (
        f" States that are INT8 in every measurement: {', '.join(choice.int8_states)}." if choice.int8_states else ""
    )
    lines = [
        "# INT8: convolutions put back to float",
        "",
        f"{len(choice.put_back)} of {len(choice.errors)}, measured on {choice.frames} calibration frames with carried "
        "state against float32 PyTorch." + states,
        "",
        "| put back | PSNR dB | EPE px | IoU (worst frame) | holds |",
        "|---|---|---|---|---|",
    ]
    for a in sorted(choice.attempts, key=lambda attempt: attempt.put_back):
        lines.append(
            f"| {a.put_back} | {a.psnr_db:.2f} | {a.epe_px:.4f} | {a.iou:.4f} | {'yes' if a.holds else 'no'} |"
        )
    none = "with only the states in INT8" if choice.int8_states else "with none in INT8"
    lines += [
        "",
        "Each convolution in INT8 alone, the mean over the frames; share is the largest of the three errors, each "
        f"relative to the error that its bound allows; {none} it is {choice.unquantised.share:.2%}.",
        "",
        "| convolution | PSNR dB | EPE px | IoU | share | stays |",
        "|---|---|---|---|---|---|",
    ]
    for e in choice.errors:
        stays = "float" if e.module in choice.put_back else "INT8"
        lines.append(f"| {e.module} | {e.psnr_db:.2f} | {e.epe_px:.4f} | {e.iou:.4f} | {e.share:.2%} | {stays} |")
    return "\n".join(lines) + "\n"


def choice_chart(choice: Choice) -> bytes:
    """A PNG bar chart of the ranking."""
    from matplotlib.figure import Figure

    errors = choice.errors[::-1]
    figure = Figure(figsize=(9, 1.4 + 0.19 * len(errors)), layout="constrained")
    axes: Any = figure.subplots()
    colours = [_FLOAT if e.module in choice.put_back else _INT8 for e in errors]
    axes.barh([e.module.removeprefix("network.") for e in errors], [100 * e.share for e in errors], color=colours)
    floor, alone = choice.unquantised.share, "states alone" if choice.int8_states else "none"
    axes.axvline(100 * floor, color="black", linewidth=0.8, label=f"{alone} in INT8: {floor:.1%}")
    axes.legend(loc="lower right")
    axes.margins(y=0.01)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("error of this convolution alone in INT8, % of what the bounds allow")
    axes.set_title(f"{len(choice.put_back)} of {len(errors)} convolutions stay float (red)", fontsize=11)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return png.getvalue()


def _plain(value: Any) -> Any:
    """``value`` for JSON: infinite PSNRs become null."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isinf(value) else value
