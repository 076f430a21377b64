"""`trm-bench solve`: the answer after every step, what is marked, the verdict, and the pictures."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from matplotlib.patches import Rectangle
from PIL import Image
from rich.console import Console
from support.solving import ARC, MAZE, SUDOKU, Scripted, opened, solve
from trm_bench.harness.api.errors import UnavailableError, UsageError
from trm_bench.harness.api.puzzles import PuzzleSet, Tokens
from trm_bench.harness.cli import solve as verb
from trm_bench.harness.host.host import host
from trm_bench.harness.inference.inference import InferenceConfig, predict
from trm_bench.harness.inference.one_puzzle import changed_cells, puzzle_row, trace, wrong_cells
from trm_bench.harness.report import strips
from trm_bench.harness.report.boards import Look, boards, legend, symbol_of
from trm_bench.plugins.arc.grids import to_canvases

from trm_bench import Halting, Output, Puzzle, Reasoner, TaskInfo


def sudoku_tokens(text: str) -> Tokens:
    return np.array([1 if cell == "." else int(cell) + 1 for cell in text if cell != "\n"], np.uint8)


def at(cells: dict[int, int], tokens: Tokens) -> Tokens:
    """The tokens with some digits changed."""
    changed = tokens.copy()
    for cell, digit in cells.items():
        changed[cell] = digit + 1
    return changed


SOLUTION = sudoku_tokens("312456456312123564564123231645645231")
QUESTION = Puzzle(
    at(dict.fromkeys((0, 3, 10, 35), 0), SOLUTION)[None],
    SOLUTION[None],
    None,
    "a Sudoku",
    "the only solution",
)
TEXT = "".join("." if token == 1 else str(token - 1) for token in QUESTION.inputs[0])
SCRIPT = [at({0: 1, 3: 2}, SOLUTION), at({0: 1}, SOLUTION), SOLUTION]
"""Two wrong cells, one, none."""
SYMBOLS = ("", "", *"123456")
HOW = InferenceConfig(torch.device("cpu"))
PLAIN, COLOURED = Look(False, 200), Look(True, 200)
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
def test_the_last_step_is_what_a_run_would_have_answered(halting: Halting) -> None:
    torch.manual_seed(0)
    model = Counting(halting).train()
    rows = np.array([2], np.int32)
    puzzles = PuzzleSet(QUESTION.inputs, SOLUTION[None], np.array(["a"]), np.array(["a"]), rows)
    steps = trace(model, QUESTION, 2, HOW)
    predicted = predict(model, puzzles, HOW)
    assert [step.number for step in steps] == [1, 2, 3, 4]
    assert np.array_equal(steps[-1].answer, predicted.tokens[0])
    wants = [step.number for step in steps if step.wants_to_halt]
    assert (wants[0] if wants else 4) == predicted.halt_steps[0]
    if halting is Halting.NONE:
        assert all(step.halt_probability is None for step in steps)
    else:
        assert steps[-1].halt_probability == predicted.halt_probability[0]
    assert model.training  # as it was


def test_the_row_of_the_embedding_reaches_the_model() -> None:
    torch.manual_seed(0)
    model = Counting(Halting.NONE)
    answers = [trace(model, QUESTION, row, HOW)[-1].answer.tolist() for row in range(3)]
    assert answers[0] != answers[1] or answers[1] != answers[2]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_steps_may_be_fewer_or_more_than_the_models_own(count: int) -> None:
    steps = trace(Sudoku(SCRIPT), QUESTION, 0, HOW, count)
    assert [step.number for step in steps] == list(range(1, count + 1))
    assert np.array_equal(steps[-1].answer, SCRIPT[min(count, 3) - 1])


def test_a_failing_model_keeps_its_mode() -> None:
    model = Sudoku([SOLUTION[:5]]).train()
    model.forward = None  # type: ignore[assignment, method-assign]
    with pytest.raises(TypeError):
        trace(model, QUESTION, 0, HOW)
    assert model.training


def test_wrong_and_changed_cells() -> None:
    steps = trace(Sudoku(SCRIPT), QUESTION, 0, HOW)
    assert [wrong_cells(QUESTION, step.answer) for step in steps] == [[0, 3], [0], []]
    assert [changed_cells(steps, place) for place in range(3)] == [[], [3], [0]]
    unknown = Puzzle(QUESTION.inputs, None, None, "")
    assert wrong_cells(unknown, steps[0].answer) == []


def test_padding_of_the_truth_is_never_wrong() -> None:
    target = to_canvases([np.array([[1]], np.uint8)], 6)
    question = Puzzle(target, target, None, "")
    answer = np.full(36, 7, np.uint8)
    assert wrong_cells(question, answer) == [0, 1, 6]


def shown(look: Look, steps: int = 3, question: Puzzle = QUESTION, info: TaskInfo = SUDOKU) -> list[str]:
    found = trace(Sudoku(SCRIPT), question, 0, HOW, steps)
    return [line.plain for line in boards(question, found, info, SYMBOLS, look)]


def test_signs_stand_behind_wrong_and_changed_cells_in_columns() -> None:
    lines = shown(PLAIN)
    assert lines[0].split("  ")[0] == "question"
    assert "step 1, 2 wrong" in lines[0]
    assert "step 2, 1 wrong" in lines[0]
    assert lines[0].endswith("truth")
    assert lines[2].split("   ")[0].startswith(".")
    first = lines[2]
    width = lines[0].index("step 2") - lines[0].index("step 1")
    start = lines[0].index("step 1")
    panels = [first[start + width * place :][:18].rstrip() for place in range(3)]
    assert panels == ["1! 1  2  2! 5  6", "1! 1  2  4* 5  6", "3* 1  2  4  5  6"]


def test_a_cell_that_changed_to_another_wrong_token_has_both_signs() -> None:
    script = [at({0: 1}, SOLUTION), at({0: 2}, SOLUTION)]
    found = trace(Sudoku(script), QUESTION, 0, HOW)
    lines = boards(QUESTION, found, SUDOKU, SYMBOLS, PLAIN)
    assert "2!*1  2  4" in lines[2].plain


def test_without_a_truth_nothing_is_called_wrong() -> None:
    question = Puzzle(QUESTION.inputs, None, None, "")
    lines = shown(PLAIN, question=question)
    assert not any("wrong" in line or "!" in line or "truth" in line for line in lines)
    steps = trace(Sudoku(SCRIPT), question, 0, HOW)
    assert legend(question, steps, PLAIN).plain == "* changed since the step before"
    assert "wrong" not in legend(question, steps, COLOURED).plain
    assert legend(question, steps[:1], PLAIN).plain == ""


def test_boards_go_side_by_side_as_far_as_they_fit() -> None:
    assert len(shown(PLAIN)) == 8
    narrow = shown(Look(False, 45))
    assert max(map(len, narrow)) <= 45
    assert sum(line == "" for line in narrow) == 2  # three rows of two, two, and one
    assert len(shown(Look(False, 1))) > len(narrow)  # one below another, however narrow


def rendered(*styled: Any) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", width=200, no_color=False)
    for line in styled:
        console.print(line, soft_wrap=True)
    return out.getvalue()


def test_colours_mark_wrong_changed_and_kept_cells() -> None:
    steps = trace(Sudoku(SCRIPT), QUESTION, 0, HOW)
    lines = boards(QUESTION, steps, SUDOKU, SYMBOLS, COLOURED)
    assert not any("!" in line.plain or "*" in line.plain for line in lines)
    first = rendered(lines[2])
    assert "\x1b[37;41m1\x1b[0m" in first  # wrong at step 1: on red
    assert "\x1b[1;4;33m4\x1b[0m" in first  # changed at step 2: bold, underlined, yellow
    assert "\x1b[2;34m5\x1b[0m" in first  # a given: dim
    assert "\x1b[34m5\x1b[0m" in first  # the same cell of question and truth: its colour alone


def test_colour_is_left_out_where_it_would_not_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(encoding: str = "utf-8", **options: Any) -> Look:
        file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        return Look.of(Console(file=file, width=90, **options))

    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert look(force_terminal=True) == Look(True, 90)
    assert look() == Look(False, 90)
    assert not look("ascii", force_terminal=True).coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert not look(force_terminal=True).coloured


def test_symbols_of_every_kind() -> None:
    maze = host().tasks.get("maze-hard").spec.symbols
    assert "".join(symbol_of(token, maze) for token in range(6)) == " #.SGo"
    assert [symbol_of(token, ()) for token in (0, 11)] == ["0", "11"]
    assert symbol_of(9, SYMBOLS) == "9"  # a code that has no symbol


def test_codes_of_two_digits_stay_in_columns() -> None:
    info = TaskInfo("codes", "mini", 1, 3, 12)
    question = Puzzle(np.array([[1, 10, 3]], np.uint8), np.array([[11, 10, 3]], np.uint8), None, "")
    steps = trace(Scripted([question.inputs[0]], 12), question, 0, HOW)
    lines = [line.plain for line in boards(question, steps, info, (), PLAIN)]
    assert lines[2].split() == ["1", "10", "3", "1!", "10", "3", "11", "10", "3"]


def run(
    monkeypatch: pytest.MonkeyPatch, *words: object, script: Sequence[Tokens] = SCRIPT, **call: Any
) -> Result:
    return solve(monkeypatch, opened(Sudoku(script), SUDOKU), *words, **call)


def test_a_solved_sudoku(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(monkeypatch, TEXT)
    assert ended.exit_code == 0, ended.output
    lines = ended.stdout.splitlines()
    assert lines[0] == "6×6 Sudoku, 32 givens · scripted"
    assert lines[-4:] == [
        "! wrong (not as in the only solution)   * changed since the step before",
        "solved: equals the only solution",
        "obeys the rules: a full valid grid that keeps every given",
        "its own rule would have stopped after step 2 of 3",
    ]
    assert "halt 0.62 stop" in ended.stdout


def test_a_wrong_answer_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
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
        ([TEXT, "--figure", "steps.bmp"], "--figure steps.bmp: name a file that ends in .png"),
        ([TEXT, "--figure", "no/steps.png"], "--figure no/steps.png: there is no folder no"),
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
    asked = np.array([{"S": 3, ".": 2, "G": 4}[cell] for cell in text], np.uint8)
    ended = solve(monkeypatch, opened(Scripted([asked], 6), info), text)
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
    assert "task 'tiny' reads no typed puzzles; " in ended.stderr
    assert "sudoku-extreme" in ended.stderr


def test_another_shortest_path_is_solved_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    maze = "S..\n..#\n..G"
    info = TaskInfo("maze-hard", "mini", 3, 3, 6)
    answer = np.array([3, 5, 2, 2, 5, 1, 2, 5, 4], np.uint8)
    ended = solve(monkeypatch, opened(Scripted([answer], 6), info), maze)
    assert "solved another way: 4 cells differ from the labelled shortest path" in ended.stdout
    assert "obeys the rules: a path from S to G of 4 moves, as short as any" in ended.stdout


def test_json_holds_every_step_and_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads(run(monkeypatch, TEXT, "--json").stdout)
    assert (content["model"], content["task"], content["scale"]) == ("scripted", "sudoku-extreme", "mini")
    (one,) = content["puzzles"]
    assert np.array_equal(one["question"], QUESTION.inputs.reshape(6, 6))
    assert np.array_equal(one["truth"], SOLUTION.reshape(6, 6))
    assert [step["step"] for step in one["steps"]] == [1, 2, 3]
    assert [step["wrong"] for step in one["steps"]] == [2, 1, 0]
    assert [step["changed"] for step in one["steps"]] == [None, 1, 1]
    assert [step["wants_to_halt"] for step in one["steps"]] == [False, True, True]
    assert one["steps"][1]["halt_probability"] == pytest.approx(0.6225, abs=1e-4)
    for step, answer in zip(one["steps"], SCRIPT, strict=True):
        assert np.array_equal(step["answer"], answer.reshape(6, 6))
    assert (one["right"], one["obeys"]) == (True, True)
    assert one["words"] == "a full valid grid that keeps every given"


def test_output_that_is_not_utf8_is_written_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    there = opened(Sudoku(SCRIPT), SUDOKU)
    question = there.task.spec.parse(TEXT, SUDOKU)[0]
    verb._print(there, [verb._solve(there, question, None, None, None)])
    out.flush()
    written = out.buffer.getvalue()  # type: ignore[attr-defined]
    assert written.startswith(b"6x6 Sudoku, 32 givens , scripted")
    assert b"1! 1  2  2! 5  6" in written


def test_colours_reach_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"FORCE_COLOR": "1", "TERM": "xterm", "NO_COLOR": None, "COLUMNS": "200"}
    ended = run(monkeypatch, TEXT, env=env, color=True)
    assert "\x1b[37;41m1\x1b[0m" in ended.stdout
    assert "!" not in ended.stdout
    plain = run(monkeypatch, TEXT, env={**env, "NO_COLOR": "1"}, color=True)
    assert "\x1b[" not in plain.stdout
    assert "1! 1  2" in plain.stdout


ARC_ANSWER = to_canvases([np.array([[6]], np.uint8)], 6)[0]
ARC_TASK = {
    "train": [{"input": [[1]], "output": [[2]]}],
    "test": [{"input": [[5]], "output": [[6]]}, {"input": [[7]]}],
}


def run_arc(monkeypatch: pytest.MonkeyPatch, path: Path, *words: object) -> tuple[Result, list[int]]:
    model = Scripted([ARC_ANSWER], 12)
    path.write_text(json.dumps(ARC_TASK))
    ended = solve(monkeypatch, opened(model, ARC, ("abc", "def", "untrained")), path, *words)
    return ended, model.rows


def test_an_arc_task_finds_its_vector_by_the_name_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, rows = run_arc(monkeypatch, tmp_path / "def.json")
    assert ended.exit_code == 0, ended.output
    assert rows == [5, 5]  # after the blank row and the four of abc
    assert "blank" not in ended.stdout
    first, second = ended.stdout.split("\n\nARC task, ")
    assert first.startswith("ARC task, test 1 of 2, 1×1 grid (def) · scripted")
    assert "solved: equals the true grid" in first
    assert "no rule to check: ARC answers can only be compared with the true grid" in first
    assert second.startswith("test 2 of 2")
    assert "the true answer is not known" in second
    assert run_arc(monkeypatch, tmp_path / "x.json", "--identity", "abc")[1] == [1, 1]


@pytest.mark.parametrize("name", ["untrained", "unheard-of"])
def test_an_untrained_arc_task_is_answered_blank_and_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, rows = run_arc(monkeypatch, tmp_path / f"{name}.json")
    assert rows == [0, 0]
    note = "note: the puzzle has no trained identity: its vector is blank, expect little"
    assert ended.stdout.count(note) == 2
    content = json.loads(run_arc(monkeypatch, tmp_path / f"{name}.json", "--json")[0].stdout)
    assert [one["blank_identity"] for one in content["puzzles"]] == [True, True]
    assert [one["right"] for one in content["puzzles"]] == [True, None]
    assert [one["obeys"] for one in content["puzzles"]] == [None, None]


def test_puzzles_without_identities_have_row_0() -> None:
    row = puzzle_row(opened(Sudoku(SCRIPT), SUDOKU).prepared, "some-file")
    assert (row.number, row.identity, row.blank) == (0, None, False)


def frames_of(figure: Any) -> list[dict[str, int]]:
    """Frames of wrong and of changed cells in each board."""
    found = []
    for axes in figure.axes:
        edges = [patch.get_edgecolor() for patch in axes.patches if isinstance(patch, Rectangle)]
        red = sum(edge[0] > 0.5 for edge in edges)
        found.append({"wrong": red, "changed": len(edges) - red})
    return found


def test_a_strip_frames_wrong_and_changed_cells() -> None:
    steps = trace(Sudoku(SCRIPT), QUESTION, 0, HOW)
    figure = strips.strip(QUESTION, steps, SUDOKU, SYMBOLS, "title")
    assert [axes.get_title() for axes in figure.axes] == [
        "question",
        "step 1, 2 wrong\nhalt 0.38",
        "step 2, 1 wrong\nhalt 0.62 stop",
        "step 3, 0 wrong\nhalt 0.82 stop",
        "truth",
    ]
    found = frames_of(figure)
    assert [each["wrong"] for each in found] == [0, 2, 1, 0, 0]
    assert [each["changed"] for each in found] == [0, 0, 1, 1, 0]


def test_many_steps_wrap_into_rows() -> None:
    steps = trace(Sudoku(SCRIPT), QUESTION, 0, HOW, 16)
    figure = strips.strip(QUESTION, steps, SUDOKU, SYMBOLS, "title")
    tops = {round(axes.get_subplotspec().rowspan.start) for axes in figure.axes}
    assert tops == {0, 1, 2}
    assert len(figure.axes) == 18
    unknown = Puzzle(QUESTION.inputs, None, None, "")
    figure = strips.strip(unknown, steps, SUDOKU, SYMBOLS, "title")
    assert [axes.axison for axes in figure.axes] == [True] * 17 + [False]
    assert sum(each["wrong"] for each in frames_of(figure)) == 0


@pytest.mark.parametrize("suffix", ["png", "PNG", "svg"])
def test_a_strip_is_written_whole_and_the_same_every_time(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        ended = run(monkeypatch, TEXT, "--figure", file)
        assert ended.exit_code == 0, ended.output
        assert f"wrote {file}" in ended.stderr
    assert files[0].read_bytes() == files[1].read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {file.name for file in files}
    if suffix == "svg":
        assert "solved: equals the only solution" in files[0].read_text()
    else:
        assert Image.open(files[0]).format == "PNG"


def test_a_gif_has_a_frame_for_each_step_and_stays_on_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, TEXT, "--figure", tmp_path / "steps.gif").exit_code == 0
    with Image.open(tmp_path / "steps.gif") as moving:
        assert (moving.format, moving.n_frames, moving.info["loop"]) == ("GIF", 3, 0)
        times = []
        for place in range(3):
            moving.seek(place)
            times.append(moving.info["duration"])
    assert times == [700, 700, 2500]


def test_several_questions_have_a_figure_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_arc(monkeypatch, tmp_path / "def.json", "--figure", tmp_path / "steps.png")
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["steps-1.png", "steps-2.png"]


def test_a_failing_write_leaves_the_old_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "steps.png").write_bytes(b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    steps = trace(Sudoku(SCRIPT), QUESTION, 0, HOW)
    with pytest.raises(OSError, match="full"):
        strips.save(tmp_path / "steps.png", QUESTION, steps, SUDOKU, SYMBOLS, "title")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_figures_need_matplotlib_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UnavailableError, match=r"pip install 'trm-bench\[figures\]'"):
        strips.check(tmp_path / "steps.png")
    ended = run(monkeypatch, TEXT, "--figure", tmp_path / "steps.png")
    assert (ended.exit_code, ended.stdout) == (4, "")


def test_the_maze_of_the_page_is_marked_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    maze = "S.#..\n..#..\n..#..\n.....\n....G"
    asked = np.array([{"S": 3, ".": 2, "#": 1, "G": 4}[cell] for cell in maze if cell != "\n"], np.uint8)
    ended = solve(monkeypatch, opened(Scripted([asked], 6), MAZE), "-", input=maze)
    rows = [line.split("   step")[0] for line in ended.stdout.splitlines()]
    assert "S  .  #  .  ." in rows[4]
    assert ended.stdout.count(".!") == 7
    assert "what it marks is not one path from S to G" in ended.stdout
