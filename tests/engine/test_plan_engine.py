"""A plan on the miniature GPU: results, order of operations, addresses, sessions, graphs."""

import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import DeviceError, EngineTimeoutError, ModelFileError

from .fake import frame_of
from .fake_tensorrt import GENERATIONS, NAN, history
from .plan_setup import Machine, machine_of


@pytest.fixture(params=GENERATIONS)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    with machine_of(monkeypatch, tmp_path, generation=request.param) as made:
        yield made


@pytest.fixture
def classic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    with machine_of(monkeypatch, tmp_path) as made:
        yield made


@pytest.fixture
def rtx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    with machine_of(monkeypatch, tmp_path, generation="rtx") as made:
        yield made


@pytest.mark.parametrize("graphs", [True, False])
def test_state_goes_round_the_ring(machine: Machine, graphs: bool) -> None:
    with machine.open(graphs=graphs) as engine:
        assert engine.provider == "cuda"
        outputs = [engine.infer(frame_of(number), timestamp=f"t{number}") for number in range(10)]
    for number, output in enumerate(outputs):
        assert history(output.mask) == list(range(number + 1))
        assert (output.flow == sum(range(number + 1))).all()
        assert (output.enhanced == number).all()
        assert (output.finite, output.frame_id, output.timestamp) == (True, number, f"t{number}")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("slots", [2, 3, 5])
def test_stream_is_infer_in_any_order_of_the_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int, slots: int
) -> None:
    with (
        machine_of(monkeypatch, tmp_path, generation="10.0", seed=seed) as machine,
        machine.open(slots=slots) as engine,
    ):
        outputs = list(engine.stream(frame_of(number) for number in range(40)))
    for number, output in enumerate(outputs):
        assert history(output.mask) == list(range(number + 1))[-24:]
        assert (output.enhanced == number).all()
        assert (output.flow == sum(range(number + 1))).all()


def test_no_operation_moves_state(classic: Machine) -> None:
    with classic.open(graphs=False) as engine:
        del classic.gpu.log[:]
        engine.infer(frame_of(1))
        list(engine.stream(frame_of(number) for number in range(30)))
        log = list(classic.gpu.log)
    frame_bytes, picture_bytes = 64 * 64 * 3, 64 * 64 * (3 + 8 + 1) + 256
    assert {(name, *rest[1:]) for name, *rest in log} == {
        ("upload", frame_bytes),
        ("enqueue",),
        ("download", picture_bytes),
    }
    assert len(log) == 31 * 3
    for name in ("upload", "enqueue", "download"):
        addresses = [rest[0] for operation, *rest in log if operation == name]
        assert len(set(addresses)) == 3
        assert addresses == (addresses[:3] * 11)[:31]


def test_slots_read_what_the_slot_before_wrote_and_share_the_rest(machine: Machine) -> None:
    with machine.open(outputs=("mask",)) as engine:
        engine.infer(frame_of(1))
        contexts = [reference() for reference in machine.trt.contexts]
        assert len(contexts) == 3
        for slot, context in enumerate(contexts):
            for name in ("seen", "sum"):
                assert context.addresses[f"state_in_{name}"] == contexts[slot - 1].addresses[f"state_out_{name}"]
        assert len({context.scratch for context in contexts}) == 1
        assert len({context.addresses["flow"] for context in contexts}) == 1, "nobody wants it"
        assert len({context.addresses["mask"] for context in contexts}) == 3
        ranges = sorted({address for context in contexts for address in context.addresses.values()})
        assert all(address % 256 == 0 for address in ranges)
        assert len(machine.trt.streams) == 1
        contexts.clear()
        del context


def test_only_what_is_wanted_comes_back(classic: Machine) -> None:
    with classic.open(outputs=("mask",), graphs=False) as engine:
        del classic.gpu.log[:]
        output = engine.infer(frame_of(5))
        assert output.enhanced is None
        assert output.flow is None
        assert history(output.mask) == [5]
        assert [rest[1] for name, *rest in classic.gpu.log if name == "download"] == [64 * 64 + 256]


def test_reset_zeroes_one_slots_state_and_nothing_else(classic: Machine) -> None:
    with classic.open(graphs=False) as engine:
        engine.infer(frame_of(1))
        engine.reset()
        del classic.gpu.log[:]
        assert history(engine.infer(frame_of(2)).mask) == [2]
        assert history(engine.infer(frame_of(3)).mask) == [2, 3]
        assert [name for name, *_ in classic.gpu.log] == [
            "upload",
            "zero",
            "enqueue",
            "download",
            "upload",
            "enqueue",
            "download",
        ]
        assert classic.gpu.log[1][2] == 3 * 256  # the states, each to the next 256


def test_reset_in_mid_stream(machine: Machine) -> None:
    with machine.open() as engine:

        def source() -> Iterator[np.ndarray]:
            for number in range(12):
                if number == 7:
                    engine.reset()
                yield frame_of(number)

        outputs = list(engine.stream(source()))
    assert [history(output.mask)[0] for output in outputs] == [0] * 7 + [7] * 5


