"""What to export, and how to calibrate it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mostnet.contract import ExportError
from mostnet.export.triton.options import TritonOptions

#: Opset of the trace. Q/DQ on half-precision tensors needs 19. In 20, TensorRT misreads GridSample's renamed mode.
TRACED_OPSET = 19
SUPPORTED_OPSETS = (17, 18, 19)
#: Ways to choose the ranges of an INT8 graph: the names of ``mostnet.calibration.METHODS``, known without onnx.
METHODS = ("minmax", "percentile", "entropy", "mse")
#: Types of the float tensors of an INT8 graph.
RESTS = ("fp16", "fp32")

#: Calibration options that a range report does not use.
_INT8_ONLY = ("method", "cache", "carry_state", "exclude", "accuracy_budget", "budget_frames", "rest", "int8_state")


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """How to find the ranges of an INT8 graph, or the tensors that leave the range of half precision.

    Attributes:
        data: video file or dataset folder, as ``mostnet.calibration.CalibrationData`` takes it.
        frames: number of frames to read; None for up to 100.
        resize: scale frames of another size instead of refusing them.
        method: ``minmax``, ``percentile`` (99.99), ``entropy`` or ``mse``.
        cache: file of histograms to read, or to write if it is missing.
        carry_state: carry state from frame to frame, as in use; False shows what calibration on single frames misses.
        exclude: patterns of convolutions, and with ``int8_state`` of states, that stay float: a module path, part of
            one, or a shell wildcard.
        accuracy_budget: put the convolutions that cost most accuracy back to float until the bounds hold.
        budget_frames: number of calibration frames to measure that accuracy on.
        rest: type of the tensors that are not INT8: ``fp16``, or ``fp32`` for CPUs.
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
            raise ExportError(f"budget_frames is {self.budget_frames}; expected at least 2, so that state is carried")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to export.

    Attributes:
        precision: ``fp16`` (float32 islands stay), ``fp32``, or ``int8`` (convolutions; needs ``calibration``).
        size_hw: frame height and width in pixels, each at least 64.
        output: folder for the files; made if missing.
        opset: ONNX opset, 17 to 19.
        onnx_only: write the graph alone, without TensorRT.
        flavour: ``rtx``, ``tensorrt`` (classic), or ``auto``: classic if it is installed and there is a GPU, else RTX.
        targets: GPU architectures for TensorRT for RTX, such as ``sm_86``; None for the GPU of this machine, or, if it
            has none, for three architectures of workstations.
        timing_cache: file of measured tactics that classic TensorRT reads and adds to.
        verify_video: video to verify the exported graph on; None verifies nothing.
        verify_frames: largest number of frames to verify on.
        calibration: data for INT8 ranges, or for a range report.
        range_report: find tensors that leave the range of half precision, report them, and keep them in float32.
        triton: also write the models as a model repository for Triton; None writes none.

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
    triton: TritonOptions | None = None

    def __post_init__(self) -> None:
        for name in ("output", "timing_cache", "verify_video"):  # a str is accepted as a path
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value))
        if self.verify_frames < 2:
            raise ExportError(f"verify_frames is {self.verify_frames}; expected at least 2, so that state is carried")
        if self.targets is not None and not self.targets:
            raise ExportError("no targets given; leave targets out for the default ones")
        if self.output.exists() and not self.output.is_dir():
            raise ExportError(f"{self.output}: is a file; name a folder for the output")

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            ExportError: calibration data is missing or has no use, or an option has no use without a plan.
        """
        if self.onnx_only and (self.targets or self.timing_cache):
            raise ExportError("targets and a timing cache are for a plan; leave them out with onnx_only")
        is_int8, calibration = self.precision == "int8", self.calibration
        if calibration is None:
            if is_int8:
                raise ExportError("INT8 needs sequences to calibrate on: --calib VIDEO_OR_DATASET")
            if self.range_report:
                raise ExportError("a range report needs sequences to measure: --calib VIDEO_OR_DATASET")
            return
        if not (is_int8 or self.range_report):
            raise ExportError("calibration data is for --int8 or for --range-report; leave it out")
        usual = CalibrationOptions(data=calibration.data)
        stray = [name for name in _INT8_ONLY if getattr(calibration, name) != getattr(usual, name)]
        if stray and not is_int8:
            raise ExportError(f"{', '.join(stray)}: only for --int8; leave it out of a range report")
        if self.range_report and "fp32" in (self.precision, calibration.rest if is_int8 else ""):
            raise ExportError("a range report is about half precision; leave it out of a float32 graph")
