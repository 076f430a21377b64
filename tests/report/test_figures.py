"""Figures of a report: there where there is something to show, and showing it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from support.folders import TRM, other, quick, report_of, solved, three_models, write_model, write_run
from trm_bench.harness.api.budget import Ledger
from trm_bench.harness.api.errors import UnavailableError
from trm_bench.harness.api.predictions import Predictions
from trm_bench.harness.api.puzzles import PuzzleSet, TaskInfo
from trm_bench.harness.report.figures import KINDS, as_svg, figures
from trm_bench.harness.report.table import Report
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.predictions import pack_predictions
from trm_bench.harness.store.records import Record
from trm_bench.testing.pytest_plugin import RunCli

__all__ = ["quick"]

CURVE = [{"step": step, "spent": step / 100, "validation_exact": step / 200} for step in (25, 50, 75, 100)]
COSTS = Ledger(inference_steps=6, optimiser_steps=100, training_flops=3e12)


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Three models with a validation curve, costs and a halting step."""
    three_models(tmp_path, ledger=COSTS, validation=CURVE, halt_step=2.0)
    return report_of(tmp_path)


def drawn(report: Report) -> dict[str, str]:
    return {name.rpartition("-")[2]: as_svg(figure) for name, figure in figures(report).items()}


def text_of(svg: str) -> str:
    return " ".join(ElementTree.fromstring(svg).itertext())


def test_every_figure_that_has_something_to_show_is_drawn(report: Report) -> None:
    assert set(drawn(report)) == set(KINDS) - {"votes", "difficulty", "rollouts", "noise"}


def test_every_figure_says_task_scale_and_budget(report: Report) -> None:
    for name, svg in drawn(report).items():
        text = text_of(svg)
        assert "made · mini" in text
        assert "augmentations per puzzle A = 1" in text or name == "predictions"


@pytest.mark.slow
def test_the_same_report_gives_the_same_svg(report: Report) -> None:
    assert drawn(report) == drawn(report)


def test_the_forest_plot_names_every_pair(report: Report) -> None:
    text = text_of(drawn(report)["differences"])
    for pair in report.tables[0].pairs:
        assert f"{pair.a} − {pair.b}" in text


def test_the_points_are_where_the_numbers_are(report: Report) -> None:
    figure = next(figure for name, figure in figures(report).items() if name.endswith("differences"))
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    seen = sorted(float(np.asarray(line.get_xdata())[0]) for line in marks)
    assert seen == pytest.approx(sorted(100 * pair.difference.delta for pair in report.tables[0].pairs))


def test_the_training_curve_has_the_band_of_the_seeds(tmp_path: Path) -> None:
    for seed, shift in enumerate((0.0, 0.1, 0.2)):
        lines = [{**line, "validation_exact": line["validation_exact"] + shift} for line in CURVE]
        write_run(tmp_path, "trm-mlp", seed, TRM[seed], validation=lines)
    (row,) = report_of(tmp_path).tables[0].rows
    assert [point.step for point in row.validation] == [25, 50, 75, 100]
    assert row.validation[1].mean == pytest.approx(0.35)
    assert (row.validation[1].low, row.validation[1].high) == pytest.approx((0.25, 0.45))


def test_steps_that_a_seed_was_not_validated_at_are_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, "trm-mlp", 0, TRM[0], validation=CURVE)
    write_run(tmp_path, "trm-mlp", 1, TRM[1], validation=CURVE[::2])
    (row,) = report_of(tmp_path).tables[0].rows
    assert [point.step for point in row.validation] == [25, 75]


def test_halting_shares_are_of_all_items_and_seeds(tmp_path: Path) -> None:
    write_model(tmp_path, "a", solved(1, 0.5), halt_step=1.0)
    write_model(tmp_path, "b", solved(1, 0.5), halt_step=3.0)
    rows = {row.model: row for row in report_of(tmp_path).tables[0].rows}
    assert (rows["a"].halting, rows["b"].halting) == ({1: 1.0}, {3: 1.0})


def test_the_vote_curve_ends_at_all_votes(report: Report) -> None:
    table = report.tables[0]
    rows = tuple(replace(row, vote_curve={1: 0.1, 3: 0.2}) for row in table.rows)
    voted = replace(report, tables=(replace(table, rows=rows, votes=8),))
    figure = next(figure for name, figure in figures(voted).items() if name.endswith("votes"))
    line = figure.axes[0].lines[0]
    assert list(np.asarray(line.get_xdata())) == [1, 3, 8]
    assert table.rows[0].summary is not None
    assert np.asarray(line.get_ydata())[-1] == pytest.approx(100 * table.rows[0].summary.mean)


