"""Events and streams on the host."""

import signal
import threading
import time

import pytest

from mostnet.engine.host_streams import HostEvent, InlineStream, ThreadStream, host_streams


def test_a_wait_holds_for_the_record_before_it_and_no_later_one() -> None:
    event, stream, seen = HostEvent(), ThreadStream("a"), []
    other = ThreadStream("b")
    gate = threading.Event()
    other.run(lambda _: gate.wait())
    stream.record(event)
    other.wait(event)
    other.run(lambda _: seen.append("went on"))
    event.arm()  # announced, and never reached
    gate.set()
    assert other.drain(1000)
    assert seen == ["went on"]
    assert not event.query()
    stream.close()
    other.close()


def test_event_waits_time_out_and_wake() -> None:
    event = HostEvent()
    assert event.query()
    assert event.wait(None)
    mark = event.arm()
    assert not event.query()
    assert not event.wait(5)
    timer = threading.Timer(0.02, event.reach, [mark])
    timer.start()
    assert event.wait(2000)
    assert event.time_s <= time.perf_counter()
    timer.join()


def test_thread_stream_keeps_order_and_finishes_after_close() -> None:
    stream, seen = ThreadStream("a"), []
    for number in range(100):
        stream.run(lambda _, number=number: seen.append(number))
    stream.close()
    stream.close()
    assert stream.drain(1000)
    assert seen == list(range(100))


def test_the_thread_of_a_dropped_stream_does_its_work_and_ends() -> None:
    gate, seen = threading.Event(), []
    stream = ThreadStream("a")
    thread = stream._thread
    stream.run(lambda _: gate.wait())
    stream.run(lambda _: seen.append("done"))
    del stream
    gate.set()
    thread.join(20)
    assert (thread.is_alive(), seen) == (False, ["done"])


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal on this system")
def test_an_interrupted_wait_leaves_nothing_locked() -> None:
    event = HostEvent()
    mark = event.arm()

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGUSR1])
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            event.wait(20_000)
    finally:
        signal.signal(signal.SIGUSR1, before)
    timer.join()
    reacher = threading.Thread(target=event.reach, args=[mark])
    reacher.start()
    assert event.wait(20_000)
    reacher.join()


def test_drain_says_when_work_is_not_done() -> None:
    gate, streams = threading.Event(), host_streams(pipelined=True)
    streams.compute.run(lambda _: gate.wait())
    assert not streams.drain(10)
    gate.set()
    assert streams.drain(1000)
    streams.close()
    assert streams.drain(1000)


def test_inline_work_is_done_when_run_returns() -> None:
    stream, event, threads = InlineStream(), HostEvent(), []
    stream.run(lambda given: threads.append((given is stream, threading.current_thread())))
    stream.record(event)
    assert threads == [(True, threading.current_thread())]
    assert event.query()
