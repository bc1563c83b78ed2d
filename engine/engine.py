"""``Engine``: opens a model file and runs frames through it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, SupportsIndex

from mostnet.contract import OUTPUTS, EngineCopyError, ModelFileError, OutputName

from .open_model import open_model
from .options import Options, Provider, ResultKind
from .session import Session
from .usage import Usage


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
        outputs: Sequence[OutputName] = OUTPUTS,
        slots: int = 3,
        threads: int | None = None,
        provider: Provider = "auto",
        timeout_ms: float | None = None,
        graphs: bool = True,
        results: ResultKind = "owned",
        device: int | None = None,
    ) -> None:
        """Open ``path`` (``.onnx`` or ``.plan``) and allocate everything that frames need.

        Args:
            path: the model file; a plan has its ``.plan.json`` beside it.
            outputs: the outputs to copy to the caller, some of ``enhanced``, ``flow`` and ``mask``.
            slots: largest number of frames in flight; with 3, copy in, compute and copy out of three frames overlap.
            threads: CPU threads of the network; None takes every core this process may use.
            provider: ``cuda`` (or ``gpu``) runs on the GPU or fails, ``cpu`` ignores any GPU, ``auto`` runs on a GPU if
                it can.
            timeout_ms: longest wait for one frame, for calls that give no ``timeout_ms``; None waits without limit.
                On a GPU, Ctrl-C during a wait without limit takes effect when the frame is done.
            graphs: run a plan as CUDA graphs, one launch per frame; the results are the same either way.
            results: what ``Output`` holds.

                - ``owned``: arrays that belong to the caller. Their memory is used again when nothing refers to it: no
                  array, view, buffer or tensor made of it. A bare address does not count.
                - ``borrowed``: read-only views of a slot's host memory, without a copy.
                - ``device``: ``DeviceArray`` in a slot's GPU memory; only ``finite`` comes to the host.

                The ``slots``-th frame submitted after a frame overwrites its borrowed or device result. ``infer``
                submits one frame per call, so a result is valid for ``slots - 1`` more calls. ``stream`` reads ahead,
                so a result is valid until the loop asks for the next one. If the loop ends early, its last result is
                valid until the next call that takes a frame. Finish all reads by then, including reads on GPU streams.
                The memory itself stays readable after ``close``.
            device: CUDA's number of the GPU to run on, or else fail; None takes the first GPU, as ``provider`` says.
                Frames and results on the device are then those of this GPU.

        Raises:
            ValueError: an option is unknown or out of range.
            ModelMissingError: there is no such file.
            ModelFileError: the file is truncated, altered or not made by mostnet-export.
            BackendNotInstalledError: the library that runs this kind of file is not installed.
            NoGpuError: the file, ``provider``, ``device`` or ``results`` needs a GPU and it cannot be used.
            PlanMismatchError: the plan was built by another version of TensorRT, or for another GPU.
            DeviceMemoryError: weights or buffers do not fit; memory already taken was freed.
            DeviceError: the GPU or TensorRT rejects a call.
        """
        options = Options(
            outputs=outputs,
            slots=slots,
            threads=threads,
            provider=provider,
            timeout_ms=timeout_ms,
            graphs=graphs,
            results=results,
            device=device,
        )
        if not os.fspath(path):
            raise ModelFileError("the path of the model is empty; expected that of a .onnx or .plan file")
        model = open_model(Path(path), options)
        try:
            super().__init__(model, options)
        except BaseException:
            model.close()
            raise
        # Usages, not sessions: a running stream keeps its usage alive even if nothing else holds the session.
        self._usages: weakref.WeakSet[Usage] = weakref.WeakSet()
        self._absolute = Path(path).absolute()  # the working folder may be another one when it is pickled

    def session(self) -> Session:
        """Open another session with its own state and buffers, and the same weights. ``Engine.close`` closes it too."""
        with self._usage.guard:
            self._usage.check()
            session = Session(self._model, self._options)
            self._usages.add(session._usage)
            return session

    def close(self) -> None:
        """Close all sessions of the engine and release the model. May be called twice."""
        super().close()
        for usage in list(self._usages):
            usage.close()
        self._model.close()

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """Pickle the path and the options: another process opens the file again, with state and statistics of its own.

        Raises:
            EngineClosedError: the engine is closed.
        """
        self._usage.check()
        return _reopen, (type(self), self._absolute, asdict(self._options))

    def __copy__(self) -> NoReturn:
        """Refuse to be copied: that would load the weights again."""
        self._refuse_copy()

    def __deepcopy__(self, memo: object) -> NoReturn:
        """Refuse, as ``__copy__``."""
        self._refuse_copy()

    def _refuse_copy(self) -> NoReturn:
        raise EngineCopyError(
            "an Engine is not copied, because a copy would load the weights again; take engine.session() for another "
            "stream of frames, or pickle the Engine for another process"
        )


def _reopen(kind: type[Engine], path: Path, options: dict[str, Any]) -> Engine:
    return kind(path, **options)
