"""Two models compared: alignment, the test, power, and what may be said; the one place where that is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..api.budget import described
from ..api.errors import TrmBenchError
from ..api.text import plural
from ..stats.interval import score_interval
from ..stats.power import equivalence, variance_shares
from ..stats.rules import METHOD_SEEDS, Kind
from ..stats.scores import ItemScores, align, stack
from ..stats.tests import (
    Difference,
    Verdict,
    crossed_test,
    holm_steps,
    in_family,
    may_decide,
    mcnemar,
    paired_test,
    verdict,
)
from ..stats.variance import parts_of
from ..store.records import Manifest
from .read import Run
from .table import Pair

INCOMPLETE = "incomplete: not every requested seed is done"
PAIRED = "the same weights, so seeds are paired"


def scores_of(runs: Sequence[Run], metric: str) -> ItemScores | None:
    """The finished seeds of one model, (S, I), in the order of the first one's items."""
    finished = [
        ItemScores(
            run.name,
            run.samples.names.items,
            run.samples.names.clusters,
            run.samples.scores[metric][None],
            run.samples.names.codes,
            run.samples.names.distinct,
        )
        for run in runs
        if run.samples is not None
    ]
    return stack(runs[0].manifest.description.model, finished) if finished else None


def compare(a: str, left: Sequence[Run], b: str, right: Sequence[Run], margin: float | None = None) -> Pair:
    """Compare two models of which a seed each is finished; not yet a member of a family, see `judged`.

    ``margin`` is the largest difference that does not matter, 0 to 1; by default what all runs declare.

    Raises:
        TrmBenchError: they were tested on different items.
    """
    identity, described_as = left[0].manifest.identity, left[0].manifest.description
    primary = described_as.primary
    _require_comparable([run.manifest for run in (*left, *right)])
    left, right = (sorted(runs, key=lambda run: run.manifest.identity.seed) for runs in (left, right))
    first, second = scores_of(left, primary), scores_of(right, primary)
    assert first is not None
    assert second is not None
    first, second = align(first, second)
    a_SC, b_SC = first.means(), second.means()
    paired = same_weights(left, right)
    difference = paired_test(a_SC, b_SC) if paired else crossed_test(a_SC, b_SC)
    note = "; ".join(filter(None, (difference.note, PAIRED if paired and len(a_SC) > 1 else "")))
    if any(run.samples is None for run in (*left, *right)):
        note, difference = INCOMPLETE, untested(difference, INCOMPLETE)
    elif not paired and (shared := len(weights_of(left) & weights_of(right))):
        note = f"{plural(shared, 'seed')} of both are the same weights, and the others are not"
        difference = untested(difference, note)
    crossed = difference.kind is Kind.CROSSED
    both = [*left, *right]
    margin = _margin_of(both) if margin is None else margin
    on_validation = "" if identity.split == "test" else f" on {identity.split}"
    return Pair(
        a=a,
        b=b,
        metric=f"{identity.part('task').name} at {identity.scale}, {primary}{on_validation}",
        first=score_interval(a_SC, items=len(first.items)),
        second=score_interval(b_SC, items=len(second.items)),
        difference=difference,
        mcnemar=mcnemar(a_SC[0], b_SC[0]) if len(a_SC) == len(b_SC) == 1 else None,
        family=None,
        verdict=Verdict.UNTESTED,
        shares=variance_shares(a_SC, b_SC) if crossed and not paired else None,
        parts=parts_of(a_SC, b_SC) if crossed and not paired else None,
        equivalence=None if margin is None else equivalence(difference, margin),
        differs=tuple(treated_differently([run.manifest for run in both])),
        note=note,
        not_citable=not_citable(both, incomplete=note == INCOMPLETE),
    )


def _margin_of(runs: Sequence[Run]) -> float | None:
    """The margin that all runs declare; one that some lack, or have otherwise, was not declared for both."""
    declared = {run.manifest.description.margin for run in runs}
    return declared.pop() if len(declared) == 1 else None


