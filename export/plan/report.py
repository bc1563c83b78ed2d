"""Reports the types that the layers of a plan run in, and their types in the graph, as lines and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mostnet.contract import ModelFileError, sha256

from .layers import NOT_FOUND, UNKNOWN, Convolution, PlanLayer

FORMAT_VERSION = 1

#: Types that a convolution of a graph can have.
_ASKED = ("INT8", "FP16", "FP32")

#: Largest number of convolutions or layers that a line names. It counts the rest.
_SHOWN = 5


def summary(convolutions: Sequence[Convolution], narrowed: Sequence[PlanLayer] = ()) -> list[str]:
    """One line of counts, and one line for each way in which convolutions and other layers differ from the graph.

    Args:
        narrowed: layers that should be float32 and are not.
    """
    counts = []
    for kind in _ASKED:
        runs = [one.runs for one in convolutions if one.asked == kind]
        if runs:
            counts.append(f"{runs.count(kind)} of {len(runs)} {kind} convolutions run in {kind}")
    missing = [one for one in convolutions if one.runs == NOT_FOUND]
    unknown = [one for one in convolutions if one.runs == UNKNOWN]
    others = [one for one in convolutions if one.runs not in (one.asked, NOT_FOUND, UNKNOWN)]
    quantised = [one for one in others if one.asked == "INT8"]
    findings = {
        "WARNING: INT8 in the graph, but not run in INT8 by TensorRT": quantised,
        "run in another type than in the graph": [one for one in others if one not in quantised],
        "not found among the plan's layers, perhaps fused under other names": missing,
        "in layers that report no type": unknown,
    }
    lines = ["; ".join([*counts, f"{len(missing)} not found under their names"])]
    lines += [f"{text}: {_names(found)}" for text, found in findings.items() if found]
    if narrowed:
        names = _shorten([f"{layer.name} {layer.narrow}" for layer in narrowed])
        lines.append(f"WARNING: float32 in the graph, but not run in float32 by TensorRT: {names}")
    return lines


def report_json(
    layers: Sequence[PlanLayer],
    convolutions: Sequence[Convolution],
    narrowed: Sequence[PlanLayer] = (),
    *,
    plan_sha256: str,
    tensorrt: str,
) -> str:
    """``NAME.layers.json``: the type of each convolution, layers that should be float32 and are not, and all layers."""
    document = {
        "format_version": FORMAT_VERSION,
        "plan_sha256": plan_sha256,
        "tensorrt": tensorrt,
        "runs": dict(Counter(one.runs for one in convolutions)),
        "convolutions": [{"module": one.module, **asdict(one)} for one in convolutions],
        "narrowed": {layer.name: layer.narrow for layer in narrowed},
        "layers": [asdict(layer) for layer in layers],
    }
    return json.dumps(document, indent=1)


def read_counts(plan: Path) -> dict[str, int] | None:
    """Number of convolutions of a plan that run in each type, from the ``NAME.layers.json`` beside it.

    None if there is no such file, or one of an earlier plan.

    Raises:
        ModelFileError: the file is ill-formed.
    """
    path = plan.with_suffix(".layers.json")
    if plan.suffix != ".plan" or not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version, digest = document["format_version"], document["plan_sha256"]
        counts = {str(kind): int(count) for kind, count in document["runs"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(
            f"{path}: not what mostnet-export writes beside a plan ({error!r}); delete it, or export the plan again"
        ) from error
    if version != FORMAT_VERSION:
        raise ModelFileError(f"{path}: format {version!r}, this mostnet reads {FORMAT_VERSION}; export the plan again")
    return counts if digest == sha256(plan) else None


def _names(convolutions: Sequence[Convolution]) -> str:
    return _shorten(
        [one.module if one.runs in (NOT_FOUND, UNKNOWN) else f"{one.module} {one.runs}" for one in convolutions]
    )


def _shorten(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
