"""Reports that several tests of reporters read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.folders import (
    HRM,
    ITEMS,
    PLAIN,
    TRM,
    described,
    on_task,
    only_table,
    report_of,
    request,
    write_model,
    write_run,
)
from support.studies import ask, write_evaluated, write_study
from trm_bench.harness.api.budget import Ledger
from trm_bench.harness.api.published import Published
from trm_bench.harness.report.table import Report
from trm_bench.harness.store.records import Status

LEDGER = Ledger(
    optimiser_steps=1600,
    draws=12_000,
    distinct_augmentations=1000,
    supervision_steps=51_200,
    training_flops=3.21e12,
    inference_flops_per_puzzle=4.5e7,
    core_parameters=59_800,
    io_parameters=1234,
    inference_steps=6,
    training_seconds=41.25,
    evaluation_seconds=0.5,
    puzzles_per_second=1000.0,
    evaluation_batch=24,
    milliseconds_per_puzzle=2.5,
    peak_memory_bytes=300 * 2**20,
)


NAMES = {
    "trm-att": "TRM-Att",
    "trm-mlp": "TRM-MLP",
    "hrm": "HRM",
    "transformer": "Transformer",
    "transformer-looped": "Looped transformer",
    "copy": "Copy",
}


@pytest.fixture
def golden_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """A table of three models and three seeds, and one of single runs of which one has failed."""
    monkeypatch.chdir(tmp_path)
    maze, sudoku = Path("results/maze-hard-mini"), Path("results/sudoku-extreme-mini")

    def model(name: str, **more: Any) -> dict[str, Any]:
        return {"model": name, "describe": described(display_name=NAMES[name]), **more}

    averaged = "average of the weights (EMA 0.99)"
    of_maze: dict[str, Any] = {
        "change": on_task("maze-hard"),
        "command": ["trm-bench", "run", "--models", "trm,transformer-looped,copy", "--task", "maze-hard"],
        "cells": np.linspace(0.5, 1, ITEMS),
    }
    one_step, free = LEDGER.model_copy(update={"inference_steps": 1}), Ledger(inference_steps=1)
    names = [
        *write_model(
            maze,
            scores=TRM,
            **model("trm-att", requested="trm", weights=averaged, halt_step=2.5, ledger=LEDGER),
            **of_maze,
        ),
        *write_model(
            maze, scores=HRM, **model("transformer-looped", weights=averaged, ledger=one_step), **of_maze
        ),
        *write_model(maze, scores=np.zeros((3, ITEMS)), **model("copy", ledger=free), **of_maze),
    ]
    request(maze, names)
    of_sudoku: dict[str, Any] = {
        "change": on_task("sudoku-extreme"),
        "command": ["trm-bench", "run", "--config", "sudoku.yaml"],
        "not_citable_because": ["shortened recipe: 100 steps instead of 700"],
    }
    names = write_model(sudoku, scores=TRM[:1], **model("trm-mlp", ledger=LEDGER), **of_sudoku)
    names += write_model(sudoku, scores=HRM[:1], **model("hrm", ledger=LEDGER), **of_sudoku)
    failure = "the loss is nan after optimiser step 7"
    failed = model("transformer", status=Status.FAILED, error=failure)
    names.append(write_run(sudoku, seed=0, scores=[], **failed, **of_sudoku))
    request(sudoku, names)
    return report_of(maze, sudoku)


@pytest.fixture
def wide_report(tmp_path: Path) -> Report:
    """As wide as it gets: long names, large costs, eight metrics and nine numbers of votes."""
    ledger = Ledger(
        optimiser_steps=160_000,
        draws=122_880_000,
        distinct_augmentations=1_234_567,
        supervision_steps=2_560_000,
        training_flops=3.2e18,
        inference_flops_per_puzzle=4.5e12,
        core_parameters=6_829_056,
        puzzle_embedding_parameters=448_000_000,
        inference_steps=16,
        training_seconds=141_234.5,
        milliseconds_per_puzzle=1234.56,
        peak_memory_bytes=75 * 2**30,
    )
    for model, name, scores in (
        ("trm-att[cycles=2,updates=4]", "TRM-Att[cycles=2,updates=4]", TRM),
        ("transformer-looped", "Looped transformer", HRM),
        ("hrm", "HRM", PLAIN),
    ):
        write_model(tmp_path, model, scores, describe=described(display_name=name), ledger=ledger)
    report = report_of(tmp_path)
    metrics = (*(f"pass@{k}" for k in (2, 1, 5, 10, 100, 1000)), "single", "cells")
    points = (1, 2, 5, 10, 20, 50, 100, 200, 500)
    rows = tuple(
        replace(row, means=dict.fromkeys(metrics, 0.123), vote_curve=dict.fromkeys(points, 0.5))
        for row in only_table(report).rows
    )
    published = (Published("TRM-Att (7M, with votes)", "75 to 84", "TRM paper, arXiv 2510.04871"),)
    table = replace(
        only_table(report), evaluators=metrics, primary="pass@2", votes=1000, rows=rows, published=published
    )
    return replace(report, tables=(table,), costs=True)


@pytest.fixture
def study_report(tmp_path: Path) -> Report:
    """Questions about models with long names, in two modes of evaluation."""
    looped = "transformer-looped[blocks=1,hidden=16,multiple=16,supervision=3]"
    folder = write_study(
        tmp_path / "study",
        ask("trm-mlp", looped, "Is it better than 50 % of #1_x for ~$3 & more?"),
        ask(f"{looped} @ halting=true,steps=12", looped, "Does halting help?"),
        scores={"trm-mlp": TRM, looped: HRM},
        source="Table 1 of a paper",
        evaluations=["halting=true,steps=12"],
    )
    write_evaluated(folder / "main-evaluated", looped, PLAIN, "halting=true,steps=12", steps=12)
    return report_of(folder)
