"""The outputs that a caller gets, and how long they stay as they are."""

from collections import deque
from itertools import chain

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import SIZE_HW, frame_of, reference
from mostnet.engine import DeviceArray, Output
from tests.engine.backends import Backend, every_loan, only
from tests.toy_graph import assert_reference

PICTURES = ("enhanced", "flow", "mask")
FRAMES = [frame_of(number) for number in range(30)]
REFERENCE = reference(FRAMES)


def check(backend: Backend, output: Output, number: int) -> None:
    """``output`` is that of frame ``number``, still."""
    for name in PICTURES:
        assert np.array_equal(backend.fetch(getattr(output, name)), REFERENCE[number][name]), f"{name} of {number}"


@pytest.mark.parametrize("outputs", [["mask"], ("enhanced", "mask"), ("flow",)])
def test_only_the_outputs_asked_for(backend: Backend, outputs: list[str]) -> None:
    with backend.open(outputs=outputs) as engine:
        found = [*map(engine.infer, FRAMES[:4]), *engine.stream(FRAMES[4:9])]
    assert_reference(found, FRAMES[:9])
    for output in found:
        assert output.names == tuple(outputs)


@every_loan
def test_only_the_outputs_asked_for_are_lent(backend: Backend, results: str) -> None:
    with backend.open(results=results, outputs=("mask",)) as engine:
        output = engine.infer(FRAMES[0])
        assert output.names == ("mask",)
        assert isinstance(output.mask, DeviceArray if results == "device" else np.ndarray)
        assert (output.mask.shape, output.mask.dtype) == (SIZE_HW, np.uint8)
        assert np.array_equal(backend.fetch(output.mask), REFERENCE[0]["mask"])


def test_owned_results_are_the_callers(backend: Backend) -> None:
    with backend.open() as engine:
        outputs = [*map(engine.infer, FRAMES[:10]), *engine.stream(FRAMES[10:20])]
        list(engine.stream(FRAMES))
        assert_reference(outputs, FRAMES[:20])
        for name in PICTURES:
            arrays = [getattr(output, name) for output in outputs]
            assert all(array.flags.writeable for array in arrays)
            assert not any(np.may_share_memory(arrays[-1], array) for array in arrays[:-1])


def test_results_that_the_caller_refers_to_never_change(backend: Backend) -> None:
    kept: list[list[np.ndarray]] = []
    with backend.open() as engine:
        for output in chain(map(engine.infer, FRAMES[:10]), engine.stream(FRAMES[10:20])):
            view, buffer, turned = output.enhanced[::2], memoryview(output.mask), output.flow.transpose(1, 2, 0)[3:]
            kept.append([view, np.asarray(buffer)[5:9], turned[:, ::3]])
            del output, view, buffer, turned
        for _ in range(3):
            for frame in FRAMES:
                engine.infer(frame)
            list(engine.stream(FRAMES))
    for expected, (enhanced, mask, flow) in zip(REFERENCE, kept, strict=False):
        assert np.array_equal(enhanced, expected["enhanced"][::2])
        assert np.array_equal(mask, expected["mask"][5:9])
        assert np.array_equal(flow, expected["flow"].transpose(1, 2, 0)[3:, ::3])


@pytest.mark.parametrize("way", ["infer", "stream"])
def test_the_last_hundred_results_stay_as_they_are(backend: Backend, way: str) -> None:
    frames = [FRAMES[number % 30] for number in range(150)]
    expected = reference(frames)
    latest: deque[Output] = deque(maxlen=100)
    with backend.open() as engine:
        for output in map(engine.infer, frames) if way == "infer" else engine.stream(frames):
            latest.append(output)
    for output, wanted in zip(latest, expected[50:], strict=True):
        assert all(np.array_equal(getattr(output, name), wanted[name]) for name in PICTURES)


@only(lambda kind: kind.recycles)
@pytest.mark.parametrize("way", ["infer", "stream"])
def test_memory_of_dropped_results_is_used_again(backend: Backend, way: str) -> None:
    with backend.open() as engine:
        seen: dict[str, set[int]] = {name: set() for name in PICTURES}
        others = []  # they take the memory that the results would leave to the system
        for output in map(engine.infer, FRAMES) if way == "infer" else engine.stream(FRAMES):
            for name, addresses in seen.items():
                addresses.add(getattr(output, name).ctypes.data)
            del output
            others.append([np.empty_like(array) for _ in range(4) for array in REFERENCE[0].values()])
    assert all(len(addresses) <= 5 for addresses in seen.values()), "a result and one in each slot, at most"


@only(lambda kind: kind.recycles)
def test_who_keeps_masks_keeps_no_pictures(backend: Backend) -> None:
    masks, pictures, others = [], set(), []
    with backend.open() as engine:
        for frame in FRAMES:
            output = engine.infer(frame)
            masks.append(output.mask)
            pictures.add(output.enhanced.ctypes.data)
            del output
            others.append([np.empty_like(REFERENCE[0]["enhanced"]) for _ in range(4)])
    assert len(pictures) == 1
    for mask, wanted in zip(masks, REFERENCE, strict=True):
        assert np.array_equal(mask, wanted["mask"])


@every_loan
def test_lent_results_are_good_for_slots_less_one_more_frames(backend: Backend, results: str) -> None:
    with backend.open(results=results, slots=4) as engine:
        outputs: list[Output] = []
        for number, frame in enumerate(FRAMES[:14]):
            outputs.append(engine.infer(frame))
            for age in range(min(number + 1, 4)):
                check(backend, outputs[number - age], number - age)
            if number >= 4:
                check(backend, outputs[number - 4], number)  # its slot has the next frame now
        assert all(output.finite for output in outputs)


@every_loan
@pytest.mark.parametrize("slots", [2, 3, 5])
def test_a_lent_result_of_a_stream_is_good_until_the_next_is_asked_for(
    backend: Backend, results: str, slots: int
) -> None:
    with backend.open(results=results, slots=slots) as engine:
        for number, output in enumerate(engine.stream(FRAMES)):
            if number % 7 == 3:
                backend.run_ahead()
            check(backend, output, number)


@only(lambda kind: "borrowed" in kind.lends)
def test_borrowed_results_are_read_only_views_of_the_slots(backend: Backend) -> None:
    with backend.open(results="borrowed") as engine:
        outputs = [engine.infer(frame) for frame in FRAMES[:4]]
        for name in PICTURES:
            arrays = [getattr(output, name) for output in outputs]
            assert arrays[0] is arrays[3]
            assert not np.may_share_memory(arrays[0], arrays[1])
            assert (arrays[0].shape, arrays[0].dtype) == (REFERENCE[0][name].shape, REFERENCE[0][name].dtype)
            with pytest.raises(ValueError, match="read-only"):
                arrays[0][...] = 0


@every_loan
def test_lent_memory_outlives_the_engine(backend: Backend, results: str) -> None:
    with backend.open(results=results) as engine:
        outputs = [engine.infer(frame) for frame in FRAMES[:3]]
    for number, output in enumerate(outputs):
        check(backend, output, number)
