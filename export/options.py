"""What to export, and how to calibrate it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mostnet.calibration import METHODS
from mostnet.contract import ExportError

from .opset import TRACED_OPSET

#: Tensor types that an INT8 graph may have elsewhere.
RESTS = ("fp16", "fp32")


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """How to find the ranges of an INT8 graph, or to look for tensors that half precision does not hold.

    Attributes:
        data: video file or dataset folder, as ``mostnet.calibration.CalibrationData`` takes it.
        frames: how many of its frames; None for up to 100.
        resize: scale frames of another size instead of refusing them.
        method: ``minmax``, ``percentile`` (99.99), ``entropy`` or ``mse``.
        cache: file that histograms are read from, or written to if it is not there.
        carry_state: as in use; False shows what calibration on single pictures misses.
        exclude: patterns of convolutions, and with ``int8_state`` of states, that stay float: a module path, part of
            one, or a shell wildcard.
        accuracy_budget: put the convolutions that cost most accuracy back to float until the bounds hold.
        budget_frames: how many calibration frames that is measured on.
        rest: type of what is not INT8: ``fp16``, or ``fp32`` for CPUs.
        int8_state: carry the state between frames in INT8 too.

    Raises:
        ExportError: a value is out of range.
    """

    data: Path
    frames: int | None = None
    resize: bool = False
    method: str = "mse"
    cache: Path | None = None
    carry_state: bool = True
    exclude: tuple[str, ...] = ()
    accuracy_budget: bool = False
    budget_frames: int = 24
    rest: str = "fp16"
    int8_state: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ExportError(f"calibration method {self.method!r}; choose one of {', '.join(METHODS)}")
        if self.rest not in RESTS:
            raise ExportError(f"rest {self.rest!r}; choose one of {', '.join(RESTS)}")
        if self.budget_frames < 2:
            raise ExportError(f"budget_frames is {self.budget_frames}; state is carried between two frames at least")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to export.

    Attributes:
        precision: ``fp16`` (float32 islands stay), ``fp32``, or ``int8`` (convolutions; needs ``calibration``).
        size_hw: frame height and width in pixels, each at least 64.
        output: folder for the files; made if missing.
        opset: ONNX opset, 17 to 19.
        onnx_only: leave TensorRT out.
        flavour: ``rtx``, ``tensorrt`` (classic), or ``auto``: classic where it and a GPU are there, else RTX.
        targets: GPU architectures for TensorRT for RTX, as ``sm_86``; None for its usual three.
        timing_cache: file of measured tactics that classic TensorRT reads and adds to.
        verify_video: video to verify the exported graph on; None leaves that out.
        verify_frames: how many of its frames at most.
        calibration: what INT8 ranges, or a range report, are taken from.
        range_report: look for tensors that half precision does not hold, report them, and keep them in float32.

    Raises:
        ExportError: a value is out of range, or the output is a file.
    """

    precision: str = "fp16"
    size_hw: tuple[int, int] = (480, 640)
    output: Path = Path()
    opset: int = TRACED_OPSET
    onnx_only: bool = False
    flavour: str = "auto"
    targets: tuple[str, ...] | None = None
    timing_cache: Path | None = None
    verify_video: Path | None = None
    verify_frames: int = 100
    calibration: CalibrationOptions | None = None
    range_report: bool = False

    def __post_init__(self) -> None:
        for name in ("output", "timing_cache", "verify_video"):  # plain text is a path too
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value))
        if self.verify_frames < 2:
            raise ExportError(f"verify_frames is {self.verify_frames}; state is carried between two frames at least")
        if self.targets is not None and not self.targets:
            raise ExportError("no targets named; leave them out for the usual ones")
        if self.output.exists() and not self.output.is_dir():
            raise ExportError(f"{self.output}: is a file; name a folder for the output")
