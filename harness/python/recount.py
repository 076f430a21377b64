"""What `verify` counts again of a run in addition to scores: costs, clusters, halting, whether to cite it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..api.budget import Match
from ..api.puzzles import PuzzleSet, TaskInfo
from ..api.text import plural
from ..host.host import Host
from ..planning.identity import part_identity
from ..store.records import NO_WEIGHTS, Manifest, Record
from ..training.costs import Flops, count_flops, count_parameters


class Recount:
    """Counts the models of runs; one that several runs share is counted once."""

    def __init__(self, plugins: Host):
        self.host = plugins
        self._counted: dict[str, tuple[tuple[int, int, int], Flops, int]] = {}

    def problems(self, info: TaskInfo, manifest: Manifest) -> list[str]:
        """Costs of a run's ledger that are not those of its model.

        Raises:
            Exception: the model cannot be built; it is a plugin's code.
        """
        parameters, flops, steps = self._count(info, manifest)
        ledger, rollouts = manifest.ledger, manifest.identity.rollouts
        answers = ledger.votes_per_puzzle * (1 if rollouts is None else rollouts.count)
        taken = ledger.steps_taken or ledger.inference_steps  # earlier ledgers have no mean
        named = (ledger.core_parameters, ledger.io_parameters, ledger.puzzle_embedding_parameters)
        problems = []
        if named != parameters:
            problems.append(f"its parameters are not those of its model: {named} instead of {parameters}")
        budget = manifest.identity.budget
        if budget is not None and budget.match is Match.STEPS and manifest.identity.weights is None:
            problems += _other_budget(manifest, int(budget.amount), budget.batch_size)
        costs = {
            "training_flops": ledger.supervision_steps * flops.training_step,
            "inference_flops_per_puzzle": flops.inference / steps * taken * answers,
        }
        for name, value in costs.items():
            if not math.isclose(getattr(ledger, name), value, rel_tol=1e-6):
                problems.append(f"{name} is {getattr(ledger, name):.4g}, and its model takes {value:.4g}")
        return problems

    def installed(self, manifest: Manifest) -> bool:
        """Whether its model is the one that is installed here."""
        made_by = manifest.identity.part("model")
        part = self.host.models.get(made_by.full_name)
        return part_identity("model", part) == made_by

    def _count(self, info: TaskInfo, manifest: Manifest) -> tuple[tuple[int, int, int], Flops, int]:
        identity = manifest.identity
        name = identity.part("model").full_name
        key = f"{name} {info} {sorted(identity.architecture.items())}"
        if key not in self._counted:
            spec = self.host.models.get(name).spec
            assert spec.build is not None
            assert spec.config is not None
            model = spec.build(spec.config(**identity.architecture), info)
            self._counted[key] = (
                count_parameters(model),
                count_flops(model, info.cells),
                model.supervision_steps,
            )
        return self._counted[key]


def _other_budget(manifest: Manifest, steps: int, batch_size: int) -> list[str]:
    """A training that took other steps than its budget; a model that is not trained takes none."""
    ledger, trained = manifest.ledger, manifest.weights != NO_WEIGHTS
    due = {
        "optimiser_steps": steps if trained else 0,
        "supervision_steps": steps * batch_size if trained else 0,
    }
    return [
        f"{name} is {getattr(ledger, name):,}, and its budget has {value:,}"
        for name, value in due.items()
        if getattr(ledger, name) != value
    ]


def regrouped(stored: Sequence[Mapping[str, Any]], puzzles: PuzzleSet) -> list[str]:
    """Items that stand in other clusters than their puzzles, on which intervals and tests depend."""
    pairs = zip(stored, puzzles.clusters.tolist(), strict=True)
    wrong = [record["item"] for record, cluster in pairs if record["cluster"] != cluster]
    return [f"{plural(len(wrong), 'item')} in another cluster than its puzzle: {wrong[0]}"] if wrong else []


def other_extras(stored: Sequence[Mapping[str, Any]], again: Sequence[Record]) -> list[str]:
    """Halting steps, features of puzzles and evaluators' further numbers that a prediction does not have."""
    wrong: dict[str, list[str]] = {}
    for old, new in zip(stored, again, strict=True):
        for key, value in new.extras.items():
            before = old["extras"].get(key, value)
            if before != value and not (math.isnan(before) and math.isnan(value)):
                wrong.setdefault(key, []).append(old["item"])
    return [
        f"{key} of {plural(len(items), 'item')} is not that of its prediction: {items[0]}"
        for key, items in wrong.items()
    ]


def wrongly_citable(manifest: Manifest, caveats: Sequence[str] = ()) -> list[str]:
    """Whether it may be cited, against what the manifest itself says of the run.

    ``caveats`` are those of its puzzles, as far as they were rebuilt.
    """
    if manifest.citable != (not manifest.not_citable_because):
        return ["called citable, and not, by one manifest"]
    identity, described = manifest.identity, manifest.description
    against = {
        f"--limit {identity.limit}": identity.limit is not None,
        "its validation puzzles": identity.split == "validation",
        "a plugin that was not installed": bool(described.plugin_files),
        "external weights": identity.weights is not None,
        **{f"puzzles of which it must be said: {caveat}": True for caveat in caveats},
    }
    return [
        f"called citable, although it was run with {what}"
        for what, so in against.items()
        if so and manifest.citable
    ]
