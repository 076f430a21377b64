"""The budget that a model was published with: typed, checked, and a note where the grid gives another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.models import BUILT_IN, MAZE, SUDOKU, host_with, made, resolve, written
from support.stored import command
from trm_bench.harness.api.budget import Budget, Match
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.host.host import Part, host
from trm_bench.harness.planning.models import resolve_model
from trm_bench.harness.planning.published_budget import PublishedBudget
from trm_bench.harness.python.api import prepare_run


def budget(amount: float, match: Match = Match.STEPS) -> Budget:
    return Budget(match=match, amount=amount, batch_size=10, augmentations=1)


def note(amount: float, match: Match = Match.STEPS, **published: int) -> tuple[str, ...]:
    section = PublishedBudget(source="a paper", **published)
    return section.note("Made", "puzzles", budget(amount, match), puzzles=30)


def test_another_budget_is_named_and_the_same_is_not() -> None:
    assert note(1000, steps=1000) == ()
    assert note(2000, steps=1000) == (
        "Made was published with 1,000 optimiser steps on puzzles (a paper); here every model gets 2,000 "
        "optimiser steps",
    )
    assert note(1.5e15, Match.FLOPS, steps=1000)[0].endswith("here every model gets 1.5e+15 training FLOPs")
    assert note(64, Match.EXAMPLES, steps=1000)[0].endswith("here every model gets 64 draws")


def test_epochs_are_those_over_the_puzzles_that_are_there() -> None:
    assert note(300, epochs=100) == ()
    assert "was published with 100 epochs on puzzles" in note(299, epochs=100)[0]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"source": "x", "step": 1}, r"made.yaml: published: unknown key 'step'; did you mean 'steps'\?"),
        ({"steps": 1}, "made.yaml: published source: is missing"),
        ({"source": "a paper"}, "made.yaml: published: give either steps or epochs"),
        ({"steps": 1, "epochs": 1, "source": "a paper"}, "give either steps or epochs"),
        ({"steps": 0, "source": "a paper"}, "published steps=0: must be above 0"),
    ],
)
def test_a_mistake_in_the_section_is_named(section: dict[str, Any], message: str, tmp_path: Path) -> None:
    host = host_with(made(written(tmp_path, {"*": {"paper": {"published": section}}})))
    with pytest.raises(UsageError, match=message):
        resolve_model(host, "made", SUDOKU, {})


@pytest.mark.parametrize("task", [SUDOKU, MAZE], ids=["sudoku", "maze"])
def test_hrm_was_published_with_26_041_steps(task: TaskInfo) -> None:
    published = resolve("hrm[cycles=3]", task).published
    assert published is not None
    assert published.steps == 26_041


def test_hrm_was_published_with_the_epochs_of_arc_at_paper() -> None:
    spec = BUILT_IN.tasks.get("arc-agi-1").spec
    published = resolve("hrm", TaskInfo("arc-agi-1", "paper", 30, 30, 12)).published
    assert published is not None
    assert published.epochs == spec.scales["paper"].epochs


@pytest.mark.parametrize("scale", ["mini", "lite"])
def test_the_published_budget_is_one_of_the_published_size(scale: str) -> None:
    assert resolve("hrm", TaskInfo("sudoku-extreme", scale, 9, 9, 11)).published is None


def test_the_note_is_told_before_the_runs_and_under_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = {"published": {"steps": 9, "source": "a paper"}}
    part = host().models.get("mirror")
    spec = replace(part.spec, recipes=written(tmp_path, {"tiny": {"mini": section}}))
    others = [one for one in host().models.parts if one is not part]
    monkeypatch.setattr(host().models, "parts", [*others, Part(spec, part.plugin)])
    same = prepare_run("mirror", "tiny", steps=9).grid
    assert same is not None
    assert [model.notes for model in same.models] == [()]
    words = ("run", "--models", "mirror,copy", "--task", "tiny", "--seeds", 0, "--output", tmp_path / "out")
    ended = command(*words, "--set", "steps=2")
    line = "mirror was published with 9 optimiser steps on tiny (a paper); here every model gets 2 optimiser"
    assert (ended.err.count(line), ended.out.count(line)) == (1, 1)
