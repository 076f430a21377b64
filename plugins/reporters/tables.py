"""The report as tables of text: scores, differences, costs, and what must stand beneath them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from ...harness.report.table import Pair, Report, Row, StudyAnswers, Table
from ...harness.stats.across_tasks import Overall
from ...harness.stats.power import VarianceShares
from ...harness.stats.stats import Kind

NONE = "–"


def render(report: Report, style: str) -> str:
    """All tables in one of `tabulate`'s formats (``simple`` or ``github``)."""
    parts = [text for study in report.studies for text in _study(study, style)]
    parts += [_table(table, style) for table in report.tables]
    if report.overall:
        parts += [OVERALL, overall(report.overall, style)]
    if report.family:
        parts.append(report.family)
    if report.problems:
        parts.append("Not read:\n\n" + "\n".join(f"- {problem}" for problem in report.problems))
    if report.commands:
        parts.append("Reproduce with:\n\n" + "\n".join(f"    {command}" for command in report.commands))
    return "\n\n".join(parts)


def _study(study: StudyAnswers, style: str) -> Iterator[str]:
    title = f"Study {study.name} at {study.scale}: {study.asks}"
    yield f"## {title}" if style == "github" else title
    yield "\n".join(f"- {line}" for line in study_lines(study))
    if study.source:
        yield f"Where the question comes from: {study.source}"
    yield FAMILY


FAMILY = (
    "Holm's p is adjusted over all questions that the study declares, whatever was found. "
    "The tables below show every row without a test."
)


def study_lines(study: StudyAnswers) -> list[str]:
    """A sentence for each question, with the budget before it where there are several."""
    several = len({answer.grid for answer in study.answers}) > 1
    return [f"[{one.grid}] {one.sentence}" if several else one.sentence for one in study.answers]


def _table(table: Table, style: str) -> str:
    parts = [f"### {table.title}" if style == "github" else table.title, table.conditions]
    for heading, grid in grids(table, style):
        parts += [heading, grid] if heading else [grid]
    parts.append("\n".join(f"- {note}" for note in table.notes))
    return "\n\n".join(parts)


def grids(table: Table, style: str) -> Iterator[tuple[str, str]]:
    """Every grid of a table with its heading, the scores first and without one."""
    yield "", _scores(table, style)
    if len(table.evaluators) > FEW:
        yield "Other metrics, in percent (unadjusted, exploratory)", _others(table, style)
    if any(row.other_means for row in table.rows):
        yield f"{table.primary} averaged in three ways, in percent", _three_ways(table, style)
    if any(row.vote_curve for row in table.rows):
        yield f"{table.primary} by the first so many votes, in percent", _vote_curves(table, style)
    if table.pairs:
        yield f"Differences in {table.primary}, percentage points", _pairs(table.pairs, style)
    yield _costs_heading(table), _costs(table, style)
    if table.published:
        yield PUBLISHED, _published(table, style)


def _grid(rows: Sequence[Sequence[str]], headers: Sequence[str], style: str) -> str:
    align = ["left"] + ["right"] * (len(headers) - 1)
    return tabulate(
        rows, headers=headers, tablefmt=style, disable_numparse=True, colalign=align if rows else None
    )


def percent(value: float | None) -> str:
    """A score of 0 to 1 as a percentage with one decimal."""
    return NONE if value is None else f"{100 * value:.1f}"


def p_value(p: float | None) -> str:
    """A p value; never printed as 0."""
    if p is None:
        return NONE
    return "<0.0001" if p < 1e-4 else f"{p:.4f}"


FEW = 5
"""Evaluators up to which all of them stand in the first table."""


def _secondary(table: Table) -> list[str]:
    return [name for name in table.evaluators if name != table.primary]


def _scores(table: Table, style: str) -> str:
    others = _secondary(table) if len(table.evaluators) <= FEW else []
    headers = ["model", f"{table.primary} %", "95 % interval", "each seed", "seed SD", "seeds"]
    headers += [f"{name} %" for name in others] + ["copy's cells %", "steps", "halts at"]
    return _grid([_score_row(row, others) for row in table.rows], headers, style)


def _score_row(row: Row, others: Sequence[str]) -> list[str]:
    summary = row.summary
    done = sum(seed.status == "done" for seed in row.seeds)
    seeds = str(done) if row.complete else f"{done} of {len(row.seeds)}"
    return [
        row.label,
        percent(summary.mean if summary else None),
        f"{percent(summary.low)} – {percent(summary.high)}" if summary else NONE,
        " ".join(percent(seed.score) if seed.score is not None else seed.status for seed in row.seeds),
        percent(summary.seed_sd) if summary else NONE,
        seeds,
        *(percent(row.means.get(name)) for name in others),
        percent(row.copy_cells),
        *_steps(row),
    ]


def _others(table: Table, style: str) -> str:
    names = _secondary(table)
    rows = [[row.label, *(percent(row.means.get(name)) for name in names)] for row in table.rows]
    return _grid(rows, ["model", *names], style)


def _three_ways(table: Table, style: str) -> str:
    """A benchmark whose clusters have several items reports one name for several averages."""
    headers = ["model", f"mean over {table.cluster}s (primary)", "over test items", f"whole {table.cluster}s"]
    rows = []
    for row in table.rows:
        means = row.other_means
        first = percent(row.summary.mean if row.summary else None)
        others = (means.items, means.whole_clusters) if means else (None, None)
        rows.append([row.label, first, *map(percent, others)])
    return _grid(rows, headers, style)


