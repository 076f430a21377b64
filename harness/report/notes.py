"""The notes under a table: protocol, aliases, what is missing, and why it may not be cited."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from ..api.budget import Ledger
from ..store.records import Manifest, ScoredSplit
from .pairs import mixed_code
from .read import Run
from .rows import versions_of
from .table import Pair, Row
from .words import in_few_digits, points


def notes_of(
    runs: Sequence[Run],
    rows: Sequence[Row],
    by_row: Mapping[str, Sequence[Run]],
    declared: bool = False,
    evaluations: Collection[str] = (),
) -> list[str]:
    """Everything a reader must know before using a number of the table.

    ``by_row`` are the runs of each row, by the row's name; ``declared``: a study declares the rows, and
    ``evaluations``, by their labels.
    """
    notes = [_protocol(runs, rows), *_oracle(rows)]
    notes += _who_chose(rows, runs[0].manifest.identity.split, evaluations)
    notes += [*_copying(rows), *_numbered(rows, by_row)]
    notes += [] if declared else _tuning(by_row)
    notes += dict.fromkeys(note for run in runs for note in run.manifest.notes)
    notes += dict.fromkeys(note for run in runs for note in run.manifest.description.source_notes)
    for row in rows:
        for seed in row.seeds:
            if seed.status != "done":
                because = f": {seed.reason}" if seed.reason else ""
                notes.append(f"incomplete: {row.name}, seed {seed.seed}, {seed.status}{because}")
    summaries = {row.name: row.summary for row in rows if row.summary and not row.is_fixed}
    notes += [f"{name}: {summary.note}" for name, summary in summaries.items() if summary.note]
    notes += _two_kinds(rows)
    notes += _fixed(rows)
    notes += _versions(runs)
    notes += _made_with(runs)
    notes += _carried_out(rows, by_row)
    return notes + _not_citable(runs, rows)


def _carried_out(rows: Sequence[Row], by_row: Mapping[str, Sequence[Run]]) -> list[str]:
    """Rows whose seeds were not computed in the same way: their sums were rounded otherwise."""
    notes = []
    for row in rows:
        done = [run.manifest.execution for run in by_row[row.name] if run.samples is not None]
        for key in ("compile", "processes", "microbatch", "recompute"):
            values = sorted({str(one.get(key)).lower() for one in done})
            if len(values) > 1:
                either = " or ".join(values)
                how = "rounds sums, and draws the noise of a stochastic model, otherwise"
                notes.append(f"{row.name}: {key} is {either}, by seed, which {how}")
    return notes


NOT_CITABLE = "NOT CITABLE"
"""How the note on it begins."""


def _not_citable(runs: Sequence[Run], rows: Sequence[Row]) -> list[str]:
    """Reasons that hold for every row, then those of single rows."""
    models: dict[str, list[str]] = {}
    for row in rows:
        for reason in row.not_citable_because:
            models.setdefault(reason, []).append(row.name)
    reasons = [
        reason if len(names) == len(rows) else f"{', '.join(names)}: {reason}"
        for reason, names in models.items()
    ]
    reasons += [reason for reason in mixed_code(runs) if reason not in models]
    reasons += [] if all(row.complete for row in rows) else ["incomplete"]
    return [f"{NOT_CITABLE}: {'; '.join(reasons)}"] if reasons else []


KINDS_APART = 0.2
"""Between the scores of two kinds of runs, at least; and three times as far as those of a kind lie apart."""


ENOUGH_FOR_COLLAPSE = 8
"""Seeds; with fewer, up to a quarter of studies of equal models that collapse at times find a difference."""
ENOUGH_TO_TELL = 5
"""Seeds; of fewer that scatter widely by nature, many would look like two kinds."""


def _two_kinds(rows: Sequence[Row]) -> list[str]:
    """A warning where some seeds of a model are far from all others, as where training collapses at times."""
    found = [f"{row.name} ({parts})" for row in rows if (parts := _kinds(row))]
    if not found:
        return []
    return [
        f"runs that may be of two kinds: {', '.join(found)}. Tests and intervals take the runs of a model "
        "for alike; with such runs, a quarter of studies with 3 or 5 seeds find differences between equal "
        "models, and a tenth with 8 (docs/calibration.md)"
    ]


def _kinds(row: Row) -> str:
    """``2 of 5 up to 12.0 %, the others from 81.0 %``; empty where the runs are of one kind."""
    scores = sorted(seed.score for seed in row.seeds if seed.score is not None)
    if len(scores) < ENOUGH_TO_TELL:
        return ""
    gap, place = max(
        (after - before, place) for place, (before, after) in enumerate(pairwise(scores), start=1)
    )
    within = max(scores[place - 1] - scores[0], scores[-1] - scores[place])
    if gap < max(KINDS_APART, 3 * within):
        return ""
    return (
        f"{place} of {len(scores)} up to {points(scores[place - 1])} %, "
        f"the others from {points(scores[place])} %"
    )


def _fixed(rows: Sequence[Row]) -> list[str]:
    """Models whose score is known by construction, and models that are below it."""
    notes = []
    for fixed in (row for row in rows if row.is_fixed):
        notes.append(f"{fixed.name} is not trained, and part of no test")
        below = [
            row.name
            for row in rows
            if not row.is_fixed and row.summary and fixed.summary and row.summary.mean < fixed.summary.mean
        ]
        notes += [f"below {fixed.name}: {', '.join(below)}"] if below else []
    learnt = [row for row in rows if not row.is_fixed and row.summary is not None]
    if learnt and all(row.summary is not None and row.summary.mean == 0 for row in learnt):
        nothing = "no model solved anything: this table says nothing about which is better"
        notes.append(nothing if len(learnt) > 1 else f"{learnt[0].name} solved nothing")
    return notes


def _oracle(rows: Sequence[Row]) -> list[str]:
    """What a perfect choice among several answers would reach."""
    if all(row.any_right is None for row in rows):
        return []
    return [
        "any right %: puzzles of which any of the K answers is right, an oracle that knows the solution; no "
        "rule of selection does, and it is not a score of the model"
    ]


def _who_chose(rows: Sequence[Row], split: ScoredSplit, evaluations: Collection[str]) -> list[str]:
    """Whether σ, K and the rule of several answers were declared, are being chosen, or were given."""
    names: dict[bool, list[str]] = {}
    for row in rows:
        if row.rollouts is not None:
            names.setdefault(row.evaluation in evaluations, []).append(row.name)
    given = (
        "given by the command; the report cannot know how they were chosen (choose them with --split "
        "validation or declare them in a study, never by test scores)"
    )
    if split == "validation":
        given = "not declared: these are scores on validation puzzles, by which they may be chosen"
    said = {True: "declared by the study", False: given}
    return [f"σ, K and rule of {'; '.join(names[one])}: {said[one]}" for one in said if one in names]


def _copying(rows: Sequence[Row]) -> list[str]:
    """Cell accuracy of copying the input, once for the whole table, and the rows below it."""
    known = [row for row in rows if row.copy_cells is not None]
    if not known:
        return []
    shares = sorted({points(row.copy_cells) for row in known if row.copy_cells is not None})
    below = [row.name for row in known if row.means.get("cells", 1.0) < (row.copy_cells or 0.0)]
    return [
        f"cell accuracy of copying the input: {' or '.join(shares)} %",
        *([f"fewer cells right than copying: {', '.join(below)}"] if below else []),
    ]


def _numbered(rows: Sequence[Row], by_row: Mapping[str, Sequence[Run]]) -> list[str]:
    """How rows of one name differ: a legend of #1 and #2."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.number is not None:
            groups.setdefault(row.name.rpartition(" #")[0], []).append(row)
    notes = []
    for same in groups.values():
        settings = [_settings(by_row[row.name][0].manifest) for row in same]
        differing = [key for key in settings[0] if len({one.get(key) for one in settings}) > 1]
        for row, one in zip(same, settings, strict=True):
            values = ", ".join(f"{key}={one.get(key)}" for key in differing) or "another version of its code"
            notes.append(f"{row.name}: {values}")
    return notes


