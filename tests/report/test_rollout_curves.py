"""Curves and numbers of several answers per puzzle: what is on which line, at what cost, and who chose it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from support.folders import (
    TRM,
    only_table,
    other,
    printed,
    quick,
    render,
    report_of,
    solved,
    write_model,
)  # fmt: skip
from support.studies import ask, declare, definition
from trm_bench.harness.api.budget import Ledger
from trm_bench.harness.api.rollouts import Rollouts, Select
from trm_bench.harness.report.figures import KINDS, figures
from trm_bench.harness.report.rollout_curves import over_count, over_noise
from trm_bench.harness.report.table import Report, Table

__all__ = ["quick"]

COST = 1e8
"""FLOPs of one answer of 6 steps."""


def one_answer(folder: Path, steps: int = 6) -> None:
    """A model's usual evaluation, or a deeper one."""
    ledger = Ledger(inference_steps=steps, inference_flops_per_puzzle=COST * steps / 6)
    requested = "" if steps == 6 else f"a @ steps={steps}"
    depth = other(steps=None if steps == 6 else steps)
    write_model(folder, "a", TRM, ledger=ledger, requested=requested, change=depth)


def sampled(
    folder: Path, K: int, noise: float = 1.0, select: str = "mode", on: str = "", **more: Any
) -> None:
    """A model with K noisy answers."""
    settings = Rollouts(count=K, noise=noise, on=on, select=Select(select))
    label = f"noise={noise:g}" + (f",noise_on={on}" if on else "")
    label += f",rollouts={K},select={select}" if K > 1 else ""
    ledger = Ledger(inference_steps=6, inference_flops_per_puzzle=COST * K, milliseconds_per_puzzle=2.0 * K)
    scores = solved(7 + K, 0.9, 0.93, 0.89)
    change = other(rollouts=settings, **more)
    write_model(folder, "a", scores, requested=f"a @ {label}", change=change, ledger=ledger)


def figure_of(report: Report, kind: str) -> Figure:
    return next(figure for name, figure in figures(report).items() if name.endswith(f"-{kind}"))


def labels_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]  # type: ignore[union-attr]


def xs(axes: Axes) -> list[list[float]]:
    return [np.asarray(line.get_xdata()).tolist() for line in axes.lines]


def ys(axes: Axes, style: str = "") -> list[list[float]]:
    chosen = [line for line in axes.lines if style in ("", line.get_linestyle())]
    return [np.asarray(line.get_ydata()).tolist() for line in chosen]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """One answer at two depths; 1, 4 and 16 noisy ones by one rule, 4 by another, and 4 with less noise."""
    one_answer(tmp_path)
    one_answer(tmp_path, 24)
    for K in (1, 4, 16):
        sampled(tmp_path, K)
    sampled(tmp_path, 4, select="q")
    sampled(tmp_path, 4, noise=0.3)
    return report_of(tmp_path)


def test_a_line_is_of_one_noise_and_rule_and_begins_at_one_answer(report: Report) -> None:
    curves = {curve.label: [row.name for row in curve.rows] for curve in over_count(only_table(report))}
    assert curves == {
        "a, σ = 1, mode, K = 1, 4, 16": [
            "a @ noise=1",
            "a @ noise=1,rollouts=4,select=mode",
            "a @ noise=1,rollouts=16,select=mode",
        ],
        "a, σ = 1, q, K = 1, 4": ["a @ noise=1", "a @ noise=1,rollouts=4,select=q"],
        "a, σ = 0.3, mode, K = 4": ["a @ noise=0.3,rollouts=4,select=mode"],
    }


def test_the_single_answers_are_a_line_of_their_own_and_the_usual_one_a_point(report: Report) -> None:
    figure = figure_of(report, "rollouts")
    assert {"a, one answer of 6, 24 steps", "a, usual evaluation"} < set(labels_of(figure))
    lines = xs(figure.axes[0])
    assert [COST, 4 * COST] in lines
    assert [COST] in lines
    assert figure.axes[0].get_xscale() == "log"


def test_the_points_are_the_scores_of_their_rows(report: Report) -> None:
    (curve, *_), axes = over_count(only_table(report)), figure_of(report, "rollouts").axes[0]
    drawn = ys(axes)[xs(axes).index([COST, 4 * COST, 16 * COST])]
    assert drawn == [100 * row.summary.mean for row in curve.rows if row.summary]


def with_oracle(table: Table) -> Table:
    rows = [
        replace(row, any_right=0.97, agree=0.8) if row.rollouts and row.rollouts.count > 1 else row
        for row in table.rows
    ]
    return replace(table, rows=tuple(rows))


def test_the_oracle_is_named_so_and_dashed(report: Report) -> None:
    assert not any("oracle" in label for label in labels_of(figure_of(report, "rollouts")))
    known = replace(report, tables=(with_oracle(only_table(report)),))
    figure = figure_of(known, "rollouts")
    assert labels_of(figure).count("oracle: any of the K answers is right") == 1
    assert ys(figure.axes[0], "--") == [[97.0, 97.0], [97.0], [97.0]]


