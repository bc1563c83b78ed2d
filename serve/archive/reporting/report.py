"""Write what became of an archive: ``report.json``, ``report.html`` and a picture per video."""

from __future__ import annotations

import json
import math
import os
import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from mostnet.contract import ArchiveError, write_bytes, write_text
from mostnet.serve.archive.records import ArchiveEntry, Ending, Findings

from .page import page

#: Version of the JSON schema, which ``docs/archive.md`` lists. It changes when a field is removed or changes its
#: meaning, and not when one is added.
REPORT_VERSION = 1
_FORMAT = "mostnet-archive-report"
_JSON, _PAGE, _PICTURES = "report.json", "report.html", "report"
#: A picture is named after its content, so a name never changes its meaning, and none comes from an archive.
_PICTURE_NAME = re.compile(r"[0-9a-f]{32}\.png")

Video = dict[str, Any]


def write_report(folder: Path, entries: Iterable[ArchiveEntry], about: Mapping[str, str]) -> None:
    """Write ``report.json`` and ``report.html`` into the folder of results, and the pictures into ``report/`` there.

    A reader always finds a whole report: each file is put in place atomically, after the pictures that it names.
    Pictures of earlier reports are removed at the end. ``entries`` are taken once, one by one, so their pictures need
    not be in memory together.

    Args:
        folder: the folder of results; links of the page lead to them.
        entries: the videos, in the order of the archive.
        about: what the run was: the engine, the options and so on, by name.

    Raises:
        ArchiveError: the folder cannot be written.
    """
    try:
        videos = [_video(entry, folder) for entry in entries]
        report = _report(videos, about)
        write_text(folder / _JSON, json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        write_text(folder / _PAGE, page(report))
        _remove_others(folder / _PICTURES, {video["picture"]["file"] for video in videos if video["picture"]})
    except OSError as error:
        raise ArchiveError(
            f"{folder}: the report cannot be written ({error.strerror or error}); free space there, or make it "
            "writable, and run the same command again"
        ) from error


def _report(videos: Sequence[Video], about: Mapping[str, str]) -> dict[str, Any]:
    endings = Counter(video["ending"] for video in videos)
    return {
        "format": _FORMAT,
        "version": REPORT_VERSION,
        "about": {_text(name): _text(value) for name, value in about.items()},
        "counts": {ending: endings[ending] for ending in get_args(Ending)},
        "totals": {
            "videos": len(videos),
            "frames": sum(video["frames"] for video in videos),
            "duration_s": _number(math.fsum(video["duration_s"] for video in videos)),
            "elapsed_s": _number(math.fsum(video["elapsed_s"] for video in videos)),
        },
        "videos": videos,
    }


def _video(entry: ArchiveEntry, folder: Path) -> Video:
    """The entry as it stands in the report; its picture is written."""
    found = entry.findings or Findings()
    return {
        "video": _text(entry.video),
        "result": None if entry.result is None else _text(entry.result.as_posix()),
        "result_url": None if entry.result is None else _url(entry.result),
        "ending": entry.ending,
        "error": None if entry.error is None else _text(entry.error),
        "columns": {_text(name): _text(value) for name, value in entry.columns.items()},
        "video_sha256": entry.video_sha256,
        "frames": entry.frames,
        "duration_s": _number(entry.duration_s),
        "elapsed_s": _number(entry.elapsed_s),
        "workers": [_text(worker) for worker in entry.workers],
        "teeth_share": _number(found.teeth_share),
        "jitter_before_px": _number(found.jitter_before_px),
        "jitter_after_px": _number(found.jitter_after_px),
        "events": dict(found.events),
        "picture": None if found.picture is None else _keep(found.picture, folder),
    }


def _keep(picture: bytes, folder: Path) -> dict[str, Any]:
    """Write a picture unless it is there; return where, and its size."""
    name = f"{_PICTURES}/{sha256(picture).hexdigest()[:32]}.png"
    if not (folder / name).is_file():
        write_bytes(folder / name, picture)
    width, height = struct.unpack(">II", picture[16:24])
    return {"file": name, "width": width, "height": height}


def _remove_others(folder: Path, kept: set[str]) -> None:
    """Remove the pictures of earlier reports; other files, such as results of an archive's folder, stay."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if _PICTURE_NAME.fullmatch(path.name) and f"{_PICTURES}/{path.name}" not in kept:
            path.unlink(missing_ok=True)
    with suppress(OSError):  # it holds something
        folder.rmdir()


def _url(path: Path) -> str:
    """The path as a relative URL, byte by byte, with a ``./`` so that no part of a name is taken for a scheme."""
    return "./" + quote(os.fsencode(path.as_posix()))


def _text(text: object) -> str:
    """The text; bytes of a file name that are no text become escapes, which every reader of JSON takes."""
    return str(text).encode(errors="backslashreplace").decode()


def _number(value: float | None) -> float | None:
    """The value to four decimals; None for one that is unknown, because JSON has no NaN."""
    return None if value is None or not math.isfinite(value) else round(value, 4)
