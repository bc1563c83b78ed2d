"""One program per Python: a worker measures what its libraries run, one round at a time, told by lines of JSON.

Several workers stay open on one GPU while the report asks each in turn, so that all see the machine in the same moods.
A line in is ``{"do": NAME, ...arguments}``; the line out is ``{"done": {...}}`` or ``{"failed": TEXT}``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, TextIO, TypeVar

T = TypeVar("T")

#: A request's name, and what answers it: keyword arguments in, something that JSON can hold out.
Actions = Mapping[str, Callable[..., dict[str, Any]]]

#: Fewer samples than this are no round, however slow the method.
LEAST_FRAMES = 10


def serve(actions: Actions, requests: TextIO, answers: TextIO) -> None:
    """Answer each request until ``requests`` ends.

    A failed action is answered with its error; the report writes that into the method's row and goes on.
    """
    for line in requests:
        request = json.loads(line)
        try:
            answer: dict[str, Any] = {"done": actions[request.pop("do")](**request)}
        except Exception as error:  # handed over as an answer: the other methods can still be measured
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def claim_stdout() -> TextIO:
    """The standard output for answers alone: what libraries print goes to the standard error from now on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return answers


def limited(frames: Sequence[T], *, count: int, seconds: float) -> Iterator[T]:
    """``count`` frames of the clip in a loop, or as many as begin within ``seconds``, but at least ten."""
    deadline_s = perf_counter() + seconds
    for index in range(count):
        if index >= LEAST_FRAMES and perf_counter() > deadline_s:
            return
        yield frames[index % len(frames)]


def time_each(call: Callable[[T], object], frames: Iterable[T]) -> tuple[list[float], float]:
    """Latency of each call in milliseconds, and calls per second over all of them."""
    samples = []
    begun_s = last_s = perf_counter()
    for frame in frames:
        before_s = perf_counter()
        result = call(frame)
        last_s = perf_counter()
        samples.append((last_s - before_s) * 1e3)
        del result  # freed here, not while the next frame is timed
    return samples, len(samples) / (last_s - begun_s)
