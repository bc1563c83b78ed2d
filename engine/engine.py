"""A model file opened for use."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from pathlib import Path

from mostnet.contract import OUTPUTS

from .open_model import open_model
from .options import Options
from .session import Session


class Engine(Session):
    """The first session of a model, and the owner of its weights.

    ::

        with Engine("model.onnx") as engine:
            out = engine.infer(frame)                        # uint8 (H, W, 3) BGR
            for out in engine.stream(frames): ...            # overlapped, in order
            engine.reset()                                   # new clip
            with engine.session() as second_camera: ...      # own state, shared weights
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        outputs: Sequence[str] = OUTPUTS,
        slots: int = 3,
        threads: int | None = None,
        provider: str = "auto",
        timeout_ms: float | None = None,
        graphs: bool = True,
        results: str = "owned",
    ) -> None:
        """Open ``path`` (``.onnx`` or ``.plan``) and allocate everything that frames need.

        Args:
            path: the model file; a plan has its ``.plan.json`` beside it.
            outputs: the outputs that are copied to the caller, out of ``enhanced``, ``flow`` and ``mask``.
            slots: frames in flight at most; with 3, copy in, compute and copy out of three frames overlap.
            threads: CPU threads of the network; None takes every core this process may use.
            provider: ``cuda`` runs on the GPU or fails, ``cpu`` does not look for one, ``auto`` takes what it finds.
            timeout_ms: longest wait for one frame, where a call names none.
            graphs: let a plan run as CUDA graphs, one launch per frame; the results are the same either way.
            results: what ``Output`` holds. ``owned``: fresh arrays, the caller's for good. ``borrowed``: read-only
                views of a slot's host memory, without a copy. ``device``: ``DeviceArray`` in a slot's GPU memory;
                nothing but ``finite`` comes to the host. What is not owned is overwritten by the ``slots``-th frame
                submitted after its own. ``infer`` submits one a call, so results are good for ``slots - 1`` more
                calls. ``stream`` reads ahead, so a result is good until the next one is asked for; the last one before
                the loop is left, until the next call that takes a frame. Whoever reads it has done by then, on a GPU
                stream too. The memory itself stays readable after ``close``.

        Raises:
            ValueError: an option is unknown or out of range.
            ModelFileError: the file is missing, truncated, altered or not ours.
            BackendNotInstalledError: the library that runs this kind of file is not installed.
            NoGpuError: the file, ``provider`` or ``results`` needs a GPU and none can be used.
            PlanMismatchError: the plan is of another version of TensorRT, or for another GPU.
            DeviceMemoryError: weights or buffers do not fit; what had been taken was given back.
            DeviceError: the GPU or TensorRT refuses something.
        """
        options = Options(
            outputs=outputs,
            slots=slots,
            threads=threads,
            provider=provider,
            timeout_ms=timeout_ms,
            graphs=graphs,
            results=results,
        )
        model = open_model(Path(path), options)
        try:
            super().__init__(model, options)
        except BaseException:
            model.close()
            raise
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()

    def session(self) -> Session:
        """Another session: own state and buffers, shared weights. Closed with the engine at the latest."""
        with self._guard:
            self._check_usable()
            session = Session(self._model, self._options)
            self._sessions.add(session)
            return session

    def close(self) -> None:
        """Close all sessions of the engine, and let go of the model. Twice without harm."""
        super().close()
        for session in list(self._sessions):
            session.close()
        self._model.close()
