"""Conformance checks of reporters."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..harness.api.specs import ReporterSpec
from ..harness.host.host import host
from .findings import Check, Finding, Wrong, require, run_checks

if TYPE_CHECKING:
    from ..harness.report.table import Report
    from ..harness.store.records import Description, PartIdentity, Record, RunIdentity

MODELS = {"alpha-net": 0.7, "beta-net": 0.4}
_RENDER = "`render`"


@dataclass(frozen=True)
class Subject:
    """A reporter."""

    spec: ReporterSpec


def check_reporter(reporter: str | ReporterSpec) -> tuple[Finding, ...]:
    """Check a reporter on a made-up report of two models, and on one of a single run.

    Raises:
        UsageError: the name is not known.
        NotConforming: a check failed; names each of them.
    """
    name = reporter if isinstance(reporter, str) else reporter.name
    return require(f"reporter {name}", find_in_reporter(reporter))


def find_in_reporter(reporter: str | ReporterSpec) -> tuple[Finding, ...]:
    """As `check_reporter`, but failures are findings too."""
    spec = host().reporters.get(reporter).spec if isinstance(reporter, str) else reporter
    return run_checks(CHECKS, Subject(spec))


@cache
def sample_report(seeds: int = 3) -> Report:
    """A report of `MODELS` on a made-up task, as `trm-bench report` would build it from their folders."""
    from ..harness.report.build import build_report
    from ..harness.report.read import read_folders

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model, share in MODELS.items():
            for seed in range(seeds):
                _write_run(folder, model, seed, share)
        return build_report(read_folders([folder]))


def _write_run(folder: Path, model: str, seed: int, share: float) -> None:
    """Write a finished run of 30 test items, of which a share is solved."""
    from ..harness.api.budget import Ledger
    from ..harness.planning.identity import run_name
    from ..harness.running.run import now
    from ..harness.store.folders import RunFolder
    from ..harness.store.records import Manifest, Status

    identity = _identity(model, seed)
    run = RunFolder(folder / run_name(model, identity))
    manifest = Manifest(
        status=Status.RUNNING,
        run=run.name,
        identity=identity,
        scored_by=[_part("evaluator", "exact")],
        description=_description(model),
        ledger=Ledger(optimiser_steps=10, training_flops=1e9, inference_steps=4, peak_memory_bytes=1 << 28),
        citable=True,
        started=now(),
    )
    run.start(manifest)
    run.finish(manifest, _records(np.random.default_rng([seed, len(model)]), share), _predictions())


def _predictions() -> bytes:
    """Thirty answers of sixteen cells."""
    from ..harness.api.predictions import Predictions
    from ..harness.api.puzzles import PuzzleSet, TaskInfo
    from ..harness.store.predictions import pack_predictions

    items = [f"item-{row}" for row in range(30)]
    boards = np.ones((30, 16), np.uint8)
    test = PuzzleSet.single_identity(boards, boards, items)
    answers = Predictions(boards, 4, np.full(30, 2), np.full(30, 0.5))
    return pack_predictions(answers, TaskInfo("made-up", "mini", 4, 4, 2), "", test)


def _part(kind: str, name: str) -> PartIdentity:
    from ..harness.store.records import PartIdentity

    return PartIdentity(kind=kind, name=name, distribution="here", version="0")


def _identity(model: str, seed: int) -> RunIdentity:
    from ..harness.api.budget import Budget
    from ..harness.store.records import RunIdentity

    return RunIdentity(
        procedure=1,
        task_version=1,
        scale="mini",
        fingerprints={"train": "a" * 64, "validation": "b" * 64, "test": "c" * 64},
        task_seed=0,
        architecture={},
        training={"ema": 0.0},
        budget=Budget(amount=10, batch_size=8, augmentations=1),
        seed=seed,
        device="cpu",
        threads=1,
        deterministic=True,
        parts=[_part("task", "made-up"), _part("model", model)],
    )


def _description(model: str) -> Description:
    from ..harness.store.records import Description

    return Description(
        requested=model,
        model=model,
        display_name=model,
        primary="exact",
        cluster="item",
        cells=16,
        supervision_steps=1,
        source_kind="generated",
        source="generated, seed 0",
        counts={"train": 60, "validation": 20, "test": 30},
    )


def _records(draw: np.random.Generator, share: float) -> list[Record]:
    from ..harness.store.records import Record

    scores = (draw.random(30) < share).astype(float).tolist()
    return [
        Record(
            item=f"item-{row}",
            cluster=f"item-{row}",
            scores={"exact": score},
            extras={"steps": 4, "halt_step": 2},
        )
        for row, score in enumerate(scores)
    ]


def _text(subject: Subject) -> str:
    text = subject.spec.render(sample_report())
    if not isinstance(text, str) or not text.strip():
        raise Wrong(f"render gave {type(text).__name__} of no content; it must give the text to be printed")
    return f"{len(text):,} characters"


def _names(subject: Subject) -> None:
    text = subject.spec.render(sample_report())
    missing = [model for model in MODELS if model not in text and model.replace("-", r"\-") not in text]
    if missing:
        raise Wrong(f"no word of {', '.join(missing)}: a reader cannot tell what was compared")


def _scores(subject: Subject) -> None:
    report = sample_report()
    (table,) = report.tables
    text = subject.spec.render(report)
    for row in table.rows:
        share = row.means[table.primary]
        shown = (f"{100 * share:.1f}", f"{share:.3f}", repr(share)[:6])
        if not any(one in text for one in shown):
            raise Wrong(f"the score of {row.model}, {100 * share:.1f} %, is nowhere")


def _single(subject: Subject) -> None:
    if not subject.spec.render(sample_report(seeds=1)).strip():
        raise Wrong("a report of one seed, which has no test between models, gives nothing")


def _same(subject: Subject) -> None:
    if subject.spec.render(sample_report()) != subject.spec.render(sample_report()):
        raise Wrong("the same report gave two texts")


CHECKS: list[tuple[Check, Callable[[Subject], str | None]]] = [
    (Check("it gives text", _RENDER, essential=True), _text),
    (Check("every model is named", _RENDER), _names),
    (Check("every score is shown", _RENDER), _scores),
    (Check("one seed, without tests between models, can be shown too", _RENDER), _single),
    (Check("the same report gives the same text", _RENDER), _same),
]
