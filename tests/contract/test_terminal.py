"""What every command does with its streams, its errors and its warnings."""

from __future__ import annotations

import ast
import io
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mostnet.contract import DatasetError
from mostnet.contract.terminal import CommandParser, command, counted, drawn, one_line

ROOT = Path(__file__).parent.parent.parent
PACKAGES = [path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"]
SOURCES = [path for package in PACKAGES for path in package.glob("**/*.py")]

_COMMAND = """
import logging, pathlib, sys
from mostnet.contract import DatasetError
from mostnet.contract.terminal import command

@command("tool")
def main(kind):
    if kind == "raise":
        raise DatasetError("no \\u6b6f, and no \\udcff\\nin a\\x1b[31m name")
    if kind == "warn":
        logging.getLogger("mostnet.some.part").warning("two\\nlines of %s", "\\u6b6f")
        logging.getLogger("mostnet.some.part").info("not shown")
        logging.getLogger("other").error("not ours")
    if kind == "tell":
        print("progress", file=sys.stderr, flush=True)
    for k in range(int(sys.argv[2])):
        print("\\u6b6f\\udcff", k, flush=True)
    pathlib.Path(sys.argv[3]).write_text("done")
    return 0

sys.exit(main(sys.argv[1]))
"""


def run(
    tmp_path: Path, kind: str, *, lines: int = 1, shell: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", _COMMAND, kind, str(lines), str(tmp_path / "done")]
    if shell:
        arguments = ["bash", "-c", f'set -o pipefail; "$0" "$@" {shell}', *arguments]
    return subprocess.run(arguments, capture_output=True, encoding="latin-1", env={**os.environ, **environment})


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONUTF8": "1"},  # has no bytes for a surrogate, which stands for a byte of a name that is not UTF-8
    ],
)
def test_every_terminal_shows_every_character(tmp_path: Path, environment: dict[str, str]) -> None:
    printed = run(tmp_path, "print", **environment)
    failed = run(tmp_path, "raise", **environment)

    assert printed.returncode == 0 and r"\udcff 0" in printed.stdout and not printed.stderr
    assert failed.returncode == 1 and failed.stderr.startswith("tool: no ") and failed.stderr.count("\n") == 1
    assert r"and no \udcff in a\x1b[31m name" in failed.stderr  # no sequence that the terminal obeys


def test_warnings_of_mostnet_are_one_line_each(tmp_path: Path) -> None:
    done = run(tmp_path, "warn", PYTHONIOENCODING="ascii")

    assert done.stderr.splitlines() == [r"tool: two lines of \u6b6f", "not ours"]


@pytest.mark.parametrize("shell", ["| head -1", "2>&1 | head -1", "| true", ">&-", "2>&-"])
def test_a_command_finishes_its_work_when_nobody_reads_its_output(tmp_path: Path, shell: str) -> None:
    done = run(tmp_path, "warn", lines=5000, shell=shell)

    assert done.returncode == 0
    assert "Traceback" not in done.stderr and "Broken" not in done.stderr
    assert (tmp_path / "done").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line_on_stderr(tmp_path: Path) -> None:
    done = run(tmp_path, "print", shell="> /dev/full")

    assert done.returncode == 1 and done.stderr == "tool: [Errno 28] No space left on device: 'standard output'\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_log_of_messages_does_not_end_the_work(tmp_path: Path) -> None:
    done = run(tmp_path, "tell", shell="2> /dev/full")

    assert done.returncode == 0 and (tmp_path / "done").exists()


def test_a_command_within_a_command_prints_a_warning_once(capsys: pytest.CaptureFixture[str]) -> None:
    def warn() -> int:
        logging.getLogger("mostnet.some.part").warning("found")
        return 0

    @command("outer")
    def outer() -> int:
        return command("inner")(warn)() or warn()

    assert outer() == 0
    assert capsys.readouterr().err == "inner: found\nouter: found\n"
    assert not logging.getLogger("mostnet").handlers


def test_the_exit_status_says_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: BaseException) -> int:
        raise error

    assert command("tool")(fail)(DatasetError("a")) == 1
    assert command("tool")(fail)(OSError("b")) == 1
    assert command("tool", interrupted="c")(fail)(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "tool: a\ntool: b\ntool: c\n"
    with pytest.raises(ZeroDivisionError):  # a defect of ours keeps its traceback
        command("tool")(fail)(ZeroDivisionError())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_a_signal_ends_says_so(capsys: pytest.CaptureFixture[str], number: signal.Signals) -> None:
    assert command("tool", interrupted="nothing was written")(signal.raise_signal)(number) == 128 + number
    assert capsys.readouterr().err == "tool: nothing was written\n"


def test_one_line_keeps_letters_of_all_scripts() -> None:
    assert one_line("  歯\u3000é\r\nz\u200d\x07\x85 ") == r"歯 é z" + "\u200d" + r"\x07"


@pytest.mark.parametrize(("count", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_one_thing_is_counted_without_an_s(count: int, text: str) -> None:
    assert counted(count, "file") == text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("module", "name"),
    [("mostnet", "mostnet"), ("mostnet.training.cli", "mostnet-train")],
    ids=["short", "longer than a buffer"],
)
def test_a_help_text_that_does_not_fit_on_the_disk_is_an_error(module: str, name: str) -> None:
    command = f'exec "$0" -X dev -m {module} --help > /dev/full'  # which shows errors of destructors, too
    done = subprocess.run(["bash", "-c", command, sys.executable], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (1, f"{name}: [Errno 28] No space left on device: 'standard output'\n")


def test_every_command_is_decorated() -> None:
    for path in SOURCES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == "main":
                text = ast.unparse(node)
                its_parent_reads_it = "claim_stdout" in path.read_text(encoding="utf-8")
                assert "command(" in text or its_parent_reads_it, (
                    f"{path}: decorate main with contract.terminal.command"
                )


def test_a_wrong_argument_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser(prog="tool")
    parser.add_argument("--layout", choices=("grid", "mask"))
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["--layotu\n", "grid"])
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.err == "tool: unrecognized arguments: --layotu grid; tool --help lists the arguments\n"
    assert printed.out == ""


def test_every_command_reports_wrong_arguments_in_one_line() -> None:
    others = [path for path in SOURCES if "ArgumentParser(" in path.read_text(encoding="utf-8")]
    assert others == []


def test_every_text_file_names_its_encoding() -> None:
    """Without it, Python takes the terminal's: ASCII with ``LC_ALL=C``."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                names = {keyword.arg for keyword in node.keywords}
                reads = node.func.attr in ("read_text", "write_text") or "text" in names
                assert not reads or "encoding" in names, f"{path}:{node.lineno}: no encoding"


def test_names_in_pictures_are_no_mathematics() -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.suptitle(drawn("a$\\badmath$ \udcff\n.mp4"))
    figure.savefig(io.BytesIO(), format="png")  # matplotlib raises for the name as it is
    assert drawn("a$b\n\udcff") == r"a\$b \udcff"


def test_a_legend_shows_a_name_that_begins_with_an_underscore() -> None:
    axes = pytest.importorskip("matplotlib.figure").Figure().subplots()
    axes.plot([0, 1], label=drawn("_x.mp4"))
    assert [text.get_text() for text in axes.legend().get_texts()] == [" _x.mp4"]
