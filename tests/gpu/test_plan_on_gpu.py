"""A plan on a real GPU: within the bounds of float32, the same however it is run, and its failures."""

from __future__ import annotations

import itertools
import math
import shutil
import subprocess
import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import FOREGROUND, ModelFileError, PlanInfo, PlanMismatchError, sha256
from mostnet.engine import Engine, Output

from .conftest import COUNT, FRAMES, Case, command, lane_of, same, settle

#: Least PSNR in dB, largest flow error in pixels, least mask IoU, of every frame.
BOUNDS = {"fp16": (45.0, 0.05, 0.995), "fp32": (55.0, 0.01, 0.999)}

#: Half-precision NaN, +Inf and -Inf. A float32 made of two of them is beyond the bound of the graph for finite values.
POISONS = {"nan": 0x7E00, "+inf": 0x7C00, "-inf": 0xFC00}

#: A kernel that stops the GPU for good, in a process of its own.
LOSE_THE_GPU = """
import sys
import numpy as np
import pycuda.driver as driver
from mostnet.contract import DeviceError, EngineClosedError
from mostnet.engine import Engine
from mostnet.engine.cuda.device import cuda_device

engine = Engine(sys.argv[1])
frame = np.zeros((*engine.metadata.size_hw, 3), np.uint8)
engine.infer(frame)
with cuda_device():
    ptx = b".version 6.0\\n.target sm_50\\n.address_size 64\\n.entry boom() { trap; }\\n\\0"
    module = driver.module_from_buffer(ptx)
    module.get_function("boom")(block=(1, 1, 1), grid=(1, 1))
try:
    for _ in range(100):
        engine.infer(frame)
except DeviceError as error:
    assert "open a new Engine in a new process" in str(error), error
else:
    raise SystemExit("the error of the device was never noticed")
try:
    engine.infer(frame)
except EngineClosedError:
    engine.close()
    print("closed")
"""

#: The child of a fork reports that it may not use the engine, and exits like any process.
FORK = """
import os, sys
import numpy as np
from mostnet.contract import EngineClosedError
from mostnet.engine import Engine

engine = Engine(sys.argv[1])
frame = np.zeros((*engine.metadata.size_hw, 3), np.uint8)
engine.infer(frame)
child = os.fork()
if child == 0:
    try:
        engine.infer(frame)
    except EngineClosedError as error:
        sys.exit(0 if "forked" in str(error) else 3)
    sys.exit(2)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
engine.infer(frame)
engine.close()
sys.exit(status)
"""


def run(case: Case, **options: object) -> list[Output]:
    """Results of a fresh engine, frame by frame."""
    with Engine(case.plan, **options) as engine:
        return [engine.infer(frame) for frame in case.frames[:COUNT]]


def test_every_frame_is_within_the_bounds_of_float32_pytorch(case: Case) -> None:
    least_db, most_px, least_iou = BOUNDS[case.info.precision]
    with Engine(case.plan) as engine:
        outputs = list(engine.stream(case.frames))
    for index, output in enumerate(outputs):
        wanted = {name: arrays[index] for name, arrays in case.reference.items()}
        error = np.mean((output.enhanced.astype(np.float64) - wanted["enhanced"]) ** 2)
        psnr_db = math.inf if error == 0 else 10 * math.log10(255**2 / error)
        epe_px = np.hypot(*(output.flow - wanted["flow"])).mean()
        found, teeth = output.mask >= FOREGROUND, wanted["mask"] >= FOREGROUND
        iou = 1 - np.count_nonzero(found ^ teeth) / max(np.count_nonzero(found | teeth), 0.05 * teeth.size)
        assert output.finite, index
        assert (psnr_db >= least_db, epe_px <= most_px, iou >= least_iou) == (True,) * 3, (index, psnr_db, epe_px, iou)


def test_the_state_matters(case: Case, alone: list[Output]) -> None:
    with Engine(case.plan) as engine:
        for frame, output in zip(case.frames[1:6], alone[1:6], strict=True):
            engine.reset()
            assert not same(engine.infer(frame), output)


def test_stream_is_infer(case: Case, alone: list[Output]) -> None:
    with Engine(case.plan) as engine:
        streamed = list(engine.stream(case.frames[:COUNT]))
    assert all(map(same, streamed, alone))


@pytest.mark.parametrize("options", [{"graphs": False}, {"slots": 2}, {"slots": 5}], ids=str)
def test_options_change_no_result(case: Case, alone: list[Output], options: dict[str, object]) -> None:
    assert all(map(same, run(case, **options), alone))


def test_outputs_left_out_change_no_other(case: Case, alone: list[Output]) -> None:
    for output, whole in zip(run(case, outputs=("mask",)), alone, strict=True):
        assert output.names == ("mask",)
        assert np.array_equal(output.mask, whole.mask)


def test_sessions_do_not_touch_each_other(case: Case, alone: list[Output]) -> None:
    with Engine(case.plan) as engine, engine.session() as other:
        other.infer(case.frames[50 % len(case.frames)])
        other.reset()
        pairs = list(zip(engine.stream(case.frames[:COUNT]), other.stream(case.frames[:COUNT]), strict=True))
    for (left, right), output in zip(pairs, alone, strict=True):
        assert same(left, output)
        assert same(right, output)


