"""Every signal that asks a command to stop means the same as Ctrl-C, unless it is somebody else's."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import pytest
from trm_bench.harness.host.interruption import STOPS, by_default, held_back, interruptible, undisturbed

ALL = (signal.SIGINT, *STOPS)


@pytest.fixture(autouse=True)
def as_started() -> Iterator[None]:
    """Handlers as a new process has them, whatever the tests' own process was started with."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in STOPS}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_signals_of_batch_systems_and_terminals_are_among_them() -> None:
    assert {number.name for number in STOPS} == {"SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"}


@pytest.mark.parametrize("number", ALL, ids=lambda number: number.name)
def test_a_signal_interrupts_and_its_handler_is_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_two_signals_at_a_time_are_one() -> None:
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)  # would cut short what the first one asked for


def test_what_is_ignored_stays_ignored_as_under_nohup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible():
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_handler_of_the_calling_program_stays_its_own() -> None:
    heard: list[int] = []

    def own(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    signal.signal(signal.SIGUSR1, own)
    with interruptible():
        signal.raise_signal(signal.SIGUSR1)
    assert heard == [signal.SIGUSR1]


@pytest.mark.parametrize("number", ALL, ids=lambda number: number.name)
def test_nothing_disturbs_what_has_to_be_finished(number: signal.Signals) -> None:
    with interruptible(), undisturbed():
        signal.raise_signal(number)


@pytest.mark.parametrize("number", ALL, ids=lambda number: number.name)
def test_a_signal_while_a_process_is_started_comes_afterwards(number: signal.Signals) -> None:
    steps: list[str] = []

    def start() -> None:
        with interruptible():
            with held_back():
                signal.raise_signal(number)
                steps.append("started")
            steps.append("went on")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert steps == ["started"]


def test_a_signal_that_was_held_back_is_not_lost_where_the_start_fails() -> None:
    def start() -> None:
        signal.raise_signal(signal.SIGTERM)
        raise OSError("no more processes")

    with pytest.raises(KeyboardInterrupt), interruptible(), held_back():
        start()


def test_a_handler_is_back_after_a_queued_run_and_a_thread_may_carry_one_out() -> None:
    def own(number: int, frame: FrameType | None) -> None:
        pass

    signal.signal(signal.SIGTERM, own)
    with by_default(signal.SIGTERM):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is own
    with ThreadPoolExecutor() as pool, by_default(signal.SIGUSR1):
        pool.submit(_by_default).result()


def _by_default() -> None:
    with by_default(signal.SIGTERM):
        pass