def _require_comparable(manifests: Sequence[Manifest]) -> None:
    """Two names of an item may be two puzzles: the test sets must be the same, and the way they are scored.

    Raises:
        TrmBenchError: what differs.
    """
    splits = dict.fromkeys(one.identity.split for one in manifests)
    if len(splits) > 1:
        raise TrmBenchError(f"scored on different puzzles: {' and '.join(splits)}; nothing is compared")
    (split,) = splits
    sets = dict.fromkeys(one.identity.fingerprints.get(split, "?")[:12] for one in manifests)
    if len(sets) > 1:
        raise TrmBenchError(
            f"scored on different puzzles: {split} sets {' and '.join(sets)}; nothing is compared"
        )
    scored = dict.fromkeys(
        part.model_dump_json()
        for one in manifests
        for part in one.scored_by
        if part.name == one.description.primary
    )
    if len(scored) > 1:
        raise TrmBenchError(
            f"scored by {len(scored)} versions of {manifests[0].description.primary}; nothing is compared"
        )


def weights_of(runs: Sequence[Run]) -> set[str]:
    """Hashes of the weights of runs, where they are known."""
    trained = (run.manifest.tensors_sha256 or run.manifest.weights_sha256 for run in runs)
    return set(filter(None, trained))


def same_weights(left: Sequence[Run], right: Sequence[Run]) -> bool:
    """Whether the two are the same training runs, seed by seed, evaluated in two modes."""
    ours, theirs = (
        [
            run.manifest.tensors_sha256 or run.manifest.weights_sha256
            for run in runs
            if run.samples is not None
        ]
        for runs in (left, right)
    )
    return ours == theirs and all(ours)


def untested(difference: Difference, why: str) -> Difference:
    """The difference alone, without interval or test."""
    return replace(difference, low=None, high=None, p=None, error=None, kind=Kind.UNTESTED, note=why)


def without_test(pair: Pair, why: str) -> Pair:
    """The pair with its two scores and their difference, and nothing that a test says."""
    return replace(
        pair,
        difference=untested(pair.difference, why),
        mcnemar=None,
        family=None,
        verdict=Verdict.UNTESTED,
        shares=None,
        parts=None,
        equivalence=pair.equivalence and replace(pair.equivalence, p=None),
        note=why,
    )


@dataclass(frozen=True)
class Family:
    """What a table or a study tests together.

    Attributes:
        pairs: those of which both sides have a finished run.
        names: what tells each pair from the others, see `same_results`: pairs with one name are one test.
        waiting: tests of which a side has no finished run yet.
        never: names of pairs that stay without a test, with too few seeds of a side.
    """

    pairs: tuple[Pair, ...]
    names: tuple[str, ...]
    waiting: int = 0
    never: tuple[str, ...] = ()


def judged(family: Family) -> list[Pair]:
    """The pairs of a family with their verdicts, in their order.

    Pairs that are not complete count as tests, and so do those that wait: a verdict must not turn round when
    the missing runs are there.
    """
    named = list(zip(family.names, family.pairs, strict=True))
    members = {name: pair.difference.p for name, pair in named if may_decide(pair.difference)}
    later = {name for name, pair in named if pair.difference.note == INCOMPLETE}
    waiting = family.waiting + len(later - set(members) - set(family.never))
    steps = dict(zip(members, holm_steps([*members.values(), *[1.0] * waiting]), strict=False))
    found = []
    for name, pair in named:
        member = in_family(pair.difference, steps.get(name))
        tests = max(len(members) + waiting, 1)
        equal = pair.equivalence and replace(pair.equivalence, tests=tests)
        if equal is not None and not may_decide(pair.difference):
            equal = replace(equal, p=None)
        word = verdict(pair.difference, member)
        if word.is_undecided and equal is not None and equal.equivalent:
            word = Verdict.EQUIVALENT
        found.append(replace(pair, family=member, verdict=word, equivalence=equal))
    return found


