"""ONNX Runtime reports nothing to its maker."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mostnet.engine.ort.telemetry import refuse_telemetry, warn_of_telemetry
from tests.toy_graph import save_toy

VARIABLE = "ORT_DISABLE_TELEMETRY"

#: Without the variable, ONNX Runtime 1.32 writes within three seconds of its import, and looks up a host within 15.
WAIT_S = 20


def environment(home: Path, **changes: str) -> dict[str, str]:
    """That of a user with nothing in the home folder, and without the variable, unless it is in ``changes``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_") and name != VARIABLE}
    return {**kept, "HOME": str(home), "USERPROFILE": str(home), "LOCALAPPDATA": str(home), **changes}


def answer(code: str, home: Path, **changes: str) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(home, **changes))
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.slow
def test_an_engine_writes_nothing_at_home_and_looks_nobody_up(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    toy, home, calls = save_toy(tmp_path / "toy.onnx"), tmp_path / "home", tmp_path / "calls"
    home.mkdir()
    code = (
        "import sys, time, numpy; from mostnet import Engine\n"
        "with Engine(sys.argv[1], provider='cpu') as engine:\n"
        "    engine.infer(numpy.zeros((64, 80, 3), numpy.uint8))\n"
        f"    time.sleep({WAIT_S})"
    )
    tool = shutil.which("strace")
    trace = [tool, "-f", "-qq", "-e", "trace=socket,connect,sendto,sendmsg,sendmmsg", "-o", calls] if tool else []
    done = subprocess.run(
        [*map(str, trace), sys.executable, "-c", code, str(toy)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(home),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.rglob("*")) == []
    if tool:
        assert "AF_INET" not in calls.read_text()


@pytest.mark.parametrize(("given", "kept"), [(None, "1"), ("", "1"), ("0", "0"), ("1", "1"), ("false", "false")])
def test_the_user_decides(tmp_path: Path, given: str | None, kept: str) -> None:
    """Also in the processes that this one starts."""
    code = "import mostnet, os, subprocess, sys; subprocess.run([sys.executable, '-c', {!r}], check=True)".format(
        f"import os; print(os.environ[{VARIABLE!r}])"
    )
    assert answer(code, tmp_path, **({} if given is None else {VARIABLE: given})) == kept


def test_an_import_before_ours_is_too_late(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", sys)
    monkeypatch.delenv(VARIABLE, raising=False)
    warn_of_telemetry.cache_clear()
    refuse_telemetry()
    assert VARIABLE not in os.environ
    with caplog.at_level(logging.WARNING, "mostnet"):
        warn_of_telemetry()
        warn_of_telemetry()
    assert [record.getMessage() for record in caplog.records] == [
        "onnxruntime was imported before mostnet, so it may report its use to its maker; import mostnet first, or set "
        "ORT_DISABLE_TELEMETRY=1 (0 allows it, and ends this warning)"
    ]
    warn_of_telemetry.cache_clear()


def test_an_engine_says_that_it_is_too_late(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    toy = save_toy(tmp_path / "toy.onnx")
    code = f"import {{}}; from mostnet import Engine; Engine({str(toy)!r}, provider='cpu').close()"
    for first, changes, lines in (
        ("onnxruntime, mostnet", {}, 1),
        ("mostnet, onnxruntime", {}, 0),
        ("onnxruntime, mostnet", {VARIABLE: "1"}, 0),
    ):
        command = [sys.executable, "-c", code.format(first)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path, **changes))
        assert done.returncode == 0
        assert len(done.stderr.splitlines()) == lines, done.stderr