def _tuning(by_row: Mapping[str, Sequence[Run]]) -> list[str]:
    """Rows of one model that differ only in training settings, which a test score must not choose."""
    groups: dict[str, dict[str, tuple[str, str]]] = {}
    for name, (first, *_) in by_row.items():
        manifest = first.manifest
        identity = manifest.identity
        if identity.split != "test" or identity.weights is not None:
            continue
        settings = repr(sorted(identity.training.items())), manifest.description.requested
        model = identity.part("model").full_name, identity.architecture, identity.budget, manifest.evaluation
        groups.setdefault(repr(model), {})[name] = settings
    return [
        f"{', '.join(rows)} differ only in training settings: choose settings with trm-bench tune, on the "
        "validation puzzles, and not by these test scores"
        for rows in groups.values()
        if min(len({one[place] for one in rows.values()}) for place in (0, 1)) > 1
    ]


def _settings(manifest: Manifest) -> dict[str, str]:
    identity = manifest.identity
    fields = ("device", "threads", "deterministic", "procedure")
    where = {name: getattr(identity, name) for name in fields}
    every = {**identity.architecture, **identity.training, **where}
    return {key: str(value) for key, value in every.items()}


def _versions(runs: Sequence[Run]) -> list[str]:
    """Evaluators of which several versions have scored the runs of a table."""
    done = [run.manifest for run in runs if run.samples is not None]
    counts = {name: versions_of(name, done) for manifest in done for name in manifest.evaluators}
    return [
        f"{name}: scored by {count} versions of it, which must not be compared; score all runs by one"
        for name, count in counts.items()
        if count > 1
    ]


