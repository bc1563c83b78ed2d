"""The report of an archive as a page that needs no script and no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from mostnet.contract.terminal import one_line

from .page_style import STYLE

Video = Mapping[str, Any]

_TITLE = "Videos of an archive"
#: Headings, and the endings of the videos below them. What needs a person comes first.
_SECTIONS = (("Failed", ("failed",)), ("Not finished", ("stopped", "not begun")), ("Finished", ("done", "kept")))


def page(report: Mapping[str, Any]) -> str:
    """The HTML of a report as ``write_report`` makes it; every text of the archive is escaped."""
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_TITLE}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{_TITLE}</h1>",
            f'<p class="sum">{_summary(report)}</p>\n{_table(report["about"].items())}\n</header>\n<main>',
            *(_section(heading, endings, report["videos"]) for heading, endings in _SECTIONS),
            "</main>\n</body>\n</html>\n",
        ]
    )


def _summary(report: Mapping[str, Any]) -> str:
    totals = report["totals"]
    counts = [f"{count:,} {ending}" for ending, count in report["counts"].items() if count]
    parts = [f"{_many(totals['videos'], 'video')}: {', '.join(counts) or 'the archive is empty'}"]
    if totals["frames"]:
        parts += [
            _many(totals["frames"], "frame"),
            f"{_rough(totals['duration_s'])} of video",
            f"{_rough(totals['elapsed_s'])} of work",
        ]
    return " · ".join(parts)


def _section(heading: str, endings: Sequence[str], videos: Sequence[Video]) -> str:
    cards = [_card(video) for video in videos if video["ending"] in endings]
    if not cards:
        return ""
    return "\n".join(
        [f"<section>\n<h2>{heading} ({len(cards):,})</h2>", '<div class="cards">', *cards, "</div>\n</section>"]
    )


def _card(video: Video) -> str:
    bare = "" if video["picture"] else ' class="bare"'
    error = "" if video["error"] is None else f'<p class="error">{_safe(video["error"])}</p>'
    facts = _table([*_found(video), *video["columns"].items(), *_work(video)])
    return f"<article{bare}>{_picture(video)}<div><h3>{_name(video)}</h3>{_length(video)}{error}{facts}</div></article>"


def _name(video: Video) -> str:
    # Isolated, because a name may turn the direction of the text around it.
    name = f"<bdi>{_safe(video['video'])}</bdi>"
    return name if video["result_url"] is None else f'<a href="{_safe(video["result_url"])}">{name}</a>'


def _picture(video: Video) -> str:
    picture = video["picture"]
    if picture is None:
        return ""
    seen = "one moment of" if video["result"] is None else "one moment before and after of"
    return (
        f'<img loading="lazy" decoding="async" src="{_safe(picture["file"])}" width="{picture["width"]}" '
        f'height="{picture["height"]}" alt="{seen} {_safe(video["video"])}">'
    )


def _length(video: Video) -> str:
    parts = [_clock(video["duration_s"]), _many(video["frames"], "frame")] if video["frames"] else []
    if video["ending"] not in ("done", "failed"):  # which the heading says
        parts.append(video["ending"])
    return f"<p>{' · '.join(parts)}</p>" if parts else ""


def _found(video: Video) -> list[tuple[str, str]]:
    """What the survey found; nothing is said of what it could not measure."""
    before, after, teeth = (video[name] for name in ("jitter_before_px", "jitter_after_px", "teeth_share"))
    events = ", ".join(f"{count:,} {name}" for name, count in video["events"].items())
    found = {
        "Jitter": " → ".join(f"{value:.2f}" for value in (before, after) if value is not None),
        "Teeth": "" if teeth is None else f"{teeth:.0%} of the picture",
        "Events": events,
    }
    if found["Jitter"]:
        found["Jitter"] += " px" if after is not None else " px before"
    return [(name, text) for name, text in found.items() if text]


def _work(video: Video) -> list[tuple[str, str]]:
    if not video["elapsed_s"] and not video["workers"]:
        return []
    places = ", ".join(dict.fromkeys(video["workers"]))
    return [("Work", f"{_rough(video['elapsed_s'])}{' on ' if places else ''}{places}")]


def _table(rows: Iterable[tuple[str, str]]) -> str:
    inside = "".join(f"<dt>{_safe(name)}</dt><dd>{_safe(text)}</dd>" for name, text in rows)
    return f"<dl>{inside}</dl>" if inside else ""


def _safe(text: str) -> str:
    """The text as HTML shows it as it is, in an attribute too; control characters are escapes."""
    return escape(one_line(text))


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _clock(seconds: float) -> str:
    """``4.0 s``, ``2:12``, ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _rough(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} hours"
