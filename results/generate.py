"""Print the pages of `results/` from the records next to them: `make results`.

Nothing in the tables and answers is written by hand; a test holds the pages to what this prints. What a study
shows and does not show is written in the `NOTES.md` next to its records.
"""

from __future__ import annotations

from pathlib import Path

from trm_bench.harness.host.host import OWN_DISTRIBUTION, host
from trm_bench.harness.report.build import build_report
from trm_bench.harness.report.read import read_folders
from trm_bench.harness.report.table import Report
from trm_bench.plugins.reporters.grids import study_lines

HERE = Path(__file__).resolve().parent
MINI = ("mini/maze-hard", "mini/sudoku-extreme", "mini/arc-agi-1")
STUDIES = ("where-the-gain-is", "recursion-or-augmentation", "less-is-more", "depth")
MADE = "<!-- Written by results/generate.py from the records here. Edit that, then run `make results`. -->"
HEAD = f"""\
{MADE}
# Results

Results that are kept: manifests and samples of every run, without weights and training curves. The tables are
computed from these records; `make results` computes them again.

    trm-bench report results/mini/maze-hard results/mini/sudoku-extreme results/mini/arc-agi-1
    trm-bench compare trm transformer results/mini/sudoku-extreme

`trm-bench run` writes to `results/TASK-SCALE` by default; such folders are not kept. The declared studies of
recursion, augmentation, ablations and depth are in [studies/](studies/README.md).

## Small puzzles on two cores

Four models and `copy`, five seeds each, at `mini`, on a machine with two cores and no GPU that did other
work at the same time, so seconds and puzzles per second are pessimistic. The results do not carry over to
the published sizes. Recipes were searched on validation, with equal effort for every model
([docs/recipes.md](../docs/recipes.md)). The mazes were trained with version 2 of the training procedure,
which tosses exploration at every supervision step, the other two tasks and the studies with version 1,
which tossed it once per draw.
"""
STUDIES_HEAD = f"""\
{MADE}
# Studies at mini

The declared puzzle studies ([docs/studies.md](../../docs/studies.md)), run at `mini` on a machine with two
cores and no GPU: 6×6 Sudokus with 18 blanks, models of about 60,000 to 250,000 parameters. The answers are
about these puzzles and models, not about 9×9 Sudoku or the published sizes. Each study has a page with its
tables, computed from the records next to it.

    trm-bench report results/studies/where-the-gain-is
"""


def _markdown(report: Report) -> str:
    return host().reporters.get("markdown", prefer=(OWN_DISTRIBUTION,)).spec.render(report)


def pages() -> dict[Path, str]:
    """Every page by its file."""
    found = {
        HERE / "README.md": f"{HEAD}\n{_markdown(build_report(read_folders([HERE / one for one in MINI])))}\n"
    }
    summaries = []
    for name in STUDIES:
        folder = HERE / "studies" / name
        report = build_report(read_folders([folder]))
        answers = report.studies[0]
        notes = (folder / "NOTES.md").read_text(encoding="utf-8").strip()
        heading = f"## {name}: {answers.asks}\n\nTables: [{name}]({name}.md)."
        lines = "\n".join(f"- {line}" for line in study_lines(answers))
        summaries.append("\n\n".join([heading, lines, notes]))
        page = f"{MADE}\n# {name}\n\n{notes}\n\n{_markdown(report)}\n"
        found[HERE / "studies" / f"{name}.md"] = page
    found[HERE / "studies" / "README.md"] = f"{STUDIES_HEAD}\n" + "\n\n".join(summaries) + "\n"
    return found


if __name__ == "__main__":
    for path, content in pages().items():
        path.write_text(content, encoding="utf-8")
        print(f"wrote {path}")
