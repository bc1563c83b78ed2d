"""The console that prints text as it is."""

from __future__ import annotations

import ast
import io
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mostnet.contract.terminal import PLAIN

ROOT = Path(__file__).parent.parent.parent
PACKAGES = [path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"]
SOURCES = [path for package in PACKAGES for path in package.glob("**/*.py")]


def test_names_are_neither_markup_nor_picture_characters() -> None:
    stream = io.StringIO()
    console = Console(file=stream, **PLAIN)
    table = Table(title="[red]a[/b] :100:")
    table.add_column("[/c] :tooth:")
    table.add_row("[/d] :100:")

    console.print("ma[/b] :100:")
    console.print(table)

    for text in ("ma[/b] :100:", "[red]a[/b] :100:", "[/c] :tooth:", "[/d] :100:"):
        assert text in stream.getvalue()


def test_an_ascii_terminal_gets_ascii_boxes() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    table = Table("name")
    table.add_row("value")

    Console(file=stream, **PLAIN).print(table)
    stream.flush()

    assert b"| value |" in stream.buffer.getvalue()


def test_every_console_of_a_command_is_plain() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                text = ast.unparse(node)
                plain = text in ("Console()", "Console(quiet=True)") or ("PLAIN" in text and "file=" in text)
                assert node.func.id != "Console" or plain, f"{path}:{node.lineno}: Console(file=..., **PLAIN)"
                plain = "TextColumn('{task.description}'" not in text or "markup=False" in text
                assert plain or node.func.id != "TextColumn", f"{path}:{node.lineno}: a description may hold a name"
