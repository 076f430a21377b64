"""`trm-bench evaluate` on tasks with official files, and with an embedding for each puzzle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.hub import serve, unreachable_hub
from support.stored import asked, command, evaluate, evaluated, export, runs, same_results
from support.sudoku import good, row
from trm_bench.harness.store.folders import WEIGHTS, RunFolder

import trm_bench

pytestmark = pytest.mark.usefixtures("one_thread")

PUZZLE = ("--task", "sudoku-extreme", "--set", "steps=1", "--set", "batch_size=4")


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Official Sudoku files, and the output folder of a run on them."""
    folder = tmp_path_factory.mktemp("official")
    words = (*PUZZLE, "--scale", "paper", "--data", good(folder / "data"), "--seeds", 0)
    ended = command("run", *words, "--models", asked("trm-mlp"), "--output", folder / "out")
    assert ended.code == 0, ended.err
    return folder / "data", folder / "out"


def test_public_weights_are_scored_on_the_official_files_at_the_published_scale(
    official: tuple[Path, Path], tmp_path: Path
) -> None:
    data, folder = official
    (own,) = runs(folder)
    weights = export(own, tmp_path / "trm.pt", "--compiled").rename(tmp_path / "step_65104")
    (tmp_path / "trm.yaml").rename(tmp_path / "all_config.yaml")
    words = ("--model", "trm", "--task", "sudoku-extreme", "--data", data)
    (again,) = evaluated(tmp_path / "out", weights, more=words)
    assert same_results(own, again)
    identity, described = again.manifest().identity, again.manifest().description
    assert (identity.scale, described.source_kind, described.counts["test"]) == ("paper", "official", 20)


def test_weights_trained_on_official_files_need_them(official: tuple[Path, Path], tmp_path: Path) -> None:
    data, folder = official
    ended = evaluate(tmp_path / "out", folder)
    assert ended.code == 2
    assert "the weights were trained on official puzzles" in ended.err
    assert "--data" in ended.err
    (again,) = evaluated(tmp_path / "out", folder, more=("--data", data))
    assert same_results(runs(folder)[0], again)


def test_a_run_without_its_output_folder_still_knows_that_it_needs_official_files(
    official: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Path(shutil.copytree(runs(official[1])[0].folder, tmp_path / "alone" / "run"))

    def generating(*arguments: object) -> None:
        raise AssertionError("generates puzzles for minutes, and other ones than those of training")

    monkeypatch.setattr("trm_bench.harness.planning.grid.prepare", generating)
    ended = evaluate(tmp_path / "out", alone)
    assert ended.code == 2
    assert "--data" in ended.err


def test_weights_trained_on_the_hub_s_puzzles_are_evaluated_on_them_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, good(tmp_path / "hub"))
    words = (*PUZZLE, "--scale", "paper", "--seeds", 0, "--models", asked("trm-mlp"))
    ended = command("run", *words, "--output", tmp_path / "out")
    assert ended.code == 0, ended.err
    (own,), (again,) = runs(tmp_path / "out"), evaluated(tmp_path / "again", tmp_path / "out")
    assert same_results(own, again)
    assert own.manifest().description.source_kind == again.manifest().description.source_kind == "hub"
    unreachable_hub(monkeypatch)  # it is in the cache now
    opened = trm_bench.open_model(own.folder)
    assert opened.prepared.counts["test"] == 20


