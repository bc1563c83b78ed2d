"""Opens an exported graph in ONNX Runtime: checks the file, chooses the provider, checks the tensors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mostnet.contract import (
    ONNX_DIGEST_KEY,
    ONNX_KEY,
    BackendNotInstalledError,
    DeviceMemoryError,
    Metadata,
    ModelFileError,
    NoGpuError,
    TensorSpec,
    input_spec,
    output_specs,
)
from mostnet.contract.cores import default_threads
from mostnet.engine.cuda.driver import has_driver, require_gpu
from mostnet.engine.fork import own
from mostnet.engine.interfaces import Lane
from mostnet.engine.options import Options
from mostnet.engine.tensor_check import check_tensors

from .cuda_libraries import load_cuda_libraries
from .file import check_onnx_file, onnx_digest
from .lanes import DeviceLane, HostLane
from .rounding import warn_of_cut_values
from .telemetry import warn_of_telemetry

_LOG = logging.getLogger(__name__)

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"

#: ONNX Runtime allows TF32 by default, and float32 is promised. By default it also tries all algorithms of cuDNN on the
#: first frame; here cuDNN chooses by its rules.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}

_DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(bool)": "bool",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
}


class OnnxModel:
    """An ONNX Runtime session and the description in its file."""

    def __init__(self, session: Any, metadata: Metadata, path: Path, provider: str, device: int | None) -> None:
        self.metadata = metadata
        self.path = path
        self.provider = provider
        self.device = device
        self._session = session

    def lane(self, slots: int, outputs: Sequence[str], *, results: str = "owned") -> Lane:
        """A lane of ``slots`` slots.

        Raises:
            NoGpuError: ``results`` is ``device``, and the model runs on the CPU.
            DeviceMemoryError: its buffers do not fit.
        """
        try:
            if self.device is not None:  # the provider is CUDA
                return DeviceLane(
                    self._session,
                    self.metadata,
                    slots,
                    outputs,
                    device="cuda",
                    number=self.device,
                    results=results,
                )
            if results == "device":
                raise NoGpuError(
                    "results='device' keeps results in GPU memory, and this engine runs on the CPU; open it with "
                    "results='borrowed', which copies nothing here, or with 'owned'"
                )
            return HostLane(self._session, self.metadata, slots, outputs, results=results)
        except Exception as error:
            if not isinstance(error, MemoryError) and "allocate" not in str(error):
                raise
            megabytes = slots * _slot_bytes(self.metadata) / 1e6
            raise DeviceMemoryError(
                f"no {self.provider} memory for {slots} slots, about {megabytes:.0f} MB ({error}); "
                "close other sessions, use fewer slots, or export a smaller --size"
            ) from error

    def close(self) -> None:
        """Release the weights; a lane still at work keeps them until it is done."""
        self._session = None


def open_onnx(path: Path, options: Options) -> OnnxModel:
    """Open an exported graph.

    Raises:
        ModelFileError: the file is damaged, not made by mostnet-export, or its tensors do not fit its description.
        BackendNotInstalledError: ONNX Runtime is missing, or it lacks the CUDA that ``options.provider`` asks for.
        NoGpuError: ``options.provider`` asks for CUDA, and there is no driver or no device opens.
    """
    check_onnx_file(path)
    if find_spec("onnxruntime") is None:
        raise BackendNotInstalledError(
            f"{path}: ONNX Runtime is not installed; pip install 'mostnet[cpu]', or for CUDA 'mostnet[gpu]'"
        )
    warn_of_telemetry()
    session, provider = _open_session(path, options)
    properties = session.get_modelmeta().custom_metadata_map
    text = properties.get(ONNX_KEY)
    if text is None:
        raise ModelFileError(
            f"{path}: an ONNX model without a mostnet description, so not made by mostnet-export; "
            "export the checkpoint with mostnet-export"
        )
    if properties.get(ONNX_DIGEST_KEY) != onnx_digest(path):
        raise ModelFileError(
            f"{path}: altered since mostnet-export wrote it: its SHA-256 differs from the one in the file; "
            "export or copy it again"
        )
    metadata = Metadata.from_json(text, source=str(path))
    check_tensors(path, metadata, set(map(_spec, session.get_inputs())), set(map(_spec, session.get_outputs())))
    if provider == "cpu":
        warn_of_cut_values(path, metadata)
    _LOG.info("%s: runs on %s", path, provider)
    return OnnxModel(session, metadata, path, provider, options.gpu_number if provider == "cuda" else None)


def _slot_bytes(metadata: Metadata) -> int:
    pictures = (input_spec(metadata.size_hw), *output_specs(metadata.size_hw))
    return sum(spec.nbytes for spec in (*pictures, *(pair.output for pair in metadata.states)))


def _open_session(path: Path, options: Options) -> tuple[Any, str]:
    if options.provider != "cpu":
        level = logging.INFO
        try:
            _check_cuda(options)
            level = logging.WARNING  # the user has installed what a GPU needs, and it does not work
            return _open_cuda(path, options), "cuda"
        except (BackendNotInstalledError, NoGpuError) as error:
            if options.provider == "cuda":
                raise
            _LOG.log(level, "%s: not on CUDA: %s", path, error)
    return _create(path, options, [_CPU]), "cpu"


def _check_cuda(options: Options) -> None:
    """Check that there is a GPU, and that the installed ONNX Runtime is built for one."""
    import onnxruntime

    is_built = _CUDA in onnxruntime.get_available_providers()
    if is_built or not has_driver():  # otherwise do not start the driver: a later fork could not use it
        try:
            require_gpu(options.gpu_number)
        except NoGpuError as error:
            if has_driver():
                raise
            raise NoGpuError(f"{error}; {_without_gpu(options)}") from None
    if not is_built:
        raise BackendNotInstalledError(
            f"the installed ONNX Runtime {onnxruntime.__version__} has no {_CUDA}; "
            f"pip uninstall onnxruntime, then pip install 'mostnet[gpu]'; or {_without_gpu(options)}"
        )


def _without_gpu(options: Options) -> str:
    return "open the engine with provider='cpu'" if options.device is None else "leave device out"


def _open_cuda(path: Path, options: Options) -> Any:
    import onnxruntime

    failures = load_cuda_libraries(onnxruntime)
    session = _create(path, options, [(_CUDA, {**_CUDA_OPTIONS, "device_id": str(options.gpu_number)}), _CPU])
    if _CUDA not in session.get_providers():  # ONNX Runtime falls back to the CPU and only logs it
        raise NoGpuError(
            f"ONNX Runtime {onnxruntime.__version__} could not open the GPU: a CUDA or cuDNN library of the version it "
            f"wants is missing ({'; '.join(failures) or 'its log above names it'}); "
            f"pip install 'onnxruntime-gpu[cuda,cudnn]=={onnxruntime.__version__}', or {_without_gpu(options)}"
        )
    return session


def _create(path: Path, options: Options, providers: list[Any]) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = options.threads or default_threads()
    # Spinning workers make a lone ``infer`` some 6 % faster on two cores. But they take the cores from the source and
    # the consumer of a stream, which becomes 5 to 15 % slower, and double the CPU time of a paced camera.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=providers)
    except Exception as error:  # the exceptions of ONNX Runtime have no base class of their own
        raise ModelFileError(
            f"{path}: ONNX Runtime {onnxruntime.__version__} cannot load it ({error}); export or copy it again"
        ) from error
    own(session)
    return session


def _spec(node: Any) -> TensorSpec:
    return TensorSpec(node.name, tuple(node.shape), _DTYPES.get(node.type, node.type))
