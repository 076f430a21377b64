"""The report as LaTeX tables in the style of booktabs, for a plain article."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from ...harness.report.table import Report, StudyAnswers, Table
from .tables import FAMILY, NONE, PUBLISHED, p_value, percent, study_lines

SYMBOLS = {
    "Δ": r"$\Delta$",
    "–": "--",
    "—": "---",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "…": r"\dots{}",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "“": "``",
    "”": "''",
}
ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
}


def escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join((ESCAPES | SYMBOLS).get(letter, letter) for letter in text)


def render(report: Report) -> str:
    """Each table with its differences, a caption that says what must not be left off, and its notes."""
    head = "% Needs \\usepackage[utf8]{inputenc}, \\usepackage[T1]{fontenc} and \\usepackage{booktabs}."
    parts = [head, *map(_study, report.studies), *(_table(table) for table in report.tables)]
    parts += [f"% Reproduce with: {command}" for command in report.commands]
    return "\n\n".join(parts)


def _study(study: StudyAnswers) -> str:
    """The answers as a list, in the order of the questions."""
    title = escape(f"Study {study.name} at {study.scale}: {study.asks}")
    # A bracket right after \item would be taken for its label.
    items = "\n".join(f"  \\item {{}}{escape(line)}" for line in study_lines(study))
    list_ = f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
    return f"\\paragraph{{{title}}}\n{list_}\n{escape(FAMILY)}"


def _table(table: Table) -> str:
    title = f"{table.title}; {table.conditions}."
    scores = _tabular(
        ["model", f"{table.primary} %", "95 % interval", "seeds", "seed SD", "steps", "trunk", "train FLOPs"],
        [_score_row(table, place) for place in range(len(table.rows))],
    )
    parts = [_float(f"{title} Mean over seeds.", scores)]
    if table.pairs:
        parts.append(_float(f"Differences in {table.primary}, percentage points. {title}", _pairs(table)))
    if table.published:
        rows = [[one.model, one.score, one.source] for one in table.published]
        headers = ["model", f"{table.primary} %", "reported by"]
        parts.append(_float(f"{PUBLISHED}. {table.task}.", _tabular(headers, rows)))
    notes = "\n".join(f"  \\item {escape(note)}" for note in table.notes)
    parts.append(f"{{\\footnotesize\n\\begin{{itemize}}\n{notes}\n\\end{{itemize}}}}")
    return "\n\n".join(parts)


def _score_row(table: Table, place: int) -> list[str]:
    row = table.rows[place]
    summary, ledger = row.summary, row.ledger
    return [
        row.label,
        percent(summary.mean if summary else None),
        f"{percent(summary.low)} – {percent(summary.high)}" if summary else NONE,
        str(sum(seed.status == "done" for seed in row.seeds)),
        percent(summary.seed_sd) if summary else NONE,
        str(ledger.inference_steps) if ledger else NONE,
        f"{ledger.trunk_parameters:,}" if ledger else NONE,
        f"{ledger.training_flops:.2e}" if ledger else NONE,
    ]


def _pairs(table: Table) -> str:
    rows = []
    for pair in table.pairs:
        low, high = pair.difference.low, pair.difference.high
        interval = NONE if low is None or high is None else f"{100 * low:+.1f} – {100 * high:+.1f}"
        delta = f"{100 * pair.difference.delta:+.1f}"
        rows.append([f"{pair.a} – {pair.b}", delta, interval, p_value(pair.holm_p), pair.verdict.value])
    return _tabular(["A – B", "Δ", "95 % interval", "Holm p", "verdict"], rows)


def _tabular(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    align = ["left", *["right"] * (len(headers) - 1)]
    table = tabulate(
        [[escape(cell) for cell in row] for row in rows],
        headers=[escape(header) for header in headers],
        tablefmt="latex_raw",
        disable_numparse=True,
        colalign=align if rows else None,
    )
    check_rules = iter(("\\toprule", "\\midrule", "\\bottomrule"))
    return "\n".join(next(check_rules) if line == "\\hline" else line for line in table.splitlines())


def _float(caption: str, tabular: str) -> str:
    return "\n".join(
        [r"\begin{table}", r"\centering\small", rf"\caption{{{escape(caption)}}}", tabular, r"\end{table}"]
    )