def _made_with(runs: Sequence[Run]) -> list[str]:
    """Versions and fingerprints, the same for all runs of a table unless it says otherwise."""
    done = [run.manifest for run in runs if run.samples is not None]
    if not done:
        return []
    parts = dict.fromkeys(
        f"{part.distribution} {part.version}"
        for manifest in done
        for part in (*manifest.identity.parts, *manifest.scored_by)
    )
    libraries = (manifest.environment.get("libraries", {}) for manifest in done)
    torches = dict.fromkeys(str(versions.get("torch", "?")) for versions in libraries)
    codes = _codes(done)
    prints = done[0].identity.fingerprints
    data = ", ".join(f"{split} {value[:12]}" for split, value in prints.items())
    made = f"{', '.join(parts) or 'no distribution'}, code {', '.join(codes)}, torch {', '.join(torches)}"
    return [f"made with {made}; puzzles {data}"]


def _codes(manifests: Sequence[Manifest]) -> list[str]:
    """Each fingerprint, and the first commit to check out for it at which the tree was as committed."""
    commits: dict[str, str] = {}
    for code in (manifest.code for manifest in manifests):
        commit = str(code.get("commit") or "") if code.get("changed") == [] else ""
        known = str(code.get("fingerprint", "?"))[:12]
        commits[known] = commits.get(known) or commit
    return [f"{one} (commit {commit[:7]})" if commit else one for one, commit in commits.items()]


def _protocol(runs: Sequence[Run], rows: Sequence[Row]) -> str:
    done = [run.manifest for run in runs if run.status == "done"]
    weights: dict[str, list[str]] = {}
    for manifest in done:
        names = weights.setdefault(manifest.weights, [])
        if manifest.description.display_name not in names:
            names.append(manifest.description.display_name)
    which = "; ".join(f"{kind} for {', '.join(names)}" for kind, names in weights.items())
    steps = ", ".join(f"{row.name} {_steps(row.ledger)}" for row in rows if row.ledger is not None)
    protocol = f"protocol: {_evaluated(done)}; {_voting(runs)}"
    return f"{protocol}; weights: {which}; supervision steps at {runs[0].manifest.identity.split}: {steps}"


