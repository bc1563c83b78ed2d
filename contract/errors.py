"""The exceptions that mostnet raises for causes outside its own code.

Each message says what was found, what was expected and what to do next.
"""


class MostnetError(Exception):
    """Base of all errors raised by mostnet."""


class FrameError(MostnetError, ValueError):
    """A frame has the wrong shape, dtype or memory layout."""


class ModelFileError(MostnetError):
    """A model file (ONNX, plan or its JSON) is missing, truncated, altered or not made by mostnet-export."""


class ModelMissingError(ModelFileError, FileNotFoundError):
    """There is no model file of this name."""


class PlanMismatchError(ModelFileError):
    """A plan was built by another version or flavour of TensorRT, or for another GPU."""


class CheckpointError(MostnetError):
    """A checkpoint is missing, truncated, of another format, or does not fit its variant."""


class BackendNotInstalledError(MostnetError, ImportError):
    """The library that runs or builds this kind of file is not installed."""


class NoGpuError(MostnetError):
    """The operation needs an NVIDIA GPU and none can be used."""


class DeviceError(MostnetError):
    """The device failed; if the message says so, the engine is closed and a new one must be opened."""


class DeviceMemoryError(DeviceError, MemoryError):
    """Device or pinned memory ran out; memory already taken was freed."""


class EngineClosedError(MostnetError):
    """The engine or session was used after ``close()``."""


class EngineBusyError(MostnetError):
    """A session was used from two threads at once, or while one of its streams is running."""


class EngineTimeoutError(MostnetError, TimeoutError):
    """A frame was not finished within ``timeout_ms``."""


class EngineCopyError(MostnetError, TypeError):
    """An engine or session was copied, or a session was pickled: it owns memory and threads of its process."""


class OutputMissingError(MostnetError, AttributeError):
    """A result was asked for an output that its engine was opened without."""


class ExportError(MostnetError):
    """An export could not be made, or its result is not as requested."""


class InspectionError(MostnetError):
    """This TensorRT does not report which layers a built plan runs and in which type."""


class VerificationError(ExportError):
    """An exported graph differs from the PyTorch network by more than its precision allows."""


class CalibrationError(ExportError):
    """Calibration data is empty, damaged, too short or of another size, or a range cache belongs to other data."""


class VideoError(MostnetError):
    """A video or camera cannot be opened, read to its end, or written."""


class ArchiveError(MostnetError):
    """An archive cannot be read, its results cannot be kept, or its workers cannot be had."""


class ServerError(MostnetError):
    """A server of cameras refused a frame or failed, or serves another model than was expected."""


class ServerUnavailableError(ServerError, ConnectionError):
    """The server does not answer, or the connection to it broke."""


class ServerBusyError(ServerError):
    """The server has no place for another camera or frame; nothing has changed."""


class StateLostError(ServerError):
    """The server no longer has the state of this camera; ``reset`` goes on from zero state."""


class DatasetError(MostnetError):
    """A data set lacks a split, a sequence or files, or one of its files cannot be used."""


class TrainingError(MostnetError):
    """A training run has options that cannot work, cannot be resumed, or diverged."""


class MeasurementError(MostnetError):
    """A measurement could not be made: its program failed, took too long, or lacks its files."""