def test_sessions_in_threads(case: Case, alone: list[Output]) -> None:
    results: dict[int, list[Output]] = {}

    def use(engine: Engine, number: int) -> None:
        with engine.session() as session:
            results[number] = [session.infer(frame) for frame in case.frames[:COUNT]]

    with Engine(case.plan) as engine:
        threads = [threading.Thread(target=use, args=(engine, number)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(all(map(same, results[number], alone)) for number in range(3))


def test_reset_starts_again(case: Case, alone: list[Output]) -> None:
    with Engine(case.plan) as engine:
        for frame in case.frames[:7]:
            engine.infer(frame)
        engine.reset()
        again = [engine.infer(frame) for frame in case.frames[:COUNT]]
    assert all(map(same, again, alone))


@pytest.mark.parametrize("poison", POISONS)
def test_a_poisoned_state_is_healed_in_one_frame(case: Case, poison: str) -> None:
    for pair in (pair for pair in case.info.states if pair.dtype != "int8"):
        with Engine(case.plan) as engine:
            lane = lane_of(engine)
            for frame in case.frames[:4]:
                engine.infer(frame)
            address = lane._state_out.addresses(lane._blocks[3 % lane.slots].state)[pair.output.name]
            with lane.active():
                lane._device.driver.memset_d16(address, POISONS[poison], pair.output.nbytes // 2)
            settle()  # no stream of the engine waits for it
            finite = [engine.infer(frame).finite for frame in case.frames[4:8]]
            assert finite == [False, True, True, True], (pair.name, poison, finite)
            assert engine.stats.heals == 1


def test_a_truncated_plan(case: Case, tmp_path: Path) -> None:
    plan = tmp_path / "case.plan"
    plan.write_bytes(case.plan.read_bytes()[:-1000])
    shutil.copy(f"{case.plan}.json", f"{plan}.json")
    with pytest.raises(ModelFileError, match="truncated or altered"):
        Engine(plan)
    described = PlanInfo(**{**asdict(case.info), "states": case.info.states, "plan_sha256": sha256(plan)})
    Path(f"{plan}.json").write_text(described.to_json(), encoding="utf-8")
    with pytest.raises(PlanMismatchError, match="refuses the plan: "):
        Engine(plan)


def test_a_plan_for_another_gpu(case: Case, tmp_path: Path) -> None:
    plan = shutil.copy(case.plan, tmp_path / "case.plan")
    described = PlanInfo(**{**asdict(case.info), "states": case.info.states, "targets": ("sm_61",)})
    Path(f"{plan}.json").write_text(described.to_json(), encoding="utf-8")
    with pytest.raises(PlanMismatchError, match=r"built for sm_61; the GPU of this machine is sm_\d+; build it again"):
        Engine(Path(plan))


def test_memory_of_the_gpu_is_flat(case: Case) -> None:
    """Over frames (``MOSTNET_GPU_FRAMES`` in the first engine, by default 2000), and over engines opened and closed."""
    from mostnet.engine.cuda.device import cuda_device

    free_mb = []
    for frames in (FRAMES, *[min(FRAMES, 2000)] * 3):
        with Engine(case.plan) as engine:
            for frame in case.frames[: lane_of(engine).slots]:  # a slot may take memory in its first frame
                engine.infer(frame)
            with cuda_device():
                opened_mb = cuda_device().free_mb()
            for _ in engine.stream(itertools.islice(itertools.cycle(case.frames), frames)):
                pass
            with cuda_device():
                assert cuda_device().free_mb() == pytest.approx(opened_mb, abs=2.5), "frames take memory"
        with cuda_device():
            free_mb.append(cuda_device().free_mb())
    assert free_mb[-1] == pytest.approx(free_mb[1], abs=2.5), "engines leave memory"


#: The engine knows the time of an event of the GPU to within this.
CLOCK_MS = 0.05


def test_stage_times_and_latency_are_plausible(case: Case) -> None:
    with Engine(case.plan) as engine:
        outputs = [engine.infer(frame) for frame in case.frames]
        stats = engine.stats
    stages_ms = stats.copy_in_ms + stats.compute_ms + stats.copy_out_ms
    latency_ms = float(np.mean([output.latency_ms for output in outputs]))
    assert min(stats.copy_in_ms, stats.compute_ms, stats.copy_out_ms) > 0
    assert stages_ms < latency_ms + CLOCK_MS
    print(f"{case.plan.name}: {stats}, latency {latency_ms:.3f} ms")


def test_no_context_stays_pushed(case: Case) -> None:
    import pycuda.driver

    assert pycuda.driver.Context.get_current() is None
    with Engine(case.plan) as engine:
        stream = engine.stream(case.frames[:10])
        next(stream)
        assert pycuda.driver.Context.get_current() is None
        stream.close()


def test_a_lost_gpu_closes_the_engine(case: Case) -> None:
    done = subprocess.run([*command(LOSE_THE_GPU), str(case.plan)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("closed")


def test_exit_without_close_is_quiet(case: Case) -> None:
    code = "import sys, numpy; from mostnet.engine import Engine; e = Engine(sys.argv[1]); " + (
        "e.infer(numpy.zeros((*e.metadata.size_hw, 3), 'uint8'))"
    )
    done = subprocess.run([*command(code), str(case.plan)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "PyCUDA" not in done.stderr


def test_a_forked_process_says_so_and_exits(case: Case) -> None:
    done = subprocess.run([*command(FORK), str(case.plan)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
