"""The runtime: opens an exported model and runs frames through a ring of slots that carries the recurrent state.

It needs numpy and the standard library; the backend of a model file is imported when that file is opened.
"""

from mostnet.engine.cuda.array import DeviceArray
from mostnet.engine.streams.sources import Source

from .engine import Engine
from .options import Provider
from .output import EngineStats, Output
from .session import Session

__all__ = ["DeviceArray", "Engine", "EngineStats", "Output", "Provider", "Session", "Source"]
