"""Print `results/README.md` from the records beside it: `make results`.

Nothing in the tables is written by hand; a test holds the file to what this prints.
"""

from __future__ import annotations

from pathlib import Path

from trm_bench.harness.host import OWN_DISTRIBUTION, host
from trm_bench.harness.report.build import build_report

HERE = Path(__file__).resolve().parent
STUDIES = ("mini/maze-hard", "mini/sudoku-extreme", "mini/arc-agi-1")
HEAD = """\
<!-- Written by results/generate.py from the records beside it; change that, and run `make results`. -->
# Results

Studies that are kept: manifests and samples of every cell, without weights and training curves. Their tables
are computed from these records, and `make results` computes them again.

    trm-bench report results/mini/maze-hard results/mini/sudoku-extreme results/mini/arc-agi-1
    trm-bench compare trm transformer results/mini/sudoku-extreme

`trm-bench run` writes to `results/TASK-SCALE` by default; such folders are not kept.

## Small puzzles on two cores

Four models and `copy`, five seeds each, at `mini`, run on a machine with two cores and no GPU that did other
work at the same time: seconds and puzzles per second are worse than they need be, and nothing else depends on
it. Small puzzles and small models say nothing about the published sizes. Recipes were searched on validation,
with the same effort for every model but no more than that ([docs/recipes.md](../docs/recipes.md)).
"""


def content() -> str:
    """The whole file."""
    report = build_report([HERE / study for study in STUDIES])
    reporter = host().reporters.get("markdown", prefer=(OWN_DISTRIBUTION,)).spec
    return f"{HEAD}\n{reporter.render(report)}\n"


if __name__ == "__main__":
    (HERE / "README.md").write_text(content(), encoding="utf-8")
    print(f"wrote {HERE / 'README.md'}")
