"""Measurements that a time limit may cut short: carried out in portions, kept one by one, continued later.

Owns the processes, the file of measurements and what is printed; what is measured is the caller's.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from trm_bench.harness.api.errors import told
from trm_bench.harness.store.folders import write_atomically

Result = Mapping[str, Any]
"""JSON values. ``summary`` is the line that is printed; ``error`` is why there is no measurement; a last one
with ``finished`` false leaves its part unfinished."""
Cases = Iterator[tuple[str, Callable[[], Result]]]
GRACE = 60.0
"""Seconds that a process has to save what it does once its time is over."""


@dataclass(frozen=True)
class Part:
    """Measurements that belong together.

    Attributes:
        name: of the part.
        cases: gives the measurements by name; called with those that are done.
        file: JSON, written after every measurement.
        machine: what they are made on and with.
    """

    name: str
    cases: Callable[[Mapping[str, Result]], Cases]
    file: Path
    machine: Mapping[str, Any]

    def read(self) -> dict[str, Any]:
        """The content of the file: the measurements are its ``cases``."""
        nothing: dict[str, Any] = {"part": self.name, "finished": False, "machines": [], "cases": {}}
        return json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else nothing

    def write(self, content: dict[str, Any]) -> None:
        """Replace the file."""
        content["seconds"] = sum(case["seconds"] for case in content["cases"].values())
        write_atomically(self.file, (json.dumps(content, indent=1) + "\n").encode())


def measure(part: Part) -> None:
    """Carry out what is missing of a part, until SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    content = part.read()
    cases = content["cases"]
    content["machines"] += [part.machine] if part.machine not in content["machines"] else []
    try:
        for name, case in part.cases(dict(cases)):
            if name not in cases:
                print(f"{part.name}, {name} …", flush=True)
                cases[name] = measured(case)
                line = cases[name].get("error") or cases[name]["summary"]
                print(f"{part.name}, {name}: {line}", flush=True)
                part.write(content)
        content["finished"] = list(cases.values())[-1].get("finished", True)
        part.write(content)
    except KeyboardInterrupt:
        print(f"{part.name}: stopped", flush=True)


def measured(case: Callable[[], Result]) -> Result:
    """One measurement with its seconds, or why there is none."""
    started = time.perf_counter()
    try:
        result = case()
    except Exception as error:  # whatever it is, the other measurements are wanted
        result = {"error": told(error)}
    return {"seconds": time.perf_counter() - started, **result}


def carry_out(part: Part, minutes: float, portions: int) -> bool:
    """Measure a part in processes of at most ``minutes``, one after another, until it is finished.

    Gives up after ``portions`` of them, or one that measured nothing. Whether all of it went well.
    """
    content = part.read()
    for _ in range(portions):
        if content["finished"]:
            break
        before = len(content["cases"])
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(part,))
        process.start()
        try:
            process.join(60 * minutes)
        finally:
            stop(process)
        content = part.read()
        if len(content["cases"]) == before and not content["finished"]:
            print(f"{part.name}: nothing was measured in {minutes:g} minutes (exit code {process.exitcode})")
            break
    failed = [name for name, case in content["cases"].items() if "error" in case]
    state = "finished" if content["finished"] else "not finished; the same command continues"
    print(f"{part.name}: {state}{'; failed: ' if failed else ''}{', '.join(failed)}", flush=True)
    return content["finished"] and not failed


def stop(process: SpawnProcess) -> None:
    """End a process, which may first save what it does."""
    if process.is_alive() and process.pid is not None:
        os.kill(process.pid, signal.SIGINT)
        process.join(GRACE)
    process.kill()
    process.join()
