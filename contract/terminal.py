"""What every command does with its streams, its errors and its warnings.

A command prints every character, whatever the encoding of the terminal. It prints an error or a warning as one line. If
the reader of its output goes away, as ``head`` does, it finishes its work without printing, and its exit status is that
of its work.
"""

from __future__ import annotations

import argparse
import functools
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, ParamSpec, TextIO

from .errors import MostnetError
from .extras import extras_named
from .stopping import exit_status, signals_interrupt

#: Settings of a ``rich`` console that prints a name as it is: by default ``[/b]`` is markup, and ``:100:`` a picture.
#: Give it its ``file`` too: without one, it prints box characters in an ASCII terminal.
PLAIN: Mapping[str, Any] = {"highlight": False, "markup": False, "emoji": False}

P = ParamSpec("P")
Main = Callable[P, int]


def command(
    name: str,
    *,
    extra: str = "",
    interrupted: str = "interrupted",
    errors: tuple[type[Exception], ...] = (MostnetError, OSError),
) -> Callable[[Main[P]], Main[P]]:
    """Make a ``main`` function, which returns its exit status, a well-behaved command.

    Args:
        name: what every message begins with.
        extra: extra of mostnet that the command needs. If one of its libraries is missing, the message names it. For
            that, and for ``--help`` without the extra, ``main`` imports the library after it has read its arguments.
        interrupted: the message after SIGINT, SIGTERM or SIGHUP, whose exit status is 128 and the signal's number.
        errors: exceptions that become one line and exit status 1.
    """

    def decorate(main: Main[P]) -> Main[P]:
        @functools.wraps(main)
        def run(*args: P.args, **kwargs: P.kwargs) -> int:
            with _safe_streams(), _warnings_as_lines(name):
                try:
                    with signals_interrupt(), extras_named(extra):
                        try:
                            status = main(*args, **kwargs)
                        except SystemExit:  # such as that of --help
                            _flush(sys.stdout)
                            raise
                    _flush(sys.stdout)  # a full disk shows here
                except errors as error:
                    complain(name, error)
                    return 1
                except KeyboardInterrupt as stop:
                    complain(name, interrupted)
                    return exit_status(stop)
                return status

        return run

    return decorate


class CommandParser(argparse.ArgumentParser):
    """The arguments of a command. A wrong one is reported in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong as one line, and exit with status 2."""
        complain(self.prog, f"{message}; {self.prog} --help lists the arguments")
        self.exit(2)

    def print_help(self, file: Any = None) -> None:
        """Print the help text. A failure, which argparse would hide, is raised.

        Raises:
            OSError: the text cannot be written.
        """
        print(self.format_help(), end="", file=file)


def complain(name: str, problem: object) -> None:
    """Print ``name: problem`` as one line on stderr."""
    print(f"{name}: {one_line(problem)}", file=sys.stderr, flush=True)


def counted(count: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def one_line(text: object) -> str:
    """The text with every run of white space as one space, and other control characters as escapes."""
    words = " ".join(str(text).split())
    return "".join(repr(sign)[1:-1] if sign < " " or "\x7f" <= sign < "\xa0" else sign for sign in words)


def drawn(name: str) -> str:
    """A name as one line for matplotlib.

    It takes ``$`` for mathematics, fails at bytes that are no text, and leaves a name that begins with ``_`` out of a
    legend.
    """
    text = one_line(name).encode(errors="backslashreplace").decode().replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


class _WarningLines(logging.Handler):
    """Prints each warning of mostnet as one line on stderr."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self._command = name

    def emit(self, record: logging.LogRecord) -> None:
        try:
            complain(self._command, record.getMessage())
        except Exception:
            self.handleError(record)


class _LastingFile(io.FileIO):
    """A file descriptor that is turned to the null device once a write fails in one of the tolerated ways.

    Attributes:
        discards: nothing is written any more.
    """

    def __init__(self, descriptor: int, tolerated: type[OSError]) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._tolerated = tolerated
        self.discards = False

    def write(self, data: Any) -> int:
        if self.discards:
            return len(data)
        try:
            return super().write(data)
        except self._tolerated:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return super().write(data)
        except OSError as error:
            error.filename = "standard output"  # stderr tolerates every failure
            raise


@contextmanager
def _warnings_as_lines(name: str) -> Iterator[None]:
    """Print the warnings of mostnet's loggers with this name. A command inside a command has its own."""
    logger = logging.getLogger("mostnet")
    before = list(logger.handlers)
    others = [handler for handler in before if not isinstance(handler, _WarningLines)]
    logger.handlers = [*others, _WarningLines(name)]
    try:
        yield
    finally:
        logger.handlers = before


@contextmanager
def _safe_streams() -> Iterator[None]:
    """Streams that neither refuse a character nor fail when their reader is gone; stderr never fails."""
    before = sys.stdout, sys.stderr
    try:
        with (
            _safe(before[0], sys.__stdout__, tolerated=BrokenPipeError) as sys.stdout,
            _safe(before[1], sys.__stderr__, tolerated=OSError) as sys.stderr,
        ):
            yield
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def _safe(stream: TextIO, of_process: TextIO | None, *, tolerated: type[OSError]) -> Iterator[TextIO]:
    """The stream with escapes for what it cannot encode; the process's own pipe or file also bears these failures."""
    if not isinstance(stream, io.TextIOWrapper):  # None without a terminal, or the stream of a test or a notebook
        yield stream
        return
    stream.reconfigure(errors="backslashreplace")
    if stream is not of_process or stream.isatty():  # a terminal of Windows takes no bytes
        yield stream
        return
    stream.flush()
    file = _LastingFile(stream.fileno(), tolerated)
    safe = io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering or stream.write_through,
    )
    try:
        yield safe
    finally:
        try:
            safe.flush()
        except OSError:  # reported before, unless another error was
            file.discards = True  # else Python would write the rest again when it destroys the stream


def _flush(stream: TextIO | None) -> None:
    if stream is not None:
        stream.flush()
