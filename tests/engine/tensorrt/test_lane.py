"""The lane of a plan on the miniature GPU: operations and their order, addresses, graphs, generations of TensorRT."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mostnet.bench.gpu.standin.library import GENERATIONS
from mostnet.bench.gpu.standin.toy import NAN, SIZE_HW, STATES, frame_of, history, reference
from mostnet.contract import DeviceError, DeviceMemoryError, ModelFileError, output_specs
from mostnet.engine.cuda.device import cuda_device
from mostnet.engine.cuda.memory import aligned
from tests.engine.plan_setup import Machine, machine_of
from tests.toy_graph import assert_reference

FRAMES = [frame_of(number) for number in range(40)]


@pytest.fixture(params=GENERATIONS)
def any_machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    with machine_of(monkeypatch, tmp_path, generation=request.param) as made:
        yield made


@pytest.fixture
def rtx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    with machine_of(monkeypatch, tmp_path, generation="rtx") as made:
        yield made


@pytest.mark.parametrize("results", ["owned", "borrowed", "device"])
@pytest.mark.parametrize("graphs", [True, False])
def test_every_generation_is_the_reference(any_machine: Machine, graphs: bool, results: str) -> None:
    expected = reference(FRAMES[:10])
    with any_machine.open(graphs=graphs, results=results) as engine:
        assert engine.provider == "cuda"
        for number, frame in enumerate(FRAMES[:10]):
            output = engine.infer(frame)
            for name in ("enhanced", "flow", "mask"):
                assert np.array_equal(any_machine.fetch(getattr(output, name)), expected[number][name]), name


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("slots", [2, 3, 5])
@pytest.mark.parametrize("results", ["owned", "borrowed", "device"])
def test_stream_is_the_reference_in_any_order_of_the_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int, slots: int, results: str
) -> None:
    expected = reference(FRAMES)
    with (
        machine_of(monkeypatch, tmp_path, generation="10.0", seed=seed) as machine,
        machine.open(slots=slots, results=results) as engine,
    ):
        for number, output in enumerate(engine.stream(FRAMES)):
            if number % 7 == 3:
                threading.Event().wait(0.005)  # the reader runs as far ahead as it may
                machine.gpu.advance(1000)
            for name in ("enhanced", "flow", "mask"):
                assert np.array_equal(machine.fetch(getattr(output, name)), expected[number][name]), name
        del output


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slots", [2, 3, 5])
def test_a_camera_may_write_into_the_slots_in_any_order_of_the_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int, slots: int
) -> None:
    with machine_of(monkeypatch, tmp_path, seed=seed) as machine, machine.open(slots=slots) as engine:

        def camera() -> Iterator[np.ndarray]:
            for frame in FRAMES:
                buffer = engine.input_buffer()
                buffer[:] = frame
                yield buffer

        assert_reference(engine.stream(camera()), FRAMES)


def test_no_operation_moves_state(machine: Machine) -> None:
    with machine.open(graphs=False) as engine:
        del machine.gpu.log[:]
        engine.infer(FRAMES[1])
        list(engine.stream(FRAMES[:30]))
        log = list(machine.gpu.log)
    assert {(name, *rest[1:]) for name, *rest in log} == {
        ("upload", FRAMES[0].nbytes),
        ("enqueue",),
        ("download", sum(aligned(spec.nbytes) for spec in output_specs(SIZE_HW))),
    }
    assert len(log) == 31 * 3
    for name in ("upload", "enqueue", "download"):
        addresses = [rest[0] for operation, *rest in log if operation == name]
        assert len(set(addresses)) == 3
        assert addresses == (addresses[:3] * 11)[:31]


def test_slots_read_the_state_of_the_slot_before_and_share_the_rest(any_machine: Machine) -> None:
    with any_machine.open(outputs=("mask",)) as engine:
        engine.infer(FRAMES[1])
        contexts = [alive() for alive in any_machine.trt.contexts]
        assert len(contexts) == 3
        for slot, context in enumerate(contexts):
            for pair in STATES:
                assert context.addresses[pair.input.name] == contexts[slot - 1].addresses[pair.output.name]
        assert len({context.scratch for context in contexts}) == 1
        assert len({context.addresses["flow"] for context in contexts}) == 1, "one address for what nobody asked for"
        assert len({context.addresses["mask"] for context in contexts}) == 3
        addresses = {address for context in contexts for address in context.addresses.values()}
        assert all(address % 512 == 0 for address in addresses)
        assert len(any_machine.trt.streams) == 1
        contexts.clear()
        del context


@pytest.mark.parametrize(("results", "nbytes"), [("owned", 64 * 80 + 512), ("device", 512)])
def test_only_the_outputs_asked_for_come_down(machine: Machine, results: str, nbytes: int) -> None:
    with machine.open(outputs=("mask",), results=results, graphs=False) as engine:
        del machine.gpu.log[:]
        engine.infer(FRAMES[5])
        assert [rest[1] for name, *rest in machine.gpu.log if name == "download"] == [nbytes]


def test_reset_zeroes_the_state_of_one_slot_and_nothing_else(machine: Machine) -> None:
    with machine.open(graphs=False) as engine:
        engine.infer(FRAMES[1])
        engine.reset()
        del machine.gpu.log[:]
        engine.infer(FRAMES[2])
        engine.infer(FRAMES[3])
        frame = ["upload", "enqueue", "download"]
        assert [name for name, *_ in machine.gpu.log] == ["upload", "zero", "enqueue", "download", *frame]
        assert machine.gpu.log[1][2] == sum(aligned(pair.output.nbytes) for pair in STATES)


def test_sessions_share_the_plan_and_nothing_else(any_machine: Machine) -> None:
    with any_machine.open() as engine, engine.session() as other:
        assert any_machine.gpu.alive["engine"] == 1
        assert any_machine.gpu.alive["context"] == 6
        assert any_machine.gpu.alive["device memory"] == 2
        list(zip(engine.stream(FRAMES), other.stream(FRAMES), strict=True))
        assert len(any_machine.trt.streams) == 2


def test_heals_and_stage_times_come_from_the_device(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mostnet.engine.cuda.clock._ANCHOR_LIFE_S", 1e9)  # setting it takes fake time
    with machine.open() as engine:
        finite = [engine.infer(frame_of(number)).finite for number in (1, NAN, 2)]
        stats = engine.stats
    assert finite == [True, False, True]
    assert stats.heals == 1
    # The miniature GPU takes 0.01 ms for each operation.
    assert stats.copy_out_ms == pytest.approx(0.02, abs=1e-6)
    assert stats.compute_ms == pytest.approx(0.02, abs=1e-6)


def test_latency_ends_when_the_gpu_is_done(machine: Machine) -> None:
    with machine.open() as engine:
        outputs = []
        for output in engine.stream(FRAMES[:6]):
            outputs.append(output)
            machine.gpu.advance(1000)
            threading.Event().wait(0.05)
    # A frame read ahead waits for two slow iterations at most; latency up to the caller's look would be 50 ms longer.
    assert all(output.latency_ms < 150 for output in outputs)


def test_one_graph_per_slot_and_nothing_else_in_a_frame(machine: Machine) -> None:
    with machine.open() as engine:
        assert machine.gpu.alive["executable"] == 3
        assert machine.gpu.alive["graph"] == 0
        del machine.gpu.log[:]
        for number in range(6):
            engine.infer(frame_of(number))
        assert [name for name, *_ in machine.gpu.log] == ["upload", "launch", "download"] * 6
        launches = [rest[0] for name, *rest in machine.gpu.log if name == "launch"]
        assert launches[:3] == launches[3:]
        assert len(set(launches)) == 3


def test_graphs_take_their_memory_before_the_first_frame(machine: Machine) -> None:
    def free_mb() -> float:
        with cuda_device():
            return cuda_device().free_mb()

    with machine.open() as engine:
        opened_mb = free_mb()
        list(engine.stream(FRAMES[:10]))
        assert free_mb() == opened_mb
    assert free_mb() > opened_mb


def test_a_graph_that_does_not_fit(machine: Machine) -> None:
    machine.gpu.failures["cuGraphUpload"] = (1, machine.driver.MemoryError("unused"))
    with pytest.raises(DeviceMemoryError, match="out of memory: cuGraphUpload failed: out of memory; close other"):
        machine.open()


def test_without_bindings_there_are_no_graphs(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mostnet.engine.tensorrt.lane.load_bindings", lambda: None)
    with machine.open() as engine:
        assert history(engine.infer(FRAMES[3]).mask) == [3]
        assert machine.gpu.alive["executable"] == 0


@pytest.mark.parametrize("call", ["cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate"])
def test_a_network_that_cannot_be_captured(machine: Machine, call: str) -> None:
    machine.gpu.failures[call] = (1, Exception("unused"))
    with pytest.raises(Exception, match="unused"):
        machine.open()
    machine.gpu.failures[call] = (1, machine.driver.Error("unused"))
    with pytest.raises(DeviceError, match=f"{call} failed: operation failed due to a previous error"):
        machine.open()


def test_tensorrt_refuses_the_capture(machine: Machine) -> None:
    machine.trt.refusals["enqueue"] = (6, "Error Code 1: operation not permitted when stream is capturing")
    with pytest.raises(
        DeviceError, match=r"cannot be captured in a CUDA graph \(graphs=False uses none\): Error Code 1: operation"
    ):
        machine.open()
    with machine.open(graphs=False) as engine:
        engine.infer(frame_of(1))


@pytest.mark.parametrize("graphs", [True, False])
def test_rtx_captures_by_itself_and_allocates_nothing(rtx: Machine, graphs: bool) -> None:
    with rtx.open(graphs=graphs):
        config = rtx.trt.config
        assert config.cuda_graph_strategy.name == ("WHOLE_GRAPH_CAPTURE" if graphs else "DISABLED")
        assert config.strategy.name == "USER_MANAGED"
        assert rtx.gpu.alive["executable"] == 0


def test_rtx_plan_that_allocates_while_it_runs(rtx: Machine) -> None:
    rtx.trt.capturable = False
    with pytest.raises(ModelFileError, match=r"allocates while it runs; export it again .*graphs=False"):
        rtx.open()
    rtx.open(graphs=False).close()


def test_rtx_keeps_its_kernels(rtx: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rtx.open().close()
    (kept,) = (tmp_path / "cache" / "mostnet").iterdir()
    assert kept.name.endswith("-sm_86-1.7.1-standin.kernels")
    assert kept.read_bytes() == b"kernels v1"
    kept.write_bytes(b"kernels v1 and more")
    rtx.open().close()
    assert rtx.trt.config.cache.content == b"kernels v1 and more"
    kept.write_bytes(b"of another driver")
    with caplog.at_level("INFO", "mostnet"):
        rtx.open().close()
    assert "kernels are compiled again" in caplog.text
    assert kept.read_bytes() == b"kernels v1"


def test_a_cache_that_cannot_be_written_is_no_failure(
    rtx: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with rtx.open() as engine:
        engine.infer(frame_of(1))
    assert "the compiled kernels could not be saved for the next start" in caplog.text


def test_a_frame_allocates_nothing(any_machine: Machine) -> None:
    with any_machine.open() as engine:
        list(engine.stream(FRAMES[:5]))
        before = dict(any_machine.gpu.calls)
        list(engine.stream(FRAMES[:20]))
        after = dict(any_machine.gpu.calls)
    for call in ("cuMemAlloc", "cuMemHostAlloc", "Stream"):
        assert before[call] == after[call], call
    assert after["retain_primary_context"] == 1
