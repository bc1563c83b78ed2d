"""A server in this process with Triton's own gRPC service. It runs the toy network, with a state for each sequence.

The network is the one in NumPy: tests trace and patch every engine of their process.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from mostnet.bench.gpu.standin.toy import METADATA, OUTPUTS, SIZE_HW, STATES, step, zero_state
from mostnet.contract import ONNX_KEY, input_spec
from tests.engine.fake import Gate

WORKERS = 8
TYPES = {"uint8": "UINT8", "float32": "FP32", "bool": "BOOL"}
PICTURES = OUTPUTS[:4]


def toy_config(name: str) -> model_config_pb2.ModelConfig:
    """The configuration that an exported model has in a server."""
    config = model_config_pb2.ModelConfig(name=name, sequence_batching=model_config_pb2.ModelSequenceBatching())
    config.parameters[ONNX_KEY].string_value = METADATA.to_json()
    for tensors, specs in ((config.input, [input_spec(SIZE_HW)]), (config.output, PICTURES)):
        for spec in specs:
            tensors.add(name=spec.name, data_type=f"TYPE_{TYPES[spec.dtype]}", dims=spec.shape)
    return config


class CameraServer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves one model.

    Attributes:
        config: the model's configuration.
        gate: each frame passes it before it runs; a failure there is a refusal.
        places: most sequences at a time.
        sequences: the state of each open sequence, by its number.
        regions: the shared memory that is registered, by name.
        requests: ``(number, start, end, outputs)`` of each request, in order.
        last_frame: the frame of the latest request.
        last_wait_us: how long the latest request may wait for a place, in microseconds; 0 if it does not say.
        refusal, failure: an error ``(status, text)`` that the next frame gets before, or after, it ran.
        shapes: shapes that the server tells of outputs, by name, in place of the true ones.
    """

    def __init__(self, *, shares: bool = True, port: int = 0) -> None:
        """Serve at a free port, or at ``port``; ``shares`` lets clients register memory."""
        self.config = toy_config("mostnet")
        self.gate = Gate()
        self.places = 100
        self.sequences: dict[int, dict[str, np.ndarray]] = {}
        self.regions: dict[str, mmap.mmap] = {}
        self.requests: list[tuple[int, bool, bool, list[str]]] = []
        self.last_frame = np.zeros(0, np.uint8)
        self.last_wait_us = 0
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.failure: tuple[grpc.StatusCode, str] | None = None
        self.shapes: dict[str, list[int]] = {}
        self._shares = shares
        self._pool = ThreadPoolExecutor(WORKERS)
        full = threading.Barrier(WORKERS)
        for started in [self._pool.submit(full.wait) for _ in range(WORKERS)]:  # so that the number never grows
            started.result()
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def stop(self) -> None:
        """End at once, and drop connections and frames under way."""
        self._server.stop(None).wait()
        self._pool.shutdown()

    def forget(self) -> None:
        """Lose all sequences and registrations, as after an idle time or a restart."""
        self.sequences.clear()
        self.regions.clear()

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=request.name == self.config.name)

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelConfigResponse(config=self.config)

    def RepositoryIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.RepositoryIndexResponse(
            models=[{"name": self.config.name, "version": "1", "state": "READY"}]
        )

    def SystemSharedMemoryRegister(self, request: Any, context: Any) -> Any:  # noqa: N802
        if not self._shares:
            context.abort(grpc.StatusCode.INTERNAL, f"Unable to open shared memory region: '{request.key}'")
        handle = os.open(f"/dev/shm{request.key}", os.O_RDWR)
        self.regions[request.name] = mmap.mmap(handle, request.offset + request.byte_size)
        os.close(handle)
        return service_pb2.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.regions.pop(request.name, None)
        return service_pb2.SystemSharedMemoryUnregisterResponse()

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        number = request.parameters["sequence_id"].int64_param
        start, end = (request.parameters[f"sequence_{key}"].bool_param for key in ("start", "end"))
        outputs = [output.name for output in request.outputs]
        self.requests.append((number, start, end, outputs))
        frame = self._frame(request, context)
        self.last_frame = frame.copy()
        self.last_wait_us = request.parameters["timeout"].int64_param
        if self.refusal is not None:
            (status, text), self.refusal = self.refusal, None
            context.abort(status, text)
        state = self._state(number, start, context)
        try:
            self.gate.enter("execute")
        except OSError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"busy: {error}")
        result = step({"frame": frame, **state})
        self.sequences[number] = {pair.input.name: result[pair.output.name] for pair in STATES}
        if end:
            del self.sequences[number]
        if self.failure is not None:
            (status, text), self.failure = self.failure, None
            context.abort(status, text)
        answer = service_pb2.ModelInferResponse(model_name=self.config.name, model_version="1")
        for wanted in request.outputs:
            self._put(answer, wanted, result)
        return answer

    def _state(self, number: int, start: bool, context: Any) -> dict[str, np.ndarray]:
        if start and number not in self.sequences and len(self.sequences) >= self.places:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"busy: {self.places} cameras are served; no place is free")
        if not start and number not in self.sequences:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"inference request for sequence {number} to model 'mostnet' must specify the START flag on the first "
                "request of the sequence",
            )
        return zero_state() if start else self.sequences[number]

    def _frame(self, request: Any, context: Any) -> np.ndarray:
        (tensor,) = request.inputs
        content: Any = request.raw_input_contents[0] if request.raw_input_contents else self._memory(tensor, context)
        return np.frombuffer(content, np.uint8).reshape(tensor.shape)

    def _memory(self, tensor: Any, context: Any) -> memoryview:
        name = tensor.parameters["shared_memory_region"].string_param
        if name not in self.regions:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Unable to find shared memory region: '{name}'")
        start = tensor.parameters["shared_memory_offset"].int64_param
        return memoryview(self.regions[name])[start:][: tensor.parameters["shared_memory_byte_size"].int64_param]

    def _put(self, answer: Any, wanted: Any, result: Any) -> None:
        spec = next(spec for spec in PICTURES if spec.name == wanted.name)
        content = result[spec.name].tobytes()
        answer.outputs.add(name=spec.name, datatype=TYPES[spec.dtype], shape=self.shapes.get(spec.name, spec.shape))
        if "shared_memory_region" in wanted.parameters:
            self._memory(wanted, None)[:] = content
            answer.raw_output_contents.append(b"")  # as Triton does
        else:
            answer.raw_output_contents.append(content)


@contextmanager
def camera_server(**options: Any) -> Iterator[CameraServer]:
    """A server that is stopped after the block."""
    server = CameraServer(**options)
    try:
        yield server
    finally:
        server.stop()
