"""Calling a plugin: whatever it raises is its own error, and what it changes of the process is put back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from trm_bench.harness.api.errors import (
    LONGEST_ERROR,
    LONGEST_TRACE,
    DataError,
    Detached,
    PluginError,
    TrmBenchError,
    UsageError,
    told,
    traced,
)
from trm_bench.harness.host.calls import calling
from trm_bench.harness.host.interruption import interruptible


@pytest.fixture(autouse=True)
def as_started() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def plugins_code(error: BaseException) -> Callable[[], None]:
    """A function of a module that is not ours, which raises an error."""
    module = ModuleType("acme")
    exec("def build():\n    raise error", module.__dict__)
    module.__dict__["error"] = error
    function: Callable[[], None] = module.__dict__["build"]
    return function


RAISED = [
    ValueError("wrong"),
    FileNotFoundError(2, "No such file", "/nowhere"),
    DataError("no rows"),
    UsageError("write it so"),
    SystemExit(0),
    GeneratorExit(),
    asyncio.CancelledError(),
    pytest.skip.Exception("not here"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_the_code_of_a_plugin_raises_is_the_plugins_error(error: BaseException) -> None:
    with interruptible(), pytest.raises(PluginError, match=r"^model bad: ") as raised, calling("model bad"):
        plugins_code(error)()
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [DataError("line 3"), FileNotFoundError(2, "No such file", "/nowhere")])
def test_what_a_task_says_of_the_files_of_users_is_for_them(error: Exception) -> None:
    with pytest.raises(type(error)), calling("task bad", reads_files=True):
        plugins_code(error)()


def test_what_our_own_code_says_while_a_model_is_planned_is_for_users() -> None:
    from trm_bench.harness.planning.models import parse_variant

    with pytest.raises(UsageError, match="write key=value"), calling("model bad"):
        parse_variant("trm[cycles]")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_command_while_a_plugin_is_called(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible(), calling("model bad"):
        signal.raise_signal(number)


def test_ctrl_c_stops_a_notebook_and_jobs_that_continue_elsewhere_are_no_error() -> None:
    with pytest.raises(KeyboardInterrupt), calling("model bad"):  # nobody but Python handles signals
        signal.raise_signal(signal.SIGINT)
    with interruptible(), pytest.raises(Detached), calling("model bad"):
        raise Detached


def test_in_the_process_of_a_run_no_interrupt_is_a_signal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # see `leave_to_parent`
    with pytest.raises(PluginError), calling("model bad"):
        raise KeyboardInterrupt


def autocast() -> None:
    torch.autocast("cpu", dtype=torch.float16).__enter__()


def umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before


def state() -> tuple[Any, ...]:
    modes = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device()
    casts = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    return *modes, *casts, os.getcwd(), dict(os.environ), umask()


@pytest.mark.parametrize(
    "change",
    [
        lambda: torch.set_grad_enabled(False),
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.set_default_device("meta"),
        autocast,
        lambda: os.chdir("/"),
        lambda: os.environ.clear(),
        lambda: os.environ.update(TRM_BENCH_CACHE="/nowhere"),
        lambda: os.umask(0o777),
    ],
    ids=["grad", "dtype", "device", "autocast", "folder", "no variables", "variable", "umask"],
)
@pytest.mark.parametrize("fails", [False, True])
def test_what_a_plugin_changes_of_the_process_is_put_back(change: Callable[[], Any], fails: bool) -> None:
    before = state()
    try:
        with calling("model bad"):
            change()
            assert state() != before
            if fails:
                raise ValueError
    except PluginError:
        pass
    assert state() == before


def test_a_model_on_the_meta_device_is_built_as_before(tmp_path: Path) -> None:
    with torch.device("meta"):
        with calling("model good"):
            pass
        assert torch.zeros(1).is_meta
    assert not torch.zeros(1).is_meta


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def test_a_long_error_is_cut_and_one_without_text_is_told_by_its_kind() -> None:
    long = told(ValueError("x" * 10_000_000 + "the end"))
    assert len(long) < LONGEST_ERROR + 100
    assert long.startswith("ValueError: xxx")
    assert long.endswith("the end")
    assert told(TrmBenchError("short")) == "short"
    assert told(Unspeakable()) == "Unspeakable"
    assert len(traced(ValueError("x" * 10_000_000))) < LONGEST_TRACE + 100
