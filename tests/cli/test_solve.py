"""`trm-bench solve`: the prediction after every step, what is marked, the verdict, and the animation."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from rich.console import Console
from support.solving import (
    ARC,
    CONFIG,
    MAZE,
    PUZZLE,
    SCRIPT,
    SOLUTION,
    SUDOKU,
    SYMBOLS,
    TEXT,
    Scripted,
    at,
    opened,
    solve,
    solved,
)
from trm_bench.harness.api.errors import UnavailableError, UsageError
from trm_bench.harness.api.puzzles import PuzzleSet, Tokens
from trm_bench.harness.cli import solve as verb
from trm_bench.harness.host.host import host
from trm_bench.harness.inference.inference import predict
from trm_bench.harness.inference.one_puzzle import (
    Solved,
    changed_cells,
    puzzle_row,
    trace,
    wrong_cells,
)
from trm_bench.harness.report import animation
from trm_bench.harness.report.boards import legend, steps_table, symbol_of
from trm_bench.plugins.arc.grids import to_canvases

from trm_bench import Halting, Output, Puzzle, Reasoner, TaskInfo

Sudoku = partial(Scripted, vocab=8)


class Counting(Reasoner):
    """A state that matters, and every halting policy."""

    supervision_steps = 4

    def __init__(self, halting: Halting) -> None:
        super().__init__()
        self.halting = halting
        self.table = torch.nn.Embedding(8, 8)
        self.ids = torch.nn.Embedding(3, 8)

    def initial_state(self, batch: int) -> tuple[torch.Tensor, ...]:
        return (torch.zeros(batch, 36, 8),)

    def forward(
        self, state: tuple[torch.Tensor, ...], inputs: torch.Tensor, puzzle_ids: torch.Tensor
    ) -> tuple[tuple[torch.Tensor, ...], Output]:
        hidden = torch.tanh(2 * state[0] + self.table(inputs) + self.ids(puzzle_ids)[:, None])
        if self.halting is Halting.NONE:
            return (hidden,), Output(hidden)
        q_continue = None if self.halting is Halting.HALT_LOGIT else hidden.mean((1, 2))
        return (hidden,), Output(hidden, hidden[:, 0, 0], q_continue)


@pytest.mark.parametrize("halting", list(Halting))
def test_the_last_step_is_what_a_run_would_have_predicted(halting: Halting) -> None:
    torch.manual_seed(0)
    model = Counting(halting).train()
    rows = np.array([2], np.int32)
    puzzles = PuzzleSet(PUZZLE.inputs, SOLUTION[None], np.array(["a"]), np.array(["a"]), rows)
    steps = trace(model, PUZZLE, 2, CONFIG)
    predicted = predict(model, puzzles, CONFIG)
    assert [step.number for step in steps] == [1, 2, 3, 4]
    assert np.array_equal(steps[-1].tokens, predicted.tokens[0])
    stops = [step.number for step in steps if step.stops]
    assert stops in ([], [predicted.halt_steps[0]])
    assert stops or predicted.halt_steps[0] == 4
    if halting is Halting.NONE:
        assert all(step.halt_probability is None for step in steps)
    else:
        assert steps[-1].halt_probability == predicted.halt_probability[0]
    assert model.training  # as it was


def test_the_row_of_the_embedding_reaches_the_model() -> None:
    torch.manual_seed(0)
    model = Counting(Halting.NONE)
    last = [trace(model, PUZZLE, row, CONFIG)[-1].tokens.tolist() for row in range(3)]
    assert last[0] != last[1] or last[1] != last[2]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_steps_may_be_fewer_or_more_than_the_models_own(count: int) -> None:
    steps = trace(Sudoku(SCRIPT), PUZZLE, 0, CONFIG, count)
    assert [step.number for step in steps] == list(range(1, count + 1))
    assert np.array_equal(steps[-1].tokens, SCRIPT[min(count, 3) - 1])


def test_a_failing_model_keeps_its_mode() -> None:
    model = Sudoku([SOLUTION[:5]]).train()
    model.forward = None  # type: ignore[assignment, method-assign]
    with pytest.raises(TypeError):
        trace(model, PUZZLE, 0, CONFIG)
    assert model.training


def test_wrong_and_changed_cells() -> None:
    steps = trace(Sudoku(SCRIPT), PUZZLE, 0, CONFIG)
    assert [wrong_cells(PUZZLE, step.tokens) for step in steps] == [[0, 3], [0], []]
    assert [changed_cells(steps, place) for place in range(3)] == [[], [3], [0]]
    unknown = Puzzle(PUZZLE.inputs, None, None, "")
    assert wrong_cells(unknown, steps[0].tokens) == []


def test_padding_of_the_solution_is_never_wrong() -> None:
    target = to_canvases([np.array([[1]], np.uint8)], 6)
    assert wrong_cells(Puzzle(target, target, None, ""), np.full(36, 7, np.uint8)) == [0, 1, 6]


def printed(one: Solved, info: TaskInfo = SUDOKU, symbols: Sequence[str] = SYMBOLS, **look: Any) -> str:
    out = io.StringIO()
    Console(**{"file": out, "width": 200, **look}).print(steps_table(one, info, symbols))
    return out.getvalue()


def shown(one: Solved, *more: Any) -> list[tuple[list[str], list[str]]]:
    """The two columns of every row of the table."""
    found = []
    for block in re.split("[┡├└].*\n", printed(one, *more))[1:-1]:
        left, right = zip(*(line.split("│")[1:3] for line in block.splitlines()), strict=True)
        facts = [line.strip() for line in left if line.strip()]
        found.append((facts, [line[1:-1].rstrip() for line in right]))
    return found


def test_each_step_has_its_board_its_numbers_and_a_sign_behind_wrong_and_changed_cells() -> None:
    rows = shown(solved())
    assert [facts for facts, _ in rows] == [
        ["puzzle"],
        ["1", "2 wrong", "halt 0.38"],
        ["2", "1 wrong", "1 changed", "halt 0.62", "stop"],
        ["3", "0 wrong", "1 changed", "halt 0.82"],
        ["solution"],
    ]
    first_lines = ["3 1 2 4 5 6" for _ in rows]
    first_lines[:4] = [". 1 2 . 5 6", "1!1 2 2!5 6", "1!1 2 4*5 6", "3*1 2 4 5 6"]
    assert [board[0] for _, board in rows] == first_lines
    assert {len(board) for _, board in rows} == {6}
    assert legend(solved()) == "! wrong (not as in the only solution)   * changed since the step before"


def test_a_cell_that_changed_to_another_wrong_token_is_wrong() -> None:
    rows = shown(solved([at({0: 1}, SOLUTION), at({0: 2}, SOLUTION)]))
    assert rows[2] == (["2", "1 wrong", "1 changed", "halt 0.62", "stop"], rows[2][1])
    assert rows[2][1][0] == "2!1 2 4 5 6"


def test_without_a_solution_nothing_is_called_wrong() -> None:
    one = solved(puzzle=Puzzle(PUZZLE.inputs, None, None, ""))
    assert not re.search("wrong|!|solution", printed(one))
    assert legend(one) == "* changed since the step before"
    assert legend(solved(SCRIPT[:1], one.puzzle)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["20", "79", "200"])
def test_a_board_is_printed_whole_however_narrow_the_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = TaskInfo("maze-hard", "lite", 30, 30, 6)
    maze = np.array([3, *[2] * 898, 4], np.uint8)
    there = opened(Scripted([maze], 6), info)
    lines = solve(monkeypatch, there, "S" + "." * 898 + "G", env={"COLUMNS": columns}).stdout.splitlines()
    boards = [line.split("│")[2] for line in lines if line.startswith("│")]
    assert [len(re.findall("[S.Go]", line)) for line in boards] == [30] * 90
    assert max(map(len, lines)) < 80


def test_colours_mark_wrong_changed_and_kept_cells() -> None:
    text = printed(solved(), force_terminal=True, color_system="standard", no_color=False)
    assert "\x1b[37;41m1\x1b[0m!" in text  # wrong at step 1: on red
    assert "\x1b[1;4;33m4\x1b[0m*" in text  # changed at step 2: bold, underlined, yellow
    assert "\x1b[2m5\x1b[0m " in text  # a given: dim
    assert "│ 3 1 2 4 5 6 │" in text  # the solution: as it is


def test_symbols_of_every_kind() -> None:
    maze = host().tasks.get("maze-hard").spec.symbols
    assert "".join(symbol_of(token, maze) for token in range(6)) == " #.SGo"
    assert [symbol_of(token, ()) for token in (0, 11)] == ["0", "11"]
    assert symbol_of(9, SYMBOLS) == "9"  # a code that has no symbol


def test_codes_of_two_digits_stay_in_columns() -> None:
    info = TaskInfo("codes", "mini", 1, 3, 12)
    puzzle = Puzzle(np.array([[1, 10, 3]], np.uint8), np.array([[11, 10, 3]], np.uint8), None, "")
    rows = shown(solved([puzzle.inputs[0]], puzzle, 12), info, ())
    assert [board[0] for _, board in rows] == [" 1 10  3", " 1!10  3", "11 10  3"]


def run(
    monkeypatch: pytest.MonkeyPatch, *words: object, script: Sequence[Tokens] = SCRIPT, **call: Any
) -> Result:
    return solve(monkeypatch, opened(Sudoku(script), SUDOKU), *words, **call)


def test_a_solved_sudoku(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(monkeypatch, TEXT)
    assert ended.exit_code == 0, ended.output
    lines = ended.stdout.splitlines()
    assert lines[0] == "6×6 Sudoku, 32 givens · scripted"
    assert "│ halt 0.62 │ 5 6 4 1 2 3 │\n│ stop " in ended.stdout
    assert lines[-4:] == [
        "! wrong (not as in the only solution)   * changed since the step before",
        "solved: equals the only solution",
        "obeys the rules: a full valid grid that keeps every given",
        "its own rule would have stopped after step 2 of 3",
    ]


def test_a_wrong_prediction_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(monkeypatch, TEXT, script=SCRIPT[:1])
    assert ended.exit_code == 0
    assert "wrong: 2 cells differ from the only solution" in ended.stdout
    assert "breaks the rules: row 1 holds 1 twice" in ended.stdout
    assert "would have stopped" not in ended.stdout
    assert "wrong: 1 cell differs from" in run(monkeypatch, TEXT, "--steps", 2).stdout


@pytest.mark.parametrize("way", ["stdin", "dash", "file"])
def test_a_puzzle_comes_from_anywhere(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "puzzle.txt").write_text("\ufeff" + TEXT + "\n", encoding="utf-8")
    words = {"stdin": [], "dash": ["-"], "file": [tmp_path / "puzzle.txt"]}[way]
    given = {} if way == "file" else {"input": TEXT}
    ended = run(monkeypatch, *words, **given)
    assert ended.exit_code == 0, ended.output
    assert ended.stdout == run(monkeypatch, TEXT).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([TEXT[:-1]], "the puzzle has 35 cells, not the 36 of a 6×6 Sudoku"),
        (["no/such/file.txt"], "there is no file no/such/file.txt, and as a puzzle: 'n' in the puzzle is no"),
        (["sudoku.txt"], "there is no file sudoku.txt"),
        (["."], ". is a folder; name the file of one puzzle"),
        ([" "], "the puzzle is empty"),
        ([TEXT, "--identity", "abc"], "--identity abc: puzzles of 'sudoku-extreme' have no identities"),
        ([TEXT, "--steps", "0"], "0 is not in the range x>=1"),
        ([TEXT, "--figure", "steps.png"], "--figure steps.png: name a file that ends in .gif"),
        ([TEXT, "--figure", "no/steps.gif"], "--figure no/steps.gif: there is no folder no"),
        ([TEXT, "--device", "tpu"], "--device 'tpu' is not known; choose one of auto, cpu, cuda, mps"),
        ([TEXT, "--set", "hidden"], "--set 'hidden': write key=value"),
    ],
)
def test_what_is_wrong_is_named(words: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(monkeypatch, *words)
    assert ended.exit_code == 2
    assert message in ended.stderr
    assert ended.stdout == ""


def test_a_maze_too_long_for_a_file_name_is_a_maze(monkeypatch: pytest.MonkeyPatch) -> None:
    info = TaskInfo("maze-hard", "lite", 30, 30, 6)
    text = "S" + "." * 898 + "G"
    maze = np.array([{"S": 3, ".": 2, "G": 4}[cell] for cell in text], np.uint8)
    ended = solve(monkeypatch, opened(Scripted([maze], 6), info), text)
    assert ended.exit_code == 0, ended.output
    assert "30×30 maze, 58 moves from S to G" in ended.stdout


def test_a_terminal_without_a_puzzle_is_told_what_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    for stdin in (io.TextIOWrapper(Terminal()), None):
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(UsageError, match="no puzzle: pass its characters, the path of a file"):
            verb.read_puzzle(None)


def test_binary_files_are_no_puzzles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.bin").write_bytes(b"\xff\xfe\x00")
    ended = run(monkeypatch, tmp_path / "model.bin")
    assert (ended.exit_code, "not UTF-8 text" in ended.stderr) == (2, True)


def test_a_task_that_reads_no_puzzles_says_which_do(monkeypatch: pytest.MonkeyPatch) -> None:
    info = TaskInfo("tiny", "mini", 1, 6, 5)
    ended = solve(monkeypatch, opened(Scripted([SOLUTION[:6]], 8), info), "123")
    assert ended.exit_code == 2
    assert "task 'tiny' reads no puzzles from text; " in ended.stderr
    assert "sudoku-extreme" in ended.stderr


def test_another_shortest_path_is_solved_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    maze = "S..\n..#\n..G"
    info = TaskInfo("maze-hard", "mini", 3, 3, 6)
    path = np.array([3, 5, 2, 2, 5, 1, 2, 5, 4], np.uint8)
    ended = solve(monkeypatch, opened(Scripted([path], 6), info), maze)
    assert "solved another way: 4 cells differ from the labelled shortest path" in ended.stdout
    assert "obeys the rules: a path from S to G of 4 moves, as short as any" in ended.stdout


def test_json_holds_every_step_and_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads(run(monkeypatch, TEXT, "--json").stdout)
    assert (content["model"], content["task"], content["scale"]) == ("scripted", "sudoku-extreme", "mini")
    (one,) = content["puzzles"]
    assert np.array_equal(one["puzzle"], PUZZLE.inputs.reshape(6, 6))
    assert np.array_equal(one["solution"], SOLUTION.reshape(6, 6))
    assert [step["step"] for step in one["steps"]] == [1, 2, 3]
    assert [step["wrong"] for step in one["steps"]] == [2, 1, 0]
    assert [step["changed"] for step in one["steps"]] == [None, 1, 1]
    assert [step["stops"] for step in one["steps"]] == [False, True, False]
    assert one["steps"][1]["halt_probability"] == pytest.approx(0.6225, abs=1e-4)
    for step, tokens in zip(one["steps"], SCRIPT, strict=True):
        assert np.array_equal(step["prediction"], tokens.reshape(6, 6))
    assert (one["correct"], one["valid"]) == (True, True)
    assert one["reason"] == "a full valid grid that keeps every given"


def test_output_that_is_not_utf8_is_written_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    there = opened(Sudoku(SCRIPT), SUDOKU)
    monkeypatch.setattr("trm_bench.harness.python.verbs.open_weights", lambda *_, **__: there)
    verb.command.main([TEXT, "--weights", "model.safetensors"], standalone_mode=False)
    out.flush()
    written = out.buffer.getvalue()  # type: ignore[attr-defined]
    assert written.startswith(b"6x6 Sudoku, 32 givens | scripted")
    assert b"| 2 wrong   | 4 5 6 3 1 2 |" in written
    assert b"?" not in written


def test_colours_reach_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"FORCE_COLOR": "1", "TERM": "xterm", "NO_COLOR": None, "COLUMNS": "200"}
    ended = run(monkeypatch, TEXT, env=env, color=True)
    assert "\x1b[37;41m1\x1b[0m" in ended.stdout
    plain = run(monkeypatch, TEXT, env={**env, "NO_COLOR": "1"}, color=True)
    assert "\x1b[" not in plain.stdout
    assert "1!1 2" in plain.stdout


ARC_PREDICTION = to_canvases([np.array([[6]], np.uint8)], 6)[0]
ARC_TASK = {
    "train": [{"input": [[1]], "output": [[2]]}],
    "test": [{"input": [[5]], "output": [[6]]}, {"input": [[7]]}],
}


def run_arc(monkeypatch: pytest.MonkeyPatch, path: Path, *words: object) -> tuple[Result, list[int]]:
    model = Scripted([ARC_PREDICTION], 12)
    path.write_text(json.dumps(ARC_TASK))
    ended = solve(monkeypatch, opened(model, ARC, ("abc", "def", "untrained")), path, *words)
    return ended, model.rows


def test_an_arc_task_finds_its_embedding_by_the_name_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, rows = run_arc(monkeypatch, tmp_path / "def.json")
    assert ended.exit_code == 0, ended.output
    assert rows == [5, 5]  # after the blank row and the four of abc
    assert "blank" not in ended.stdout
    first, second = ended.stdout.split("\n\nARC task, ")
    assert first.startswith("ARC task, test 1 of 2, 1×1 grid (def) · scripted")
    assert "solved: equals the true grid" in first
    assert "no rule to check: ARC predictions can only be compared with the true grid" in first
    assert second.startswith("test 2 of 2")
    assert "the solution is unknown" in second
    assert run_arc(monkeypatch, tmp_path / "x.json", "--identity", "abc")[1] == [1, 1]


@pytest.mark.parametrize("name", ["untrained", "unheard-of"])
def test_an_untrained_arc_task_has_a_blank_embedding_and_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, rows = run_arc(monkeypatch, tmp_path / f"{name}.json")
    assert rows == [0, 0]
    note = "note: the puzzle has no trained identity, so its puzzle embedding is blank: expect little"
    assert ended.stdout.count(note) == 2
    content = json.loads(run_arc(monkeypatch, tmp_path / f"{name}.json", "--json")[0].stdout)
    assert [one["blank_identity"] for one in content["puzzles"]] == [True, True]
    assert [one["correct"] for one in content["puzzles"]] == [True, None]
    assert [one["valid"] for one in content["puzzles"]] == [None, None]


def test_puzzles_without_identities_have_row_0() -> None:
    row = puzzle_row(opened(Sudoku(SCRIPT), SUDOKU).prepared, "some-file")
    assert (row.number, row.identity, row.blank) == (0, None, False)


def test_an_animation_shows_each_step_once_and_the_last_one_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "steps.gif"
    ended = run(monkeypatch, TEXT, "--figure", file)
    assert ended.exit_code == 0, ended.output
    assert f"wrote {file}" in ended.stderr
    with Image.open(file) as moving:
        assert (moving.format, moving.n_frames, moving.info["loop"]) == ("GIF", 3, 0)
        times = []
        for place in range(3):
            moving.seek(place)
            times.append(moving.info["duration"])
    assert times == [700, 700, 2500]
    assert [path.name for path in tmp_path.iterdir()] == ["steps.gif"]


def test_several_puzzles_have_an_animation_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_arc(monkeypatch, tmp_path / "def.json", "--figure", tmp_path / "steps.gif")
    assert sorted(path.name for path in tmp_path.glob("*.gif")) == ["steps-1.gif", "steps-2.gif"]


def test_figures_need_matplotlib_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UnavailableError, match=r"pip install 'trm-bench\[figures\]'"):
        animation.check(tmp_path / "steps.gif")
    ended = run(monkeypatch, TEXT, "--figure", tmp_path / "steps.gif")
    assert (ended.exit_code, ended.stdout) == (4, "")


def test_a_maze_from_a_pipe_is_marked_where_its_path_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "S.#..\n..#..\n..#..\n.....\n....G"
    maze = np.array([{"S": 3, ".": 2, "#": 1, "G": 4}[cell] for cell in text if cell != "\n"], np.uint8)
    ended = solve(monkeypatch, opened(Scripted([maze], 6), MAZE), "-", input=text)
    assert "│ S . # . .  │" in ended.stdout
    assert ended.stdout.count(".!") == 7
    assert "what it marks is not one path from S to G" in ended.stdout
