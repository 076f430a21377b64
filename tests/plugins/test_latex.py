"""Reports in LaTeX: what an author gets compiles, fits, and is labelled."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support.folders import (
    pair_of,
    render,
    report_of,
    request,
    solved,
    three_models,
    write_model,
)
from trm_bench.harness.report.table import Report
from trm_bench.harness.store.requests import RUNS
from trm_bench.plugins.reporters.as_latex import escape


def test_latex_escapes_what_latex_would_trip_over() -> None:
    assert escape(r"50 % & a_b #1 $x^2 {y} ~ \n <z>") == (
        r"50 \% \& a\_b \#1 \$x\textasciicircum{}2 \{y\} \textasciitilde{} \textbackslash{}n $<$z$>$"
    )


def test_latex_may_break_long_names_and_no_numbers() -> None:
    assert escape("trm[cycles=2,updates=4]") == (
        r"trm[cycles=\allowbreak{}2,\allowbreak{}updates=\allowbreak{}4]"
    )
    assert escape("12,345,678 [73.1, 96.8]") == "12,345,678 [73.1, 96.8]"


def floats(report: Report) -> dict[str, str]:
    """The tables of the LaTeX report by their labels."""
    text = render(report, "latex")
    found = re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, flags=re.DOTALL)
    assert len(found) == text.count(r"\begin{table}") == text.count(r"\label{") == text.count(r"\caption{")
    labels = [re.findall(r"\\label\{(.*?)\}", one) for one in found]
    assert all(len(each) == 1 for each in labels)
    return dict(zip((label for (label,) in labels), found, strict=True))


def test_latex_is_plain_and_balanced(golden_report: Report) -> None:
    text = render(golden_report, "latex")
    assert text.isascii()
    for kind in ("table", "tabularx", "itemize"):
        assert text.count(f"\\begin{{{kind}}}") == text.count(f"\\end{{{kind}}}") > 0
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert text.count("\\toprule") == text.count("\\midrule") == text.count("\\bottomrule")


def test_every_latex_table_has_a_label_of_its_own(golden_report: Report) -> None:
    kinds = ("", "-differences", "-power", *(f"-costs-{number}" for number in range(1, 5)))
    labels = [f"tab:{task}-mini{kind}" for task in ("maze-hard", "sudoku-extreme") for kind in kinds]
    assert list(floats(golden_report)) == labels
    twice = replace(golden_report, tables=golden_report.tables[:1] * 2)
    assert list(floats(twice)) == [*labels[: len(kinds)], *(f"tab:maze-hard-mini-2{kind}" for kind in kinds)]


def test_latex_notes_are_under_their_own_table(golden_report: Report) -> None:
    each = floats(golden_report)
    for table in golden_report.tables:
        own = each[f"tab:{table.task}-{table.scale}"]
        below = own.partition(r"\end{tabularx}")[2]
        assert re.findall(r"\\item \{\}(.*)", below) == [escape(note) for note in table.notes]
    (family,) = re.findall(r"\\item \{\}(.*)", each["tab:maze-hard-mini-differences"])
    assert family == escape(golden_report.tables[0].family)


def bold(latex: str) -> list[str]:
    """The names of the rows that are bold."""
    return re.findall(r"^\\textbf\{([^}]*)\} &", latex, flags=re.MULTILINE)


def test_the_best_row_is_bold_only_where_it_is_decided(golden_report: Report, tmp_path: Path) -> None:
    each = floats(golden_report)
    assert bold(each["tab:maze-hard-mini"]) == ["TRM-Att"]
    assert bold(each["tab:sudoku-extreme-mini"]) == []  # single runs decide nothing
    names = three_models(tmp_path)
    assert bold(floats(report_of(tmp_path))["tab:made-mini"]) == ["trm-mlp"]
    for name in three_models(tmp_path / "two"):
        if name.startswith("trm-mlp"):
            shutil.rmtree(tmp_path / "two" / name)
    (tmp_path / "two" / RUNS).unlink()
    assert bold(floats(report_of(tmp_path / "two"))["tab:made-mini"]) == []
    request(tmp_path, [*names, *write_model(tmp_path, "twin", solved(9, 0.88, 0.9, 0.9))])
    report = report_of(tmp_path)
    assert not pair_of(report, "trm-mlp", "twin").verdict.is_decided
    assert bold(floats(report)["tab:made-mini"]) == []  # not better than its twin


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
@pytest.mark.parametrize("name", ["golden_report", "wide_report", "study_report"])
def test_latex_fits_a_plain_article(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    body = render(request.getfixturevalue(name), "latex")
    needed = body.splitlines()[0]
    packages = re.findall(r"\\usepackage\S*?\{\w+\}", needed)
    document = [r"\documentclass{article}", *packages, r"\begin{document}", body, r"\end{document}"]
    (tmp_path / "report.tex").write_text("\n".join(document))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "report.log").read_text(encoding="latin-1")
    assert re.findall(r"^(?:Overfull|LaTeX Warning: Float too large).*", log, flags=re.MULTILINE) == []
