"""How long a scale trains: a number of steps, or of passes over the puzzles that are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.studies import ask, definition, write_yaml
from trm_bench.harness.api.budget import Match
from trm_bench.harness.api.errors import TrmBenchError
from trm_bench.harness.api.specs import Scale, steps_of_epochs
from trm_bench.harness.host.checks import check_spec
from trm_bench.harness.host.host import Part, host
from trm_bench.harness.host.listing import list_parts
from trm_bench.harness.planning.grid import Grid
from trm_bench.harness.planning.request import Request, Value
from trm_bench.harness.planning.training_grid import plan_training
from trm_bench.harness.python.api import prepare_run

TRAIN = 120
"""Training puzzles of the tiny task."""


def scale(**length: int | None) -> Scale:
    return Scale("mini", "rows", **{"steps": None, "batch_size": 16, "augmentations": 1, **length})


Use = Callable[[Scale], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Give the tiny task another scale."""

    def replaced(size: Scale) -> None:
        tasks = host().tasks
        (tiny,) = [part for part in tasks.parts if part.spec.name == "tiny"]
        others = [part for part in tasks.parts if part is not tiny]
        changed = Part(replace(tiny.spec, scales={"mini": size}), tiny.plugin)
        monkeypatch.setattr(tasks, "parts", [*others, changed])

    return replaced


def planned(match: Match = Match.STEPS, **settings: Value) -> Grid:
    return plan_training(host(), Request(("mirror",), "tiny", "mini", (0,), match=match, settings=settings))


def amount(grid: Grid) -> float:
    assert grid.budget is not None
    return grid.budget.amount


@pytest.mark.parametrize(
    ("epochs", "puzzles", "steps"),
    [(100_000, 3_988, 519_271), (100_000, 5_573, 725_651), (50_000, 1_000, 65_104), (1, 3, 1)],
)
def test_epochs_come_to_the_published_steps(epochs: int, puzzles: int, steps: int) -> None:
    """Of ARC-AGI-1 and -2 with ConceptARC, and of Sudoku-Extreme and Maze-Hard, in batches of 768."""
    assert steps_of_epochs(epochs, puzzles, 768) == steps


@pytest.mark.parametrize("length", [{}, {"steps": 3, "epochs": 3}])
def test_a_scale_has_either_steps_or_epochs(length: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="scale 'mini': give either steps or epochs"):
        scale(**length)


@pytest.mark.parametrize("length", [{"steps": 0}, {"epochs": -1}, {"epochs": True}])
def test_both_are_whole_numbers_from_1(length: dict[str, int]) -> None:
    with pytest.raises(TrmBenchError, match="of scales with whole numbers from 1"):
        check_spec(replace(host().tasks.get("tiny").spec, scales={"mini": scale(**length)}))


def test_steps_follow_from_epochs_and_the_puzzles_that_are_there(use: Use) -> None:
    use(scale(epochs=10))
    assert amount(planned()) == round(10 * TRAIN / 16)
    assert amount(planned(batch_size=8)) == 10 * TRAIN / 8
    assert amount(planned(Match.EXAMPLES)) == 75 * 16
    assert amount(planned(steps=7)) == 7
    reasons = planned(steps=7).runs[0].reasons
    assert "shortened recipe: 7 steps instead of 75" in reasons


def test_a_study_s_share_is_of_those_steps(use: Use, tmp_path: Path) -> None:
    use(scale(epochs=10))
    content = definition(
        ask("mirror", "copy"), models=["mirror", "copy"], seeds="0", grids={"main": {"share": {"mini": 0.2}}}
    )
    call = prepare_run(study=write_yaml(tmp_path / "made.yaml", content))
    assert [amount(grid) for grid, _ in call.grids.values()] == [15]
    assert not [one for grid, _ in call.grids.values() for one in grid.all_reasons() if "shortened" in one]


def test_the_length_is_listed_and_announced(use: Use, run_cli: Callable[..., object]) -> None:
    use(scale(epochs=1_000))
    (tiny,) = [one for one in list_parts(["tasks"])["tasks"] if one["name"] == "tiny"]
    assert tiny["lengths"] == {"mini": "1,000 epochs"}
    ended = run_cli("run", "--models", "copy", "--task", "tiny", "--seeds", 0, "--dry-run")
    assert "scale mini: rows; 1,000 epochs" in ended.err  # type: ignore[attr-defined]


def test_arc_at_paper_trains_100_000_epochs() -> None:
    for task in ("arc-agi-1", "arc-agi-2"):
        assert host().tasks.get(task).spec.scales["paper"].length == "100,000 epochs"
