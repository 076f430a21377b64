"""The report as LaTeX tables in the style of booktabs, as wide as the text of a plain article."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...harness.report.table import Report, StudyAnswers, Table
from ...harness.stats.tests import Verdict
from .grids import (
    FAMILY,
    NONE,
    Grid,
    cost_grids,
    differences,
    hidden_note,
    percent,
    primary_heading,
    published,
    spread,
    study_lines,
    supervision,
    with_interval,
)

SYMBOLS = {
    "Δ": r"$\Delta$",
    "–": "--",
    "—": "---",
    "−": r"$-$",
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
HEAD = (
    "% Needs \\usepackage[utf8]{inputenc}, \\usepackage[T1]{fontenc}, \\usepackage{booktabs} and "
    "\\usepackage{tabularx}."
)


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; a name without spaces may break after its separators."""
    escaped = "".join((ESCAPES | SYMBOLS).get(letter, letter) for letter in " ".join(text.split()))
    return re.sub(r"(?<=[\w\]])([,=@])(?=\w)", r"\1\\allowbreak{}", escaped)


def render(report: Report) -> str:
    """Each table with its differences and costs, a label, a caption with all conditions, and its notes."""
    parts = [HEAD, *map(_study, report.studies)]
    parts += [_table(table, place) for place, table in enumerate(report.tables, start=1)]
    parts += [f"% Reproduce with: {' '.join(command.split())}" for command in report.commands]
    return "\n\n".join(parts)


def _study(study: StudyAnswers) -> str:
    """The answers as a list, in the order of the questions."""
    title = escape(f"Study {study.name} at {study.scale}: {study.asks}")
    # A bracket right after \item would be taken for its label.
    items = "\n".join(f"  \\item {{}}{escape(line)}" for line in study_lines(study))
    list_ = f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
    return f"\\paragraph{{{title}}}\n{list_}\n{escape(FAMILY)}"


def _table(table: Table, place: int) -> str:
    label = f"tab:{table.task}-{table.scale}" + ("" if place == 1 else f"-{place}")
    title = f"{table.title}; {table.conditions}."
    notes = [*hidden_note(table), *table.notes]
    parts = [_float(title, _scores(table), label, notes, bold=best_row(table))]
    if table.pairs:
        caption = f"Differences in {table.heading(table.primary)}, percentage points. {title}"
        parts.append(_float(caption, differences(table), f"{label}-differences"))
    for number, grid in enumerate(cost_grids(table), start=1):
        parts.append(_float(f"{grid.heading}. {title}", grid, f"{label}-costs-{number}"))
    if table.published:
        grid = published(table)
        parts.append(_float(f"{grid.heading}. {table.task}.", grid, f"{label}-published"))
    return "\n\n".join(parts)


def _scores(table: Table) -> Grid:
    """The scores in the columns that fit a page."""
    headers = ("model", primary_heading(table), "seed SD (seeds)", "sup. steps (test)", "FLOPs per puzzle")
    rows = [
        [
            row.label,
            with_interval(row),
            spread(row),
            supervision(row),
            NONE if row.ledger is None else f"{row.ledger.inference_flops_per_puzzle:.2e}",
        ]
        for row in table.rows
    ]
    return Grid("", headers, rows)


def best_row(table: Table) -> int | None:
    """The row that is decided to be better than every other one; None where there is none."""
    wins: dict[str, int] = {}
    for pair in table.pairs:
        winner = {Verdict.A_BETTER: pair.a, Verdict.B_BETTER: pair.b}.get(pair.verdict)
        if winner is not None:
            wins[winner] = wins.get(winner, 0) + 1
    others = len(table.rows) + len(table.hidden) - 1
    names = [row.name for row in table.rows]
    best = [name for name, count in wins.items() if count == others and name in names]
    return names.index(best[0]) if best and others else None


def _float(caption: str, grid: Grid, label: str, notes: Sequence[str] = (), bold: int | None = None) -> str:
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{{label}}}",
        _tabular(grid, bold),
    ]
    if notes:
        items = "\n".join(f"  \\item {escape(note)}" for note in notes)
        lines.append(f"\\begin{{itemize}}\\raggedright\n{items}\n\\end{{itemize}}")
    return "\n".join([*lines, r"\end{table}"])


def _tabular(grid: Grid, bold: int | None) -> str:
    """Columns as wide as the text together; names and headings wrap."""
    narrow = len(grid.headers) - 1
    columns = (
        r">{\raggedright\arraybackslash}X"
        + rf"*{{{narrow}}}{{>{{\raggedleft\arraybackslash}}p{{{_share(narrow):.3f}\linewidth}}}}"
    )
    lines = [rf"\begin{{tabularx}}{{\linewidth}}{{{columns}}}", r"\toprule", _row(grid.headers), r"\midrule"]
    lines += [_row(row, place == bold) for place, row in enumerate(grid.rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabularx}"])


def _share(columns: int) -> float:
    """The share of the text's width of each column but the first."""
    return 0.68 / columns - 0.025


def _row(cells: Sequence[str], bold: bool = False) -> str:
    escaped = [escape(cell) for cell in cells]
    if bold:
        escaped = [rf"\textbf{{{cell}}}" for cell in escaped]
    return " & ".join(escaped) + r" \\"


__all__ = ["best_row", "escape", "percent", "render"]
