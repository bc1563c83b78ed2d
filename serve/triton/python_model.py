"""The model that Triton's Python backend runs: an ``Engine``, and a session of it for each camera.

It is imported in a process of Triton, which brings the module ``triton_python_backend_utils``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mostnet.contract import (
    FINITE,
    OUTPUTS,
    FrameError,
    ServerBusyError,
    ServerError,
    ServerUnavailableError,
    StateLostError,
)
from mostnet.contract.files import lock_folder
from mostnet.contract.terminal import one_line
from mostnet.engine import Engine, Output

from .cameras import ServedCameras, ServedFrame
from .repository import SETTINGS_KEY, ServerSettings, remove_memory

#: Triton's flags of a request (``tritonserver.h``).
_STARTS, _ENDS = 1, 2


class TritonPythonModel:
    """Triton calls ``initialize`` once, then ``execute`` with one frame at a time, and at last ``finalize``."""

    def initialize(self, arguments: dict[str, str]) -> None:
        """Open the engine, and a session for each camera.

        Raises:
            MostnetError: the model cannot be opened here.
        """
        parameters = json.loads(arguments["model_config"])["parameters"]
        settings = ServerSettings.from_json(parameters[SETTINGS_KEY]["string_value"])
        threading.Thread(target=_end_with_the_server, args=(os.getppid(), settings.memory), daemon=True).start()
        self._lock = lock_folder(Path(settings.lock))  # held until this process ends, so that the server notices
        if sys.prefix != settings.prefix:
            raise ServerError(f"Triton runs the Python in {sys.prefix}; expected the one in {settings.prefix}")
        self._backend: Any = import_module("triton_python_backend_utils")
        self._engine = Engine(settings.engine, threads=settings.threads)
        self._engine.warm_up()
        sessions = [self._engine, *(self._engine.session() for _ in range(settings.cameras - 1))]
        self._cameras = ServedCameras(sessions, idle_s=settings.idle_s, at_once=settings.at_once)

    def execute(self, requests: Sequence[Any]) -> None:
        """Take frames. Each is answered through its own sender, so that Triton can hand over the next one."""
        for request in requests:
            frame = self._frame(request)
            try:
                self._cameras.submit(frame)
            except ServerError as error:
                frame.refuse(error)

    def finalize(self) -> None:
        """Close the engine."""
        self._cameras.close()
        self._engine.close()

    def _frame(self, request: Any) -> ServedFrame:
        sender, wanted, flags = request.get_response_sender(), request.requested_output_names(), request.flags()
        is_only_an_end = flags & _ENDS and not set(OUTPUTS) & set(wanted)
        tensor = self._backend.get_input_tensor_by_name(request, "frame")
        return ServedFrame(
            camera=request.correlation_id(),
            starts=bool(flags & _STARTS),
            ends=bool(flags & _ENDS),
            picture=None if is_only_an_end else tensor.as_numpy()[0],
            answer=lambda output: self._send(sender, tensors=_tensors(self._backend, output, wanted)),
            refuse=lambda error: self._send(sender, error=self._error(error)),
            is_cancelled=request.is_cancelled,  # this also keeps the request, which owns the picture's memory
        )

    def _send(self, sender: Any, *, tensors: Sequence[Any] = (), error: Any = None) -> None:
        response = self._backend.InferenceResponse(list(tensors), error)
        sender.send(response, flags=self._backend.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _error(self, error: Exception) -> Any:
        codes = self._backend.TritonError
        text = one_line(error)
        if isinstance(error, ServerBusyError | ServerUnavailableError):
            return codes(text, codes.UNAVAILABLE)
        if isinstance(error, StateLostError):
            return codes(text, codes.INVALID_ARG)
        if isinstance(error, FrameError):
            return codes(f"frame: {text}", codes.INVALID_ARG)
        return codes(f"engine: {text or type(error).__name__}", codes.INTERNAL)


def _tensors(backend: Any, output: Output | None, wanted: Sequence[str]) -> list[Any]:
    """Triton's tensors of the outputs that are ``wanted``, with the batch axis."""
    arrays = {FINITE: np.array([output is None or output.finite])}
    if output is not None:
        arrays |= {name: getattr(output, name)[None] for name in OUTPUTS}
    return [backend.Tensor(name, array) for name, array in arrays.items() if name in wanted]


def _end_with_the_server(server: int, memory: str) -> None:
    """End this process when Triton has ended; by itself it goes on if Triton crashes or is killed."""
    while os.getppid() == server:
        time.sleep(1.0)
    remove_memory(memory)
    os._exit(1)
