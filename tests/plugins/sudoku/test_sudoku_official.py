"""The official and the hub source of the Sudoku task."""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hub import COMMIT, serve
from support.sudoku import HEADER, NINE, good, lines, made, row, text, write
from trm_bench.harness.api.errors import DataError, UnavailableError, UsageError
from trm_bench.harness.api.puzzles import TaskData
from trm_bench.harness.api.specs import BuildRequest
from trm_bench.harness.data.overlap import with_overlaps
from trm_bench.harness.host.host import host
from trm_bench.plugins import tabular
from trm_bench.plugins.sudoku import official
from trm_bench.plugins.sudoku.augment import SudokuSymmetries
from trm_bench.plugins.sudoku.board import BLANK
from trm_bench.plugins.sudoku.solver import solve
from trm_bench.plugins.sudoku.symmetry import invariants
from trm_bench.plugins.sudoku.task import build
from trm_bench.plugins.tabular_files import find_tables


def request_for(folder: Path | None, seed: int = 0, **more: Any) -> BuildRequest:
    return BuildRequest("lite", seed=seed, source="official", folder=folder, **more)


def build_from(folder: Path | None, seed: int = 0, **more: Any) -> TaskData:
    return build(request_for(folder, seed, **more))


def changed(string: str, at: int, character: str) -> str:
    return string[:at] + character + string[at + 1 :]


def test_rows_are_read_with_their_tokens_ids_and_files(tmp_path):
    data = build_from(good(tmp_path))
    assert (len(data.train), len(data.validation), len(data.test)) == (36, 4, 20)
    assert data.test.ids.tolist() == [f"test/{n}" for n in range(20)]
    assert np.array_equal(data.test.inputs, made().inputs[40:60])
    assert np.array_equal(data.test.targets, made().targets[40:60])
    train_file, test_file = data.source.files
    digest = hashlib.sha256((tmp_path / "train.csv").read_bytes()).hexdigest()
    assert (train_file.name, train_file.sha256, train_file.rows) == ("train.csv", digest, 40)
    assert (test_file.name, test_file.rows) == ("test.csv", 20)
    assert data.source.caveats == ()
    assert any("validation is 4 of the 40 train rows" in note for note in data.source.notes)
    assert any("test: 20 rows; the official test split has 422,786" in note for note in data.source.notes)


def test_the_seed_chooses_the_validation_rows_and_nothing_else(tmp_path):
    good(tmp_path)
    first, again, other = (build_from(tmp_path, seed) for seed in (0, 0, 1))
    assert first.validation.fingerprint() == again.validation.fingerprint()
    assert first.validation.fingerprint() != other.validation.fingerprint()
    assert first.test.fingerprint() == other.test.fingerprint()
    together = {*first.train.ids.tolist(), *first.validation.ids.tolist()}
    assert together == {f"train/{n}" for n in range(40)}


@pytest.mark.parametrize("task", ["sudoku-extreme", "maze-hard"])
@pytest.mark.parametrize(
    ("rows", "train", "validation"),
    [(2, 1, 1), (639, 576, 63), (640, 576, 64), (1000, 936, 64), (1063, 999, 64), (1064, 1000, 64),
     (1100, 1000, 100), (5000, 1000, 100)],
)  # fmt: skip
def test_sizes_of_train_and_validation(task, rows, train, validation):
    split = tabular.split_validation(rows, 3, task)
    assert (len(split.train), len(split.validation)) == (train, validation)
    together = np.concatenate([split.train, split.validation])
    assert len(np.unique(together)) == train + validation
    assert 0 <= together.min() <= together.max() < rows
    assert f"validation is {validation} of the {rows:,} train rows" in split.note
    assert (f"{rows - train - validation:,} rows are unused" in split.note) == (rows > train + validation)


def test_columns_are_found_by_header_or_by_position(tmp_path):
    question, answer = row(0)
    swapped = tmp_path / "swapped_train.csv.gz"
    swapped.write_bytes(gzip.compress(f"Answer,rating,Question\n{answer},1,{question}\n".encode()))
    bare = tmp_path / "bare_train.csv"
    bare.write_text(lines((question.replace(".", "0"), answer)))
    for path in (swapped, bare):
        rows = official.load_sudokus([path])
        assert text(rows.questions[0]) == question
        assert text(rows.answers[0]) == answer
        assert rows.name(0) == path.name.split(".")[0] + "/0"


def test_a_table_without_ratings_and_with_empty_lines_is_read(tmp_path):
    (question, answer), other = row(0), row(1)
    path = tmp_path / "train.csv"
    path.write_text(f"a,{question},{answer}\n\nb,{other[0]},{other[1]}\n")
    rows = official.load_sudokus([path])
    assert rows.lines.tolist() == [1, 3]
    assert np.array_equal(rows.questions, made().inputs[:2])


