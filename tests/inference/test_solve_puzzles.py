"""Puzzles as text, and whether a prediction obeys the rules: Sudoku, mazes, ARC."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.maze import to_tokens
from support.solving import ARC, MAZE, SUDOKU, SUDOKU_9
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.puzzles import PuzzleSet, Tokens
from trm_bench.harness.api.specs import BuildRequest
from trm_bench.harness.host.host import host
from trm_bench.plugins.arc.grids import to_canvases
from trm_bench.plugins.maze.grid import to_text
from trm_bench.plugins.sudoku.board import BLANK, Shape
from trm_bench.plugins.sudoku.generate import RECIPES, generate

from trm_bench import Puzzle, RuleCheck, TaskInfo

EASY = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
EASY_SOLUTION = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
SMALL = Shape(2, 3)


def parse(info: TaskInfo, text: str) -> Puzzle:
    reader = host().tasks.get(info.task).spec.parse
    assert reader is not None
    (puzzle,) = reader(text, info)
    return puzzle


def refused(info: TaskInfo, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(info, text)
    return str(caught.value)


def check_rules(info: TaskInfo, puzzle: Puzzle, prediction: Tokens) -> RuleCheck:
    judge = host().tasks.get(info.task).spec.check_rules
    assert judge is not None
    return judge(info, puzzle, prediction)


@cache
def sudokus() -> PuzzleSet:
    return generate(RECIPES["mini"], 0).test


SUDOKUS = st.integers(0, 499)


def in_digits(tokens: Tokens, blank: str = ".") -> str:
    return "".join(blank if token == BLANK else str(token - 1) for token in tokens.tolist())


def in_lines(cells: str) -> str:
    return "\n".join(cells[start : start + 6] for start in range(0, 36, 6)) + "\n"


def in_frame(cells: str) -> str:
    rows = [" ".join(cells[start : start + 6]) for start in range(0, 36, 6)]
    rows = [f"│ {row[:5]} | {row[6:]} │" for row in rows]
    return "\r\n".join(["╔═══════╤═══════╗", *rows[:2], "+-------+-------+", *rows[2:], "╚═══════╧═══════╝"])


NOTATIONS: list[Callable[[str], str]] = [str, in_lines, in_frame]


@pytest.mark.slow
@settings(deadline=None)
@given(SUDOKUS, st.sampled_from(NOTATIONS), st.sampled_from("0._"))
def test_a_sudoku_is_the_same_in_every_notation(row: int, notation: Callable[[str], str], blank: str) -> None:
    givens = sudokus().inputs[row]
    puzzle = parse(SUDOKU, notation(in_digits(givens, blank)))
    assert np.array_equal(puzzle.inputs, givens[None])
    assert puzzle.targets is not None
    assert np.array_equal(puzzle.targets, sudokus().targets[row][None])
    assert puzzle.title == "6×6 Sudoku, 18 givens"
    assert puzzle.identity is None


def test_a_9x9_sudoku_is_solved_as_it_is_printed() -> None:
    puzzle = parse(SUDOKU_9, EASY)
    assert puzzle.targets is not None
    assert in_digits(puzzle.targets[0]) == EASY_SOLUTION
    assert puzzle.truth == "the only solution"


@pytest.mark.parametrize(
    ("info", "text", "message"),
    [
        (SUDOKU_9, EASY[:-1], "80 cells, not the 81 of a 9×9 Sudoku"),
        (SUDOKU_9, "." * 36, "36 cells (a 6×6 Sudoku), not the 81 of a 9×9 Sudoku"),
        (SUDOKU, EASY, "81 cells (a 9×9 Sudoku), not the 36 of a 6×6 Sudoku"),
        (SUDOKU, "", "0 cells, not the 36"),
        (SUDOKU_9, EASY.replace("7", "x"), "'x' in the puzzle is no cell of a Sudoku"),
        (SUDOKU_9, EASY.replace("7", "٧"), "'٧' in the puzzle is no cell of a Sudoku"),
        (SUDOKU, "." * 8 + "7" + "." * 27, "7 in row 2, column 3: a 6×6 Sudoku has the digits 1 to 6"),
        (SUDOKU_9, "55" + EASY[2:], "cannot be solved: row 1 holds 5 twice"),
        (SUDOKU, "1....." * 3 + "." * 18, "cannot be solved: column 1 holds 1 3 times"),
        (SUDOKU, "1......1" + "." * 28, "cannot be solved: box 1 holds 1 twice"),
        (SUDOKU, "12345." + "." * 11 + "6" + "." * 18, "no solution; a Sudoku has exactly one"),
        (SUDOKU, "." * 36, "several solutions; a Sudoku has exactly one"),
    ],
)
def test_a_wrong_sudoku_is_refused_by_what_is_wrong(info: TaskInfo, text: str, message: str) -> None:
    assert message in refused(info, text)


@settings(deadline=None)
@given(SUDOKUS)
def test_the_solution_of_a_sudoku_is_valid(row: int) -> None:
    puzzle = parse(SUDOKU, in_digits(sudokus().inputs[row]))
    assert check_rules(SUDOKU, puzzle, sudokus().targets[row]) == RuleCheck(
        True, "a full valid grid that keeps every given"
    )


@settings(deadline=None)
@given(SUDOKUS, st.data())
def test_a_spoilt_cell_is_named_by_the_rule_that_it_breaks(row: int, data: st.DataObject) -> None:
    givens, prediction = sudokus().inputs[row], sudokus().targets[row].copy()
    cell = data.draw(st.integers(0, 35))
    prediction[cell] = data.draw(st.sampled_from([token for token in range(8) if token != prediction[cell]]))
    check = check_rules(SUDOKU, Puzzle(givens[None], None, None, ""), prediction)
    place = f"row {cell // 6 + 1}, column {cell % 6 + 1}"
    assert check.valid is False
    if givens[cell] != BLANK:
        assert check.reason == f"changes a given in {place}"
    elif prediction[cell] <= BLANK:
        assert check.reason == f"leaves a cell in {place} without a digit"
    else:
        assert check.reason == f"row {cell // 6 + 1} holds {prediction[cell] - 1} twice"


@settings(deadline=None)
@given(SUDOKUS, st.permutations(range(6)))
def test_renamed_digits_fit_only_the_renamed_puzzle(row: int, order: list[int]) -> None:
    names = np.array([0, 1, *(2 + digit for digit in order)], np.uint8)
    givens, prediction = sudokus().inputs[row], sudokus().targets[row]
    renamed = parse(SUDOKU, in_digits(names[givens]))
    assert check_rules(SUDOKU, renamed, names[prediction]).valid
    as_it_was = Puzzle(givens[None], None, None, "")
    assert check_rules(SUDOKU, as_it_was, names[prediction]).valid is np.array_equal(
        names[prediction], prediction
    )


def test_the_first_of_many_faults_is_counted() -> None:
    givens = np.array([[2, 3, *[BLANK] * 34]], np.uint8)
    puzzle = Puzzle(givens, None, None, "")
    full = np.tile(np.arange(2, 8, dtype=np.uint8), 6)
    assert check_rules(SUDOKU, puzzle, full[::-1]).reason == "changes 2 givens, the first in row 1, column 1"
    assert check_rules(SUDOKU, puzzle, givens[0]).reason == (
        "leaves 34 cells, the first in row 1, column 3 without a digit"
    )
    assert check_rules(SUDOKU, puzzle, full).reason == "column 1 holds 1 6 times"


WALLED = ["S.#..", "..#..", "..#..", ".....", "....G"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "\n".join(WALLED),
        "\n".join(WALLED).replace(".", " "),
        "\r\n".join(line.replace(".", " ").rstrip() for line in WALLED) + "\r\n",
        "\n\n" + "\n".join(WALLED) + "\n\n",
        "".join(WALLED),
        "".join(WALLED).replace(".", " ") + "\n",
    ],
    ids=[
        "dots",
        "blanks",
        "an editor dropped blanks",
        "empty lines around",
        "flat",
        "as in the official files",
    ],
)
def test_a_maze_is_the_same_in_every_notation(text: str) -> None:
    puzzle = parse(MAZE, text)
    assert to_text(puzzle.inputs[0]) == "".join(WALLED).replace(".", " ")
    assert puzzle.title == "5×5 maze, 8 moves from S to G"
    assert puzzle.targets is not None
    assert to_text(puzzle.targets[0]) == "S #  o #  o #  o    ooooG"


@pytest.mark.slow
@settings(deadline=None)
@given(st.integers(0, 1), st.integers(1, 4))
def test_empty_lines_within_a_maze_are_rows_of_open_cells(shift: int, breaks: int) -> None:
    lines = ["", "", "S  G", "", ""]
    lines[2] = " " * shift + lines[2]
    text = "\n".join(lines) + "\n" * breaks
    givens = parse(MAZE, text).inputs[0]
    assert Counter(givens.tolist()) == {2: 23, 3: 1, 4: 1}
    assert givens[10 + shift] == 3


def with_line(place: int, line: str) -> str:
    return "\n".join([*WALLED[:place], line, *WALLED[place + 1 :]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("S..G", "4 cells in one line; this model reads 5 lines of 5 cells, or 25 in one line"),
        ("\n".join(WALLED[1:]), "4 lines of up to 5 cells; this model reads 5 lines of 5 cells"),
        (with_line(0, "S.#..#"), "5 lines of up to 6 cells"),
        (with_line(0, "..#.."), "the maze has 0 S, not one"),
        (with_line(0, "S.#.S"), "the maze has 2 S, not one"),
        (with_line(4, "....."), "the maze has 0 G, not one"),
        (with_line(3, "ooooo"), "marks a path: give it without its solution"),
        (with_line(3, "..x.."), "'x' in the maze is no cell; write #, blank or ., S and G"),
        (with_line(3, "\t...."), "'\\t' in the maze is no cell"),
        (with_line(3, "#####"), "no path leads from S to G"),
    ],
)
def test_a_wrong_maze_is_refused_by_what_is_wrong(text: str, message: str) -> None:
    assert message in refused(MAZE, text)


def drawn(*lines: str) -> Tokens:
    return to_tokens("".join(lines).replace(".", " "))


@pytest.mark.parametrize(
    ("prediction", "valid", "reason"),
    [
        (
            ("S.#..", "o.#..", "o.#..", "o....", "ooooG"),
            True,
            "a path from S to G of 8 moves, as short as any",
        ),
        (
            ("So#..", ".o#..", ".o#..", ".oooo", "....G"),
            True,
            "a path from S to G of 8 moves, as short as any",
        ),
        (("So#..", "oo#..", "o.#oo", "o..oo", "oooo."), False, "changes row 5, column 5 from 'G' to ' '"),
        (("S.o..", "..#..", "..#..", ".....", "....G"), False, "changes row 1, column 3 from '#' to 'o'"),
        (
            ("So#oo", ".o#oo", ".o#oo", ".oooo", "....G"),
            False,
            "a path from S to G, but 14 moves where 8 are enough",
        ),
        (("S.#..", "o.#..", "..#..", "o....", "ooooG"), False, "what it marks is not one path from S to G"),
    ],
    ids=["the label", "another", "G is gone", "through a wall", "a detour", "a gap"],
)
def test_a_path_is_judged_by_the_rules_of_a_maze(
    prediction: tuple[str, ...], valid: bool, reason: str
) -> None:
    check = check_rules(MAZE, parse(MAZE, "\n".join(WALLED)), drawn(*prediction))
    assert (check.valid, check.reason) == (valid, reason)


def test_padding_in_a_prediction_is_named() -> None:
    puzzle = parse(MAZE, "\n".join(WALLED))
    check = check_rules(MAZE, puzzle, np.zeros(25, np.uint8))
    assert check.reason == "changes row 1, column 1 from 'S' to padding"


@pytest.mark.slow
@pytest.mark.parametrize("row", range(0, 40, 8))
def test_generated_mazes_are_read_back(row: int) -> None:
    puzzles = mazes()
    puzzle = parse(MAZE, to_text(puzzles.inputs[row]))
    assert np.array_equal(puzzle.inputs[0], puzzles.inputs[row])
    assert puzzle.targets is not None
    assert np.array_equal(puzzle.targets[0], puzzles.targets[row])
    assert check_rules(MAZE, puzzle, puzzles.targets[row]).valid


@cache
def mazes() -> PuzzleSet:
    return host().tasks.get("maze-hard").spec.build(BuildRequest("mini", 0)).test


DEMONSTRATION = {"input": [[1, 2]], "output": [[2, 1]]}


def arc(*tests: dict[str, Any], **parts: Any) -> str:
    return json.dumps({"train": [DEMONSTRATION], "test": list(tests), **parts})


def test_an_arc_task_has_a_puzzle_for_each_test_input() -> None:
    reader = host().tasks.get("arc-agi-1").spec.parse
    assert reader is not None
    first, second = reader(arc({"input": [[3, 4], [5, 6]], "output": [[6]]}, {"input": [[7]]}), ARC)
    assert np.array_equal(first.inputs, to_canvases([np.array([[3, 4], [5, 6]], np.uint8)], 6))
    assert first.targets is not None
    assert np.array_equal(first.targets, to_canvases([np.array([[6]], np.uint8)], 6))
    assert (first.title, second.title) == (
        "ARC task, test 1 of 2, 2×2 grid",
        "ARC task, test 2 of 2, 1×1 grid",
    )
    assert second.targets is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("53..7", "cannot be read as JSON"),
        ("[]", "must be an object with 'train' and 'test'"),
        (json.dumps({"test": [{"input": [[1]]}]}), "'train' must be a list of at least one pair"),
        (arc(), "'test' must be a list of at least one pair"),
        (arc({"output": [[1]]}), "test 0: no 'input'"),
        (arc({"input": [[1], [2, 3]]}), "test 0, input: rows of different lengths (1, 2)"),
        (arc({"input": [[10]]}), "test 0, input: row 0, column 0 holds 10, no colour from 0 to 9"),
        (arc({"input": [[1]]}, train=[{"input": [[1]]}]), "train 0: no 'output'"),
        (
            arc({"input": [[1] * 7]}),
            "test 0, input: a 1×7 grid does not fit the 6×6 canvas of arc-agi-1 at mini",
        ),
        (
            arc({"input": [[1]], "output": [[1]] * 9}),
            "test 0, output: a 9×1 grid does not fit the 6×6 canvas",
        ),
        ('{"train": [], "train": []}', "'train' is there twice"),
    ],
)
def test_a_wrong_arc_task_is_refused_by_what_is_wrong(text: str, message: str) -> None:
    assert message in refused(ARC, text)


def canvas(*rows: list[int]) -> Tokens:
    return to_canvases([np.array(rows, np.uint8)], 6)[0]


def test_only_the_grid_that_is_read_off_an_arc_prediction_counts() -> None:
    puzzle = parse(ARC, arc({"input": [[1]], "output": [[1, 2], [3, 4]]}))
    prediction = canvas([1, 2], [3, 4])
    check = check_rules(ARC, puzzle, prediction)
    assert (check.valid, check.correct) == (None, True)
    assert "the 2×2 grid read off the prediction is that grid" in check.reason
    prediction[2] = 5  # a colour where the border should be, which the crop leaves out
    assert check_rules(ARC, puzzle, prediction).correct is True
    wrong = check_rules(ARC, puzzle, canvas([1, 2, 3]))
    assert wrong.correct is False
    assert wrong.reason.endswith("the 1×3 grid read off the prediction is not that grid, which is 2×2")
    same_size = check_rules(ARC, puzzle, canvas([1, 2], [3, 5]))
    assert same_size.reason.endswith("the 2×2 grid read off the prediction is not that grid")
    nothing = check_rules(ARC, puzzle, np.zeros(36, np.uint8))
    assert "the prediction, which holds no grid, is not that grid" in nothing.reason


def test_an_arc_prediction_without_a_known_solution_is_not_judged() -> None:
    puzzle = parse(ARC, arc({"input": [[1]]}))
    check = check_rules(ARC, puzzle, canvas([1]))
    assert check == RuleCheck(
        None,
        "no rule to check: ARC predictions can only be compared with the true grid, which is not in the file",
    )


def test_the_specs_and_the_verb_stay_light() -> None:
    program = "import sys, trm_bench.harness.cli.solve\n"
    program += "import trm_bench.plugins.sudoku, trm_bench.plugins.maze, trm_bench.plugins.arc\n"
    program += "print(sorted({'torch', 'numba'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def rows_of(path: Path, count: int) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        return [row for row, _ in zip(csv.DictReader(stream), range(count), strict=False)]


def test_official_sudokus_are_read_with_their_solutions(data_dir: Path) -> None:
    for row in rows_of(data_dir / "sudoku" / "sudoku-extreme_train_1k.csv.gz", 20):
        puzzle = parse(SUDOKU_9, row["question"])
        assert puzzle.targets is not None
        assert in_digits(puzzle.targets[0]) == row["answer"]


def test_official_mazes_are_read_and_their_solutions_are_valid(data_dir: Path) -> None:
    info = TaskInfo("maze-hard", "lite", 30, 30, 6)
    for row in rows_of(data_dir / "maze" / "maze-30x30-hard-1k_test_800.csv.gz", 5):
        puzzle = parse(info, row["question"])
        assert to_text(puzzle.inputs[0]) == row["question"]
        assert check_rules(info, puzzle, to_tokens(row["answer"])).valid


def test_puzzles_of_several_solutions_are_refused(data_dir: Path) -> None:
    with gzip.open(data_dir / "sudoku" / "multi_solution_500.txt.gz", "rt") as stream:
        lines = [line.strip() for line, _ in zip(stream, range(10), strict=False)]
    for line in lines:
        assert "several solutions" in refused(SUDOKU_9, line)


def test_every_official_arc_task_is_read(data_dir: Path) -> None:
    info = TaskInfo("arc-agi-1", "paper", 30, 30, 12)
    reader = host().tasks.get("arc-agi-1").spec.parse
    assert reader is not None
    with gzip.open(data_dir / "arc" / "arc-agi-1_training.json.gz", "rt") as stream:
        tasks: dict[str, Any] = json.load(stream)
    for content in list(tasks.values())[:60]:
        puzzles = reader(json.dumps(content), info)
        assert len(puzzles) == len(content["test"])
        for puzzle in puzzles:
            assert puzzle.targets is not None
            assert check_rules(info, puzzle, puzzle.targets[0]).correct
