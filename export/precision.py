"""The graph of an export in the precision asked for, and the reports beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from rich.console import Console

from mostnet.calibration import (
    CacheKey,
    CalibrationData,
    Histogram,
    convolutions,
    excluded_by,
    half_tensors,
    histograms,
    keep_float32,
    magnitude_names,
    observe,
    quantise,
    quantise_states,
    read_cache,
    tensor_ranges,
    widen_scales,
    with_magnitudes,
    write_cache,
)
from mostnet.contract import ONNX_KEY, CalibrationError, ExportError, Metadata
from mostnet.model import Checkpoint, FrameModel

from .evidence import range_markdown, write_calibration
from .graph import build_graph
from .opset import TRACED_OPSET, lower_opset
from .options import CalibrationOptions
from .progress import show_step
from .sensitivity import Choice, choose_layers, require_chart

#: Options that a range report has no use for.
_INT8_ALONE = ("method", "cache", "carry_state", "exclude", "accuracy_budget", "budget_frames", "rest", "int8_state")


@dataclass(frozen=True)
class Prepared:
    """A graph, and what TensorRT is to make of it.

    Attributes:
        graph: with its metadata.
        floats: type of its float convolutions, ``fp32`` or ``fp16``.
        kept: names of nodes that are float32 because half precision does not hold their tensors.
        int8: module paths of its INT8 convolutions.
    """

    graph: onnx.ModelProto
    floats: str
    kept: tuple[str, ...] = ()
    int8: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preparation:
    """Makes the graph of one checkpoint and size, and writes reports beside where it will be staged."""

    checkpoint: Checkpoint
    checkpoint_sha256: str
    size_hw: tuple[int, int]
    precision: str
    opset: int
    calibration: CalibrationOptions | None
    range_report: bool
    staged: Path
    console: Console

    def run(self) -> Prepared:
        """Build the graph.

        Raises:
            ExportError: options that do not go together.
            CalibrationError, VideoError: the calibration data cannot be used.
        """
        check_precision(self.precision, self.calibration, range_report=self.range_report)
        floats = self.precision
        if self.precision == "int8":
            assert self.calibration is not None
            floats = self.calibration.rest
        plain = self.precision != "int8" and not self.range_report
        with show_step(self.console, "ONNX graph"):
            graph = build_graph(
                self.checkpoint,
                size_hw=self.size_hw,
                precision=floats,
                opset=self.opset if plain else TRACED_OPSET,
                checkpoint_sha256=self.checkpoint_sha256,
            )
        if plain:
            return Prepared(graph, floats)
        prepared = Prepared(graph, floats, self._keep_wide(graph) if self.range_report else ())
        if self.precision == "int8":
            prepared = self._quantise(prepared)
        return replace(prepared, graph=self._finished(prepared.graph))

    def _finished(self, graph: onnx.ModelProto) -> onnx.ModelProto:
        """The graph at the opset asked for, described as what it is."""
        if self.opset < TRACED_OPSET:
            widen_scales(graph)
            graph = lower_opset(graph, self.opset)
        metadata = _metadata(graph)
        tools = {**metadata.tools, "onnxruntime": version_of_runtime()}
        described = replace(metadata, precision=self.precision, opset=self.opset, tools=tools)
        onnx.helper.set_model_props(graph, {ONNX_KEY: described.to_json()})
        onnx.checker.check_model(graph, full_check=True)
        return graph

    def _data(self) -> CalibrationData:
        assert self.calibration is not None
        options = self.calibration
        return CalibrationData(options.data, self.size_hw, options.frames, options.resize)

    def _keep_wide(self, graph: onnx.ModelProto) -> tuple[str, ...]:
        """Report the range of every half-precision tensor, and make float32 those that it does not hold."""
        tensors = half_tensors(graph)
        with show_step(self.console, "range report") as step:
            frames = observe(
                with_magnitudes(graph, tensors),
                _metadata(graph),
                self._data(),
                magnitude_names(tensors),
                progress=lambda done: step.update(done, None),
            )
            ranges = tensor_ranges(frames, tensors)
        risky = [r for r in ranges if r.risk]
        weights = {name: value.numpy() for name, value in FrameModel(self.checkpoint.model).state_dict().items()}
        kept = keep_float32(graph, [r.tensor for r in risky], weights) if risky else ()
        document = {"frames_of": str(self._data().source), "tensors": [{**vars(r), "risk": r.risk} for r in ranges]}
        self._beside("ranges.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
        self._beside("ranges.md").write_text(range_markdown(ranges, kept), encoding="utf-8")
        if risky:
            names = ", ".join(f"{r.node} ({r.risk}: {r.largest:.4g})" for r in risky[:5])
            more = f" and {len(risky) - 5} more" if len(risky) > 5 else ""
            self.console.print(f"kept in float32, at risk in FP16: {names}{more}", soft_wrap=True)
        else:
            largest = f"the largest is {ranges[0].largest:.4g} of 65504, in {ranges[0].node}"
            self.console.print(f"no tensor is at risk in FP16: {largest}", soft_wrap=True)
        return kept

    def _quantise(self, prepared: Prepared) -> Prepared:
        assert self.calibration is not None
        options = self.calibration
        found = convolutions(prepared.graph)
        pairs = _metadata(prepared.graph).states if options.int8_state else ()
        by_hand = excluded_by(options.exclude, list(found), [pair.name for pair in pairs])
        carried = [pair for pair in pairs if pair.name not in by_hand]
        if pairs and not carried:
            raise CalibrationError("no state is left to quantise; exclude fewer, or leave --int8-state out")
        observed = self._observe(prepared.graph)
        thresholds = {name: observed[name].threshold(options.method) for name in found if name not in by_hand}
        states = {pair.name: observed[pair.output.name].threshold(options.method) for pair in carried}
        choice: Choice | None = None
        if options.accuracy_budget:
            choice = choose_layers(
                self.checkpoint,
                prepared.graph,
                thresholds,
                states=states,
                data=self._data(),
                frames=options.budget_frames,
                console=self.console,
            )
            thresholds = {name: value for name, value in thresholds.items() if name not in choice.put_back}
        write_calibration(
            self._beside("calibration.json"),
            thresholds=thresholds,
            states=states,
            largest={name: histogram.largest for name, histogram in observed.items()},
            by_hand=by_hand,
            choice=choice,
            options=options,
            data_sha256=self._data().digest(),
        )
        graph = quantise_states(quantise(prepared.graph, thresholds), states)
        convs = sum(node.op_type == "Conv" for node in graph.graph.node)
        self.console.print(f"{len(thresholds)} of {convs} convolutions are INT8, the others {prepared.floats.upper()}")
        if states:
            before, after = (_state_bytes(found) / 1000 for found in (prepared.graph, graph))
            self.console.print(
                f"{len(states)} of {len(pairs)} states are INT8: {after:.0f} kB a frame instead of {before:.0f}"
            )
        return replace(prepared, graph=graph, int8=tuple(thresholds))

    def _observe(self, graph: onnx.ModelProto) -> Mapping[str, Histogram]:
        """Histograms of the input of every convolution worth quantising, by module path, and of the state outputs."""
        assert self.calibration is not None
        options, data = self.calibration, self._data()
        key = CacheKey(self.checkpoint_sha256, data.digest(), options.rest, options.carry_state)
        if options.cache is not None and options.cache.exists():
            cached = read_cache(options.cache, key)
            self.console.print(f"ranges read from {options.cache}", soft_wrap=True)
            return cached
        tensors = {name: node.input[0] for name, node in convolutions(graph).items()}
        tensors.update((pair.output.name, pair.output.name) for pair in _metadata(graph).states)
        with show_step(self.console, "calibration") as step:
            frames = observe(
                graph,
                _metadata(graph),
                data,
                list(dict.fromkeys(tensors.values())),
                carry_state=options.carry_state,
                progress=lambda done: step.update(done, options.frames),
            )
            by_tensor = histograms(frames, str(data.source))
        found = {name: by_tensor[tensor] for name, tensor in tensors.items()}
        if options.cache is not None:
            write_cache(options.cache, key, found)
        return found

    def _beside(self, suffix: str) -> Path:
        return self.staged.with_name(f"{self.staged.stem}.{suffix}")


def check_precision(precision: str, calibration: CalibrationOptions | None, *, range_report: bool) -> None:
    """Refuse options that do not go together, before any work.

    Raises:
        ExportError: calibration data is missing, or there is nothing to use it for.
        BackendNotInstalledError: a chart is to be drawn and matplotlib is missing.
    """
    if calibration is None:
        if precision == "int8":
            raise ExportError("INT8 needs sequences to calibrate on: --calib VIDEO_OR_DATASET")
        if range_report:
            raise ExportError("a range report needs sequences to look at: --calib VIDEO_OR_DATASET")
        return
    if precision != "int8" and not range_report:
        raise ExportError("calibration data is for --int8 or for --range-report; leave it out")
    usual = CalibrationOptions(data=calibration.data)
    stray = [name for name in _INT8_ALONE if getattr(calibration, name) != getattr(usual, name)]
    if precision != "int8" and stray:
        raise ExportError(f"{', '.join(stray)}: for --int8 alone; leave it out of a range report")
    if range_report and "fp32" in (precision, calibration.rest if precision == "int8" else ""):
        raise ExportError("a range report is about half precision; leave it out of a float32 graph")
    if calibration.accuracy_budget:
        require_chart()


def version_of_runtime() -> str:
    """Version of ONNX Runtime, whichever of its packages is installed."""
    import onnxruntime

    return str(onnxruntime.__version__)


def _metadata(graph: onnx.ModelProto) -> Metadata:
    text = next(p.value for p in graph.metadata_props if p.key == ONNX_KEY)
    return Metadata.from_json(text, source="the exported graph")


def _state_bytes(graph: onnx.ModelProto) -> int:
    return sum(pair.output.nbytes for pair in _metadata(graph).states)