def _evaluated(done: Sequence[Manifest]) -> str:
    """What was evaluated when, for every kind of run."""
    validated = any(manifest.identity.split == "validation" for manifest in done)
    kinds = {
        "scored on the validation puzzles, after training; the test set was not read, and settings may be "
        "chosen by these scores": validated,
        "test set evaluated once, after training; no model selection on validation": not validated
        and any(not manifest.weights_file for manifest in done),
        "rows with @ evaluate stored weights again; nothing may be chosen by their scores": not validated
        and any(manifest.weights_file and manifest.identity.weights is None for manifest in done),
        "external weights: how they were selected is unknown": any(
            manifest.identity.weights is not None for manifest in done
        ),
    }
    return "; ".join(text for text, holds in kinds.items() if holds)


def _steps(ledger: Ledger) -> str:
    """The steps of every puzzle, or their mean and most where puzzles halt."""
    if ledger.steps_taken in (0, ledger.inference_steps):
        return str(ledger.inference_steps)
    return f"{ledger.steps_taken:.1f} of up to {ledger.inference_steps}"


def _voting(runs: Sequence[Run]) -> str:
    """How many predictions were made for a test item, by one and the same weights."""
    most = runs[0].manifest.identity.votes
    rollouts = [run.manifest.identity.rollouts for run in runs]
    several = any(one is not None and one.count > 1 for one in rollouts)
    if most is None and several:
        return "one prediction per puzzle, chosen among rollouts by the row's rule, without the solution"
    if most is None:
        return "one prediction per puzzle, no voting"
    means = {f"{run.manifest.ledger.votes_per_puzzle:.1f}" for run in runs if run.status == "done"}
    return (
        f"up to {most:,} votes per test item, one for each augmentation, {' or '.join(sorted(means))} on "
        "average; all votes of a seed come from one checkpoint"
    )


def _limits(least: float, most: float) -> str:
    """From which differences on the pairs of a family are decided."""
    if least > 1:
        return "no difference, by any pair"
    if most > 1:
        return f"differences from {in_few_digits(least)} points on, by pair; by some pairs none"
    low, high = in_few_digits(least), in_few_digits(most)
    return f"differences from {low}" + (f" to {high}" if high != low else "") + " points on, by pair"


def notes_on_tests(pairs: Sequence[Pair], cluster: str) -> list[str]:
    """What the tests of a table could decide, and what would decide more."""
    notes = []
    if limits := [pair.family.decidable for pair in pairs if pair.family is not None]:
        notes.append(f"decidable in this family, with 80 % power: {_limits(min(limits), max(limits))}")
    notes += [
        f"{pair.a} − {pair.b}: twice the seeds would narrow the interval by "
        f"{100 * seeds:.0f} %, twice the {cluster}s by {100 * clusters:.0f} %"
        for pair in pairs
        if pair.verdict.is_undecided
        and (seeds := pair.narrower(seeds=2)) is not None
        and (clusters := pair.narrower(clusters=2)) is not None
    ]
    members = [pair for pair in pairs if pair.family is not None]
    if any(pair.difference.seeds < ENOUGH_FOR_COLLAPSE for pair in members):
        notes.append(
            f"fewer than {ENOUGH_FOR_COLLAPSE} seeds: if training collapses at times, they may not show it, "
            "and a quarter of such studies find differences between equal models (docs/calibration.md)"
        )
    if any(pair.difference.seeds != pair.most_seeds for pair in members):
        notes.append(
            "models with unequally many seeds are compared: seeds that were added after looks at the results "
            "make false differences more frequent than 5 %; decide on their number before"
        )
    return notes
