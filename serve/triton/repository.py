"""What Triton reads from disk: a repository with one model, and a folder with its Python backend."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mostnet.contract import ONNX_KEY, Metadata, TensorSpec, input_spec, output_specs

#: Key of the settings among the parameters of the model's configuration.
SETTINGS_KEY = "mostnet_server"

#: Cameras that are refused stay in Triton's table until they are idle. If the table is full, Triton lets the next one
#: wait; this many tries in one idle time leave room.
_REFUSED = 8192

#: Triton counts a camera's idle time from the arrival of its last frame. The model counts from the answer, and a client
#: waits this many seconds for it.
_ANSWER_S = 60.0

_SHARED = Path("/dev/shm")

_TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "bool": "TYPE_BOOL"}

#: Triton's Python reads neither PYTHONPATH nor the folder where the server was started.
_MODEL = """\
import sys

sys.path[:] = {paths} + [path for path in sys.path if path not in {paths}]

from mostnet.serve.triton.python_model import TritonPythonModel
"""


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What the model must know.

    Attributes:
        engine: absolute path of the model file.
        cameras: number of places.
        idle_s: seconds after which an idle camera may lose its place.
        threads: CPU threads of one frame.
        at_once: frames that run at once.
        prefix: ``sys.prefix`` of the Python environment that must run the model.
        memory: how the names of the memory begin that Triton shares with the model.
        lock: folder that the model locks as long as its process lives.
    """

    engine: str
    cameras: int
    idle_s: float
    threads: int
    at_once: int
    prefix: str
    memory: str
    lock: str

    def to_json(self) -> str:
        """The settings as a JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ServerSettings:
        """Read the output of ``to_json``."""
        return cls(**json.loads(text))


def write_repository(folder: Path, name: str, metadata: Metadata, settings: ServerSettings) -> None:
    """Write the repository ``folder`` with the model ``name``, which takes frames as ``metadata`` says."""
    version = folder / name / "1"
    version.mkdir(parents=True)
    (folder / name / "config.pbtxt").write_text(model_config(name, metadata, settings), encoding="utf-8")
    (version / "model.py").write_text(_MODEL.format(paths=python_path()), encoding="utf-8")


def model_config(name: str, metadata: Metadata, settings: ServerSettings) -> str:
    """The configuration of the model. ``metadata`` goes into its parameters under the key ``mostnet``."""
    size_hw = metadata.size_hw
    description = Metadata(**{item.name: getattr(metadata, item.name) for item in fields(Metadata)}).to_json()
    parameters = {ONNX_KEY: description, SETTINGS_KEY: settings.to_json()}
    return "\n".join(
        [
            f"name: {json.dumps(name)}",
            'backend: "python"',
            "max_batch_size: 0",
            f"input [ {_tensors([input_spec(size_hw)])} ]",
            f"output [ {_tensors(output_specs(size_hw))} ]",
            "sequence_batching {",
            f"  oldest {{ max_candidate_sequences: {settings.cameras + _REFUSED} }}",
            f"  max_sequence_idle_microseconds: {round((settings.idle_s + _ANSWER_S) * 1e6)}",
            "}",
            "instance_group [ { kind: KIND_CPU count: 1 } ]",
            *(
                f"parameters {{ key: {json.dumps(key)} value {{ string_value: {json.dumps(value)} }} }}"
                for key, value in parameters.items()
            ),
            "",
        ]
    )


def remove_memory(name: str) -> None:
    """Remove the memory that a killed Triton left, whose names begin with ``name``."""
    for file in _SHARED.glob(f"{name}*"):
        file.unlink(missing_ok=True)


def python_path() -> list[str]:
    """The folders from which this process imports."""
    return [str(Path(entry).absolute()) for entry in sys.path]


def link_backend(wheel: Path, folder: Path) -> None:
    """Put the Python backend of the ``wheel`` into ``folder``, with the program for the running Python.

    The wheel keeps a program for each Python apart; Triton expects it beside the backend.
    """
    python = folder / "python"
    python.mkdir(parents=True)
    stub = stub_path(wheel)
    for file in (*(wheel / "backends" / "python").glob("*.*"), stub):
        if file.is_file():
            (python / file.name).symlink_to(file)


def stub_path(wheel: Path) -> Path:
    """The program of the Python backend in the ``wheel`` that embeds the running Python."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return wheel / "python_backend_stubs" / version / "triton_python_backend_stub"


def _tensors(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(
        f'{{ name: "{spec.name}" data_type: {_TYPES[spec.dtype]} dims: [ {", ".join(map(str, spec.shape))} ] }}'
        for spec in specs
    )
