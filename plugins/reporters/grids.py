"""The report as grids of text: scores, differences, costs. What every reporter of tables shares.

Headings are explained in docs/glossary.md, which a test holds complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ...harness.api.budget import Ledger
from ...harness.api.published import Published
from ...harness.report.table import Pair, Row, StudyAnswers, Table
from ...harness.report.words import points, signed
from ...harness.stats.across_tasks import Overall
from ...harness.stats.tests import Verdict

NONE = "–"
MODEL = "model"
FEW = 3
"""Metrics apart from the primary one up to which all of them are in the first grid."""
COLUMNS = 8
"""Most columns of a grid."""
NO_BREAK = "\u00a0"


class Grid(NamedTuple):
    """One grid of text under a heading; the first column holds names, all others are aligned right."""

    heading: str
    headers: tuple[str, ...]
    rows: list[list[str]]

    def part(self, start: int, end: int) -> Grid:
        """The first column and those from ``start`` up to ``end``."""
        heading = f"{self.heading}, continued" if start > 1 and self.heading else self.heading
        rows = [[row[0], *row[start:end]] for row in self.rows]
        return Grid(heading, (self.headers[0], *self.headers[start:end]), rows)


def divided(grid: Grid, fits: Callable[[Grid], bool]) -> Iterator[Grid]:
    """The grid, or several parts of it with the first column each where it is too wide."""
    start = 1
    while start < len(grid.headers):
        end = start + 1
        while end < len(grid.headers) and fits(grid.part(start, end + 1)):
            end += 1
        yield grid.part(start, end)
        start = end


def grids(table: Table, costs: bool) -> Iterator[Grid]:
    """Every grid of a table, the scores first and without a heading; at most `COLUMNS` columns each."""
    for grid in _whole(table, costs):
        yield from divided(grid, lambda part: len(part.headers) <= COLUMNS)


def _whole(table: Table, costs: bool) -> Iterator[Grid]:
    yield scores(table)
    yield each_seed(table)
    if len(table.evaluators) > FEW + 1:
        yield other_metrics(table)
    if any(row.other_means for row in table.rows):
        yield averages(table)
    if any(row.vote_curve for row in table.rows):
        yield vote_curves(table)
    if any(row.rollouts for row in table.rows):
        yield several_answers(table)
    if table.pairs:
        yield differences(table)
        yield power(table)
    if any(pair.mcnemar for pair in table.pairs):
        yield checkpoints(table)
    if costs:
        yield from cost_grids(table)
    if table.published:
        yield published(table)


def unbroken(text: str) -> str:
    """A number and its percent sign stay on one line, and so does ``[95 % CI]``."""
    return text.replace(" %", f"{NO_BREAK}%").replace("% CI", f"%{NO_BREAK}CI")


def percent(value: float | None) -> str:
    """A score of 0 to 1 as a percentage with one decimal."""
    return NONE if value is None else points(value)


def p_value(p: float | None) -> str:
    """A p value; never printed as 0."""
    if p is None:
        return NONE
    return "<0.0001" if p < 1e-4 else f"{p:.4f}"


def _secondary(table: Table) -> list[str]:
    return [name for name in table.evaluators if name != table.primary]


def with_interval(row: Row) -> str:
    """``81.5 [78.2, 84.3]``."""
    if row.summary is None:
        return NONE
    return f"{percent(row.summary.mean)} [{percent(row.summary.low)}, {percent(row.summary.high)}]"


def spread(row: Row) -> str:
    """``1.9 (5)``: the seeds' standard deviation and their number; ``(3 of 5)`` where some are missing."""
    seeds = str(row.finished) if row.complete else f"{row.finished} of {len(row.seeds)}"
    return f"{percent(row.summary.seed_sd if row.summary else None)} ({seeds})"


def supervision(row: Row) -> str:
    """Supervision steps at test: of every puzzle, or ``2.1 ≤ 16`` where puzzles halt."""
    if row.ledger is None:
        return NONE
    steps, taken = row.ledger.inference_steps, row.ledger.steps_taken
    return str(steps) if taken in (0, steps) else f"{taken:.1f} ≤ {steps}"


def count(value: float) -> str:
    """A count to three digits: ``950``, ``59.8k``, ``6.82M``, ``27.1M``."""
    for size, unit in ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")):
        scaled = value / size
        if scaled < 999.5:
            return f"{scaled:.{0 if size == 1 or scaled >= 99.95 else 1 if scaled >= 9.995 else 2}f}{unit}"
    return f"{value / 1e12:.3g}T"


