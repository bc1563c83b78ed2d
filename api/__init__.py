"""mostnet: MOST-NET+ for intra-oral video, exported once and run in real time."""

from mostnet.contract import (
    BackendNotInstalledError,
    CalibrationError,
    CheckpointError,
    DeviceError,
    DeviceMemoryError,
    EngineBusyError,
    EngineClosedError,
    EngineCopyError,
    EngineTimeoutError,
    ExportError,
    Frame,
    FrameError,
    Metadata,
    ModelFileError,
    ModelMissingError,
    MostnetError,
    NoGpuError,
    OutputMissingError,
    PlanInfo,
    PlanMismatchError,
    VerificationError,
    VideoError,
)
from mostnet.contract.versions import mostnet_version as _mostnet_version
from mostnet.engine import DeviceArray, Engine, EngineStats, Output, Session, Source
from mostnet.engine.ort.telemetry import refuse_telemetry as _refuse_telemetry

_refuse_telemetry()

__version__ = _mostnet_version()

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
    "EngineCopyError",
    "EngineStats",
    "EngineTimeoutError",
    "ExportError",
    "Frame",
    "FrameError",
    "Metadata",
    "ModelFileError",
    "ModelMissingError",
    "MostnetError",
    "NoGpuError",
    "Output",
    "OutputMissingError",
    "PlanInfo",
    "PlanMismatchError",
    "Session",
    "Source",
    "VerificationError",
    "VideoError",
    "__version__",
]