def test_single_runs_have_no_forest_plot(tmp_path: Path) -> None:
    write_model(tmp_path, "a", TRM[:1])
    write_model(tmp_path, "b", solved(2, 0.4))
    assert "differences" not in drawn(report_of(tmp_path))


@pytest.mark.slow
def test_the_verb_writes_svg_and_png(tmp_path: Path, run_cli: RunCli) -> None:
    three_models(tmp_path / "results", ledger=COSTS)
    ended = run_cli("report", tmp_path / "results", "--figures", tmp_path / "figures")
    assert ended.code == 0, ended.err
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert "1-made-mini-differences.svg" in names
    assert len([name for name in names if name.endswith(".svg")]) * 2 == len(names)
    for path in (tmp_path / "figures").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    assert f"{len(names)} files of figures in" in ended.err


def test_two_tables_of_one_task_do_not_overwrite_each_other(tmp_path: Path) -> None:
    three_models(tmp_path / "a")
    three_models(tmp_path / "b", change=other(task_version=2))
    names = list(figures(report_of(tmp_path / "a", tmp_path / "b")))
    assert len(names) == len(set(names))
    assert {name[0] for name in names} == {"1", "2"}


def test_without_matplotlib_the_extra_is_named(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UnavailableError, match=r"pip install 'trm-bench\[figures\]'"):
        figures(report)


# --- predictions ---------------------------------------------------------------------------------


def keep_predictions(run: RunFolder, prediction: list[int]) -> None:
    """Two test items: the second target has a cell that does not count."""
    inputs, targets = np.ones((2, 4), np.uint8), np.array([[1, 2, 1, 2], [2, 2, 2, 0]], np.uint8)
    test = PuzzleSet.single_identity(inputs, targets, ["p0", "p1"])
    tokens = np.array([prediction, prediction], np.uint8)
    answers = Predictions(tokens, 6, np.ones(2, np.int64), np.full(2, np.nan))
    content = pack_predictions(answers, TaskInfo("made", "mini", 2, 2, 3), ["", "a", "b"], test)
    run.finish(run.manifest(), [Record.model_validate(one) for one in run.records()], content)


def frames(axes: Axes) -> int:
    return sum(isinstance(patch, Rectangle) for patch in axes.patches)


def test_wrong_cells_of_each_model_are_framed(tmp_path: Path) -> None:
    for model, prediction in (("a", [1, 2, 1, 2]), ("b", [1, 1, 1, 1])):
        for name in write_model(tmp_path, model, TRM):
            keep_predictions(RunFolder(tmp_path / name), prediction)
    (figure,) = [one for name, one in figures(report_of(tmp_path)).items() if name.endswith("predictions")]
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles == ["puzzle", "solution", "a", "b"]
    assert [frames(axes) for axes in figure.axes] == [0, 0, 0, 2, 0, 0, 2, 3]
    shown = [text.get_text() for text in figure.axes[1].texts]
    assert shown == ["a", "b", "a", "b"]


def test_a_run_without_kept_predictions_has_no_such_figure(tmp_path: Path) -> None:
    (name,) = write_model(tmp_path, "a", TRM[:1])
    (tmp_path / name / "predictions.npz").write_bytes(b"PK broken")
    report = report_of(tmp_path)
    assert report.tables[0].rows[0].predictions is None
    assert "predictions" not in drawn(report)
    (problem,) = report.problems
    assert f"{name}/predictions.npz: truncated or changed since it was written" in problem


@pytest.mark.parametrize("task", ["sudoku-extreme", "maze-hard", "arc-agi-1"])
def test_every_token_of_our_tasks_has_a_symbol(task: str) -> None:
    from trm_bench.harness.api.specs import BuildRequest
    from trm_bench.harness.host.host import host

    spec = host().tasks.get(task).spec
    if task == "arc-agi-1":
        assert spec.build(BuildRequest("mini", 0, "packaged")).info.vocab_size == len(spec.symbols)
    else:
        assert len(spec.symbols) == {"sudoku-extreme": 11, "maze-hard": 6}[task]


def test_depths_at_which_every_puzzle_may_halt_are_drawn(tmp_path: Path) -> None:
    """Without a row that takes all of its steps there are no full depths to mark the axis at."""
    for steps in (4, 8):
        write_model(
            tmp_path,
            "a",
            TRM,
            change=other(steps=steps, halting=True),
            requested=f"a @ steps={steps},halting=true",
            ledger=Ledger(inference_steps=steps, steps_taken=steps / 2),
        )
    report = report_of(tmp_path)
    assert [row.halts for row in report.tables[0].rows] == [True, True]
    assert "halting" in text_of(drawn(report)["depth"])
