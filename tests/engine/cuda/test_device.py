"""Entering and leaving the GPU's context, on the miniature GPU."""

from __future__ import annotations

import pytest

from mostnet.contract import DeviceError, FrameError
from mostnet.engine.cuda.device import CudaDevice, cuda_device
from mostnet.engine.interfaces import DeviceLostError
from tests.engine.plan_setup import Machine

DEAD = "an illegal memory access was encountered"


@pytest.fixture
def device(machine: Machine) -> CudaDevice:
    """A device whose context is popped with the failure of earlier work, as the manual allows."""
    pop = machine.driver.Context.pop

    def pop_and_fail() -> None:
        pop()
        raise machine.driver.LogicError(f"cuCtxPopCurrent failed: {DEAD}")

    machine.driver.Context.pop = staticmethod(pop_and_fail)
    return cuda_device()


def test_each_gpu_has_one_device(machine: Machine) -> None:
    assert cuda_device() is cuda_device(0) is cuda_device(number=0)


def test_a_failing_pop_is_an_error_of_ours(device: CudaDevice) -> None:
    with pytest.raises(DeviceLostError, match=f"is lost: cuCtxPopCurrent failed: {DEAD}; the engine is closed"), device:
        pass


def test_a_failing_pop_does_not_hide_the_first_failure(machine: Machine, device: CudaDevice) -> None:
    with pytest.raises(DeviceError, match="the GPU refused a call: odd failed: invalid value") as caught, device:
        raise machine.driver.LogicError("odd failed: invalid value")
    assert isinstance(caught.value.__cause__, machine.driver.LogicError)


@pytest.mark.parametrize("error", [FrameError("too small"), KeyboardInterrupt()], ids=repr)
def test_a_failing_pop_hides_no_other_error(device: CudaDevice, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, device, device:
        raise error
    assert caught.value is error


def test_the_context_is_popped_if_the_mode_cannot_be_set(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    device = cuda_device()

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(device.capture_mode, "enter", interrupted)
    with pytest.raises(KeyboardInterrupt), device:
        pass
    assert machine.gpu.depth == 0
