"""KeyboardInterrupt at any line of the engine: it surfaces, no thread stays, and the session can be used or closed."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from linecache import getline
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import mostnet.engine
from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.engine import Engine
from tests.engine.backends import Backend, only

#: An error in a destructor would only be printed.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")

FOLDER = Path(mostnet.engine.__file__).parent
FOLDERS = (FOLDER, FOLDER / "streams")
FRAMES = [frame_of(number) for number in range(4)]

Place = tuple[str, int]


class Interrupter:
    """Notes each line of the engine's own modules that this thread runs, and raises at the one with number ``at``.

    Left out are the lines that a ``__del__`` runs, because Python prints what is raised there. So are ``with`` lines,
    which come again just before ``__exit__``: no signal can strike there.
    """

    def __init__(self, at: int = -1) -> None:
        self.places: list[Place] = []
        self._at = at

    @contextmanager
    def active(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(before)

    def _call(self, frame: FrameType, event: str, argument: object) -> Any:
        ours = Path(frame.f_code.co_filename).parent in FOLDERS
        return self._line if ours and not in_destructor(frame) else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line" and not getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with "):
            self.places.append((frame.f_code.co_filename, frame.f_lineno))
            if len(self.places) - 1 == self._at:
                raise KeyboardInterrupt
        return self._line


def in_destructor(frame: FrameType | None) -> bool:
    """True if a ``__del__`` runs ``frame``, itself or through calls."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def first_and_last(places: list[Place]) -> list[int]:
    """The numbers at which each place comes first and last."""
    first = {place: number for number, place in reversed(list(enumerate(places)))}
    last = {place: number for number, place in enumerate(places)}
    return sorted({*first.values(), *last.values()})


def to_the_end(engine: Engine) -> None:
    for _ in engine.stream(FRAMES):
        pass


def half_way(engine: Engine) -> None:
    stream = engine.stream(FRAMES * 5)
    next(stream)
    next(stream)
    time.sleep(0.02)  # until the reader waits for a free slot
    stream.close()


def only_the_newest(engine: Engine) -> None:
    stream = engine.stream(FRAMES * 5, drop="oldest")
    next(stream)
    time.sleep(0.02)
    stream.close()


def one_by_one(engine: Engine) -> None:
    engine.input_buffer()
    engine.warm_up()
    engine.infer(FRAMES[0])


def threads_fall_to(count: int) -> bool:
    deadline_s = time.perf_counter() + 5
    while threading.active_count() > count and time.perf_counter() < deadline_s:
        time.sleep(0.0005)
    return threading.active_count() <= count


@pytest.mark.parametrize("use", [to_the_end, one_by_one])
def test_an_interrupt_anywhere_leaves_the_session_usable(backend: Backend, use: Callable[[Engine], None]) -> None:
    interrupt_everywhere(backend, use)


@only(lambda kind: not kind.distant)
@pytest.mark.parametrize("use", [half_way, only_the_newest])
def test_an_interrupt_of_a_stream_anywhere_leaves_the_session_usable(
    backend: Backend, use: Callable[[Engine], None]
) -> None:
    interrupt_everywhere(backend, use)


def interrupt_everywhere(backend: Backend, use: Callable[[Engine], None]) -> None:
    with backend.open() as engine:
        use(engine)
        threads, rehearsal = threading.active_count(), Interrupter()
        with rehearsal.active():
            use(engine)
        for number in first_and_last(rehearsal.places):
            interrupter = Interrupter(number)
            try:
                with interrupter.active():
                    use(engine)
            except KeyboardInterrupt:
                struck = interrupter.places[-1]
            else:  # the threads ran differently this time
                assert len(interrupter.places) <= number
                continue
            assert threads_fall_to(threads), f"a thread stays after an interrupt at {struck}"
            engine.reset()
            seen = [history(output.mask) for output in engine.stream(FRAMES[1:3])]
            assert seen == [[1], [1, 2]], f"after an interrupt at {struck}"
            assert history(engine.infer(FRAMES[3]).mask) == [1, 2, 3], f"after an interrupt at {struck}"


def test_no_interrupt_strikes_in_a_destructor(backend: Backend) -> None:
    """The collector runs a ``__del__`` at any line, so also between two lines of a call that is being traced."""
    engine, interrupter = backend.open(), Interrupter(0)
    half_way(engine)
    with interrupter.active():
        del engine
        gc.collect()
    assert interrupter.places == []
    backend.check_freed()


def test_an_interrupt_anywhere_leaves_the_engine_closable(backend: Backend) -> None:
    with backend.open() as engine:
        rehearsal = Interrupter()
        with rehearsal.active():
            half_way(engine)
    threads = threading.active_count()
    for number in first_and_last(rehearsal.places)[::4]:
        engine = backend.open()
        interrupter = Interrupter(number)
        try:
            with interrupter.active():
                half_way(engine)
        except KeyboardInterrupt:
            pass
        engine.close()
        assert threads_fall_to(threads), f"a thread stays after {interrupter.places[-1]}"
        del engine
        backend.check_freed()
