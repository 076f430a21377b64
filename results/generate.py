"""Print the pages of `results/` from the records next to them: `make results`.

Nothing in the tables and answers is written by hand; a test holds the pages to what this prints. What a table
or a study shows, in words, is in the `NOTES.md` next to its records; which answer speaks of which published
claim, in `claims.yaml`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate
from trm_bench.harness.api.text import plural
from trm_bench.harness.host.host import OWN_DISTRIBUTION, host
from trm_bench.harness.report.build import build_report
from trm_bench.harness.report.figures import as_svg, figures
from trm_bench.harness.report.read import read_folders
from trm_bench.harness.report.table import Pair, Report
from trm_bench.harness.report.tuning import Standing
from trm_bench.harness.stats.tests import Verdict
from trm_bench.plugins.reporters.grids import signed_interval, study_lines

HERE = Path(__file__).resolve().parent
TABLES = (
    "mini/maze-hard",
    "mini/sudoku-extreme",
    "mini/arc-agi-1",
    "small/sudoku-extreme",
    "small/maze-hard",
)
STUDIES = (
    "where-the-gain-is",
    "recursion-or-augmentation",
    "less-is-more",
    "depth",
    "depth-at-equal-flops",
    "registers",
    "successors",
    "rollouts",
)
"""Those of which there are records are printed."""
TUNED = ("sudoku-extreme", "maze-hard", "arc-agi-1")
FIGURES = {"depth": ("depth",), "rollouts": ("rollouts", "noise")}
MADE = "<!-- Written by results/generate.py from the records here. Edit that, then run `make results`. -->"
HEAD = f"""\
{MADE}
# Results

Results that are kept: manifests (with validation curves), samples and test predictions of every run, without
weights and `metrics.jsonl`. The tables are computed from these records; `make results` computes them again.

- [Claims](claims.md): what the papers claim, and what these results say to it, claim by claim.
- [Studies](studies/README.md): the declared studies, question by question.
- [Tuning](tuning.md): the searches that the recipes of `mini` come from.
- Below: every model on each task.

`trm-bench run` writes to `results/TASK-SCALE` by default; such folders are not kept.
"""
STUDIES_HEAD = f"""\
{MADE}
# Studies at mini

The declared puzzle studies ([docs/studies.md](../../docs/studies.md)), run at `mini` on a machine with two
cores and no GPU: 6×6 Sudokus with 18 blanks or 5×5 mazes, models of about 49,000 to 250,000 parameters. The
answers are about these puzzles and models, not about 9×9 Sudoku or the published sizes. Each study has a page
with its tables and figures, computed from the records next to it.

    trm-bench report results/studies/where-the-gain-is
"""
CLAIMS_HEAD = f"""\
{MADE}
# Claims

