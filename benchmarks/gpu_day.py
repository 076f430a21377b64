"""The first half hour on a GPU as one program: its tests, speed, memory, and a training in portions.

    python benchmarks/gpu_day.py --output DIR [--parts tests,speed,memory,train] [--minutes 9]

- ``tests``: `tests/training/test_cuda.py` and `test_cuda_resume.py`.
- ``speed``: five models at the papers' size in every way that the device has, with shares of its peak.
- ``memory``: the forecast of `harness.training.memory` against what three steps allocate.
- ``train``: one run of TRM-MLP on ``lite`` Sudoku, stopped by the limit and resumed until it is finished.

A part is carried out in processes of at most ``--minutes``, at most ``--portions`` of them in a call, and
writes DIR/PART.json after each measurement. The same command continues there and skips finished parts;
``--again`` repeats them. A failure is recorded, and the rest is measured. Of several GPUs the first one is
used. ``--device cpu --tiny`` runs all of it on two small models in a minute, to DIR/tiny.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from portions import Cases, Part, Result, carry_out
from trm_bench.harness.api.errors import TrmBenchError, nearest, told
from trm_bench.harness.api.text import size
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.job import Job
from trm_bench.harness.planning.request import Request
from trm_bench.harness.planning.training_grid import plan_training
from trm_bench.harness.running.progress import duration
from trm_bench.harness.running.speed import AT_MOST, apart
from trm_bench.harness.running.worker import Worker
from trm_bench.harness.store import provenance
from trm_bench.harness.store.folders import CHECKPOINT, RunFolder
from trm_bench.harness.training.checkpoint import read_checkpoint
from trm_bench.harness.training.device import peak_memory, synchronize
from trm_bench.harness.training.gpus import choose_device, gpu_facts
from trm_bench.harness.training.memory import Training, forecast

import trm_bench

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("trm-mlp", "trm-att", "hrm", "transformer", "transformer-looped")
TASK = "sudoku-extreme"
SMALL = "[hidden=16,heads=2,multiple=16]"
STEPS = 3
"""Optimiser steps after which a training has allocated all that it ever does."""


@dataclass(frozen=True)
class Options:
    """What every part is told; ``minutes`` is the limit of a process."""

    output: Path
    device: str
    minutes: float
    tiny: bool

    @property
    def scale(self) -> str:
        """Of the puzzles whose shape is measured."""
        return "mini" if self.tiny else "paper"

    @property
    def models(self) -> tuple[str, ...]:
        """Names of those that are measured."""
        return MODELS[:2] if self.tiny else MODELS

    def model(self, name: str) -> str:
        """A model as it is measured."""
        return name + SMALL if self.tiny else name


def tests(options: Options, done: Mapping[str, Result]) -> Cases:
    """A case for each file of tests."""
    for name in ("test_cuda.py", "test_cuda_resume.py"):
        yield name, partial(run_tests, ROOT / "tests" / "training" / name)


def run_tests(file: Path) -> Result:
    """The last line of pytest, and what failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "--no-header", "--tb=line", str(file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = ended.stdout.splitlines() or [ended.stderr.strip()]
    result = {"summary": lines[-1], "failed": [line for line in lines if line.startswith("FAILED")]}
    return result if ended.returncode == 0 else {**result, "error": f"{lines[-1]} (pytest)"}


def speed(options: Options, done: Mapping[str, Result]) -> Cases:
    """A case for each model."""
    for name in options.models:
        yield name, partial(measure_speed, options.model(name), options)


def measure_speed(model: str, options: Options) -> Result:
    """`trm_bench.measure_speed` in every way of the device, in a third of a process's time."""
    where: dict[str, Any] = {"scale": options.scale, "source": "generated", "device": options.device}
    minutes = 0.25 if options.tiny else max(options.minutes / 3, 0.1)
    found = trm_bench.measure_speed(model, TASK, minutes=minutes, progress=True, **where)
    rates = {one.way: one.training.flops for one in found.measured if one.training is not None}
    shares = {way: rate / found.machine.flops for way, rate in rates.items()}
    summary = ", ".join(f"{way} {share:.0%}" for way, share in shares.items())
    result = {**asdict(found), "shares_of_peak": shares, "summary": f"of the measured peak: {summary}"}
    return result if shares else {**result, "error": str(found.measured[0].why)}


def memory(options: Options, done: Mapping[str, Result]) -> Cases:
    """A case for each model and number of portions of the batch."""
    cases = [
        (name, TASK, parts, False) for name in options.models for parts in ((4,) if options.tiny else (1, 4))
    ]
    if not options.tiny:
        cases += [("trm-mlp", TASK, 1, True), ("trm-att", TASK, 1, True)]
        cases += [("trm-att", "maze-hard", parts, False) for parts in (4, 16)]
    for name, task, parts, compiled in cases:
        way = " compiled" if compiled else ""
        work = partial(measure_memory, options.model(name), task, parts, compiled, options)
        yield f"{name} {task} 1/{parts}{way}", work


def measure_memory(model: str, task: str, parts: int, compiled: bool, options: Options) -> Result:
    """Train for a few steps with a part of the batch in memory at a time, in a process of its own."""
    request = Request((model,), task, options.scale, (0,), source="generated", device=options.device)
    (job,) = plan_training(host(), request, at_most=AT_MOST).jobs
    budget = job.run.identity.budget
    assert budget is not None  # of training
    execution = {"microbatch": max(1, budget.batch_size // parts), "compile": compiled}
    job = replace(job, execution=job.execution.model_copy(update=execution))
    return apart(allocated, (job,), limit=60 * options.minutes)


def allocated(job: Job) -> Result:
    """Forecast and allocated bytes of a job; on a CPU, what the process grows by in training."""
    identity, microbatch = job.run.identity, job.execution.microbatch
    assert identity.budget is not None
    assert isinstance(microbatch, int)
    worker = Worker(host(), job, RunFolder(Path(job.run.name)), lambda line: None, lambda line: None)
    compiled, batch, cells = job.execution.compile is True, identity.budget.batch_size, worker.info.cells
    training = Training(worker.model, cells, batch, worker.training, identity.device, compiled=compiled)
    foreseen = forecast(training, microbatch)
    worker.choose()
    before = 0 if identity.device == "cuda" else peak_memory(worker.device)  # libraries, above all
    trainer = worker.trainer()
    for _ in range(STEPS):
        trainer.step()
    synchronize(worker.device)
    peak = peak_memory(worker.device) - before
    counted = foreseen.total - foreseen.reserve
    return {
        "batch": batch,
        "microbatch": microbatch,
        "precision": worker.training.precision,
        "forecast": {**asdict(foreseen), "reserve": foreseen.reserve, "total": foreseen.total},
        "allocated": peak,
        "summary": f"forecast {size(foreseen.total)}, of it counted {size(counted)}; allocated {size(peak)}",
    }


def train(options: Options, done: Mapping[str, Result]) -> Cases:
    """The next portion of the run, until it is finished."""
    if not any(portion.get("finished", True) for portion in done.values()):
        yield f"portion {len(done) + 1}", partial(train_portion, options)


def train_portion(options: Options) -> Result:
    """Train until the run is finished or this process is interrupted; then it has saved a checkpoint."""
    folder = options.output / "train"
    shape = {"scale": "mini", "steps": 100, "limit": 50} if options.tiny else {"scale": "lite"}
    where: dict[str, Any] = {**shape, "source": "generated", "device": options.device, "output": folder}
    try:
        results = trm_bench.run(options.model("trm-mlp"), TASK, seeds=0, jobs=1, progress=True, **where)
    except KeyboardInterrupt:
        (saved,) = [read_checkpoint(path) for path in folder.glob(f"*/{CHECKPOINT}")] or [None]
        steps = saved["trainer"]["steps"] if saved else 0
        return {"finished": False, "steps": steps, "summary": f"stopped after {steps:,} optimiser steps"}
    if results.failed:
        return {"error": "; ".join(results.failed.values())}
    row = results.runs.iloc[0]
    seconds, score = float(row["training_seconds"]), float(row["score"])
    summary = f"solved {score:.1%} of the test set; trained for {duration(seconds)}"
    costs = {"steps": int(row["optimiser_steps"]), "training_seconds": seconds}
    return {"finished": True, "score": score, **costs, "summary": summary}


PARTS: Mapping[str, Callable[[Options, Mapping[str, Result]], Cases]] = {
    "tests": tests,
    "speed": speed,
    "memory": memory,
    "train": train,
}


def machine(device: str) -> dict[str, Any]:
    """The card, or the processor, and the code that is measured."""
    gpus, code = choose_device(device).gpus, provenance.code()
    card = gpu_facts(gpus[0]) if gpus else {"name": provenance.environment()["processor"]}
    own = {"commit": code.get("commit"), "code": code["fingerprint"]}
    return {**card, "torch": torch.__version__, **own, "changed_files": len(code.get("changed") or ())}


def main() -> int:
    """Carry out the parts; 0 if all of them are finished without an error."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--parts", default=",".join(PARTS), help="by comma (default: all of them)")
    parser.add_argument("--minutes", type=float, default=9.0, help="most minutes of a process (default: 9)")
    parser.add_argument("--portions", type=int, default=8, help="most processes of a part (default: 8)")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="small models, to try the program")
    parser.add_argument("--again", action="store_true", help="repeat what is there")
    given = parser.parse_args()
    parts = given.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"--parts {unknown[0]}: {nearest(unknown[0], PARTS)}")
    try:
        here = machine(given.device)
    except TrmBenchError as error:
        parser.error(told(error))
    output = given.output.resolve() / ("tiny" if given.tiny else "")
    output.mkdir(parents=True, exist_ok=True)
    print(f"on {here['name']}, to {output}", flush=True)
    options, good = Options(output, given.device, given.minutes, given.tiny), []
    for name in parts:
        part = Part(name, partial(PARTS[name], options), output / f"{name}.json", here)
        if given.again:
            part.file.unlink(missing_ok=True)
            shutil.rmtree(output / name, ignore_errors=True)
        try:
            good.append(carry_out(part, given.minutes, given.portions))
        except KeyboardInterrupt:
            return 130
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
