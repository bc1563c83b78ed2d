"""What a client checks before its first frame, and what it says."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from mostnet.bench.gpu.standin.toy import METADATA
from mostnet.contract import ONNX_KEY, BackendNotInstalledError, ServerError, ServerUnavailableError
from mostnet.serve import TritonSession
from mostnet.serve.triton.addresses import is_local

from .camera_server import CameraServer, camera_server


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A proxy that the environment names, and that never answers."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        yield silent


def test_no_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(
            ServerUnavailableError, match=f"^{address}: the server does not answer .*; check that it"
        ) as e:
            TritonSession(address)
    assert "\n" not in str(e.value)


def test_a_server_that_says_nothing() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(ServerUnavailableError, match="does not answer"):
        TritonSession(f"127.0.0.1:{silent.getsockname()[1]}", connect_s=0.1)


def test_a_model_that_the_server_lacks(service: CameraServer) -> None:
    with pytest.raises(ServerError, match=r"model 'most' is not ready; the server has mostnet \(ready\)$"):
        TritonSession(service.address, "most")


def test_reasons_of_the_server_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [{"name": "dental", "state": "UNAVAILABLE", "reason": "no\nmemory"}, {"name": "new"}]
    answer = service_pb2.RepositoryIndexResponse(models=models)
    monkeypatch.setattr(CameraServer, "RepositoryIndex", lambda *asked: answer)
    text = r"the server has dental \(unavailable no memory\), new \(not loaded\)$"
    with camera_server() as server, pytest.raises(ServerError, match=text) as caught:
        TritonSession(server.address, "most")
    assert "\n" not in str(caught.value)


def test_a_proxy_is_not_asked_for_this_machine(service: CameraServer, proxy: socket.socket) -> None:
    TritonSession(service.address).close()
    proxy.setblocking(False)
    with pytest.raises(BlockingIOError):
        proxy.accept()


def test_a_proxy_is_asked_for_other_machines(proxy: socket.socket) -> None:
    with pytest.raises(ServerUnavailableError):
        TritonSession("gpu-server.invalid:8001", connect_s=0.2)
    with proxy.accept()[0] as asked:
        assert asked.recv(1000).startswith(b"CONNECT gpu-server.invalid:8001 ")


def test_a_model_of_another_kind(service: CameraServer) -> None:
    service.config.parameters.pop(ONNX_KEY)
    with pytest.raises(ServerError, match="no mostnet model: its configuration has no parameter 'mostnet', but none"):
        TritonSession(service.address)
    service.config.parameters["labels"].string_value = "cats"
    with pytest.raises(ServerError, match=r"but \['labels'\]; mostnet-export --triton writes one"):
        TritonSession(service.address)


def test_a_model_of_another_version(service: CameraServer) -> None:
    service.config.parameters[ONNX_KEY].string_value = replace(METADATA, format_version=99).to_json()
    with pytest.raises(ServerError, match=r"model 'mostnet': description format 99, this mostnet reads 1"):
        TritonSession(service.address)
    service.config.parameters[ONNX_KEY].string_value = json.dumps(["dw"])
    with pytest.raises(ServerError, match="is not a JSON object"):
        TritonSession(service.address)


def _grow(config: Any) -> None:
    config.output[0].dims[1] = 480


def _retype(config: Any) -> None:
    config.output[1].data_type = model_config_pb2.TYPE_FP16


def _rename(config: Any) -> None:
    config.input[0].name = "picture"


def _drop_output(config: Any) -> None:
    del config.output[2]


def _batch(config: Any) -> None:
    config.max_batch_size = 8


def _forget_sequences(config: Any) -> None:
    config.ClearField("sequence_batching")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_grow, r"has outputs enhanced UINT8 \[1, 480, 80, 3\], .*; expected enhanced UINT8 \[1, 64, 80, 3\]"),
        (_retype, r"flow FP16 \[1, 2, 64, 80\]"),
        (_rename, r"has inputs picture UINT8 \[1, 64, 80, 3\]; expected frame UINT8"),
        (_drop_output, r"expected .*mask UINT8 \[1, 64, 80\]; export it again"),
        (_batch, "has batches of 8; expected max_batch_size 0"),
        (_forget_sequences, "has no sequence_batching; expected"),
    ],
)
def test_a_model_that_does_not_fit(service: CameraServer, change: Callable[[Any], None], text: str) -> None:
    change(service.config)
    with pytest.raises(ServerError, match=text):
        TritonSession(service.address)


def test_the_order_of_outputs_does_not_matter(service: CameraServer) -> None:
    outputs = list(service.config.output)
    del service.config.output[:]
    service.config.output.extend(reversed(outputs))
    TritonSession(service.address).close()


@pytest.mark.parametrize(
    ("library", "text"),
    [
        ("tritonclient", "tritonclient is not installed"),
        ("grpc", r"tritonclient is installed without gRPC \(.*does not include grpc support.*\)"),
        ("tritonclient.grpc", r"tritonclient is installed without gRPC \(tritonclient.grpc\)"),
    ],
)
def test_without_the_client_library(library: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, *rest: object) -> None:
            if name == library:
                raise ModuleNotFoundError(name, name=name)

    for name in [name for name in sys.modules if name == "grpc" or name.partition(".")[0] == "tritonclient"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(BackendNotInstalledError, match=rf"^{text}; pip install 'mostnet\[triton\]'$"):
        TritonSession("127.0.0.1:1")


def test_the_package_loads_no_client() -> None:
    code = "import sys, mostnet.serve; print({'grpc', 'tritonclient', 'ray', 'mostnet.serve.triton'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("localhost:8001", True),
        ("127.0.0.1:8001", True),
        ("127.3.2.1:8001", True),
        ("[::1]:8001", True),
        ("dns:///localhost:8001", True),
        ("unix:/run/triton", True),
        (f"{socket.gethostname()}:8001", True),
        ("0.0.0.0:8001", True),
        ("[::]:8001", True),
        ("192.0.2.7:8001", False),
        ("gpu-server:8001", False),
        ("[2001:db8::7]:8001", False),
    ],
)
def test_addresses_of_this_machine(address: str, local: bool) -> None:
    assert is_local(address) is local