def _vote_curves(table: Table, style: str) -> str:
    points = sorted({point for row in table.rows for point in row.vote_curve})
    rows = [[row.label, *(percent(row.vote_curve.get(point)) for point in points)] for row in table.rows]
    return _grid(rows, ["model", *(f"{point:,}" for point in points)], style)


def _steps(row: Row) -> list[str]:
    if row.ledger is None:
        return [NONE, NONE]
    steps, taken = row.ledger.inference_steps, row.ledger.steps_taken
    shown = str(steps) if taken in (0, steps) else f"{taken:.1f} ≤ {steps}"
    return [shown, NONE if row.halt_step is None or steps < 2 else f"{row.halt_step:.1f}"]


def _pairs(pairs: Sequence[Pair], style: str) -> str:
    headers = ["A – B", "Δ", "95 % interval", "p", "Holm p", "verdict", "detectable", VARIANCE, "note"]
    return _grid([_pair_row(pair) for pair in pairs], headers, style)


def _pair_row(pair: Pair) -> list[str]:
    difference = pair.difference
    interval = NONE
    if difference.low is not None and difference.high is not None:
        interval = f"{100 * difference.low:+.1f} – {100 * difference.high:+.1f}"
    note, p = pair.note, difference.p
    if pair.mcnemar is not None:
        only = f"A alone right {pair.mcnemar.a_only}, B alone {pair.mcnemar.b_only}"
        words = "; ".join(dict.fromkeys(filter(None, (note, pair.mcnemar.note))))
        note = f"{words}: {only}, exact McNemar p {p_value(pair.mcnemar.p)}"
    return [
        f"{pair.a} – {pair.b}",
        f"{100 * difference.delta:+.1f}",
        interval,
        p_value(p),
        p_value(pair.holm_p),
        pair.verdict.value,
        percent(pair.detectable) if difference.kind is Kind.CROSSED else NONE,
        NONE if pair.shares is None else _shares(pair.shares),
        note,
    ]


VARIANCE = "seeds/items/rest %"
"""What the variance of a difference consists of."""


def _shares(shares: VarianceShares) -> str:
    return "/".join(f"{100 * share:.0f}" for share in (shares.seeds, shares.items, shares.residual))


OVERALL = "Over all tasks (descriptive, no test)"


def overall(overall: Sequence[Overall], style: str) -> str:
    """Mean ranks and interquartile means."""
    headers = ["model", "mean rank", "interquartile mean %", "runs", "note"]
    rows = [
        [one.model, f"{one.mean_rank:.2f}", percent(one.interquartile_mean), str(one.runs), one.note]
        for one in overall
    ]
    return _grid(rows, headers, style)


PUBLISHED = "Reported by others on the full task, in percent; not tested, and not run under the budget above"


def _published(table: Table, style: str) -> str:
    rows = [[one.model, one.score, one.source] for one in table.published]
    return _grid(rows, ["model", f"{table.primary} %", "reported by"], style)


def _costs_heading(table: Table) -> str:
    devices = ", ".join(sorted({device for row in table.rows for device in row.devices}))
    return f"Costs, mean per cell, on {devices}"


COSTS = (
    "model", "trunk", "embed+heads", "puzzle emb.", "train FLOPs", "opt. steps", "superv. steps", "draws",
    "variants", "train s", "hours", "infer FLOPs", "ms/puzzle", "puzzles/s", "peak MiB",
)  # fmt: skip


OF_TRAINING = ("train FLOPs", "opt. steps", "superv. steps", "draws", "variants", "train s", "hours")


def _costs(table: Table, style: str) -> str:
    rows = [_cost_row(row) for row in table.rows]
    if table.budget is None:  # trained elsewhere: what is not known is not 0
        rows = [
            [NONE if name in OF_TRAINING else cell for name, cell in zip(COSTS, row, strict=True)]
            for row in rows
        ]
    return _grid(rows, COSTS, style)


def count(value: float) -> str:
    """A count to three digits: ``950``, ``59.8k``, ``6.82M``, ``27.1M``."""
    for size, unit in ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")):
        scaled = value / size
        if scaled < 999.5:
            return f"{scaled:.{0 if size == 1 or scaled >= 99.95 else 1 if scaled >= 9.995 else 2}f}{unit}"
    return f"{value / 1e12:.3g}T"


def _cost_row(row: Row) -> list[str]:
    ledger = row.ledger
    if ledger is None:
        return [row.label] + [NONE] * (len(COSTS) - 1)
    return [
        row.label,
        count(ledger.trunk_parameters),
        count(ledger.outer_parameters),
        count(ledger.embedding_parameters),
        f"{ledger.training_flops:.2e}",
        f"{ledger.optimiser_steps:,}",
        f"{ledger.supervision_steps:,}",
        f"{ledger.draws:,}",
        f"{ledger.distinct_variants:,}",
        f"{ledger.training_seconds:.1f}",
        f"{(ledger.training_seconds + ledger.evaluation_seconds) / 3600:.3f}",
        f"{ledger.inference_flops_per_puzzle:.2e}",
        f"{ledger.milliseconds_per_puzzle:.2f}",
        f"{ledger.puzzles_per_second:,.0f}",
        f"{ledger.peak_memory_bytes / 2**20:,.0f}",
    ]
