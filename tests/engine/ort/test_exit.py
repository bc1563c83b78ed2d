"""A process that ends with an open engine and an open stream, or forks one that ends: its own status, and no noise."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.toy_graph import save_toy

pytest.importorskip("onnxruntime")

HEAD = """
import itertools, multiprocessing, os, sys, threading, time
import numpy as np
from mostnet import Engine

frame = np.zeros((64, 80, 3), np.uint8)
path, results = sys.argv[1:]
engine = Engine(path, provider="cpu", results=results)

def endless():
    while True:
        yield frame

def blocked():
    yield frame
    time.sleep(1000)

def failing():
    yield frame
    raise OSError("cable out")

def daemon(work):
    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.2)
"""

#: What a process does before it ends, its exit status, and the last line on stderr.
ENDS = {
    "endless": ("stream = engine.stream(endless()); next(stream)", 0, ""),
    "endless, sys.exit": ("stream = engine.stream(endless()); next(stream); sys.exit(7)", 7, ""),
    "blocked": ("stream = engine.stream(blocked()); next(stream); sys.exit(7)", 7, ""),
    "failing": ("stream = engine.stream(failing()); next(stream); time.sleep(0.1); sys.exit(7)", 7, ""),
    "sys.exit in the loop": ("stream = engine.stream(endless())\nfor output in stream: sys.exit(7)", 7, ""),
    "an error in the loop": (
        "stream = engine.stream(endless())\nfor output in stream: raise ValueError('mine')",
        1,
        "ValueError: mine",
    ),
    "two sessions": (
        "other = engine.session(); streams = [session.stream(endless()) for session in (engine, other)]\n"
        "outputs = [next(stream) for stream in streams]; del engine; sys.exit(7)",
        7,
        "",
    ),
    "four blocked": (
        "sessions = [engine.session() for _ in range(4)]; streams = [s.stream(blocked()) for s in sessions]\n"
        "outputs = [next(stream) for stream in streams]; sys.exit(7)",
        7,
        "",
    ),
    "one stream in another": (
        "other = engine.session()\n"
        "stream = other.stream(frame for output in engine.stream(endless()))\n"
        "next(stream); sys.exit(7)",
        7,
        "",
    ),
    "a daemon thread in a stream": (
        "def work():\n    for output in engine.stream(endless()): pass\ndaemon(work); sys.exit(7)",
        7,
        "",
    ),
    "a daemon thread in infer": ("def work():\n    while True: engine.infer(frame)\ndaemon(work); sys.exit(7)", 7, ""),
    "closed at exit": (
        "import atexit; atexit.register(engine.close); stream = engine.stream(endless()); next(stream); sys.exit(7)",
        7,
        "",
    ),
}

#: What a forked child does, its exit status, and the last line on stderr.
CHILDREN = {
    "sys.exit": ("sys.exit(5)", 5, ""),
    "_exit": ("os._exit(5)", 5, ""),
    "error": ("raise ValueError('mine')", 1, "ValueError: mine"),
    "return": ("pass", 0, ""),
    "drop": ("import gc; del stream, engine; gc.collect(); sys.exit(5)", 5, ""),
    "close": ("stream.close(); engine.close(); sys.exit(5)", 5, ""),
    "its own engine": (
        "own = Engine(path, provider='cpu'); own.infer(frame); running = own.stream(endless()); next(running); "
        "sys.exit(5)",
        5,
        "",
    ),
}

PARENT = """
stream = engine.stream(endless()); next(stream); next(stream)
child = os.fork()
if child == 0:
    signal.alarm(10)
    CHILD
else:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for _ in range(5): next(stream)
    stream.close(); engine.infer(frame); engine.close()
    print(status)
"""

MULTIPROCESSING = """
stream = engine.stream(endless()); next(stream); next(stream)
def work(): sys.exit(5)
child = multiprocessing.get_context("fork").Process(target=work)
child.start(); child.join(10)
next(stream); stream.close(); engine.infer(frame)
print(child.exitcode)
"""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "toy.onnx")


def run(code: str, toy: Path, results: str = "owned") -> subprocess.CompletedProcess[str]:
    quiet = "ignore:This process:DeprecationWarning"  # Python's own, from 3.12 on, of any fork beside a thread
    command = [sys.executable, "-W", quiet, "-c", HEAD + code, str(toy), results]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def check_noise(found: str, wanted: str) -> None:
    """stderr holds nothing, or one traceback that ends with ``wanted``."""
    assert found.count("Traceback") == bool(wanted), found
    assert found.splitlines()[-1:] == [wanted][: bool(wanted)], found


@pytest.mark.parametrize("results", ["owned", "borrowed"])
@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_a_process(toy: Path, end: str, results: str) -> None:
    code, status, noise = ENDS[end]
    begun_s = time.perf_counter()
    done = run(code, toy, results)
    assert time.perf_counter() - begun_s < 10
    assert done.returncode == status, done.stderr
    check_noise(done.stderr, noise)


@forks
@pytest.mark.parametrize("end", CHILDREN)
def test_the_end_of_a_forked_child(toy: Path, end: str) -> None:
    code, status, noise = CHILDREN[end]
    done = run("import signal" + PARENT.replace("CHILD", code), toy)
    assert (done.returncode, done.stdout.split()) == (0, [str(status)]), done.stderr
    check_noise(done.stderr, noise)


@forks
def test_the_end_of_a_child_of_multiprocessing(toy: Path) -> None:
    done = run(MULTIPROCESSING, toy)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["5"], "")
