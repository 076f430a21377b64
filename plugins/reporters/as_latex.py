"""The report as LaTeX tables in the style of booktabs, as wide as the text of a plain article."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ...harness.report.table import Report, StudyAnswers, Table
from ...harness.stats.tests import Verdict
from .grids import (
    NO_BREAK,
    NONE,
    Grid,
    cost_grids,
    differences,
    divided,
    hidden_note,
    power,
    primary_heading,
    published,
    several_answers,
    spread,
    study_lines,
    supervision,
    unbroken,
    with_interval,
)

SYMBOLS = {
    "Δ": r"$\Delta$",
    "σ": r"$\sigma$",
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
    NO_BREAK: "~",
    "\u200b": r"\allowbreak{}",
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
    "\\usepackage{tabularx}.\n"
    "% Each seed, other metrics and the summary over tasks are in the other formats."
)


_BREAK = "\u200b"
"""Where a line may end."""


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; a name without spaces may break after its separators."""
    text = re.sub(r"[^\S\u00a0]+", " ", text).strip(" ")
    text = re.sub(r"(?<=[\w\]])([=@/]|,(?!\d))(?=\w)", rf"\1{_BREAK}", text)
    return "".join((ESCAPES | SYMBOLS).get(letter, letter) for letter in text)


def render(report: Report) -> str:
    """Each table with its differences and costs, a label, a caption with all conditions, and its notes."""
    parts = [HEAD, *map(_study, report.studies)]
    parts += [
        _table(table, label) for table, label in zip(report.tables, _labels(report.tables), strict=True)
    ]
    parts += [f"% Not read: {' '.join(problem.split())}" for problem in report.problems]
    parts += [f"% Left out or not requested: {' '.join(one.split())}" for one in report.remarks]
    parts += [f"% Reproduce with: {' '.join(command.split())}" for command in report.commands]
    return "\n\n".join(parts)


def _study(study: StudyAnswers) -> str:
    """The answers as a list, in the order of the questions."""
    title = escape(f"Study {study.name} at {study.scale}: {study.asks}")
    # A bracket right after \item would be taken for its label.
    items = "\n".join(f"  \\item {{}}{escape(line)}" for line in study_lines(study))
    list_ = f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
    return f"{{\\raggedright\n\\paragraph{{{title}}}\n{list_}\n{escape(study.family)}\\par}}"


def _labels(tables: Sequence[Table]) -> list[str]:
    """``tab:TASK-SCALE``, numbered from the second table of a task and scale."""
    names = [re.sub(r"[^\w.:-]", "-", f"tab:{table.task}-{table.scale}", flags=re.ASCII) for table in tables]
    earlier = [names[:place].count(name) for place, name in enumerate(names)]
    return [name + (f"-{count + 1}" if count else "") for name, count in zip(names, earlier, strict=True)]


def _table(table: Table, label: str) -> str:
    title = f"{table.title}; {table.conditions}."
    notes = [*hidden_note(table), *table.notes]
    parts = [_float(title, _scores(table), label, notes, bold=best_row(table))]
    if table.pairs:
        caption = f"Differences in {table.heading(table.primary)}, percentage points. {title}"
        family = [table.family] if table.family else []
        parts.append(_float(caption, differences(table), f"{label}-differences", family))
        grid = power(table)
        parts.append(_float(f"{grid.heading}. {title}", grid, f"{label}-power"))
    if any(row.rollouts for row in table.rows):
        grid = several_answers(table)
        parts.append(_float(f"{grid.heading}. {title}", grid, f"{label}-answers"))
    for number, grid in enumerate(cost_grids(table), start=1):
        parts.append(_float(f"{grid.heading}. {title}", grid, f"{label}-costs-{number}"))
    if table.published:
        grid = published(table)
        parts.append(_float(f"{grid.heading}. {table.task}.", grid, f"{label}-published"))
    return "\n\n".join(parts)


def _scores(table: Table) -> Grid:
    """The scores in the columns that fit a page."""
    steps = f"sup. steps ({table.split})"
    headers = ("model", primary_heading(table), "seed SD (seeds)", steps, "FLOPs per puzzle")
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
    others = sum(not row.is_fixed for row in table.rows) + len(table.hidden) - 1
    names = [row.name for row in table.rows]
    best = [name for name, count in wins.items() if count == others and name in names]
    return names.index(best[0]) if best and others else None


def _float(caption: str, grid: Grid, label: str, notes: Sequence[str] = (), bold: int | None = None) -> str:
    tabulars = [_tabular(part, bold) for part in divided(grid, _fits)]
    lines = [
        r"\begin{table}",
        rf"\centering\footnotesize\setlength{{\tabcolsep}}{{{SEPARATOR}pt}}",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{{label}}}",
        "\n\\par\\medskip\n".join(tabulars),
    ]
    if notes:
        items = "\n".join(f"  \\item {{}}{escape(note)}" for note in notes)
        lines.append(f"\\begin{{itemize}}\\raggedright\n{items}\n\\end{{itemize}}")
    return "\n".join([*lines, r"\end{table}"])


TEXT_WIDTH, SEPARATOR = 345, 4
"""Points: the width of the text of a plain article, and the space on either side of a column."""
SENTENCE, NAME = 130, 80
"""Points: a column of sentences is no wider, the column of names no narrower."""


def _points(text: str) -> float:
    """About how wide text is, bold and in the size of a footnote."""
    return sum(map(_letter_points, text))


def _letter_points(letter: str) -> float:
    if letter in " .,:;|!'[]()/il":
        return 2.9
    if letter in "mwMW+−–%<>=@":
        return 7.8
    return 6.5 if letter.isupper() else 5.0


def _widest(texts: Iterable[str]) -> float:
    return max(map(_points, texts), default=0.0)


def _words(texts: Iterable[str]) -> float:
    """The widest part that cannot be broken."""
    return _widest(word for text in texts for word in re.split(r"(?<=[-=@/,])(?=\D)| ", text))


def _columns(grid: Grid) -> list[float]:
    """Widths of all columns but the first: cells stay whole, headings wrap."""
    columns = [[row[place] for row in grid.rows] for place in range(1, len(grid.headers))]
    return [
        max(_words([unbroken(header), *cells]), min(_widest(cells), SENTENCE))
        for header, cells in zip(grid.headers[1:], columns, strict=True)
    ]


def _fits(grid: Grid) -> bool:
    """Whether the columns leave enough of the text's width for the names."""
    left = TEXT_WIDTH - 2 * SEPARATOR * len(grid.headers) - sum(_columns(grid))
    return left >= max(NAME, _words(row[0] for row in grid.rows))


def _tabular(grid: Grid, bold: int | None) -> str:
    """As wide as the text; the first column takes what the others leave."""
    columns = "".join(
        rf">{{\raggedleft\arraybackslash}}p{{{width / TEXT_WIDTH:.3f}\linewidth}}" for width in _columns(grid)
    )
    lines = [
        rf"\begin{{tabularx}}{{\linewidth}}{{>{{\raggedright\arraybackslash}}X{columns}}}",
        r"\toprule",
        _row(list(map(unbroken, grid.headers))),
        r"\midrule",
    ]
    lines += [_row(row, place == bold) for place, row in enumerate(grid.rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabularx}"])


def _row(cells: Sequence[str], bold: bool = False) -> str:
    # A bracket or a star right after the end of the row before would be taken for its option.
    escaped = [("{}" if cell[:1] in ("[", "*") else "") + escape(cell) for cell in cells]
    if bold:
        escaped = [rf"\textbf{{{cell}}}" for cell in escaped]
    return " & ".join(escaped) + r" \\"
