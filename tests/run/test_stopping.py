"""Signals as exceptions, at once or held."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import pytest

from lowmem_fold.run.stopping import Stopped, StopSignals


def send(name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_signal_raises_at_once(name, code):
    with pytest.raises(Stopped) as caught, StopSignals():
        send(name)
    assert str(caught.value) == name
    assert caught.value.exit_code == code
    assert isinstance(caught.value, KeyboardInterrupt)


def test_signal_waits_while_held():
    reached = []
    with pytest.raises(Stopped), StopSignals() as stops:
        with stops.held():
            with stops.held():
                send("SIGTERM")
            reached.append("inner")
        reached.append("outer")
    assert reached == ["inner"]


def test_stop_that_was_swallowed_is_raised_again():
    with pytest.raises(Stopped), StopSignals() as stops:
        with contextlib.suppress(KeyboardInterrupt):
            send("SIGINT")
        stops.check()


def test_handlers_are_given_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    with pytest.raises(Stopped), StopSignals():
        send("SIGINT")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_second_signal_ends_the_process():
    with StopSignals():
        with pytest.raises(Stopped):
            send("SIGINT")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_ignored_signal_stays_ignored():
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals():
            send("SIGHUP")
    finally:
        signal.signal(signal.SIGHUP, former)


def test_in_a_thread_and_not_entered_it_does_nothing():
    failures = []

    def body():
        try:
            with StopSignals() as stops, stops.held():
                stops.check()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert not failures
