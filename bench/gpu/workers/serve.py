"""The worker's end of the link: on requests in lines of JSON, it measures rounds with the libraries of its Python.

Several workers stay open on one GPU while the report asks each in turn, so that all meet the same state of the machine.
A request is ``{"do": NAME, ...arguments}``; the answer is ``{"done": {...}}`` or ``{"failed": TEXT}``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, TextIO, TypeVar

T = TypeVar("T")

#: Functions by the name of the request. Each takes keyword arguments and returns a dictionary for JSON.
Actions = Mapping[str, Callable[..., dict[str, Any]]]

#: Least samples of a round, however slow the method.
LEAST_FRAMES = 10


def serve(actions: Actions, requests: TextIO, answers: TextIO) -> None:
    """Answer each request until ``requests`` ends.

    The answer to a failed request is its error: the report writes it into the method's row and goes on.
    """
    for line in requests:
        request = json.loads(line)
        try:
            answer: dict[str, Any] = {"done": actions[request.pop("do")](**request)}
        except Exception as error:  # the other methods can still be measured
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def claim_stdout() -> TextIO:
    """Reserve the standard output for answers. From now on, libraries print to the standard error."""
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
