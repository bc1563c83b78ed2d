"""The README of a model repository: how to run its server, and what the server does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

from mostnet.contract import Metadata, PlanInfo
from mostnet.contract.arguments import size_text

from .options import TritonOptions

#: A release of Triton whose ONNX Runtime has all options of ``config.pbtxt``: 1.20, by the ``build.py`` of the server.
RELEASE = "25.03"

_RELEASE_NOTES = "https://docs.nvidia.com/deeplearning/triton-inference-server/release-notes/"

_BUILD = (
    "build it with classic TensorRT (--flavour tensorrt, without --onnx-only) on a GPU like the server's, in the "
    "version of TensorRT that the server has"
)


@dataclass(frozen=True)
class WrittenModel:
    """One model of a repository.

    Attributes:
        plan: description of its plan; None if the TensorRT backend gets none.
        has_rtx: there is a plan, but of TensorRT for RTX.
    """

    name: str
    version: int
    metadata: Metadata
    plan: PlanInfo | None
    has_rtx: bool = False

    @property
    def why_no_plan(self) -> str:
        """Why the TensorRT backend got nothing, and what to do."""
        if self.has_rtx:
            return f"no model for the tensorrt backend: it does not load plans of TensorRT for RTX; {_BUILD}"
        return f"no model for the tensorrt backend: this export has no plan; {_BUILD}"


def readme_text(options: TritonOptions, models: Sequence[WrittenModel]) -> str:
    """The text, in Markdown, for the models that were written last."""
    first = models[0].name
    rows = "\n".join(_row(model) for model in models)
    return _TEXT.format(
        rows=rows,
        first=first,
        onnxruntime=_docker("onnxruntime", "--gpus all "),
        cpu=_docker("onnxruntime", ""),
        tensorrt=_docker("tensorrt", "--gpus all "),
        plans=_plans(models),
        cameras=options.cameras,
        idle=f"{options.idle_s:g}",
        notes=_RELEASE_NOTES,
        release=RELEASE,
    )


def _row(model: WrittenModel) -> str:
    data = model.metadata
    plan = "none" if model.plan is None else f"TensorRT {model.plan.tensorrt_version}, {', '.join(model.plan.targets)}"
    return f"| `{model.name}` | {model.version} | {size_text(data.size_hw)} | {data.precision} | {plan} |"


def _plans(models: Sequence[WrittenModel]) -> str:
    missing = [model for model in models if model.plan is None]
    if not missing:
        return "All models above have a plan."
    return "\n\n".join(fill(f"`{model.name}`: {model.why_no_plan}.", 120) for model in missing)


def _docker(backend: str, gpus: str) -> str:
    return (
        f"docker run --rm {gpus}--ipc host -p 8000:8000 -p 8001:8001 -p 8002:8002 \\\n"
        f'  -v "$PWD/{backend}":/models:ro nvcr.io/nvidia/tritonserver:{RELEASE}-py3 \\\n'
        "  tritonserver --model-repository=/models"
    )


_TEXT = """\
# mostnet on Triton

`mostnet-export --triton` wrote this folder. The next export into it writes this file anew.

| model | newest version | frame size | precision | plan |
|---|---|---|---|---|
{rows}

`onnxruntime/` and `tensorrt/` are two model repositories with the same model names. A server gets one of them. A client
works with either.

## Run the server

In this folder, on a GPU:

```sh
{onnxruntime}
```

Without a GPU:

```sh
{cpu}
```

With plans of TensorRT, if the table above names one:

```sh
{tensorrt}
```

Port 8000 is HTTP, 8001 is gRPC, which the client uses, and 8002 is metrics. The server asks nobody for a password: open
its ports only to machines that you trust. `--ipc host` lets a client on this machine hand over frames in shared memory.

The ONNX Runtime of release {release} knows all options in `config.pbtxt`. So do newer releases. Older ones may refuse
`use_tf32`.

## Plans

{plans}

A plan loads only in the version of TensorRT that built it, and on the GPU that it was built for. `model.plan.json`
beside each plan names both. The [notes]({notes})
of a release name its TensorRT, and this command shows it:

```sh
docker run --rm nvcr.io/nvidia/tritonserver:{release}-py3 sh -c 'ls /usr/lib/*-linux-gnu/libnvinfer.so.*'
```

Install that version (`pip install tensorrt==VERSION`) before you export. Triton loads no plan of TensorRT for RTX.

## Connect a camera

```python
from mostnet.serve import TritonSession

with TritonSession("localhost:8001", "{first}") as session:
    result = session.infer(frame)
```

Each session is one camera. The server tells cameras apart by the sequence id of their requests, a number that the
session chooses. The first frame carries START, which gives the camera zero state. A later START does the same in
mid-sequence. END frees the place of the camera after its last frame. Clients of your own send the same flags and ids.
`frame` and the results are the tensors in `config.pbtxt`. Its parameter `mostnet` describes the model in JSON.

The server carries the state of each camera. Each state goes from its output to the input of the same name.

## Limits

- An instance takes {cameras} cameras at a time, and computes their frames one after the other. The weights are in
  memory once. With several GPUs, each has an instance.
- A camera that sends nothing for {idle} s loses its state and its place. Its next frame must carry START. Triton
  counts from the arrival of the last frame, also while that frame waits or runs. So {idle} s must be longer than
  {cameras} times the time of one frame on this server. Otherwise export with a longer `--triton-idle SECONDS`.
- A further camera waits until a place is free. Triton sets no limit to that. But it answers a request with UNAVAILABLE
  once the timeout in the request is over. `TritonSession` sends one with every START, and raises `ServerBusyError`.
- Triton does not warm up these models. Its warm-up requests belong to no sequence, so they have no state. Both backends
  answer such a request with an error, and Triton then does not load the model. So the first frame is slow. The client
  can send one before: `session.warm_up()`.

## Versions

Each export adds a version folder, `1`, `2` and so on, and changes none. The server loads the newest when it starts. To
go back, move the newest folder away. `--model-control-mode=poll` makes a running server load a new version. Cameras
then begin again from zero state. To change the number of cameras or the idle time, export into another folder.
"""
