"""Sudokus that are the same up to symmetry: found in test tables, counted once, told apart otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.sudoku import HEADER, NINE, lines, made, row, text, write
from trm_bench.harness.data.prepare import Prepared, prepare
from trm_bench.harness.host.host import host
from trm_bench.plugins.sudoku.augment import SudokuSymmetries
from trm_bench.plugins.sudoku.solver import solve
from trm_bench.plugins.sudoku.symmetry import invariants, solution_invariants
from trm_bench.plugins.sudoku.task import canonical, features

from trm_bench import BuildRequest, TaskInfo

INFO = TaskInfo("sudoku-extreme", "lite", 9, 9, 11)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRM_BENCH_CACHE", str(tmp_path / "cache"))


def prepared(folder: Path) -> Prepared:
    part = host().tasks.get("sudoku-extreme")
    return prepare(part, BuildRequest("lite", 0, "official", folder))


def test_a_test_table_of_renamed_copies_has_few_independent_puzzles(tmp_path: Path) -> None:
    places, ks = np.repeat(np.arange(40, 46), 10), np.tile(np.arange(10), 6)
    copies = SudokuSymmetries(NINE).transforms(3, places, ks)
    questions, answers = (copies.apply(tokens[places]) for tokens in (made().inputs, made().targets))
    rows = [(text(question), text(answer)) for question, answer in zip(questions, answers, strict=True)]
    found = prepared(write(tmp_path / "data", HEADER + lines(*map(row, range(40))), HEADER + lines(*rows)))
    assert found.source.caveats == (
        "54 of 60 test puzzles are symmetric to another test puzzle: 6 independent ones",
    )
    clusters = found.read("test").clusters.reshape(6, 10)
    assert (clusters == clusters[:, :1]).all()
    assert clusters[:, 0].tolist() == [f"test/{10 * number}" for number in range(6)]


def test_a_table_without_copies_is_left_as_it_is(tmp_path: Path) -> None:
    tables = (HEADER + lines(*map(row, numbers)) for numbers in (range(40), range(40, 60)))
    found = prepared(write(tmp_path / "data", *tables))
    assert found.source.caveats == ()
    test = found.read("test")
    assert test.clusters.tolist() == test.ids.tolist()


def test_a_given_more_or_another_digit_makes_another_puzzle() -> None:
    question, answer = made().inputs[0], made().targets[0]
    blanks, givens = np.flatnonzero(question == 1), np.flatnonzero(question > 1)
    more, less = question.copy(), question.copy()
    more[blanks[0]], less[givens[0]] = answer[blanks[0]], 1
    keys = canonical(INFO, np.stack([question, more, less]), np.stack([answer] * 3))
    assert len(set(keys)) == 3


def test_givens_and_guesses_are_known_of_each_puzzle() -> None:
    puzzles = made().take(slice(0, 8))
    known = features(INFO, puzzles)
    assert known["givens"].tolist() == [40] * 8
    assert known["guesses"].tolist() == solve(NINE, puzzles.inputs).guesses.tolist()


def test_solutions_are_known_again_under_every_symmetry_and_told_apart() -> None:
    answers = made().targets
    keys = solution_invariants(NINE, answers)
    assert len(np.unique(keys)) == len(answers)
    places, ks = np.repeat(np.arange(20), 10), np.tile(np.arange(10), 20)
    copies = SudokuSymmetries(NINE).transforms(1, places, ks).apply(answers[places])
    assert np.array_equal(solution_invariants(NINE, copies), keys[places])
    assert len(np.unique(invariants(NINE, answers))) == 1  # which see no difference between full grids


def test_a_test_puzzle_with_the_solution_of_a_training_puzzle_is_in_a_note(tmp_path: Path) -> None:
    rows = [row(number) for number in range(40)]
    fewer = [(question.replace(question.strip(".")[0], ".", 1), answer) for question, answer in rows]
    tests = [fewer[0], fewer[1], row(50)]
    found = prepared(write(tmp_path / "data", HEADER + lines(*rows), HEADER + lines(*tests)))
    notes = [note for note in found.source.notes if "have the solution of a" in note]
    assert sum(int(note.split()[0]) for note in notes) == 2
    assert all(note.endswith("puzzle, up to symmetry, with other givens") for note in notes)
    assert found.source.caveats == ()
    exact = prepared(write(tmp_path / "other", HEADER + lines(*rows), HEADER + lines(row(0), row(50))))
    assert not any("have the solution of a" in note for note in exact.source.notes)
