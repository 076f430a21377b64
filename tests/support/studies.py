"""Studies made by hand: declared, or written as if they had been run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from trm_bench.harness.api.budget import Ledger
from trm_bench.harness.planning.study import Declared, checked, write_declared
from trm_bench.harness.stats.scores import cluster_means
from trm_bench.harness.stats.tests import Difference, crossed_test, paired_test
from trm_bench.harness.store.records import RunIdentity
from trm_bench.harness.store.requests import RequestedRun, add_requested

from support.folders import Change, same, write_run

Content = Mapping[str, Any]


def ask(a: str, b: str, asks: str = "Is it better?", **more: str) -> dict[str, str]:
    """A contrast as it stands in YAML."""
    return {"asks": asks, "a": a, "b": b, **more}


def definition(*contrasts: Content, models: Sequence[str], **more: Any) -> dict[str, Any]:
    """A study as it stands in YAML."""
    base = {"name": "made", "asks": "is one of them better?", "task": "tiny", "models": list(models)}
    return {**base, "contrasts": [dict(contrast) for contrast in contrasts], **more}


def write_yaml(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


LOOPED = "transformer-looped[hidden=16,multiple=16,blocks=1,supervision=3]"
TRM = "trm-mlp[hidden=16,multiple=16,cycles=1,updates=1,supervision=3]"
QUESTIONS = (
    ask(TRM, LOOPED, "Are two levels better?"),
    ask(TRM, f"{TRM} @ steps=1", "Is its last step better than its first?", grid="main"),
    ask(f"{TRM} @ halting=true", TRM, "Does halting help?"),
)
SMALL = definition(
    *QUESTIONS,
    models=[TRM, LOOPED],
    name="small",
    source="made up for a test",
    labels={TRM: "two levels", LOOPED: "one level"},
    seeds="0-1",
    grids={"main": {"share": {"mini": 0.02}}, "short": {"match": "examples", "share": {"mini": 0.01}}},
    evaluations=["steps=1", "halting=true"],
)
QUICK = definition(
    ask("mirror", "copy", "Is a mirror better?"),
    models=["mirror", "copy"],
    name="quick",
    seeds="0",
    grids={"main": {"settings": {"steps": 2}}},
)
"""Models that train in no time."""


def folders(path: Path) -> list[str]:
    """Those in a folder, by name."""
    return sorted(inner.name for inner in path.iterdir() if inner.is_dir() and inner.name[0] != ".")


def manifests(path: Path) -> dict[Path, dict[str, Any]]:
    return {file: json.loads(file.read_text()) for file in sorted(path.rglob("manifest.json"))}


def stamps(path: Path) -> dict[Path, int]:
    """When the samples of each run were written."""
    return {file: file.stat().st_mtime_ns for file in path.rglob("*.gz")}


# --- written as if it had been run ---------------------------------------------------------------


def declare(folder: Path, content: Content, resolved: Mapping[str, str] | None = None) -> Path:
    """Make a folder that of a study."""
    study = checked(dict(content), "made by hand")
    folder.mkdir(parents=True, exist_ok=True)
    everywhere = {grid: dict(resolved or {}) for grid in study.grids}
    declared = Declared(study=study, scale="mini", resolved=everywhere)
    write_declared(folder, declared)
    return folder


def write_evaluated(
    folder: Path,
    model: str,
    scores: np.ndarray,
    evaluation: str = "",
    *,
    steps: int = 6,
    change: Change = same,
    digests: Mapping[int, str] | None = None,
    **more: Any,
) -> list[str]:
    """Training runs of a model, seeds 0, 1, …, each with weights of its own, evaluated in one mode."""
    kept = {seed: f"{model} {seed}" for seed in range(len(scores))} | dict(digests or {})
    halting = "halting=true" in evaluation

    def changed(identity: RunIdentity) -> RunIdentity:
        depth = {"steps": steps if evaluation else None, "halting": halting}
        options = {**identity.architecture, **({"evaluated": evaluation} if evaluation else {})}
        return change(identity.model_copy(update={**depth, "architecture": options}))

    usual: dict[str, Any] = {
        "requested": f"{model} @ {evaluation}" if evaluation else model,
        "change": changed,
    }
    usual |= {"ledger": Ledger(inference_steps=steps)}
    options = {**usual, **more}
    names = [
        write_run(folder, model, seed, row, **{"weights_sha256": kept[seed], **options})
        for seed, row in enumerate(scores)
    ]
    for seed, name in enumerate(names):
        request_too(folder, name, model, seed, options["requested"])
    return names


def request_too(folder: Path, name: str, model: str, seed: int, requested: str = "") -> None:
    """Add a run to those that were requested of a folder."""
    one = RequestedRun(run=name, model=model, requested=requested or model, seed=seed, replaceable=False)
    add_requested(folder, [one])


def write_study(folder: Path, *contrasts: Content, scores: Mapping[str, np.ndarray], **more: Any) -> Path:
    """A study of one grid whose runs are all there."""
    declare(folder, definition(*contrasts, models=list(scores), **more))
    for model, each in scores.items():
        write_evaluated(folder / "main", model, each)
    return folder


def by_name(scores: np.ndarray) -> np.ndarray:
    """Scores of items p0, p1, … in the order of their names, as a report has them."""
    return cluster_means(scores, np.array([f"p{row}" for row in range(scores.shape[1])]))


def crossed(a: np.ndarray, b: np.ndarray) -> Difference:
    return crossed_test(by_name(a), by_name(b))


def paired(a: np.ndarray, b: np.ndarray) -> Difference:
    return paired_test(by_name(a), by_name(b))
