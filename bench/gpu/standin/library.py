"""One generation of TensorRT as the stand-in imitates it: what it has, what it lacks, and when it fails."""

from __future__ import annotations

import weakref
from typing import Any

from mostnet.contract import TensorSpec

from .plan import VERSION
from .runner import Runner

#: Importable package of each generation, and the version that it tells.
GENERATIONS = {"8.6": "tensorrt", "10.0": "tensorrt", "11.4": "tensorrt", "rtx": "tensorrt_rtx"}
VERSIONS = {"8.6": VERSION, "10.0": "10.0-standin", "11.4": "11.4-standin", "rtx": "1.7.1-standin"}

#: Names that a generation lacks.
LACKING = {
    "8.6": {
        "set_device_memory",
        "is_stream_capturable",
        "device_memory_size_v2",
        "create_runtime_config",
        "create_execution_context",
    },
    "10.0": {"set_device_memory", "is_stream_capturable", "device_memory_size_v2", "create_runtime_config"},
    "11.4": {"is_stream_capturable", "device_memory", "device_memory_size"}
    | {"create_execution_context_without_device_memory"},
    "rtx": {"device_memory_size", "create_execution_context_without_device_memory"},
}

#: ``ILogger.Severity.ERROR``.
_ERROR = 1


class StandinLibrary:
    """The state of one generation.

    Attributes:
        runner: what computes the networks.
        generation: which generation it is.
        refusals: by step, how often it succeeds before it fails, and the error line that it logs then.
        capturable: what ``is_stream_capturable`` answers.
        streams: handles of all streams that ran a network.
        contexts: weak references to all contexts, in the order of their creation.
        tensors: specs that replace those of a plan, by their names.
        logger: the logger that the latest runtime was given.
    """

    def __init__(self, runner: Runner, generation: str) -> None:
        self.runner = runner
        self.generation = generation
        self.refusals: dict[str, tuple[int, str]] = {}
        self.capturable = True
        self.streams: set[int] = set()
        self.contexts: list[weakref.ref[Any]] = []
        self.tensors: dict[str, TensorSpec] = {}
        self.logger: Any = None

    def says_no(self, step: str) -> bool:
        """True if ``step`` fails this time; logs its error line."""
        if step not in self.refusals:
            return False
        left, line = self.refusals.pop(step)
        if left:
            self.refusals[step] = (left - 1, line)
            return False
        self.log_error(line)
        return True

    def log_error(self, line: str) -> None:
        """Log an error as TensorRT does before it answers None or false."""
        self.logger.log(_ERROR, line)

    def lacks(self, name: str) -> bool:
        """Whether the objects of this generation have no attribute ``name``."""
        return name in LACKING[self.generation]