What the papers and their critics claim, and what our kept results at `mini` say about it. The word
follows from the verdict of the test, in the family of its table or study: **supported** and
**contradicted** are decided, **no difference** means shown to be below the declared margin, **undecided**
that these runs cannot tell. A difference may be decided and still be below the margin ("by less than the
declared margin"); one that would be decided if its test were the only one is "undecided (alone: …)";
"untested" says that runs are missing or neither model solved anything, "not testable" that the recipe at
this size is not what the claim is about. Where a question was asked under several budgets, the word of
each has the name of its grid in brackets; the [studies](studies/README.md) say what each budget is;
`less-is-more` and `where-the-gain-is` have 40 % of the recipe's steps. Published numbers are single runs
of 9×9 puzzles, 30×30 mazes and millions of parameters: a claim that is undecided or contradicted here may
hold there, and one that is supported may not.
"""
TUNING_HEAD = f"""\
{MADE}
# Tuning

The searches that the recipes of `mini` come from ([docs/recipes.md](../docs/recipes.md)). They were scored on
validation puzzles; the test puzzles were not read. A score is the mean of the seeds, with the lowest and the
highest of them in brackets; the best of each row is bold and in the recipe.
"""
WORDS = {
    Verdict.A_BETTER: "supported",
    Verdict.B_BETTER: "contradicted",
    Verdict.EQUIVALENT: "no difference",
    Verdict.ONLY_ALONE_A: "undecided (alone: supported)",
    Verdict.ONLY_ALONE_B: "undecided (alone: contradicted)",
}


def _present(names: tuple[str, ...], below: str = "") -> list[Path]:
    return [HERE / below / name for name in names if (HERE / below / name).is_dir()]


def _markdown(report: Report) -> str:
    return host().reporters.get("markdown", prefer=(OWN_DISTRIBUTION,)).spec.render(report)


def _notes(folder: Path) -> str:
    return (folder / "NOTES.md").read_text(encoding="utf-8").strip()


def pages() -> dict[Path, str]:
    """Every page, and every figure, by its file."""
    found: dict[Path, str] = {}
    parts = [HEAD]
    tables = {folder: build_report(read_folders([folder])) for folder in _present(TABLES)}
    for folder, report in tables.items():
        name = "-".join(folder.relative_to(HERE).parts)
        drawn = _drawn(report, HERE / "figures", name, ("differences", "compute", "training"))
        title = f"## {folder.name} at {folder.parent.name}"
        parts += [
            title,
            _notes(folder),
            *_shown(drawn, HERE),
            _markdown(report),
        ]
        found |= drawn
    found[HERE / "README.md"] = "\n\n".join(part.rstrip() for part in parts) + "\n"
    studies = {folder.name: build_report(read_folders([folder])) for folder in _present(STUDIES, "studies")}
    summaries = []
    for name, report in studies.items():
        folder = HERE / "studies" / name
        answers = report.studies[0]
        drawn = _drawn(report, HERE / "figures", name, FIGURES.get(name, ("compute",)))
        heading = f"## {name}: {answers.asks}\n\nTables and figures: [{name}]({name}.md)."
        lines = "\n".join(f"- {line}" for line in study_lines(answers))
        summaries.append("\n\n".join([heading, _notes(folder), lines]))
        body = "\n\n".join([_notes(folder), *_shown(drawn, HERE / "studies"), _markdown(report)])
        found[HERE / "studies" / f"{name}.md"] = f"{MADE}\n# {name}\n\n{body}\n"
        found |= drawn
    found[HERE / "studies" / "README.md"] = f"{STUDIES_HEAD}\n" + "\n\n".join(summaries) + "\n"
    found[HERE / "claims.md"] = _claims(tables, studies)
    found[HERE / "tuning.md"] = (
        f"{TUNING_HEAD}\n" + "\n\n".join(map(_tuning, _present(TUNED, "tuning"))) + "\n"
    )
    return found


def _tuning(folder: Path) -> str:
    """The settings of one search, one row for each model."""
    found = json.loads((folder / "tuning.json").read_text(encoding="utf-8"))
    rows = [[model["resolved"], *map(_score, model["settings"])] for model in found["models"]]
    points = [" / ".join(setting["values"].values()) for setting in found["models"][0]["settings"]]
    headers = [f"{found['heading']} at {' / '.join(found['axes'])}", *points]
    table = tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
    title = f"## {found['task']} at {found['scale']}"
    edges = [
        f"- {note}; nothing beyond it was tried" for note in found["notes"] if "edge of the grid" in note
    ]
    parts = [title, _notes(folder), found["conditions"], table, "\n".join(edges)]
    return "\n\n".join(filter(None, parts))


def _score(setting: Mapping[str, Any]) -> str:
    scores = [100 * seed["score"] for seed in setting["seeds"]]
    mean = f"{100 * setting['summary']['mean']:.1f}"
    shown = f"**{mean}**" if setting["standing"] == Standing.BEST else mean
    return f"{shown} ({min(scores):g}–{max(scores):g})"


def _drawn(report: Report, place: Path, name: str, kinds: tuple[str, ...]) -> dict[Path, str]:
    """The figures of these kinds, as SVG, by their file."""
    return {
        place / f"{name}-{one}.svg": as_svg(figure)
        for one, figure in figures(report).items()
        if one.endswith(tuple(f"-{kind}" for kind in kinds))
    }


def _shown(drawn: Mapping[Path, str], page: Path) -> Iterator[str]:
    for path in drawn:
        yield f"![{path.stem}]({os.path.relpath(path, page)})"


def _claims(tables: Mapping[Path, Report], studies: Mapping[str, Report]) -> str:
    """One row for each claim."""
    listed = yaml.safe_load((HERE / "claims.yaml").read_text(encoding="utf-8"))
    by_table = {folder.relative_to(HERE).as_posix(): report for folder, report in tables.items()}
    rows = []
    for claim in listed:
        found = list(_evidence(claim, by_table, studies))
        why = claim.get("not_testable", "")
        word, numbers = "not testable at this size" if why else "not run yet", why
        if found:
            word = "; ".join(dict.fromkeys(word for word, _ in found))
            numbers = "; ".join([*(numbers for _, numbers in found), *filter(None, [claim.get("but")])])
        rows.append([claim["claim"], claim["published"], f"**{word}**", numbers])
    headers = ["claim", "published", "here", "why"]
    table = tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
    return f"{CLAIMS_HEAD}\n{table}\n"


def _evidence(
    claim: Mapping[str, Any], tables: Mapping[str, Report], studies: Mapping[str, Report]
) -> Iterator[tuple[str, str]]:
    """The word and the numbers of each answer, or pair, that speaks of a claim.

    Raises:
        ValueError: a study does not ask the question, or a table does not test the pair.
    """
    as_good = bool(claim.get("as_good"))
    if claim.get("study", STUDIES[0]) not in STUDIES or claim.get("table", TABLES[0]) not in TABLES:
        raise ValueError(f"claims.yaml: no such study or table: {dict(claim)}")
    if report := studies.get(claim.get("study", "")):
        answers = [one for one in report.studies[0].answers if one.asks == claim["asks"]]
        if not answers:
            raise ValueError(f"claims.yaml: study {claim['study']} does not ask {claim['asks']!r}")
        for answer in answers:
            grid = f" ({answer.grid})" if len(answers) > 1 else ""
            if answer.pair is not None:
                yield _word(answer.pair, as_good) + grid, _numbers(answer.pair) + grid
    if report := tables.get(claim.get("table", "")):
        pairs = [pair for table in report.tables for pair in table.pairs]
        found = [pair for pair in pairs if (pair.a, pair.b) == (claim["a"], claim["b"])]
        if not found:
            raise ValueError(f"claims.yaml: {claim['table']} does not test {claim['a']} against {claim['b']}")
        yield from ((_word(pair, as_good), _numbers(pair)) for pair in found)


def _word(pair: Pair, as_good: bool) -> str:
    if as_good and pair.verdict is Verdict.EQUIVALENT:
        return "supported"
    word = WORDS.get(pair.verdict, pair.verdict.value)
    decided = pair.verdict in (Verdict.A_BETTER, Verdict.B_BETTER)
    small = decided and pair.equivalence is not None and pair.equivalence.equivalent
    return f"{word}, by less than the declared margin" if small else word


def _numbers(pair: Pair) -> str:
    family = pair.family
    delta = f"{100 * pair.difference.delta:+.1f}".replace("-", "−")
    if family is None:
        return f"{delta} points, not tested"
    interval = signed_interval(family.low, family.high)
    return f"{delta} points {interval} among {plural(family.tests, 'test')}, {pair.difference.seeds} seeds"


if __name__ == "__main__":
    for path, content in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        print(f"wrote {path}")