@pytest.mark.slow
def test_external_weights_solve_puzzles_of_the_published_size_without_a_network(
    official: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreachable_hub(monkeypatch)
    weights = export(runs(official[1])[0], tmp_path / "trm.pt")
    opened = trm_bench.open_model(weights, model="trm", task="sudoku-extreme")
    (puzzle,) = trm_bench.parse_puzzles(opened, row(0)[0])
    assert len(trm_bench.solve(opened, puzzle).steps) == 3


ARC = ("--task", "arc-agi-1", "--set", "steps=12", "--set", "votes=3", "--augmentations", "4")
EMBEDDED = asked("transformer", embedding_lr=1, lr=0.01, ema=0)


def arc(folder: Path, *more: object) -> RunFolder:
    ended = command("run", *ARC, "--models", EMBEDDED, "--seeds", 0, "--output", folder, *more)
    assert ended.code == 0, ended.err
    return runs(folder)[0]


@pytest.fixture(scope="module")
def voted(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on puzzles that have an embedding each, predicted by vote."""
    return arc(tmp_path_factory.mktemp("arc") / "own")


def submission(run: RunFolder) -> Any:
    return json.loads((run.folder / "submission.json").read_text())


@pytest.mark.parametrize("which", ["blank", "shuffled"])
def test_stored_weights_with_other_puzzle_ids_predict_as_a_run_with_them(
    voted: RunFolder, tmp_path: Path, which: str
) -> None:
    changed = arc(tmp_path / "run", "--set", f"puzzle_ids={which}")
    assert submission(changed) != submission(voted)
    (again,) = evaluated(tmp_path / "out", voted.folder, more=("--set", f"puzzle_ids={which}"))
    assert (submission(again), again.records()) == (submission(changed), changed.records())
    assert f"changed protocol: {which} puzzle ids at evaluation" in again.manifest().not_citable_because
    (own,) = evaluated(tmp_path / "own", voted.folder)
    assert (submission(own), own.records()) == (submission(voted), voted.records())


def test_votes_may_be_fewer_but_no_more_than_augmentations(voted: RunFolder, tmp_path: Path) -> None:
    (one,) = evaluated(tmp_path / "out", voted.folder, more=("--set", "votes=1"))
    assert one.manifest().ledger.votes_per_puzzle == 1
    flops = [run.manifest().ledger.inference_flops_per_puzzle for run in (one, voted)]
    assert flops[0] < flops[1]
    ended = evaluate(tmp_path / "out", voted.folder, more=("--set", "votes=5"))
    assert ended.code == 2
    assert "votes=5: there are only A = 4 augmentations to vote" in ended.err


def test_several_answers_to_each_view_multiply_the_cost_and_have_an_oracle(tmp_path: Path) -> None:
    model = asked("trm-mlp", embedding_lr=1, lr=0.01, ema=0)
    words = (*ARC, "--models", model, "--seeds", 0, "--limit", 6, "--set", "batch_size=4")
    assert command("run", *words, "--output", tmp_path / "own").code == 0
    (own,) = runs(tmp_path / "own")
    words = ("--rollouts", 3, "--noise", 0.5, "--select", "q", "--limit", 6)
    (several,) = evaluated(tmp_path / "out", own.folder, more=words)
    costs = [one.manifest().ledger.inference_flops_per_puzzle for one in (several, own)]
    assert costs[0] == pytest.approx(3 * costs[1])
    assert several.manifest().ledger.votes_per_puzzle == 3
    for record in several.records():
        assert record["extras"]["rollouts.any_right"] in (0, 1)
        assert 0 < record["extras"]["rollouts.agree"] <= 1


def test_of_embeddings_of_other_puzzles_only_the_blank_one_can_be_used(
    voted: RunFolder, tmp_path: Path
) -> None:
    """The table of a run with A = 4 does not fit the scale's own A."""
    weights = Path(shutil.copy(voted.folder / WEIGHTS, tmp_path / "weights"))
    words = ("--task", "arc-agi-1", "--scale", "mini", "--model", asked("transformer"), "--limit", 3)
    ended = evaluate(tmp_path / "out", weights, more=words)
    assert ended.code == 4
    assert "embed.puzzle.table is " in ended.err
    assert "with --set puzzle_ids=blank they are not needed" in ended.err
    (blank,) = evaluated(tmp_path / "blank", weights, more=(*words, "--set", "puzzle_ids=blank"))
    assert blank.manifest().identity.puzzle_ids == "blank"
