"""The report's end of the link to its workers, and the programs that it runs."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from time import monotonic

import pytest

from mostnet.bench.gpu.link import ProcessLink, StopAsked, WorkerPool, run_module
from mostnet.contract import MeasurementError


def test_a_program_that_does_not_heed_the_end_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    begun_s = monotonic()
    with pytest.raises(MeasurementError, match="timeit took longer than 1 s and was ended"):
        run_module(sys.executable, ["timeit", "-n1", "-r1", code], tmp_path / "log.txt", limit_s=1)
    assert monotonic() - begun_s < 20


def test_a_preparation_that_is_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    cases = tmp_path / "cases"
    arguments = ["mostnet.bench.gpu.prepare", str(cases), "--only", "dw-1080p", "--no-warps"]
    with pytest.raises(StopAsked):
        run_module(
            sys.executable,
            arguments,
            tmp_path / "log.txt",
            limit_s=60,
            stop=lambda: list(cases.glob(".mostnet-*/*/case.pt")),
        )
    assert list(cases.iterdir()) == []


@pytest.mark.parametrize("constant", ["NaN", "-Infinity"])
def test_an_answer_without_finite_numbers_is_a_failure(tmp_path: Path, constant: str) -> None:
    code = f'input(); print(\'{{"done": {{"epe_px": {constant}}}}}\')'
    link = ProcessLink([sys.executable, "-c", code], tmp_path / "log.txt")
    with pytest.raises(MeasurementError, match=rf"check: the answer holds {constant}; expected finite numbers"):
        link.ask("check", timeout_s=30)
    link.close()


def test_a_worker_that_hangs_or_dies(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    hangs = ProcessLink([sys.executable, "-c", "import time; time.sleep(60)"], log)
    assert hangs.alive
    with pytest.raises(MeasurementError, match=r"no answer to 'info' within 0 s; killed"):
        hangs.ask("info", timeout_s=0.2)
    hangs.close()
    assert not hangs.alive
    dies = ProcessLink([sys.executable, "-c", "import sys; sys.exit('no such library')"], log)
    with pytest.raises(MeasurementError, match=r"ended with status 1; .*no such library"):
        dies.ask("info", timeout_s=30)
    dies.close()
    dies.close()


def test_workers_end_at_the_same_time(tmp_path: Path) -> None:
    slow = "import sys, time; print(flush=True); sys.stdin.read(); time.sleep(2)"

    def start(part: str, python: str, folder: Path, log: Path) -> ProcessLink:
        return ProcessLink([python, "-c", slow], log)

    pool = WorkerPool(start, tmp_path / "log.txt")
    links = [pool.link(tmp_path, part, sys.executable) for part in ("tensorrt", "torch", "ort")]
    for link in links:
        link._lines.get(timeout=30)  # it runs
    begun_s = monotonic()
    pool.close()
    assert monotonic() - begun_s < 5
    assert not any(link.alive for link in links)


def test_a_stop_ends_the_wait_for_a_worker_and_for_a_program(tmp_path: Path) -> None:
    log, sleep = tmp_path / "log.txt", "import time; time.sleep(60)"
    (tmp_path / "sleeper.py").write_text(sleep)
    stopped = threading.Event()
    threading.Timer(0.5, stopped.set).start()
    begun_s = monotonic()
    link = ProcessLink([sys.executable, "-c", sleep], log, stop=stopped.is_set)
    with pytest.raises(StopAsked):
        link.ask("info", timeout_s=60)
    link.close()
    with pytest.raises(StopAsked):
        run_module(sys.executable, ["timeit", sleep], log, limit_s=60, stop=stopped.is_set)
    assert monotonic() - begun_s < 10


def test_a_program_that_is_too_slow_is_ended(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="timeit took longer than 1 s and was ended"):
        run_module(sys.executable, ["timeit", "import time; time.sleep(60)"], tmp_path / "log.txt", limit_s=1)


def test_signals_to_the_group_do_not_reach_a_worker(tmp_path: Path) -> None:
    """Ctrl-C and ``timeout`` signal the whole group; the report must still be able to ask its workers."""
    code = (
        "import os, signal, sys, time, pathlib\n"
        "from mostnet.bench.gpu.link import ProcessLink\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)  # a program that it starts does not inherit this\n"
        "link = ProcessLink([sys.executable, '-c', 'import time; time.sleep(60)'], pathlib.Path(sys.argv[1]))\n"
        "os.killpg(0, signal.SIGTERM)\n"
        "time.sleep(0.5)\n"
        "print(link.alive)\n"
        "link._process.kill()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log")], capture_output=True, text=True, start_new_session=True
    )
    assert done.stdout.strip() == "True", done.stderr


_REPORT = """
import sys, time
from pathlib import Path
from mostnet.bench.gpu.link import ProcessLink, run_module
code = "import os, time; from mostnet.contract.stopping import end_with_parent; end_with_parent(); "
code += "print(os.getpid(), flush=True); time.sleep(60)"
link = ProcessLink([sys.executable, "-c", code], Path(sys.argv[1]))
print(link._lines.get(), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the processes of Linux")
def test_a_worker_ends_with_a_report_that_is_killed(tmp_path: Path) -> None:
    report = subprocess.Popen([sys.executable, "-c", _REPORT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert report.stdout is not None
    worker = Path(f"/proc/{int(report.stdout.readline())}")
    report.kill()
    report.communicate()
    for _ in range(50):
        if not worker.exists():
            break
        time.sleep(0.1)
    assert not worker.exists()