def primary_heading(table: Table) -> str:
    """``solved % [95 % CI]``."""
    return f"{table.heading(table.primary)} [95 % CI]"


def scores(table: Table) -> Grid:
    """The first grid: at most eight columns."""
    others = _secondary(table) if len(table.evaluators) <= FEW + 1 else []
    headers = (
        MODEL,
        primary_heading(table),
        "seed SD (seeds)",
        *(table.heading(name) for name in others),
        f"sup. steps ({table.split})",
        "FLOPs per puzzle",
    )
    rows = [
        [
            row.label,
            with_interval(row),
            spread(row),
            *(percent(row.means.get(name)) for name in others),
            supervision(row),
            NONE if row.ledger is None else f"{row.ledger.inference_flops_per_puzzle:.2e}",
        ]
        for row in table.rows
    ]
    return Grid("", headers, rows)


def each_seed(table: Table) -> Grid:
    """The primary metric of every seed."""
    seeds = list(dict.fromkeys(seed.seed for row in table.rows for seed in row.seeds))
    shared = all([seed.seed for seed in row.seeds] == seeds for row in table.rows)
    rows = [
        [
            row.label,
            " ".join(
                (percent(seed.score) if seed.score is not None else seed.status)
                if shared
                else f"{seed.seed}: {percent(seed.score) if seed.score is not None else seed.status}"
                for seed in row.seeds
            ),
        ]
        for row in table.rows
    ]
    each = f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
    named = each if shared else "each seed"
    return Grid(f"{table.heading(table.primary)} of each seed", (MODEL, named), rows)


def other_metrics(table: Table) -> Grid:
    """Metrics that do not fit the first grid."""
    names = _secondary(table)
    rows = [[row.label, *(percent(row.means.get(name)) for name in names)] for row in table.rows]
    headers = (MODEL, *(table.heading(name) for name in names))
    return Grid("Other metrics (unadjusted, exploratory)", headers, rows)


def averages(table: Table) -> Grid:
    """A benchmark whose clusters have several items reports one name for several averages."""
    headers = (
        MODEL,
        f"mean over {table.cluster}s (primary)",
        "mean over test items",
        f"whole {table.cluster}s",
    )
    rows = [
        [
            row.label,
            percent(row.summary.mean if row.summary else None),
            percent(row.other_means.get("items")),
            percent(row.other_means.get("whole clusters")),
        ]
        for row in table.rows
    ]
    return Grid(f"{table.heading(table.primary)} averaged in three ways", headers, rows)


def vote_curves(table: Table) -> Grid:
    """The primary metric by the first N votes."""
    points = sorted({point for row in table.rows for point in row.vote_curve})
    rows = [[row.label, *(percent(row.vote_curve.get(point)) for point in points)] for row in table.rows]
    headers = (MODEL, *(f"{point:,} votes" for point in points))
    return Grid(f"{table.heading(table.primary)} by number of votes", headers, rows)


def several_answers(table: Table) -> Grid:
    """Rows with rollouts, and the single answers of the same models, by what they cost."""
    names = list(dict.fromkeys(row.display_name for row in table.rows if row.rollouts))
    done = [(row, row.ledger) for row in table.rows if row.display_name in names and row.ledger is not None]
    done.sort(key=lambda one: (names.index(one[0].display_name), one[1].inference_flops_per_puzzle))
    headers = (
        MODEL,
        "noise σ",
        "K, rule",
        primary_heading(table),
        "FLOPs per puzzle",
        "ms per puzzle",
        "any right %",
        "answers that agree %",
    )
    heading = "Several answers per puzzle (costs of all K together; any right: an oracle)"
    return Grid(heading, headers, [_of_answers(row, ledger) for row, ledger in done])


def _of_answers(row: Row, ledger: Ledger) -> list[str]:
    settings = row.rollouts
    noise = NONE if settings is None or not settings.noise else f"{settings.noise:g}"
    on = f" on {settings.on}" if settings is not None and settings.on else ""
    on += f", seed {settings.seed}" if settings is not None and settings.seed else ""
    several = settings is not None and settings.count > 1
    return [
        row.label,
        f"{noise}{on}",
        f"{settings.count}, {settings.select.value}" if settings is not None and several else "1",
        with_interval(row),
        f"{ledger.inference_flops_per_puzzle:.2e}",
        f"{ledger.milliseconds_per_puzzle:,.2f}",
        percent(row.any_right),
        percent(row.agree),
    ]