def test_sessions_share_the_plan_and_nothing_else(machine: Machine) -> None:
    with machine.open() as engine, engine.session() as other:
        assert machine.gpu.alive["engine"] == 1
        assert machine.gpu.alive["context"] == 6
        assert machine.gpu.alive["device memory"] == 2
        streams = (engine.stream(map(frame_of, range(10))), other.stream(map(frame_of, range(100, 110))))
        left, right = list(zip(*streams, strict=True))[-1]
        assert history(left.mask) == list(range(10))
        assert history(right.mask) == list(range(100, 110))
        assert len(machine.trt.streams) == 2


def test_heals_and_stage_times_come_from_the_device(classic: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mostnet.engine.cuda.streams._ANCHOR_LIFE_S", 1e9)  # setting the clock takes fake time too
    with classic.open() as engine:
        finite = [engine.infer(frame_of(number)).finite for number in (1, NAN, 2)]
        stats = engine.stats
    assert finite == [True, False, True]
    assert stats.heals == 1
    # The miniature GPU takes 0.01 ms for each operation.
    assert stats.copy_out_ms == pytest.approx(0.02, abs=1e-6)
    assert stats.compute_ms == pytest.approx(0.02, abs=1e-6)


def test_latency_ends_when_the_gpu_is_done_not_when_the_caller_looks(classic: Machine) -> None:
    with classic.open() as engine:
        outputs = []
        for output in engine.stream(map(frame_of, range(6))):
            outputs.append(output)
            classic.gpu.advance(1000)
            threading.Event().wait(0.05)
    # A frame read ahead waits for two slow consumers at most; each look comes 50 ms later than the one before.
    assert all(output.latency_ms < 150 for output in outputs)


def test_one_graph_per_slot_and_nothing_else_in_a_frame(classic: Machine) -> None:
    with classic.open() as engine:
        assert classic.gpu.alive["executable"] == 3
        assert classic.gpu.alive["graph"] == 0
        del classic.gpu.log[:]
        for number in range(6):
            engine.infer(frame_of(number))
        assert [name for name, *_ in classic.gpu.log] == ["upload", "launch", "download"] * 6
        launches = [rest[0] for name, *rest in classic.gpu.log if name == "launch"]
        assert launches[:3] == launches[3:]
        assert len(set(launches)) == 3


def test_no_bindings_no_graphs(classic: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mostnet.engine.tensorrt.lane.load_bindings", lambda: None)
    with classic.open() as engine:
        assert history(engine.infer(frame_of(3)).mask) == [3]
        assert classic.gpu.alive["executable"] == 0


@pytest.mark.parametrize("call", ["cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate"])
def test_a_network_that_cannot_be_captured(classic: Machine, call: str) -> None:
    classic.gpu.failures[call] = (1, Exception("unused"))
    with pytest.raises(Exception, match="unused"):
        classic.open()
    classic.gpu.failures[call] = (1, classic.driver.Error("unused"))
    with pytest.raises(DeviceError, match=f"{call} failed: CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"):
        classic.open()


def test_tensorrt_refuses_the_capture(classic: Machine) -> None:
    classic.trt.refusals["enqueue"] = (6, "Error Code 1: operation not permitted when stream is capturing")
    with pytest.raises(DeviceError, match=r"cannot be captured \(graphs=False does without\): Error Code 1: operation"):
        classic.open()
    with classic.open(graphs=False) as engine:
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
    assert kept.name.endswith("-sm_86-1.7.1.kernels")
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
    assert "kernels are not kept for the next start" in caplog.text


def test_a_late_frame_is_an_error_and_stays_in_the_state(classic: Machine) -> None:
    with classic.open() as engine:
        engine.infer(frame_of(1))
        classic.gpu.stuck = True
        with pytest.raises(EngineTimeoutError, match="frame 1 was not ready after"):
            engine.infer(frame_of(2), timeout_ms=20)
        with pytest.raises(EngineTimeoutError, match="earlier frames of this session, up to frame 1, are not done"):
            engine.infer(frame_of(3), timeout_ms=20)
        classic.gpu.stuck = False
        assert history(engine.infer(frame_of(3)).mask) == [1, 2, 3]


def test_used_and_closed_from_other_threads(machine: Machine) -> None:
    engine = machine.open()
    found = []

    def use() -> None:
        found.append(history(engine.infer(frame_of(7)).mask))
        engine.close()
        found.append(machine.gpu.depth)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert found == [[7], 0]


def test_a_frame_allocates_nothing(machine: Machine) -> None:
    with machine.open() as engine:
        list(engine.stream(map(frame_of, range(5))))
        before = dict(machine.gpu.calls)
        list(engine.stream(map(frame_of, range(20))))
        after = dict(machine.gpu.calls)
    for call in ("cuMemAlloc", "cuMemHostAlloc", "Stream"):
        assert before[call] == after[call], call
    assert after["retain_primary_context"] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_destroys_nothing(classic: Machine) -> None:
    engine = classic.open()
    engine.infer(frame_of(1))
    gc.collect()  # what other tests left is not this child's to destroy
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            engine.close()
            del engine
            gc.collect()
            os._exit(1 if classic.gpu.violations else 0)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert history(engine.infer(frame_of(2)).mask) == [1, 2]
    engine.close()
