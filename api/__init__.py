"""mostnet: MOST-NET+ for intra-oral video, exported once and run in real time."""

from importlib.resources import files as _files

from mostnet.contract import (
    BackendNotInstalledError,
    CalibrationError,
    CheckpointError,
    DeviceError,
    DeviceMemoryError,
    EngineBusyError,
    EngineClosedError,
    EngineTimeoutError,
    ExportError,
    FrameError,
    Metadata,
    ModelFileError,
    MostnetError,
    NoGpuError,
    PlanInfo,
    PlanMismatchError,
    VerificationError,
    VideoError,
)
from mostnet.engine import DeviceArray, Engine, EngineStats, Output, Session

__version__ = _files(__name__).joinpath("VERSION").read_text().strip()

__all__ = [
    "BackendNotInstalledError",
    "CalibrationError",
    "CheckpointError",
    "DeviceArray",
    "DeviceError",
    "DeviceMemoryError",
    "Engine",
    "EngineBusyError",
    "EngineClosedError",
    "EngineStats",
    "EngineTimeoutError",
    "ExportError",
    "FrameError",
    "Metadata",
    "ModelFileError",
    "MostnetError",
    "NoGpuError",
    "Output",
    "PlanInfo",
    "PlanMismatchError",
    "Session",
    "VerificationError",
    "VideoError",
    "__version__",
]