def test_lines_and_names_do_not_depend_on_the_batches(tmp_path, monkeypatch):
    tables = find_tables(request_for(good(tmp_path)))
    whole = official.load_sudokus(tables.all)
    monkeypatch.setattr(tabular, "_BATCH", 7)
    monkeypatch.setattr(official, "_CHUNK", 7)
    parts = official.load_sudokus(tables.all)
    assert np.array_equal(parts.questions, whole.questions)
    assert np.array_equal(parts.answers, whole.answers)
    assert parts.lines.tolist() == [*range(2, 42), *range(2, 22)] == whole.lines.tolist()
    assert [parts.name(n) for n in (0, 39, 40, 59)] == ["train/0", "train/39", "test/0", "test/19"]
    assert parts.where(45) == f"{tmp_path / 'test.csv'}, line 7"


def test_a_repeat_is_found_however_blanks_are_written_and_names_the_earlier_row(tmp_path):
    question, answer = row(2)
    again = (question.replace(".", "0"), answer)
    path = good(tmp_path) / "test-2.csv"
    path.write_text(lines(row(0), row(2), row(1), again, row(0)))
    with pytest.raises(DataError) as caught:
        build_from(tmp_path)
    assert str(caught.value) == f"{path}, line 4: repeats the question of {path}, line 2"


def test_questions_that_differ_in_one_cell_are_no_repeats(tmp_path):
    # All of them share one answer, so that nothing but the questions tells them apart.
    question, answer = row(0)
    blanks = [cell for cell in range(81) if question[cell] == "."]
    path = tmp_path / "train.csv"
    path.write_text(lines(*((changed(question, cell, answer[cell]), answer) for cell in blanks)))
    assert len(official.load_sudokus([path])) == len(blanks) == 41


def test_several_files_of_a_split_are_read_in_the_order_of_their_names(tmp_path):
    folder = good(tmp_path)
    (folder / "test-0.csv").write_text(lines(row(0)))
    assert build_from(folder).test.ids.tolist()[:2] == ["test-0/0", "test/0"]
    names = [path.name for path in official.files(request_for(folder))]
    assert names == ["train.csv", "test-0.csv", "test.csv"]


def test_a_test_puzzle_symmetric_to_a_training_puzzle_is_a_caveat(tmp_path):
    moved = SudokuSymmetries(NINE).transforms(3, np.arange(40), np.ones(40, np.int64))
    questions, answers = moved.apply(made().inputs[:40]), moved.apply(made().targets[:40])
    turned = [(text(q), text(a)) for q, a in zip(questions, answers, strict=True)]
    write(tmp_path, lines(*map(row, range(40))), lines(*turned, row(50)))
    data = with_overlaps(host().tasks.get(official.TASK).spec, build_from(tmp_path))
    assert data.source.caveats == (
        "36 of 41 test puzzles are trained on, up to the symmetries of sudoku-extreme",
        "4 of 41 test puzzles are in the validation split, up to the symmetries of sudoku-extreme",
    )
    assert len(set(data.test.clusters.tolist())) == 41


BAD_ROWS = {
    "the question has 80 characters, not 81": lambda q, a: (q[:-1], a),
    "the answer has 82 characters, not 81": lambda q, a: (q, a + "1"),
    "the question has 'x' at cell 5; it may hold '.0123456789'": lambda q, a: (changed(q, 5, "x"), a),
    "the answer has '.' at cell 5; it may hold '123456789'": lambda q, a: (q, changed(a, 5, ".")),
    "the answer repeats a digit in a row, column or box": lambda q, a: (q, changed(a, 0, a[1])),
    "the answer changes a given of the question": lambda q, a: (q, a.translate(str.maketrans("12", "21"))),
    "the question has several solutions": lambda _, a: ("." * 81, a),
    "the question has no blank cell": lambda _, a: (a, a),
    "the question has 0 characters": lambda *_: ("", ""),
    "repeats the question of ": lambda *_: None,
}


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("message", list(BAD_ROWS))
def test_a_bad_row_is_named_by_file_and_line(tmp_path, split, message):
    folder = good(tmp_path)
    first = 0 if split == "train" else 40
    rows = [row(n) for n in range(first, first + 15)]
    rows[6] = BAD_ROWS[message](*rows[6]) or rows[0]
    (folder / f"{split}.csv").write_text(HEADER + lines(*rows))
    with pytest.raises(DataError) as caught:
        build_from(folder)
    assert f"{split}.csv, line 8: {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,question,b\n", "train.csv, line 1: the header lacks answer"),
        (HEADER.encode() + b"one,two\n", "train.csv, line 2: 2 columns, not 4"),
        (HEADER.encode(), "train.csv: no rows"),
        (b"\xff\xfe\x00", "train.csv: cannot be read"),
        (b"one,two\n", "train.csv, line 1: no header and no row: one, two; wanted: question"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, message):
    (good(tmp_path) / "train.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        build_from(tmp_path)


def test_a_file_that_is_not_gzip_is_named(tmp_path):
    (good(tmp_path) / "train-2.csv.gz").write_bytes(b"plain")
    with pytest.raises(DataError, match=r"train-2\.csv\.gz: cannot be read"):
        build_from(tmp_path)


def test_what_is_missing_in_the_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="needs --data FOLDER"):
        build_from(None)
    with pytest.raises(DataError, match="nowhere: no such folder"):
        official.files(request_for(tmp_path / "nowhere"))
    with pytest.raises(
        DataError, match=r"no train table; .* contains 'train' as a word and ends in \.csv or \.csv\.gz"
    ):
        official.files(request_for(write(tmp_path / "a", test=lines(row(0)))))
    with pytest.raises(DataError, match="no test table"):
        official.files(request_for(write(tmp_path / "b", train=lines(row(0)))))
    (tmp_path / "b" / "train_test.csv").write_text("")
    with pytest.raises(DataError, match="both 'train' and 'test'"):
        official.files(request_for(tmp_path / "b"))