def enough_seeds(left: Sequence[Run], right: Sequence[Run]) -> bool:
    """Whether there will be a test between methods once all of these runs are done."""
    return min(len(left), len(right)) >= METHOD_SEEDS


def same_results(left: Sequence[Run], right: Sequence[Run]) -> str:
    """Equal for two questions on the very same results, in either order."""
    sides = [
        sorted((one.samples_sha256 or run.name, one.description.model, one.evaluation) for run, one in both)
        for both in ([(run, run.manifest) for run in runs] for runs in (left, right))
    ]
    return repr(sorted(sides))


def table_key(manifest: Manifest) -> str:
    """Runs with the same key share a table; a table never mixes budgets or data."""
    identity, described = manifest.identity, manifest.description
    task = identity.part("task")
    key = (
        task.full_name,
        identity.task_version,
        identity.scale,
        described.primary,
        next((part.model_dump_json() for part in manifest.scored_by if part.name == described.primary), None),
        sorted(identity.fingerprints.items()),
        identity.task_seed,
        identity.split,
        identity.limit,
        None if identity.budget is None else identity.budget.model_dump(mode="json"),
        identity.votes,
        identity.puzzle_ids.value,
    )
    return repr(key)


def model_key(manifest: Manifest) -> str:
    """Runs with the same key are seeds of one model, with one recipe on one kind of device."""
    identity = manifest.identity
    parts = [part.model_dump_json() for part in identity.parts]
    settings = sorted(identity.architecture.items()), sorted(identity.training.items())
    where = (identity.device, identity.threads, identity.deterministic, identity.procedure)
    mode = (identity.steps, identity.halting, identity.rollouts, identity.trained, manifest.evaluation)
    return repr((parts, manifest.description.model, settings, where, mode))


def mixed_code(runs: Sequence[Run]) -> list[str]:
    """Runs that were made by different code, or with another torch, are not one experiment."""
    done = [run.manifest for run in runs if run.samples is not None]
    codes = {str(manifest.code.get("fingerprint")) for manifest in done}
    torches = {str(manifest.environment.get("libraries", {}).get("torch")) for manifest in done}
    mixed = [f"runs made by {len(codes)} states of the code"] if len(codes) > 1 else []
    return mixed + ([f"runs made with torch {', '.join(sorted(torches))}"] if len(torches) > 1 else [])


def not_citable(runs: Sequence[Run], incomplete: bool = False) -> str:
    """Why runs must not be cited, or not together; empty where they may."""
    reasons = [reason for run in runs for reason in (*run.manifest.not_citable_because, *run.reasons)]
    reasons += [INCOMPLETE] if incomplete else []
    return "; ".join(dict.fromkeys([*reasons, *mixed_code(runs)]))


def treated_differently(manifests: Sequence[Manifest]) -> list[str]:
    """How runs were treated differently, apart from their model and seed."""

    def values(name: str, each: Sequence[object]) -> list[str]:
        distinct = list(dict.fromkeys(map(str, each)))
        return [f"{name} {' and '.join(distinct)}"] if len(distinct) > 1 else []

    identities = [manifest.identity for manifest in manifests]
    return [
        *values("test items", [identity.limit for identity in identities]),
        *values("task version", [identity.task_version for identity in identities]),
        *values("budget", [described(identity.budget) for identity in identities]),
        *values("source", [manifest.description.source for manifest in manifests]),
        *values("training puzzles", [identity.fingerprints["train"][:12] for identity in identities]),
        *values("votes", [identity.votes for identity in identities]),
        *values("puzzle ids", [identity.puzzle_ids.value for identity in identities]),
        *values("device", [identity.device for identity in identities]),
        *values("precision", [identity.training.get("precision") for identity in identities]),
        *values("CPU threads", [identity.threads for identity in identities]),
        *values("deterministic kernels", [identity.deterministic for identity in identities]),
    ]
