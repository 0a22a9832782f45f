"""The first Ctrl-C asks, the second interrupts."""

import os
import signal
import threading

import pytest

from isogloss.compute.interruption import StopFlag, graceful_interrupt, stop_requested

SIGNALS = pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])


def hear(kind: signal.Signals) -> None:
    os.kill(os.getpid(), kind)


@SIGNALS
def test_the_first_signal_raises_the_flag_and_the_second_interrupts(kind):
    with graceful_interrupt():
        assert not stop_requested()
        hear(kind)
        assert stop_requested()
        with pytest.raises(KeyboardInterrupt):
            hear(kind)


@SIGNALS
def test_afterwards_the_flag_is_down_and_signals_mean_what_they_meant(kind):
    before = signal.getsignal(kind)
    with pytest.raises(ZeroDivisionError), graceful_interrupt():
        hear(kind)
        assert signal.getsignal(kind) is not before
        raise ZeroDivisionError
    assert signal.getsignal(kind) is before
    assert not stop_requested()


def test_in_another_thread_nothing_is_touched():
    found = []

    def work() -> None:
        before = signal.getsignal(signal.SIGINT)
        with graceful_interrupt():
            found.append(signal.getsignal(signal.SIGINT) is before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True]


def test_a_flag_also_watches_a_condition():
    flag, asked = StopFlag(), []
    flag.watch(lambda: bool(asked))
    assert not flag()
    asked.append("please")
    assert flag()
    asked.clear()
    flag.ask()
    assert flag()
    flag.clear()
    assert not flag()