def pair_name(pair: Pair) -> str:
    """``A − B``."""
    return f"{pair.a} − {pair.b}"


def signed_interval(low: float | None, high: float | None) -> str:
    """``[+41.5, +64.0]`` in percentage points; empty without a test."""
    return "" if low is None or high is None else f"[{signed(low)}, {signed(high)}]"


def differences(table: Table) -> Grid:
    """Δ of every pair, alone and as a member of the table's family, and its verdict."""
    among = f"among {table.tests}: " if table.tests > 1 else ""
    rows = []
    for pair in table.pairs:
        alone, family = pair.difference, pair.family
        row = [
            pair_name(pair),
            " ".join(filter(None, (signed(alone.delta), signed_interval(alone.low, alone.high)))),
            p_value(alone.p),
            signed_interval(family.low, family.high) if family else NONE,
            p_value(family.p if family else None),
            verdict(pair),
        ]
        rows.append(row)
    headers: tuple[str, ...] = ("A − B", "alone: Δ [95 % CI]", "p", f"{among}[CI]", "Holm p", "verdict")
    if not among:  # the only test: both readings are one
        headers, rows = (*headers[:3], headers[5]), [[*row[:3], row[5]] for row in rows]
    return Grid(f"Differences in {table.heading(table.primary)}, percentage points", headers, rows)


def verdict(pair: Pair) -> str:
    """The word, with the margin of ``equivalent``."""
    if pair.verdict is Verdict.EQUIVALENT and pair.equivalence is not None:
        return f"equivalent (±{100 * pair.equivalence.margin:g})"
    return pair.verdict.value


def power(table: Table) -> Grid:
    """What each comparison can decide in its family, and variance shares."""
    rows = [
        [
            pair_name(pair),
            decidable(pair),
            NONE
            if pair.shares is None
            else " / ".join(
                f"{100 * share:.0f}" for share in (pair.shares.seeds, pair.shares.items, pair.shares.residual)
            ),
            pair.remarks,
        ]
        for pair in table.pairs
    ]
    headers: tuple[str, ...] = (
        "A − B",
        "decidable Δ (80 % power)",
        "variance: seeds / puzzles / residual %",
        "note",
    )
    if not any(row[-1] for row in rows):
        headers, rows = headers[:-1], [row[:-1] for row in rows]
    return Grid("Power of these comparisons", headers, rows)


def decidable(pair: Pair) -> str:
    """The smallest difference that the family decides with 80 % power; none above 100 points."""
    if pair.family is None:
        return NONE
    return percent(pair.family.decidable) if pair.family.decidable <= 1 else "none"


def checkpoints(table: Table) -> Grid:
    """Single runs compared puzzle by puzzle: says nothing about methods."""
    rows = [
        [pair_name(pair), str(only.a_only), str(only.b_only), p_value(only.p)]
        for pair in table.pairs
        if (only := pair.mcnemar) is not None
    ]
    headers = ("A − B", "only A correct", "only B correct", "exact McNemar p")
    return Grid("Single checkpoints (no claim about methods)", headers, rows)


def cost_grids(table: Table) -> Iterator[Grid]:
    """Parameters, training, inference, and the time of all devices, each at most eight columns."""
    devices = ", ".join(sorted({device for row in table.rows for device in row.devices})).upper()
    yield parameters(table)
    if table.budget is not None:  # of external weights the training cost is unknown
        yield training_cost(table, devices)
    yield inference_cost(table, devices)
    yield device_hours(table, devices)


def _costs(table: Table, heading: str, headers: Sequence[str], each: Sequence[Sequence[str] | None]) -> Grid:
    rows = [
        [row.label, *(values or [NONE] * len(headers))] for row, values in zip(table.rows, each, strict=True)
    ]
    return Grid(heading, (MODEL, *headers), rows)


def parameters(table: Table) -> Grid:
    """Numbers of trainable parameters."""
    each = [
        None
        if ledger is None
        else [
            count(ledger.core_parameters),
            count(ledger.io_parameters),
            count(ledger.puzzle_embedding_parameters),
        ]
        for ledger in (row.ledger for row in table.rows)
    ]
    headers = ("core params", "embedding + head params", "puzzle-embedding params")
    return _costs(table, "Parameters", headers, each)


