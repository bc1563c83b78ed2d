"""The reading threads of one session: that of its running stream, and those whose source did not end with theirs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mostnet.contract import EngineBusyError, EngineTimeoutError

from .pipeline import READER_WAIT_S, Pipeline


class Readers:
    """Pipelines from their start until their reader has ended."""

    def __init__(self) -> None:
        self._pipelines: list[Pipeline] = []

    def add(self, pipeline: Pipeline) -> None:
        """One more; before it starts."""
        self._pipelines.append(pipeline)

    def prune(self) -> None:
        """Forget those that have ended."""
        self._pipelines = [pipeline for pipeline in self._pipelines if pipeline.reading]

    def here(self) -> Pipeline | None:
        """The one whose source runs in this thread, or None."""
        for pipeline in self._pipelines:
            if pipeline.is_here:
                return pipeline
        return None

    def reclaim(self, limit_ms: float | None) -> None:
        """Return when no source of an earlier stream can write to memory that the next frame may come to lie in.

        Raises:
            EngineBusyError: one does not return from ``next``, within ``limit_ms`` or two seconds.
        """
        if self._pipelines:
            self.prune()
        for pipeline in self._pipelines:
            if pipeline.holds_buffer:
                pipeline.join(READER_WAIT_S if limit_ms is None else min(READER_WAIT_S, limit_ms / 1e3))
            if pipeline.holds_buffer:
                raise EngineBusyError(
                    "the source of an earlier stream still has an input buffer of this session and does not return "
                    "from next(): it could write into this frame; let it end, or take another engine.session()"
                )


def lend_to_source(
    pipeline: Pipeline, lend: Callable[[], npt.NDArray[np.uint8]], wait_ms: float | None
) -> npt.NDArray[np.uint8] | None:
    """What ``lend`` gives, once a slot is free; None if the stream has ended.

    Raises:
        EngineTimeoutError: none became free within ``wait_ms``.
    """
    if not pipeline.reserve(wait_ms):
        raise EngineTimeoutError(
            f"no slot was free for an input buffer within {wait_ms:g} ms (timeout_ms): the consumer of the stream is "
            "slower than its source"
        )
    return pipeline.lend(lend)
