"""Makes the graph of an export in the requested precision, and the reports beside it."""

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
from mostnet.contract import ONNX_KEY, CalibrationError
from mostnet.export.plan.request import PlanRequest
from mostnet.model.table1 import AnyCheckpoint, frame_module

from .evidence import range_markdown, write_calibration
from .graph import build_graph, float32_islands, graph_metadata
from .left_float import left_float, reason_lines
from .opset import lower_opset
from .options import TRACED_OPSET, CalibrationOptions, ExportOptions
from .progress import say, show_step
from .sensitivity import Choice, Judge, choose_layers


@dataclass(frozen=True)
class Preparation:
    """Makes the graph of one checkpoint and size, and writes reports beside ``staged``, where the graph goes."""

    checkpoint: AnyCheckpoint
    checkpoint_sha256: str
    options: ExportOptions
    staged: Path
    console: Console

    def run(self) -> tuple[onnx.ModelProto, PlanRequest]:
        """The graph with its metadata, and what TensorRT must build from it.

        Raises:
            CalibrationError, VideoError: the calibration data cannot be used.
        """
        options = self.options
        is_int8 = options.precision == "int8"
        plain = not (is_int8 or options.range_report)
        floats = self._calibration.rest if is_int8 else options.precision
        with show_step(self.console, "ONNX graph"):
            graph = build_graph(
                self.checkpoint,
                size_hw=options.size_hw,
                precision=floats,
                opset=options.opset if plain else TRACED_OPSET,
                checkpoint_sha256=self.checkpoint_sha256,
            )
        kept = self._keep_wide(graph) if options.range_report else ()
        thresholds: Mapping[str, float] = {}
        if is_int8:
            graph, thresholds = self._quantise(graph)
        if not plain:
            graph = self._finished(graph)
        return graph, PlanRequest.of(
            graph,
            metadata=graph_metadata(graph),
            floats=floats,
            islands=float32_islands(self.checkpoint),
            kept=kept,
            int8=tuple(thresholds),
        )

    @property
    def _calibration(self) -> CalibrationOptions:
        assert self.options.calibration is not None
        return self.options.calibration

    def _data(self) -> CalibrationData:
        return calibration_data(self.options.size_hw, self._calibration)

    def _finished(self, graph: onnx.ModelProto) -> onnx.ModelProto:
        """The graph at the requested opset, with metadata that describe its final form."""
        opset = self.options.opset
        if opset < TRACED_OPSET:
            widen_scales(graph)
            graph = lower_opset(graph, opset)
        metadata = graph_metadata(graph)
        tools = {**metadata.tools, "onnxruntime": _runtime_version()}
        described = replace(metadata, precision=self.options.precision, opset=opset, tools=tools)
        onnx.helper.set_model_props(graph, {ONNX_KEY: described.to_json()})
        onnx.checker.check_model(graph, full_check=True)
        return graph

    def _keep_wide(self, graph: onnx.ModelProto) -> tuple[str, ...]:
        """Report the range of every half-precision tensor, and make the tensors at risk float32.

        Returns:
            Names of the nodes that compute in float32 now.
        """
        tensors = half_tensors(graph)
        with show_step(self.console, "range report") as step:
            frames = observe(
                with_magnitudes(graph, tensors),
                graph_metadata(graph),
                self._data(),
                magnitude_names(tensors),
                progress=lambda done: step.update(done, None),
            )
            ranges = tensor_ranges(frames, tensors)
        risky = [r for r in ranges if r.risk]
        weights = {name: value.numpy() for name, value in frame_module(self.checkpoint.model).state_dict().items()}
        kept = keep_float32(graph, [r.tensor for r in risky], weights) if risky else ()
        document = {"frames_of": str(self._data().source), "tensors": [{**vars(r), "risk": r.risk} for r in ranges]}
        self._beside("ranges.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
        self._beside("ranges.md").write_text(range_markdown(ranges, kept), encoding="utf-8")
        if risky:
            names = ", ".join(f"{r.node} ({r.risk}: {r.largest:.4g})" for r in risky[:5])
            more = f" and {len(risky) - 5} more" if len(risky) > 5 else ""
            say(self.console, f"kept in float32, at risk in FP16: {names}{more}")
        else:
            largest = f"the largest is {ranges[0].largest:.4g} of 65504, in {ranges[0].node}"
            say(self.console, f"no tensor is at risk in FP16: {largest}")
        return kept

    def _quantise(self, graph: onnx.ModelProto) -> tuple[onnx.ModelProto, Mapping[str, float]]:
        """The graph with INT8 convolutions and states, and the thresholds of the convolutions by module path."""
        options = self._calibration
        found = convolutions(graph)
        pairs = graph_metadata(graph).states if options.int8_state else ()
        by_hand = excluded_by(options.exclude, list(found), [pair.name for pair in pairs])
        carried = [pair for pair in pairs if pair.name not in by_hand]
        if pairs and not carried:
            raise CalibrationError("no state is left to quantise; exclude fewer, or leave --int8-state out")
        observed = self._observe(graph)
        thresholds = {name: observed[name].threshold(options.method) for name in found if name not in by_hand}
        states = {pair.name: observed[pair.output.name].threshold(options.method) for pair in carried}
        runs = self._data().runs()
        say(self.console, f"calibrated on {runs}")
        choice: Choice | None = None
        if options.accuracy_budget:
            judge = Judge(self.checkpoint, graph, thresholds, states, self._data(), options.budget_frames)
            choice = choose_layers(judge, self.console)
            thresholds = {name: value for name, value in thresholds.items() if name not in choice.put_back}
        reasons = left_float(
            graph,
            islands=float32_islands(self.checkpoint),
            by_hand=[name for name in by_hand if name in found],
            put_back=() if choice is None else choice.put_back,
        )
        write_calibration(
            self._beside("calibration.json"),
            thresholds=thresholds,
            states=states,
            largest={name: histogram.largest for name, histogram in observed.items()},
            by_hand=by_hand,
            reasons=reasons,
            choice=choice,
            options=replace(options, frames=runs.frames),
            data_sha256=self._data().digest(),
        )
        quantised = quantise_states(quantise(graph, thresholds), states)
        convs = sum(node.op_type == "Conv" for node in quantised.graph.node)
        say(self.console, f"{len(thresholds)} of {convs} convolutions are INT8, the others {options.rest.upper()}")
        for line in reason_lines(reasons, all_in=str(self.options.output / self._beside("calibration.json").name)):
            say(self.console, line)
        if states:
            before, after = (_state_bytes(one) / 1000 for one in (graph, quantised))
            say(
                self.console,
                f"{len(states)} of {len(pairs)} states are INT8: {after:.0f} kB a frame instead of {before:.0f}",
            )
        return quantised, thresholds

    def _observe(self, graph: onnx.ModelProto) -> Mapping[str, Histogram]:
        """Histograms of the input of every convolution worth quantising, by module path, and of the state outputs."""
        options, data = self._calibration, self._data()
        key = CacheKey(self.checkpoint_sha256, data.digest(), options.rest, options.carry_state)
        if options.cache is not None and options.cache.exists():
            cached = read_cache(options.cache, key)
            say(self.console, f"ranges read from {options.cache}")
            return cached
        tensors = {name: node.input[0] for name, node in convolutions(graph).items()}
        tensors.update((pair.output.name, pair.output.name) for pair in graph_metadata(graph).states)
        with show_step(self.console, "calibration") as step:
            frames = observe(
                graph,
                graph_metadata(graph),
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


def _runtime_version() -> str:
    """Version of ONNX Runtime, which several packages provide."""
    import onnxruntime

    return str(onnxruntime.__version__)


def _state_bytes(graph: onnx.ModelProto) -> int:
    return sum(pair.output.nbytes for pair in graph_metadata(graph).states)


def calibration_data(size_hw: tuple[int, int], options: CalibrationOptions) -> CalibrationData:
    """The data that these options name, for a graph of this frame size.

    Raises:
        CalibrationError: no such data, or too few frames are asked for.
    """
    return CalibrationData(options.data, size_hw, options.frames, options.resize)
