"""``report.html``: read by a parser as a browser would, with names that try to break out of their place."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import numpy as np
import pytest

from mostnet.serve.archive.records import ArchiveEntry, Findings
from mostnet.serve.archive.reporting.before_after import beside
from mostnet.serve.archive.reporting.report import write_report

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "h1", "h2", "h3"),
    *("article", "div", "p", "img", "a", "bdi", "dl", "dt", "dd"),
}
VOID = {"meta", "img"}
#: File names of archives, and as the page shows them.
NAMES = {
    "<script>alert(1)</script>.mp4": "<script>alert(1)<",  # a slash: a folder of this name
    '" onerror="alert(1).mp4': '" onerror="alert(1).mp4',
    "it's & &amp; <b>.mp4": "it's & &amp; <b>.mp4",
    "two\nlines\t\x1b[31m.mp4": "two lines \\x1b[31m.mp4",
    "100%41 %2e%2e.mp4": "100%41 %2e%2e.mp4",
    "#a?b=c;d.mp4": "#a?b=c;d.mp4",
    "-rf.mp4": "-rf.mp4",
    "javascript:alert(1)": "javascript:alert(1)",
    os.fsdecode(b"caf\xe9.mp4"): "caf\\udce9.mp4",
    "\u202e4pm.txt": "\u202e4pm.txt",  # turns the direction of what follows
    "zähne 𝄞.mp4": "zähne 𝄞.mp4",
    "CLIP.mp4": "CLIP.mp4",
    "clip.mp4": "clip.mp4",
}


class Page(HTMLParser):
    """The elements of a page, checked to be closed in order, and the text of each card."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(path.read_bytes().decode("utf-8", "strict"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.setdefault(self.open[-1], []).append(data)

    def values(self, tag: str, name: str) -> list[str | None]:
        return [attributes[name] for found, attributes in self.elements if found == tag and name in attributes]


def page_of(folder: Path, *entries: ArchiveEntry, about: dict[str, str] | None = None) -> Page:
    write_report(folder, entries, about or {})
    return Page(folder / "report.html")


def entry(video: str = "a.mp4", **fields: object) -> ArchiveEntry:
    return ArchiveEntry(**{"video": video, "ending": "done", **fields})


def test_names_are_shown_as_they_are_and_lead_to_their_results(tmp_path: Path) -> None:
    picture = beside([("before", np.zeros((30, 40, 3), np.uint8))])
    entries = []
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8", errors="surrogateescape")
        found = Findings(picture=picture, events={name: 2})
        entries.append(
            entry(name, result=Path(name), error=name, columns={name: name}, workers=(name,), findings=found)
        )
    page = page_of(tmp_path, *entries, about={name: name for name in NAMES})
    shown = [text.replace("<script>alert(1)<", "<script>alert(1)</script>.mp4") for text in NAMES.values()]
    assert page.texts["bdi"] == shown
    assert page.texts["dt"][: len(shown)] == page.texts["dd"][: len(shown)] == shown
    assert [text for text in page.texts["p"] if text in shown] == shown  # the errors
    assert page.values("img", "alt") == [f"one moment before and after of {text}" for text in shown]
    for link, name in zip(page.values("a", "href"), NAMES, strict=True):
        assert link is not None and link.startswith("./")
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
        target = os.fsencode(tmp_path) + b"/" + unquote_to_bytes(parts.path)
        assert Path(os.fsdecode(target)).read_text(encoding="utf-8", errors="surrogateescape") == name


def test_it_needs_no_script_and_no_network(tmp_path: Path) -> None:
    picture = beside([("before", np.zeros((30, 40, 3), np.uint8))])
    page = page_of(tmp_path, *(entry(name, result=Path(name), findings=Findings(picture=picture)) for name in NAMES))
    names = {name for _, attributes in page.elements for name in attributes}
    assert names == {
        *("lang", "charset", "name", "content", "class", "href"),
        *("loading", "decoding", "src", "width", "height", "alt"),
    }
    assert set(page.values("img", "loading")) == {"lazy"}
    assert all((tmp_path / str(source)).is_file() for source in page.values("img", "src"))
    assert set(page.values("img", "width")) == {"40"} and set(page.values("img", "height")) == {"52"}
    (style,) = page.texts["style"]
    assert "url(" not in style and "@import" not in style
    for part in ("prefers-color-scheme: dark", "@media print"):
        assert part in style


def test_what_failed_comes_first(tmp_path: Path) -> None:
    endings = ["done", "not begun", "kept", "failed", "stopped", "done"]
    page = page_of(tmp_path, *(entry(f"{k}.mp4", ending=ending) for k, ending in enumerate(endings)))
    assert page.texts["h2"] == ["Failed (1)", "Not finished (2)", "Finished (3)"]
    assert page.texts["bdi"] == ["3.mp4", "1.mp4", "4.mp4", "0.mp4", "2.mp4", "5.mp4"]
    assert page.texts["p"][1:] == ["not begun", "stopped", "kept"]


def test_a_card_tells_what_was_found(tmp_path: Path) -> None:
    found = Findings(
        teeth_share=0.234,
        jitter_before_px=5.288,
        jitter_after_px=0.913,
        events={"new scenes": 2, "without teeth": 1200},
    )
    one = entry(
        frames=93750,
        duration_s=3750.4,
        elapsed_s=300,
        workers=("n1 cpu", "n2 cpu", "n1 cpu"),
        columns={"room": "2"},
        findings=found,
    )
    page = page_of(tmp_path, one)
    assert page.texts["p"][1:] == ["1:02:30 · 93,750 frames"]
    assert dict(zip(page.texts["dt"], page.texts["dd"], strict=True)) == {
        "Jitter": "5.29 → 0.91 px",
        "Teeth": "23% of the picture",
        "Events": "2 new scenes, 1,200 without teeth",
        "room": "2",
        "Work": "5.0 min on n1 cpu, n2 cpu",
    }


def test_nothing_is_said_of_what_was_not_measured(tmp_path: Path) -> None:
    page = page_of(tmp_path, entry(frames=1, duration_s=0.04, findings=Findings(jitter_before_px=2)))
    assert page.texts["p"][1:] == ["0.0 s · 1 frame"]
    assert dict(zip(page.texts["dt"], page.texts["dd"], strict=True)) == {"Jitter": "2.00 px before"}


@pytest.mark.parametrize(
    ("entries", "summary"),
    [
        ([], "0 videos: the archive is empty"),
        ([entry(ending="failed", elapsed_s=2)], "1 video: 1 failed"),
        (
            [entry(frames=2000, duration_s=9000, elapsed_s=80), entry(ending="kept", frames=1, duration_s=0.5)],
            "2 videos: 1 done, 1 kept · 2,001 frames · 2.5 hours of video · 80.0 s of work",
        ),
    ],
)
def test_the_summary(tmp_path: Path, entries: list[ArchiveEntry], summary: str) -> None:
    assert page_of(tmp_path, *entries).texts["p"][0] == summary


def test_a_large_archive_stays_small(tmp_path: Path) -> None:
    """10,000 cards are some megabytes."""
    page_of(tmp_path, *(entry(f"{k}.mp4", frames=k, findings=Findings(teeth_share=0.5)) for k in range(2000)))
    assert (tmp_path / "report.html").stat().st_size < 600_000
    assert len(re.findall("<article", (tmp_path / "report.html").read_text(encoding="utf-8"))) == 2000
