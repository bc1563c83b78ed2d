"""Starts threads so that KeyboardInterrupt, which can strike the main thread anywhere, leaves none half started."""

from __future__ import annotations

import threading
from _thread import start_new_thread
from queue import SimpleQueue


def start_thread(thread: threading.Thread) -> None:
    """Start ``thread`` and wait until it runs. After an interrupt here it will run or has failed to start.

    ``Thread.start`` waits in Python code that holds a lock of the new thread: an interrupt there can leave the lock
    held, and the thread waits for it forever. So ``start`` is called in a thread that no interrupt reaches.

    Raises:
        RuntimeError: the system starts no more threads.
    """
    answer: SimpleQueue[BaseException | None] = SimpleQueue()
    start_new_thread(_start, (thread, answer))
    error = answer.get()
    if error is not None:
        raise error


def _start(thread: threading.Thread, answer: SimpleQueue[BaseException | None]) -> None:
    try:
        thread.start()
    except BaseException as error:  # ``start_thread`` raises it
        answer.put(error)
    else:
        answer.put(None)
