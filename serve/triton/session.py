"""Cameras whose network runs in a Triton server, with the interface of ``Engine``."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, Literal, NoReturn, TypeAlias

from mostnet.contract import OUTPUTS, EngineCopyError, OutputName
from mostnet.contract.terminal import counted
from mostnet.engine import Session
from mostnet.engine.options import Options
from mostnet.engine.usage import Usage

from .lane import CameraLane
from .late_close import CameraUsage
from .served_model import ServedModel

#: As for an engine: ONNX Runtime plans its memory in the first run and takes it in the second.
_WARM_UPS = 2

SharedMemory: TypeAlias = Literal["auto"] | bool


class CameraSession(Session):
    """One camera of a ``TritonSession``, made by ``TritonSession.session``."""

    _model: ServedModel
    _lane: CameraLane
    _usage_kind = CameraUsage

    @property
    def address(self) -> str:
        """The server's address, as it was given."""
        return self._model.address

    @property
    def model(self) -> str:
        """The server's name of the model."""
        return self._model.name

    @property
    def shared_memory(self) -> bool:
        """True if frames and results are in memory shared with the server, false if messages carry them."""
        return self._lane.shares_memory

    def warm_up(self) -> None:
        """Run a black frame twice, so that the server is warm before the first frame.

        It is a sequence of its own, with a place of its own in the server while it runs: this camera's state, frame
        numbers and statistics stay as they are. A borrowed result expires as if one frame had been submitted. The same
        threads may call this as ``infer``.

        Raises:
            ServerBusyError: the server has no place for one more sequence.
            ServerError: as ``infer``.
        """
        super().warm_up()

    def _warm_up(self) -> None:
        for _ in range(_WARM_UPS):
            self._lane.warm_up()

    def __repr__(self) -> str:
        about = self.metadata
        way = "shared memory" if self.shared_memory else "messages"
        state = f"{'closed' if self.closed else 'open'}, {counted(self.stats.frames, 'frame')}"
        return (
            f"<{type(self).__name__} {self.model} at {self.address}: {about.variant} {self.size_hw[0]}x"
            f"{self.size_hw[1]} {about.precision} by {way}, {state}>"
        )

    def _refuse_copy(self) -> NoReturn:
        raise EngineCopyError(
            "a TritonSession has a state in the server and a connection of its own, and is neither copied nor pickled; "
            "open another TritonSession, also in another process"
        )


class TritonSession(CameraSession):
    """A camera whose network and state are in a Triton server.

    ::

        with TritonSession("gpu-server:8001", model="mostnet") as session:
            out = session.infer(frame)                             # uint8 (H, W, 3) BGR
            for out in session.stream(frames, drop="oldest"): ...  # the newest frame of a live source
            session.reset()                                        # new clip
            with session.session() as second_camera: ...           # own state, same model

    One frame of a camera is in the server at a time. Memory of frames and results is used as by ``Engine``.

    Errors of every call that runs a frame, beside those of ``Session``:

    - ServerBusyError: the server has no place for this camera or frame. Nothing has changed; the next frame goes on.
    - StateLostError: the server no longer has the camera's state: the connection broke, the server was restarted or
      cancelled the frame, or the camera was silent for longer than the server waits. Every frame raises it until
      ``reset``. Triton, with a repository of ``mostnet-export``, counts from the arrival of the last frame.
    - ServerUnavailableError: a frame that starts from zero state finds no server. The next frame tries again.
    - ServerError: the server failed. Unless it refused the frame without running it, the state is unknown, and every
      further frame raises StateLostError until ``reset``.
    """

    def __init__(
        self,
        address: str = "localhost:8001",
        model: str = "mostnet",
        *,
        outputs: Sequence[OutputName] = OUTPUTS,
        slots: int = 3,
        timeout_ms: float | None = None,
        results: Literal["owned", "borrowed"] = "owned",
        shared_memory: SharedMemory = "auto",
        connect_s: float = 5.0,
    ) -> None:
        """Connect to a server and read the description of its model.

        Args:
            address: the server's gRPC address, ``host:port`` or ``unix:path``.
            model: its name of a model that ``mostnet-export --triton`` described.
            outputs: the outputs to fetch, some of ``enhanced``, ``flow`` and ``mask``. ``flow`` is two thirds of the
                bytes.
            slots: largest number of frames between source and consumer of ``stream``.
            timeout_ms: longest wait for one frame, for calls that give no ``timeout_ms``. None waits for a minute; an
                answer that takes longer counts as a broken connection.
            results: ``owned`` results belong to the caller. ``borrowed`` ones are read-only, and saved a copy; with
                shared memory, the ``slots``-th frame after theirs overwrites them.
            shared_memory: True puts frames and results into memory that the server shares, or fails; False sends them
                in messages; ``auto`` shares memory if the address is this machine's and the server can map it.
            connect_s: longest wait for each answer of the server while connecting, in seconds.

        Raises:
            ValueError: an option is unknown or out of range.
            BackendNotInstalledError: tritonclient is not installed, or without gRPC.
            ServerUnavailableError: no server answers at ``address``.
            ServerError: the server has no such model ready, the model is not one of this version of mostnet, or memory
                cannot be shared and ``shared_memory`` is True.
        """
        options = Options(outputs=outputs, slots=slots, timeout_ms=timeout_ms, results=results)
        _check(address, model, results, shared_memory, connect_s)
        share = None if shared_memory == "auto" else shared_memory
        super().__init__(ServedModel(address, model, share=share, connect_s=connect_s), options)
        self._usages: weakref.WeakSet[Usage] = weakref.WeakSet()

    def session(self) -> CameraSession:
        """Open another camera of the same model, with a state and a connection of its own; ``close`` closes it too."""
        with self._usage.guard:
            self._usage.check()
            session = CameraSession(self._model, self._options)
            self._usages.add(session._usage)
            return session

    def close(self) -> None:
        """End the camera's sequence, so that its place in the server is free at once, and close all its sessions.

        May be called twice. For each camera, this waits up to 5 s for a late frame, then up to 2.5 s for the server.
        After that, the late frame's place and memory come free when it is done, without a further wait. A server that
        does not answer in time frees the place by its idle time. So it does when a process ends without ``close``.
        """
        super().close()
        for usage in list(self._usages):
            usage.close()


def _check(address: Any, model: Any, results: str, shared_memory: Any, connect_s: Any) -> None:
    for name, text in (("address", address), ("model", model)):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{name} is {text!r}; expected a text, such as 'localhost:8001' and 'mostnet'")
        if not text.isprintable():
            raise ValueError(f"{name} is {text!r}; expected a text of one line without control characters")
    if results == "device":
        raise ValueError("results is 'device', and those of a server come to the host; expected 'owned' or 'borrowed'")
    if shared_memory != "auto" and not isinstance(shared_memory, bool):
        raise ValueError(f"shared_memory is {shared_memory!r}; expected True, False or 'auto'")
    if isinstance(connect_s, bool) or not isinstance(connect_s, int | float) or not 0 < connect_s < float("inf"):
        raise ValueError(f"connect_s is {connect_s!r}; expected a number of seconds above 0")
