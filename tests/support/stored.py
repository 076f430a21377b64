"""Small models and their stored weights, and runs that are carried out in the test's own process."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.reasoner import Reasoner
from trm_bench.harness.api.specs import ModelSpec, ReferenceNames
from trm_bench.harness.host.host import Host
from trm_bench.harness.planning.job import Job
from trm_bench.harness.running.processes import Watch
from trm_bench.harness.running.run import run_job
from trm_bench.harness.store.folders import Output, RunFolder
from trm_bench.harness.store.records import Manifest, Status
from trm_bench.harness.training.gpus import Gpu
from trm_bench.harness.weights.files import export_weights
from trm_bench.testing.pytest_plugin import Ended

from support.models import BUILT_IN
from support.training import INFO, SMALL

TINY = TaskInfo("tiny", "mini", 1, 6, 5)
"""The task of `tiny_plugin`."""
SHORT = ("--task", "tiny", "--set", "steps=4", "--set", "batch_size=8", "--limit", "12")
TRM: dict[str, Any] = {**SMALL, "blocks": 1, "cycles": 2, "updates": 2, "puzzle_emb_len": 2, "supervision": 3}
LESS: dict[str, dict[str, Any]] = {
    "trm-att": TRM,
    "trm-mlp": TRM,
    "hrm": {**SMALL, "high_blocks": 1, "low_blocks": 2, "cycles": 2, "timesteps": 1, "supervision": 3},
    "transformer": {**SMALL, "blocks": 1, "repeats": 1},
    "transformer-looped": {**SMALL, "blocks": 1, "repeats": 1, "supervision": 3},
}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("trm-att", {}),
    ("trm-att", {"networks": 2, "latents": 3}),
    ("trm-att", {"halting": "two-pass", "puzzle_emb_ndim": 24}),
    ("trm-mlp", {}),
    ("trm-mlp", {"networks": 2}),
    ("trm-mlp", {"latents": 1}),
    ("trm-mlp", {"latents": "multi", "halting": "none"}),
    ("hrm", {}),
    ("hrm", {"networks": 1, "low_blocks": 1}),
    ("hrm", {"halting": "none"}),
    ("hrm", {"mixer": "mlp"}),
    ("transformer-looped", {}),
    ("transformer-looped", {"halting": "none"}),
    ("transformer-looped", {"mixer": "mlp"}),
]
"""Models that a reference implementation has names for."""


def said(variant: tuple[str, dict[str, Any]]) -> str:
    """``trm-att[latents=3,networks=2]``, as an id of a test and as ``--model``."""
    name, options = variant
    inside = ",".join(f"{key}={value}" for key, value in options.items())
    return f"{name}[{inside}]" if inside else name


def asked(name: str, **options: Any) -> str:
    """The small model as ``--models`` takes it."""
    return said((name, {**LESS[name], **options}))


def spec_of(name: str) -> ModelSpec:
    return BUILT_IN.models.get(name).spec


def reference_of(name: str) -> ReferenceNames:
    reference = spec_of(name).reference
    assert reference is not None
    return reference


def config_of(name: str, **options: Any) -> BaseModel:
    kind = spec_of(name).config
    assert kind is not None
    return kind(**{**LESS[name], **options})


def fresh(name: str, task: TaskInfo = INFO, **options: Any) -> Reasoner:
    """A small model before training."""
    build = spec_of(name).build
    assert build is not None
    return build(config_of(name, **options), task)


def made(name: str, task: TaskInfo = INFO, seed: int = 0, **options: Any) -> Reasoner:
    """The same with random numbers everywhere, so that puzzles differ and halt at different steps."""
    torch.manual_seed(seed)
    model = fresh(name, task, **options)
    state = model.state_dict()
    for key in ("embed.puzzle.table", "heads.q.weight"):
        if key in state:
            state[key].normal_()
    if "heads.q.bias" in state:
        state["heads.q.bias"].copy_(torch.tensor([-1.0, 1.0]))
    return model.eval()


def write(file: Path, name: str, model: Reasoner, side: bool = True, **options: Any) -> Path:
    """The weights of a model that `made` gave, as `trm-bench export` writes them."""
    weights = {key: value.clone() for key, value in model.state_dict().items()}  # hrm may have one net twice
    beside = export_weights(weights, spec_of(name), config_of(name, **options), file, force=True)
    if not side:
        beside.unlink()
    return file


def run_here(
    jobs: Sequence[Job], host: Host, watch: Watch, places: Sequence[Gpu | None], lock: int | None = None
) -> dict[str, Status]:
    """`run_jobs` without a process for each job: importing torch takes longer than these runs."""
    del places
    statuses = {}
    for job in jobs:
        outcome = run_job(host, job, lambda line: None, watch.tell)
        statuses |= {run.name: outcome.status_of(run.name) for run in job.runs}
    return statuses


@contextlib.contextmanager
def in_this_process(forecast: bool = False) -> Iterator[None]:
    """Runs are carried out here, and what they set of torch is put back.

    Without a ``forecast`` of their memory, which takes longer than these runs.
    """
    threads, sure = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trm_bench.harness.running.runner.run_jobs", run_here)
        if not forecast:
            patch.setattr("trm_bench.harness.training.microbatch.free_memory", lambda device: None)
        yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(sure)


def command(*words: object) -> Ended:
    """Call the command line, its runs in this process."""
    from trm_bench.harness.cli import main

    out, err = io.StringIO(), io.StringIO()
    with in_this_process(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    return Ended(code, out.getvalue(), " ".join(err.getvalue().split()))


def runs(folder: Path) -> list[RunFolder]:
    """The runs of an output folder, by seed and then in the order in which they deepen, halted ones last."""

    def place(run: RunFolder) -> tuple[int, bool, int]:
        identity = run.manifest().identity
        return identity.seed, identity.halting, identity.steps or identity.architecture.get("supervision", 1)

    return sorted(Output(folder).runs(), key=place)


def manifests(folder: Path) -> list[Manifest]:
    return [run.manifest() for run in runs(folder)]


def predictions(run: RunFolder) -> list[list[int]]:
    """The predictions of a run for its first test items."""
    return run.predictions().tokens.tolist()  # type: ignore[no-any-return]


def written(run: RunFolder) -> int:
    """When the run was finished."""
    return (run.folder / "manifest.json").stat().st_mtime_ns


def run(folder: Path, *models: str, seeds: str = "0", more: tuple[object, ...] = ()) -> Path:
    ended = command("run", *SHORT, "--models", ",".join(models), "--seeds", seeds, "--output", folder, *more)
    assert ended.code == 0, ended.err
    return folder


def evaluate(output: Path, *weights: Path, more: tuple[object, ...] = ()) -> Ended:
    files = [word for file in weights for word in ("--weights", file)]
    return command("evaluate", *files, "--output", output, *more)


def evaluated(output: Path, *weights: Path, more: tuple[object, ...] = ()) -> list[RunFolder]:
    """The runs of an evaluation that must succeed."""
    ended = evaluate(output, *weights, more=more)
    assert ended.code == 0, ended.err + ended.out
    return runs(output)


def foreign(model: str, *more: object) -> tuple[object, ...]:
    """What must be given with external weights."""
    return "--task", "tiny", "--model", model, "--limit", 12, *more


def export(run: RunFolder, file: Path, *more: object) -> Path:
    ended = command("export", run.folder, "--output", file, *more)
    assert ended.code == 0, ended.err
    assert ended.out.split() == [str(file), str(file.with_suffix(".yaml"))]
    return file


def same_results(one: RunFolder, other: RunFolder) -> bool:
    """The same scores and steps item by item, and the same predictions."""
    return one.records() == other.records() and predictions(one) == predictions(other)
