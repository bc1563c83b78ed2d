"""One logger for each library, whose error lines reach the thread that they are about."""

from __future__ import annotations

import _thread
import ast
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mostnet.bench.gpu.standin.tensorrt import StandinModule
from mostnet.engine.tensorrt.log import tensorrt_logger
from tests.test_layering import MODULES, ROOT


class ILogger:
    """Its making takes a while, so that two threads meet in it."""

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self) -> None:
        time.sleep(0.05)


@pytest.fixture
def trt() -> Iterator[Any]:
    yield StandinModule("tensorrt", ILogger=ILogger)
    tensorrt_logger.cache_clear()


def in_a_thread(call: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def test_two_threads_that_ask_at_once_get_one_logger(trt: Any) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(tensorrt_logger, [trt, trt])
    assert first is second


def test_errors_are_taken_once(trt: Any) -> None:
    logger = tensorrt_logger(trt)
    for line in "abcdefghij":
        logger.log(ILogger.ERROR, line)
    assert logger.take_errors() == "c; d; e; f; g; h; i; j", "the last eight"
    assert logger.take_errors() == "it logged no error"


def test_a_thread_leaves_the_errors_of_another(trt: Any) -> None:
    """A build in one thread begins by forgetting errors; an engine fails in another at that time."""
    logger = tensorrt_logger(trt)
    logger.log(ILogger.ERROR, "the engine's")
    assert in_a_thread(logger.take_errors) == "it logged no error"
    assert logger.take_errors() == "the engine's"


def test_a_destructor_may_log_while_errors_are_taken(trt: Any) -> None:
    """The garbage collector may destroy an object of TensorRT at any time, and its destructor may log an error."""
    logger = tensorrt_logger(trt)

    def in_the_midst(line: str) -> None:
        with logger._lock:
            logger.log(ILogger.ERROR, line)

    thread = threading.Thread(target=in_the_midst, args=("a destructor's",), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "the thread waits for itself"


def test_errors_of_tensorrt_s_own_threads_are_for_any_thread(trt: Any) -> None:
    logger, logged, taken = tensorrt_logger(trt), threading.Event(), threading.Event()

    def foreign() -> None:
        logger.log(ILogger.ERROR, "a worker's")
        logged.set()
        taken.wait(10)
        threading._active.pop(threading.get_ident())  # the dummy that logging made of this thread

    _thread.start_new_thread(foreign, ())  # Python's threading does not know it, as a thread of C++
    assert logged.wait(10)
    assert logger.take_errors() == "a worker's"
    taken.set()


def test_no_code_makes_another_logger() -> None:
    """TensorRT ignores the second logger of a process, and warns."""
    found = []
    for path in (*MODULES.values(), *(ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "Logger":
                found.append(f"{path}:{node.lineno}")
    assert found == []