def training_cost(table: Table, devices: str) -> Grid:
    """Cost of a training run."""
    each = [
        None
        if (ledger := row.ledger) is None
        else [
            f"{ledger.training_flops:.2e}",
            f"{ledger.optimiser_steps:,}",
            f"{ledger.supervision_steps:,}",
            f"{ledger.draws:,}",
            f"{ledger.distinct_augmentations:,}",
            f"{ledger.training_seconds:,.1f}",
            # Validated in no time: the record is older than the field.
            f"{ledger.validation_seconds:,.1f}" if ledger.validation_seconds or not row.validation else NONE,
        ]
        for row in table.rows
    ]
    headers = (
        "train FLOPs",
        "optimiser steps",
        "supervision steps",
        "draws",
        "distinct augmentations",
        "train seconds",
        "validation seconds",
    )
    return _costs(table, f"Cost per training run (mean over seeds, {devices})", headers, each)


def inference_cost(table: Table, devices: str) -> Grid:
    """Cost of evaluation."""
    each = [
        None
        if row.ledger is None
        else [
            f"{row.ledger.inference_flops_per_puzzle:.2e}",
            f"{row.ledger.milliseconds_per_puzzle:,.2f}",
            f"{row.ledger.puzzles_per_second:,.0f}",
            f"{row.ledger.evaluation_seconds:,.1f}",
            f"{row.ledger.peak_memory_bytes / 2**20:,.0f}",
            NONE if row.halt_step is None or row.depth < 2 else f"{row.halt_step:.1f}",
        ]
        for row in table.rows
    ]
    headers = (
        "FLOPs per puzzle",
        "ms per puzzle",
        "puzzles/s",
        "test seconds",
        "peak MiB",
        "mean halt step",
    )
    return _costs(table, f"Cost of evaluation (mean over seeds, {devices})", headers, each)


def device_hours(table: Table, devices: str) -> Grid:
    """What the finished runs took, of all seeds together, and the sum for the table."""
    rows = [
        [
            row.label,
            _hours(row.hours_per_run),
            str(row.finished),
            _hours(row.device_hours if row.finished else None),
        ]
        for row in table.rows
    ]
    rows.append(["total", "", str(sum(row.finished for row in table.rows)), _hours(table.device_hours)])
    headers = (MODEL, "device-hours per run", "finished runs", "device-hours")
    return Grid(f"Device-hours of the finished runs ({devices})", headers, rows)


def _hours(hours: float | None) -> str:
    """Three decimals of less than an hour; else one."""
    if hours is None:
        return NONE
    if 0 < hours < 0.001:
        return "< 0.001"
    return f"{hours:.3f}" if hours < 1 else f"{hours:,.1f}"


def published(table: Table) -> Grid:
    """Published numbers, reported and not tested."""
    rows = [[one.model, one.score, _conditions(one), one.source] for one in table.published]
    headers = (MODEL, "published %", "conditions", "reported by")
    return Grid("Published on the full task; not tested, and not run under the budget above", headers, rows)


def _conditions(one: Published) -> str:
    """Everything that one published number may differ in from the next."""
    parts = (
        one.metric or "metric not known",
        one.training and f"trained on {one.training}",
        one.inference,
        one.seeds and f"seeds: {one.seeds}",
        one.date,
    )
    return "; ".join(part for part in parts if part)


def overall(models: Sequence[Overall]) -> Grid:
    """Mean ranks and interquartile means over tasks."""
    headers = (MODEL, "mean rank", "interquartile mean %", "runs", "note")
    rows = [
        [one.model, f"{one.mean_rank:.2f}", percent(one.interquartile_mean), str(one.runs), one.note]
        for one in models
    ]
    return Grid("Over all tasks (descriptive, no test)", headers, rows)


def study_lines(study: StudyAnswers) -> list[str]:
    """A sentence for each question, with the budget before it where there are several."""
    several = len({answer.grid for answer in study.answers}) > 1
    return [f"[{one.grid}] {one.sentence}" if several else one.sentence for one in study.answers]


def hidden_note(table: Table) -> list[str]:
    """A note on rows that were left out of print."""
    if not table.hidden:
        return []
    return [f"not shown, but part of the family of tests: {', '.join(table.hidden)}"]
