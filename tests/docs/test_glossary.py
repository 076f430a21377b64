"""The glossary explains every column that the program prints or returns, and no other."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from support.documents import text
from support.folders import (
    PLAIN,
    TRM,
    on_task,
    only_table,
    other,
    render,
    report_of,
    three_models,
    write_model,
)
from trm_bench.harness.api.rollouts import Rollouts, Select
from trm_bench.harness.api.specs import TaskSpec
from trm_bench.harness.cli.speed import render as render_speed
from trm_bench.harness.cli.status import HEADERS as STATUS
from trm_bench.harness.cli.tune import HEADERS as TUNE
from trm_bench.harness.host.host import host
from trm_bench.harness.report.select import with_published
from trm_bench.harness.report.table import Report, Row, Table
from trm_bench.harness.running.machine import Machine
from trm_bench.harness.running.speed import InferenceSpeed, Measured, Speed, TrainingSpeed
from trm_bench.plugins.reporters.grids import grids, overall
from trm_bench.testing.pytest_plugin import RunCli

import trm_bench

PRINTED = ("Scores", "Differences", "Costs", "Other tables")
DATA = "DataFrames and CSV"
TASKS = [part.spec for part in host().tasks.parts if part.plugin.distribution == "trm-bench"]
OWN_EVALUATORS = [part.spec for part in host().evaluators.parts if part.plugin.distribution == "trm-bench"]
FRAMES = ("table", "runs", "samples", "comparisons", "costs")


@cache
def explained(section: str) -> list[str]:
    """The names in the first column of a section's table."""
    part = text("docs/glossary.md").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1] for line in part.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def plain(header: str) -> str:
    """A header without its interval, and without numbers that depend on the runs."""
    header = header.removesuffix(" [95 % CI]")
    if re.fullmatch(r"seeds? \d.*", header):
        return "each seed"
    header = re.sub(r"^among \d+: ", "among 3: ", header)
    return re.sub(r"^[\d,]+ votes$", "N votes", header)


def headers(table: str) -> set[str]:
    """The headers of every plain-text table in a command's output: the line above each line of dashes."""
    lines = table.splitlines()
    tops = [above for above, line in pairwise(lines) if re.fullmatch(r"-[ -]+-", line)]
    return {header for top in tops for header in re.split(r"\s{2,}", top.strip())}


# --- what the program prints -----------------------------------------------------------------------


def on(task: TaskSpec, table: Table) -> Table:
    """A table as it would be on a task: with its metrics, its averages and its votes."""
    evaluators = {name: host().evaluators.get(name).spec for name in task.evaluators}
    clusters, votes = task.cluster != "puzzle", any(scale.votes for scale in task.scales.values())

    def scored(row: Row) -> Row:
        return replace(
            row,
            means=dict.fromkeys(evaluators, 0.5),
            other_means={"items": 0.5, "whole clusters": 0.5} if clusters else {},
            vote_curve={1: 0.4, 1000: 0.5} if votes else {},
        )

    return replace(
        table,
        task=task.name,
        primary=task.primary,
        evaluators=task.evaluators,
        headings={name: spec.heading for name, spec in evaluators.items() if spec.heading},
        cluster=task.cluster,
        rows=tuple(map(scored, table.rows)),
    )


def reports(folder: Path) -> Iterator[Report]:
    """Reports of three seeds, of one seed, of different seeds, of several answers, and of three tasks."""
    three_models(folder / "three")
    write_model(folder / "one", "trm-mlp", TRM[:1])
    write_model(folder / "one", "transformer", PLAIN[:1])
    write_model(folder / "uneven", "trm-mlp", TRM)
    write_model(folder / "uneven", "transformer", PLAIN[:2])
    sampled = Rollouts(count=4, noise=1.0, select=Select.MODE)
    write_model(folder / "sampled", "trm-mlp", TRM, change=other(rollouts=sampled))
    yield from (report_of(folder / name) for name in ("three", "one", "uneven", "sampled"))
    for task in ("a", "b", "c"):
        write_model(folder / task, "trm-mlp", TRM, change=on_task(task))
    yield report_of(*(folder / task for task in ("a", "b", "c")))


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every header of the reporters' tables."""
    found: set[str] = set()
    for report in reports(tmp_path_factory.mktemp("reports")):
        tables = [
            replace(on(task, table), scale="paper", source_kind="official")
            for task in TASKS
            for table in report.tables
        ]
        shown = with_published(replace(report, tables=tuple(tables)), host())
        printed_grids = [grid for table in shown.tables for grid in grids(table, costs=True)]
        printed_grids += [overall(report.overall)] if report.overall else []
        found |= {plain(header) for grid in printed_grids for header in grid.headers}
    return found


