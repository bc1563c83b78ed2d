from __future__ import annotations

import signal
import threading

import pytest

from mostnet.contract.stopping import StopRequest, exit_status, signals_interrupt


def test_the_first_signal_is_noted_and_the_second_acts_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        assert not stop
        signal.raise_signal(signal.SIGTERM)
        assert stop and stop.signal == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is before
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_takes_the_handler_that_was_given(first: signal.Signals) -> None:
    with StopRequest(second=signal.default_int_handler) as stop:
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert stop.signal == first


@pytest.mark.parametrize("number", [None, signal.SIGINT])
def test_handlers_are_put_back(number: signal.Signals | None) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with StopRequest(second=signal.default_int_handler):
        if number is not None:
            signal.raise_signal(number)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_another_thread_leaves_the_handlers_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def work() -> None:
        with StopRequest() as stop:
            seen.extend([bool(stop), signal.getsignal(signal.SIGINT)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False, before]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
@pytest.mark.usefixtures("hang_ups_are_heard")
def test_a_terminal_that_closes_stops_too() -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert stop.signal == signal.SIGHUP


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_signal_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop, signals_interrupt():
            signal.raise_signal(signal.SIGHUP)
        assert not stop
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_and_gives_the_exit_status(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stop, signals_interrupt():
        signal.raise_signal(number)
    assert exit_status(stop.value) == 128 + number
    assert exit_status(KeyboardInterrupt()) == 130
    assert signal.getsignal(number) is before


def test_cleaning_up_is_not_interrupted_by_a_second_sigterm() -> None:
    cleaned = []

    def work() -> None:
        with signals_interrupt():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)
                cleaned.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert cleaned
