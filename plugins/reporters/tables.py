"""The report as tables of text: scores, differences, costs, and what must stand beneath them."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from ...harness.report.table import Pair, Report, Row, Table
from ...harness.stats import Kind

NONE = "–"


def render(report: Report, style: str) -> str:
    """All tables in one of `tabulate`'s formats (``simple`` or ``github``)."""
    parts = [_table(table, style) for table in report.tables]
    if report.problems:
        parts.append("Not read:\n" + "\n".join(f"- {problem}" for problem in report.problems))
    if report.commands:
        parts.append("Reproduce with:\n" + "\n".join(f"    {command}" for command in report.commands))
    return "\n\n".join(parts)


def _table(table: Table, style: str) -> str:
    heading = f"### {table.title}" if style == "github" else table.title
    parts = [heading, table.budget.describe(), _scores(table, style)]
    if table.pairs:
        parts += [f"Differences in {table.primary}, percentage points", _pairs(table.pairs, style)]
    parts += [_costs_heading(table), _costs(table, style)]
    parts.append("\n".join(f"- {note}" for note in table.notes))
    return "\n\n".join(parts)


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


def _scores(table: Table, style: str) -> str:
    others = [name for name in table.evaluators if name != table.primary]
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
        str(row.ledger.inference_steps),
        NONE if row.halt_step is None or row.ledger.inference_steps < 2 else f"{row.halt_step:.1f}",
    ]


def _pairs(pairs: Sequence[Pair], style: str) -> str:
    headers = ["A – B", "Δ", "95 % interval", "p", "Holm p", "verdict", "detectable", "note"]
    return _grid([_pair_row(pair) for pair in pairs], headers, style)


def _pair_row(pair: Pair) -> list[str]:
    difference = pair.difference
    interval = NONE
    if difference.low is not None and difference.high is not None:
        interval = f"{100 * difference.low:+.1f} – {100 * difference.high:+.1f}"
    note, p = pair.note, difference.p
    if pair.mcnemar is not None:
        only = f"A alone right {pair.mcnemar.a_only}, B alone {pair.mcnemar.b_only}"
        note = f"{pair.mcnemar.note}: {only}, exact McNemar p {p_value(pair.mcnemar.p)}"
    return [
        f"{pair.a} – {pair.b}",
        f"{100 * difference.delta:+.1f}",
        interval,
        p_value(p),
        p_value(pair.holm_p),
        pair.verdict.value,
        percent(pair.detectable) if difference.kind is Kind.CROSSED else NONE,
        note,
    ]


def _costs_heading(table: Table) -> str:
    devices = ", ".join(sorted({device for row in table.rows for device in row.devices}))
    return f"Costs, mean per cell, on {devices}"


def _costs(table: Table, style: str) -> str:
    headers = [
        "model", "trunk", "embed+heads", "puzzle emb.", "train FLOPs", "opt. steps", "superv. steps", "draws",
        "variants", "train s", "infer FLOPs", "ms/puzzle", "puzzles/s", "peak MiB",
    ]  # fmt: skip
    return _grid([_cost_row(row) for row in table.rows], headers, style)


def count(value: float) -> str:
    """A count in at most five characters: ``950``, ``59.8k``, ``6.82M``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}" if value / size < 100 else f"{value / size:.1f}{unit}"
    return f"{value:.0f}"


def _cost_row(row: Row) -> list[str]:
    ledger = row.ledger
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
        f"{ledger.inference_flops_per_puzzle:.2e}",
        f"{ledger.milliseconds_per_puzzle:.2f}",
        f"{ledger.puzzles_per_second:,.0f}",
        f"{ledger.peak_memory_bytes / 2**20:,.0f}",
    ]