def test_a_table_that_is_there_packed_and_unpacked_is_refused(tmp_path):
    (good(tmp_path) / "test.csv.gz").write_bytes(gzip.compress(lines(row(0)).encode()))
    with pytest.raises(DataError, match=r"test\.csv\.gz: test\.csv is there as well; keep one"):
        official.files(request_for(tmp_path))


def test_a_revision_is_refused_where_nothing_is_fetched(tmp_path):
    request = BuildRequest(
        "lite", seed=0, source="official", folder=good(tmp_path), options={"revision": "v1"}
    )
    with pytest.raises(UsageError, match="'revision' goes with the source 'hub', not with 'official'"):
        build(request)


def test_one_train_row_is_too_few(tmp_path):
    write(tmp_path, lines(row(0)), lines(row(1)))
    with pytest.raises(DataError, match="at least 2 are needed"):
        build_from(tmp_path)


# --- the hub -------------------------------------------------------------------------------------


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The calls of a hub that has the files."""
    return serve(monkeypatch, good(tmp_path / "cache"))


def from_hub(**options: str) -> TaskData:
    return build(BuildRequest("paper", seed=0, source="hub", options=options))


@pytest.mark.parametrize(
    ("options", "commit"),
    [({}, official.REVISION), ({"revision": "f" * 40}, "f" * 40)],
    ids=["usual", "named"],
)
def test_the_hub_files_are_taken_at_one_pinned_commit(calls, options, commit):
    data = from_hub(**options)
    assert calls == [(official.REPOSITORY, f"{name}.csv", "dataset", commit) for name in ("train", "test")]
    assert commit in data.source.summary
    assert (data.source.kind, data.source.caveats, len(data.test)) == ("hub", (), 20)


def test_a_branch_is_resolved_first_and_a_caveat(calls):
    (caveat,) = from_hub(revision="main").source.caveats
    assert caveat == f"the revision was not pinned: 'main' was {COMMIT}; repeat with revision={COMMIT}"
    assert calls[0] == ("info", official.REPOSITORY, "main")
    assert {one[3] for one in calls[1:]} == {COMMIT}


def test_an_unknown_revision_is_an_error_of_the_environment(calls):
    with pytest.raises(UnavailableError, match=r"at revision 'v9' from the .* hub: RuntimeError: 404"):
        from_hub(revision="v9")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UnavailableError, match=r"pip install 'trm-bench\[hub\]'.* --data DIR"):
        from_hub()


# --- the real rows -------------------------------------------------------------------------------


def test_the_official_train_rows_are_solved_and_are_all_different(data_dir):
    names = ["sudoku-extreme_train_1k.csv.gz", "sudoku-extreme_officialmix_dev_500.csv.gz"]
    rows = official.load_sudokus([data_dir / "sudoku" / name for name in names])
    solved = solve(NINE, rows.questions)
    assert np.array_equal(solved.answers, rows.answers)
    assert (solved.solutions == 1).all()
    assert len(np.unique(invariants(NINE, rows.questions))) == 1500
    assert np.median(solved.guesses[:1000]) > 50


def test_a_question_with_several_solutions_is_refused(data_dir, tmp_path):
    questions = (
        gzip.decompress((data_dir / "sudoku" / "multi_solution_500.txt.gz").read_bytes()).decode().split()
    )
    tokens = np.array([[BLANK if c in ".0" else int(c) + 1 for c in questions[0]]], np.uint8)
    answer = text(solve(NINE, tokens).answers[0])
    (good(tmp_path) / "test.csv").write_text(lines(row(50), (questions[0], answer)))
    with pytest.raises(DataError, match=r"test\.csv, line 2: the question has several solutions"):
        build_from(tmp_path)