@pytest.fixture(scope="module")
def of_a_dry_run(run_cli: RunCli, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    output = tmp_path_factory.mktemp("dry") / "out"
    ended = run_cli(
        "run", "--models", "copy", "--task", "tiny", "--seeds", "0", "--output", output, "--dry-run"
    )
    assert ended.code == 0, ended.err
    return headers(ended.out)


OTHERS = {*STATUS, *TUNE}
"""Columns of `status` and `tune`."""


@pytest.fixture(scope="module")
def of_speed() -> set[str]:
    training = TrainingSpeed(1.0, 0.1, 10, 320.0, 1e9, 2**20)
    measured = Measured("trm-mlp", "plain", training, InferenceSpeed(6, 256, 100.0, 9.0, 1e9))
    speed = Speed("made", "mini", "cpu", "float32", 32, Machine("a CPU", 1, 1e10, 1e9), (measured,))
    return headers(render_speed(speed))


def test_the_tables_that_are_compared_have_the_columns_that_they_should(
    printed: set[str], of_a_dry_run: set[str], of_speed: set[str]
) -> None:
    assert {"solved %", "pass@2 %", "exact McNemar p", "whole tasks", "mean rank", "reported by"} <= printed
    assert {"model", "train FLOPs per run", "to run"} <= of_a_dry_run
    assert {"way", "first step s", "ms alone"} <= of_speed


def test_every_printed_column_is_explained(
    printed: set[str], of_a_dry_run: set[str], of_speed: set[str]
) -> None:
    known = {plain(name) for section in PRINTED for name in explained(section)}
    shown = printed | of_a_dry_run | of_speed | OTHERS
    assert shown <= known, sorted(shown - known)


def test_every_explained_column_is_printed(
    printed: set[str], of_a_dry_run: set[str], of_speed: set[str]
) -> None:
    known = {plain(name) for section in PRINTED for name in explained(section)}
    shown = printed | of_a_dry_run | of_speed | OTHERS
    assert known <= shown, sorted(known - shown)


def test_the_headings_of_all_evaluators_are_explained() -> None:
    known = {plain(name) for name in explained("Scores")}
    assert {spec.heading or f"{spec.name} %" for spec in OWN_EVALUATORS} <= known


# --- DataFrames and CSV ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def returned(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every column of the DataFrames and of CSV, without those of `samples` that depend on the task."""
    folder = tmp_path_factory.mktemp("frames")
    three_models(folder)
    results = trm_bench.load_results(folder)
    columns = {column for name in FRAMES for column in getattr(results, name).columns}
    of_the_task = {"exact", "cells", "steps", "halt_step", "cells.copy"}
    (header, *_) = csv.reader(io.StringIO(render(report_of(folder), "csv")))
    assert only_table(report_of(folder)).evaluators == ("exact", "cells")
    assert of_the_task <= columns
    return (columns - of_the_task) | set(header)


def test_every_column_of_dataframes_and_csv_is_explained(returned: set[str]) -> None:
    assert returned <= set(explained(DATA)), sorted(returned - set(explained(DATA)))


def test_every_explained_column_of_dataframes_and_csv_exists(returned: set[str]) -> None:
    assert set(explained(DATA)) <= returned, sorted(set(explained(DATA)) - returned)


@pytest.mark.parametrize("section", [*PRINTED, DATA])
def test_nothing_is_explained_twice(section: str) -> None:
    names = explained(section)
    assert names
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)


# --- examples in other pages -----------------------------------------------------------------------


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md", "docs/write-a-model.md"])
def test_tables_that_a_page_shows_have_explained_columns(page: str) -> None:
    known = {plain(name) for section in PRINTED for name in explained(section)}
    for line in re.findall(r"^\| (?:model|A − B) .*\|$", text(page), flags=re.MULTILINE):
        for header in filter(None, (cell.strip() for cell in line.strip("|").split("|"))):
            assert plain(header) in known, f"{page}: {header}"
