"""Links, files and modules that pages and docstrings name exist in the repository."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    *("api", "contract", "engine", "video", "model", "calibration", "export", "training", "serve", "bench"),
    *("docs", "tests"),
)

PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *sorted(ROOT.glob("docs/*.md"))]
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("**/*.py"))
#: The changelog names files that are gone.
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]

#: Every Python file, with a slash before, so that a path matches from any of its folders on.
FILES = [f"/{path.relative_to(ROOT)}" for path in (*SOURCES, ROOT / "setup.py")]

_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PYTHON_FILE = re.compile(r"[\w./-]*\w\.py\b")
_PAGE = re.compile(r"\b(?:docs|shared)/[\w./-]*\w\.md\b")
_MODULE = re.compile(r"python3? -m (mostnet[\w.]*\w|tests[\w.]*\w)")


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def docstrings(path: Path) -> str:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return "\n".join(ast.get_docstring(node, clean=False) or "" for node in nodes if isinstance(node, kinds))


def missing(text: str) -> Iterator[str]:
    """The files and modules that ``text`` names and the repository lacks."""
    for name in _PYTHON_FILE.findall(text):
        if not any(path.endswith(f"/{name}") for path in FILES):
            yield name
    for name in _PAGE.findall(text):
        if not (ROOT / name).is_file():
            yield name
    for name in _MODULE.findall(text):
        first, *rest = name.split(".")
        path = ROOT.joinpath(*rest) if first == "mostnet" else ROOT.joinpath(first, *rest)
        if not path.with_suffix(".py").is_file() and not (path / "__main__.py").is_file():
            yield name


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", CURRENT, ids=label)
def test_pages_name_files_that_exist(page: Path) -> None:
    assert list(missing(_LINK.sub("]", page.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_name_files_that_exist(folder: str) -> None:
    found = {label(path): list(missing(docstrings(path))) for path in SOURCES if path.is_relative_to(ROOT / folder)}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_readme_is_short() -> None:
    text = _FENCE.sub("", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(text.split()) <= 900