def test_the_noise_has_a_figure_where_one_count_and_rule_has_two(report: Report) -> None:
    (curve,) = over_noise(only_table(report))
    assert curve.label == "a, K = 4, mode"
    assert [row.rollouts.noise for row in curve.rows if row.rollouts] == [0.3, 1.0]
    assert labels_of(figure_of(report, "noise")) == ["a, one answer without noise", "a, K = 4, mode"]


def test_noise_on_another_part_is_another_line(tmp_path: Path) -> None:
    for on in ("z", "y"):
        sampled(tmp_path, 4, on=on)
        sampled(tmp_path, 4, noise=0.3, on=on)
    table = only_table(report_of(tmp_path))
    assert [curve.label for curve in over_noise(table)] == [
        "a, K = 4, mode, noise on z",
        "a, K = 4, mode, noise on y",
    ]
    assert len(over_count(table)) == 4


def test_another_seed_of_the_noise_is_another_line(report: Report) -> None:
    table = only_table(report)
    again = [
        replace(row, rollouts=row.rollouts.model_copy(update={"seed": 5}))
        for row in table.rows
        if row.rollouts
    ]
    found = replace(table, rows=(*table.rows, *again))
    before, after = over_count(table), over_count(found)
    assert [len(curve.rows) for curve in after] == [len(curve.rows) for curve in before] * 2
    assert after[-1].label == "a, σ = 0.3, noise seed 5, mode, K = 4"
    assert len(over_noise(found)) == 2 * len(over_noise(table))


def test_depths_of_noisy_answers_are_lines_of_their_own(report: Report) -> None:
    table = only_table(report)
    deep = [
        replace(row, ledger=row.ledger.model_copy(update={"inference_steps": 12}))
        for row in table.rows
        if row.rollouts and row.ledger
    ]
    labels = [curve.label for curve in over_count(replace(table, rows=(*table.rows, *deep)))]
    assert "a, 6 steps, σ = 1, mode, K = 1, 4, 16" in labels
    assert "a, 12 steps, σ = 1, mode, K = 1, 4, 16" in labels


def test_without_several_answers_there_is_nothing_of_this(tmp_path: Path) -> None:
    one_answer(tmp_path)
    one_answer(tmp_path, 24)
    report = report_of(tmp_path)
    assert not {"rollouts", "noise"} & {name.rpartition("-")[2] for name in figures(report)}
    assert {"rollouts", "noise"} < set(KINDS)
    for reporter in ("text", "markdown", "latex", "html"):
        assert "Several answers" not in render(report, reporter)
    assert not any("σ" in note for note in only_table(report).notes)


def test_the_depth_figure_has_single_answers_alone(report: Report) -> None:
    axes = figure_of(report, "depth").axes[0]
    assert xs(axes)[0] == [6, 24]
    assert axes.get_xlabel() == "supervision steps at inference"


@pytest.mark.parametrize("reporter", ["text", "markdown", "latex", "html"])
def test_every_reporter_of_grids_prints_the_numbers(report: Report, reporter: str) -> None:
    text = render(report, reporter)
    assert "Several answers per puzzle" in text
    assert ("σ" in text) is (reporter != "latex")


def test_the_grid_has_the_compute_beside_the_score_in_the_order_of_cost(report: Report) -> None:
    known = replace(report, tables=(with_oracle(only_table(report)),))
    rows = printed(known, "Several answers")
    assert list(rows)[-1] == "a @ noise=1,rollouts=16,select=mode"
    last, first = rows[list(rows)[-1]], rows["a"]
    assert (last["noise σ"], last["K, rule"], last["FLOPs per puzzle"]) == ("1", "16, mode", "1.60e+09")
    assert (last["ms per puzzle"], last["any right %"], last["answers that agree %"]) == (
        "32.00",
        "97.0",
        "80.0",
    )
    assert (first["noise σ"], first["K, rule"], first["any right %"]) == ("–", "1", "–")


def notes_on_noise(report: Report) -> list[str]:
    return [note for table in report.tables for note in table.notes if note.startswith("σ, K and rule")]


def test_a_command_does_not_say_how_it_chose(report: Report) -> None:
    (note,) = notes_on_noise(report)
    assert "a @ noise=1,rollouts=16,select=mode" in note
    assert "given by the command; the report cannot know how they were chosen" in note


def test_scores_on_validation_are_for_choosing(tmp_path: Path) -> None:
    sampled(tmp_path, 4, split="validation")
    (note,) = notes_on_noise(report_of(tmp_path))
    assert note.endswith("these are scores on validation puzzles, by which they may be chosen")


def test_a_study_declares_the_evaluations_that_it_names_and_no_others(tmp_path: Path) -> None:
    evaluation = "select=mode, rollouts=4, noise=1.0"
    content = definition(ask(f"a @ {evaluation}", "a"), models=["a"], evaluations=[evaluation])
    folder = declare(tmp_path / "study", content)
    one_answer(folder / "main")
    sampled(folder / "main-evaluated", 4)
    sampled(folder / "main-evaluated", 16)
    declared, given = notes_on_noise(report_of(folder))
    assert declared == "σ, K and rule of a @ noise=1,rollouts=4,select=mode: declared by the study"
    assert given.startswith("σ, K and rule of a @ noise=1,rollouts=16,select=mode: given by the command;")
