"""Reading the JSON that the commands of this folder write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mostnet.contract import MostnetError

from .simulate import ServerModel


def load_report(path: Path, version: int, key: str) -> dict[str, Any]:
    """Read the JSON of another command.

    Raises:
        MostnetError: the file is not of that command and version.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("format_version") != version or key not in found:
        raise MostnetError(f"{path}: is no report of version {version} with {key!r}; measure again with --json")
    return found


def server_of(report: Mapping[str, Any]) -> ServerModel:
    """The measured server of a report of ``python -m mostnet.bench.scale.cameras``."""
    service = report["service"]
    return ServerModel(
        places=report["settings"]["places"], service_ms=service["samples_ms"], transfer_ms=service["transfer_ms"]
    )
