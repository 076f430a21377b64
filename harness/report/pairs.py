"""Two models of a report compared: the test, and what may be said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..stats.power import variance_shares
from ..stats.stats import (
    Difference,
    ItemScores,
    Kind,
    Verdict,
    align,
    crossed_test,
    mcnemar,
    minimum_detectable,
    paired_test,
    stack,
    verdict,
)
from ..store.records import Manifest
from .read import Run
from .table import Pair

INCOMPLETE = "incomplete: not every requested seed is done"
PAIRED = "the same weights, so seeds are paired"


def scores_of(runs: Sequence[Run], metric: str) -> ItemScores | None:
    """The finished seeds of one model, (S, I), in the order of the first one's items."""
    found = [
        ItemScores(
            run.cell,
            run.samples.names.items,
            run.samples.names.clusters,
            run.samples.scores[metric][None],
            run.samples.names.codes,
            run.samples.names.distinct,
        )
        for run in runs
        if run.samples is not None
    ]
    return stack(runs[0].manifest.identity.model, found) if found else None


def pair_of(a: str, b: str, left: Sequence[Run], right: Sequence[Run]) -> Pair:
    """Compare two models of which a seed each is finished; not yet adjusted or judged."""
    primary = left[0].manifest.identity.primary
    left, right = (sorted(runs, key=lambda run: run.manifest.identity.seed) for runs in (left, right))
    first, second = scores_of(left, primary), scores_of(right, primary)
    assert first is not None
    assert second is not None
    first, second = align(first, second)
    a_SC, b_SC = first.means(), second.means()
    paired = same_weights(left, right)
    difference = paired_test(a_SC, b_SC) if paired else crossed_test(a_SC, b_SC)
    detectable = None
    if difference.kind is Kind.CROSSED and difference.se is not None and difference.df is not None:
        detectable = minimum_detectable(difference.se, difference.df)
    note = "; ".join(filter(None, (difference.note, PAIRED if paired and len(a_SC) > 1 else "")))
    if any(run.samples is None for run in (*left, *right)):
        note, detectable, difference = INCOMPLETE, None, untested(difference, INCOMPLETE)
    crossed = difference.kind is Kind.CROSSED and not paired
    return Pair(
        a,
        b,
        difference,
        mcnemar(a_SC[0], b_SC[0]) if len(a_SC) == len(b_SC) == 1 else None,
        None,
        Verdict.UNTESTED,
        detectable,
        variance_shares(a_SC, b_SC) if crossed else None,
        note,
    )


def same_weights(left: Sequence[Run], right: Sequence[Run]) -> bool:
    """Whether the two are the same training runs, seed by seed, answered in two ways."""
    ours, theirs = (
        [run.manifest.weights_sha256 for run in runs if run.samples is not None] for runs in (left, right)
    )
    return ours == theirs and all(ours)


def untested(difference: Difference, why: str) -> Difference:
    """The difference alone, without interval or test."""
    return replace(difference, low=None, high=None, p=None, df=None, se=None, kind=Kind.UNTESTED, note=why)


def judged(pair: Pair, holm_p: float | None) -> Pair:
    """With the adjusted p and the verdict that follows from it."""
    return replace(pair, holm_p=holm_p, verdict=verdict(pair.difference, holm_p))


def model_key(manifest: Manifest) -> str:
    """Cells with the same key are seeds of one model, with one recipe on one kind of device."""
    identity = manifest.identity
    parts = [part.model_dump_json() for part in identity.parts]
    settings = sorted(identity.architecture.items()), sorted(identity.training.items())
    where = (identity.device, identity.threads, identity.deterministic)
    depth = (identity.steps, identity.halting, manifest.asked.partition(" @ ")[2])
    return repr((parts, identity.model, settings, where, depth))


def mixed_code(runs: Sequence[Run]) -> list[str]:
    """Cells that were made by different code, or with another torch, are not one experiment."""
    done = [run.manifest for run in runs if run.samples is not None]
    codes = {str(manifest.code.get("fingerprint")) for manifest in done}
    torches = {str(manifest.environment.get("libraries", {}).get("torch")) for manifest in done}
    mixed = [f"cells made by {len(codes)} states of the code"] if len(codes) > 1 else []
    return mixed + ([f"cells made with torch {', '.join(sorted(torches))}"] if len(torches) > 1 else [])
