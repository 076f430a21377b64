"""A run over several processes of one machine: its own one starts the others, and notices when one dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from ..api.errors import PluginError, TrmBenchError, UnavailableError, told
from ..host.calls import stdout_to_stderr
from ..host.host import host
from ..host.interruption import held_back, leave_to_parent
from ..planning.job import Job
from ..store.folders import RunFolder
from ..training.checkpoint import Stopped
from ..training.gpus import Gpu
from ..training.group import ALONE, Group, RankLost, joined
from .lifetime import die_with_parent, keep_memory
from .worker import Worker

DEATH_SECONDS = 5.0
"""How long a process that no longer talks may take to end."""
NOTICE_SECONDS = 10.0
"""How long the run may take to notice that one of its processes has died, before it is ended from aside: NCCL
waits for a dead process for minutes."""


@dataclass
class _Follower:
    """Another process of the run, and the pipe through which it says that it is ready, or why it ends."""

    rank: int
    process: BaseProcess
    pipe: Connection


@contextmanager
def together(job: Job, tell: Callable[[str], None]) -> Iterator[Group]:
    """The processes of a job, of which this is the first; the others are started, follow, and are ended.

    Args:
        job: with settled execution, the same for all processes.
        tell: takes a line for the user.

    Raises:
        TrmBenchError: one of them ended early; names it and its exit code.
    """
    size = job.execution.processes
    if size == 1:
        yield ALONE
        return
    over = threading.Event()
    with tempfile.TemporaryDirectory(prefix="trm-bench-") as folder:
        file, followers = Path(folder) / "rendezvous", list[_Follower]()
        try:
            _start(job, file, followers)
            for one in followers:
                _await_ready(one, followers)
            threading.Thread(target=_guard, args=(followers, over, tell), daemon=True, name="ranks").start()
            with joined(0, size, file, job.run.identity.device) as group:
                yield group
        except RankLost as error:
            raise _lost(followers, error) from error
        finally:
            over.set()
            _end(followers)


def _start(job: Job, file: Path, followers: list[_Follower]) -> None:
    context = multiprocessing.get_context("spawn")
    for rank in range(1, job.execution.processes):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=follow, args=(job, rank, file, sender), daemon=True, name=f"{job.run.name} {rank}"
        )
        with held_back():
            process.start()
        sender.close()
        followers.append(_Follower(rank, process, receiver))


def _await_ready(follower: _Follower, followers: Sequence[_Follower]) -> None:
    """Wait until a process has built all it needs; one that fails before would leave the others waiting."""
    wait([follower.pipe, follower.process.sentinel])
    if (message := _message(follower)) is not None or not follower.process.is_alive():
        follower.process.join(DEATH_SECONDS)
        raise _ended(follower, len(followers) + 1, message)


def _message(follower: _Follower) -> str | None:
    """Why a process ended; None where it has not said so."""
    with suppress(EOFError, OSError):
        while follower.pipe.poll():
            if (message := follower.pipe.recv()) is not None:
                return str(message)
    return None


def _lost(followers: Sequence[_Follower], error: RankLost) -> TrmBenchError:
    """The error about the process that could not be reached, once it has ended.

    Others that lost it end too, with exit code 1 and without a message.
    """
    deadline = time.monotonic() + DEATH_SECONDS
    while time.monotonic() < deadline:
        dead = [one for one in followers if one.process.exitcode]
        for one in dead:
            message = _message(one)
            if message is not None or one.process.exitcode != 1 or len(dead) == len(followers):
                return _ended(one, len(followers) + 1, message)
        time.sleep(0.05)
    return TrmBenchError(f"the {len(followers) + 1} processes of the run cannot reach each other: {error}")


def _ended(follower: _Follower, size: int, message: str | None) -> TrmBenchError:
    code = follower.process.exitcode
    if message is None and code == -signal.SIGKILL:
        message = "killed, most often for lack of memory: try a smaller --set microbatch or fewer --jobs"
    why = f": {message}" if message else " (see the lines above)"
    return TrmBenchError(f"process {follower.rank} of the run's {size} ended with exit code {code}{why}")


def _guard(followers: Sequence[_Follower], over: threading.Event, tell: Callable[[str], None]) -> None:
    """End this process where another died and a collective does not return, which no thread can interrupt."""
    running = {one.process.sentinel: one for one in followers}
    while running and not over.is_set():
        for sentinel in wait([*running], timeout=1.0):
            one = running.pop(sentinel)  # type: ignore[arg-type]
            if over.wait(NOTICE_SECONDS):
                return
            if one.process.exitcode:
                tell(str(_ended(one, len(followers) + 1, _message(one))))
                os._exit(1)


def _end(followers: Sequence[_Follower]) -> None:
    """Wait for the processes, which have nothing left to do, and kill those that do not end."""
    deadline = time.monotonic() + DEATH_SECONDS
    for one in followers:
        one.process.join(max(0.0, deadline - time.monotonic()))
        if one.process.is_alive():
            one.process.kill()
            one.process.join()
        one.pipe.close()


def follow(job: Job, rank: int, file: Path, pipe: Connection) -> None:
    """The life of every process of a run but the first: the same work, and nothing written."""
    die_with_parent()
    leave_to_parent()
    keep_memory()
    stdout_to_stderr()
    try:
        if job.run.identity.device == "cuda":
            torch.cuda.set_device(rank)  # before the model is put there
        worker = Worker(
            host(), job, RunFolder(job.folder / job.run.name), lambda line: None, lambda line: None
        )
        worker.choose()
        pipe.send(None)
        with joined(rank, job.execution.processes, file, job.run.identity.device) as group:
            worker.join(group)
            worker.follow()
    except Stopped:
        return
    except RankLost:  # the first process says which
        os._exit(1)
    except Exception as error:
        if isinstance(error, PluginError) or not isinstance(error, TrmBenchError):
            traceback.print_exc()
        with suppress(OSError):
            pipe.send(told(error))
        os._exit(1)


def places_of(places: Sequence[Gpu | None], processes: int) -> tuple[Gpu | None, ...]:
    """Where runs of several processes each are carried out side by side: every run takes that many places.

    On CPUs there is at least one; of GPUs that are left over none is used.

    Raises:
        UnavailableError: there are fewer GPUs than one run needs.
    """
    if processes == 1:
        return tuple(places)
    gpus = [gpu for gpu in places if gpu is not None]
    if not gpus:
        return (None,) * max(1, len(places) // processes)
    if len(gpus) < processes:
        raise UnavailableError(
            f"setting processes={processes} needs a GPU for each; to be used are {', '.join(map(str, gpus))}"
        )
    starts = range(0, len(gpus) - processes + 1, processes)
    return tuple(merged(gpus[start : start + processes]) for start in starts)


def merged(gpus: Sequence[Gpu]) -> Gpu:
    """Several GPUs as one place: a process that is started there sees all of them."""
    return replace(
        gpus[0],
        name=", ".join(gpu.name for gpu in gpus),
        uuid=",".join(gpu.uuid or "" for gpu in gpus).strip(",") or None,
        entry=",".join(gpu.entry or str(gpu.index) for gpu in gpus),
    )
