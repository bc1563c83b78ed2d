"""By what a result is known: the content it is made of, and what was done with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from mostnet.contract.versions import mostnet_version

from .records import RunOptions, Span


def key_of(video_sha256: str, engine_sha256: str, options: RunOptions, spans: Sequence[Span]) -> str:
    """SHA-256 of all that a result depends on; no name of a file is part of it.

    ``spans`` are those that the video is split into; none if it is not split. The number of threads, the kind of
    worker and the machine do not count.
    """
    parts = {
        "video": video_sha256,
        "engine": engine_sha256,
        "options": asdict(options),
        "spans": [asdict(span) for span in spans],
        "mostnet": mostnet_version(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
