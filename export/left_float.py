"""Why a convolution of an INT8 graph stays float."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import onnx

from mostnet.calibration import unsuitable

BY_HAND = "excluded by --exclude"
PUT_BACK = "costs most accuracy: put back by --accuracy-budget"
ISLAND = "computes in float32 in every precision"
#: Most names that a printed line has.
_MOST_NAMES = 6


def left_float(
    graph: onnx.ModelProto, *, islands: Collection[str], by_hand: Collection[str], put_back: Collection[str]
) -> dict[str, str]:
    """The convolutions that are not INT8, by module path, each with the reason.

    Args:
        graph: the float graph.
        islands: modules that compute in float32, from ``float32_islands``.
        by_hand: convolutions that ``--exclude`` names.
        put_back: convolutions that the accuracy budget put back to float.
    """
    fixed = {name: ISLAND if name in islands else reason for name, reason in unsuitable(graph).items()}
    return {**fixed, **dict.fromkeys(by_hand, BY_HAND), **dict.fromkeys(put_back, PUT_BACK)}


def by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """The module paths of each reason, in their order."""
    groups: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        groups.setdefault(reason, []).append(name)
    return groups


def reason_lines(reasons: Mapping[str, str], *, all_in: str) -> list[str]:
    """A line for each reason, with its convolutions; ``all_in`` is the file that has the names beyond the first six."""
    return [f"  {len(names)} float: {reason}: {_some(names, all_in)}" for reason, names in by_reason(reasons).items()]


def reason_markdown(reasons: Mapping[str, str]) -> str:
    """A table of the reasons and all their convolutions."""
    rows = [f"| {reason} | {len(names)} | {', '.join(names)} |" for reason, names in by_reason(reasons).items()]
    return "\n".join(["| stays float because it | count | convolutions |", "|---|---|---|", *rows]) + "\n"


def _some(names: Sequence[str], all_in: str) -> str:
    shown = ", ".join(name.removeprefix("network.") for name in names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more, in {all_in}" if more > 0 else shown
