"""Memory that the server maps, too: it leaves no file, is given back, and is never silently needed."""

import errno
import gc
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.contract import ServerError
from mostnet.serve import TritonSession
from mostnet.serve.triton import carriers, served_model

from .camera_server import CameraServer, camera_server

FRAMES = [frame_of(number) for number in range(4)]
FOLDER = Path("/dev/shm")


def files(process: int | None = None) -> list[str]:
    """Names of shared memory of this process, or of another one."""
    return [file.name for file in FOLDER.glob(f"mostnet-camera-{process or os.getpid()}-*")]


def test_it_has_no_name_while_it_is_used_and_is_given_back(service: CameraServer) -> None:
    with TritonSession(service.address) as session:
        assert session.shared_memory, "the address is this machine's"
        session.infer(FRAMES[1])
        assert (files(), len(service.regions)) == ([], 1)
    assert (files(), service.regions) == ([], {})


def test_messages_hold_no_picture(service: CameraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    infer = CameraServer.ModelInfer

    def measured(server: CameraServer, request: object, context: object) -> object:
        answer = infer(server, request, context)
        sizes.extend([request.ByteSize(), answer.ByteSize()])  # type: ignore[attr-defined]
        return answer

    monkeypatch.setattr(CameraServer, "ModelInfer", measured)
    with camera_server() as server, TritonSession(server.address) as session:
        session.infer(FRAMES[0])
        session.warm_up()
    assert max(sizes) < 1000 < FRAMES[0].nbytes


def test_borrowed_results_outlive_the_session_and_then_the_memory_is_freed(service: CameraServer) -> None:
    with TritonSession(service.address, results="borrowed") as session:
        mask = session.infer(FRAMES[2]).mask
    gc.collect()
    assert history(mask) == [2]
    memory = mask
    while isinstance(memory.base, np.ndarray):
        memory = memory.base
    freed = weakref.ref(memory)
    del mask, memory
    gc.collect()
    assert freed() is None


def test_a_killed_process_leaves_no_file(service: CameraServer) -> None:
    code = (
        "import os, sys, signal; import numpy as np; from mostnet.serve import TritonSession\n"
        "session = TritonSession(sys.argv[1], shared_memory=True); session.infer(np.zeros((64, 80, 3), np.uint8))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    client = subprocess.Popen([sys.executable, "-c", code, service.address])
    assert client.wait(60) == -signal.SIGKILL
    (name,) = service.regions
    assert str(client.pid) in name
    assert files(client.pid) == []


def test_a_server_that_cannot_map_it_gets_messages(caplog: pytest.LogCaptureFixture) -> None:
    with camera_server(shares=False) as server:
        with TritonSession(server.address) as session:
            assert not session.shared_memory
            assert "by messages" in repr(session)
            assert history(session.infer(FRAMES[3]).mask) == [3]
        assert "in messages, because no memory can be shared" in caplog.text
        with pytest.raises(
            ServerError, match=r"no memory can be shared with the server \(.*Unable to open.*; run both"
        ):
            TritonSession(server.address, shared_memory=True)
    assert files() == []


def test_too_little_of_it(service: CameraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with TritonSession(service.address) as session:
        assert history(session.infer(FRAMES[3]).mask) == [3]
        assert not session.shared_memory
    with pytest.raises(ServerError, match="No space left"):
        TritonSession(service.address, shared_memory=True)
    assert files() == []


@pytest.mark.parametrize("change", ["address", "system"])
def test_nothing_is_tried_elsewhere(
    service: CameraServer, change: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if change == "address":
        monkeypatch.setattr(served_model, "is_local", lambda address: False)
    else:
        monkeypatch.setattr(carriers, "_SHARED", Path("/nowhere"))
    with TritonSession(service.address) as session:
        assert not session.shared_memory
    assert caplog.text == ""
