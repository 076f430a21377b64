"""Official rows: finding them, refusing wrong ones, splitting them; and the hub, with a stand-in."""

from __future__ import annotations

import gzip
import hashlib
import sys

import numpy as np
import pytest
from support.hub import COMMIT, serve, unreachable_hub
from support.maze import to_tokens
from trm_bench.harness.api.errors import DataError, UnavailableError, UsageError
from trm_bench.harness.api.specs import BuildRequest
from trm_bench.harness.data.overlap import with_overlaps
from trm_bench.plugins.maze import grid
from trm_bench.plugins.maze.official import REPOSITORY, REVISION, load_mazes
from trm_bench.plugins.maze.symmetry import dihedral_cells
from trm_bench.plugins.maze.task import TASK, build, files

HEADER = "source,question,answer,rating"


def maze(number=0):
    """A 30x30 maze whose S and G stand in the corners of an open top row, and its label."""
    walls = np.where(np.random.default_rng(number).random(900) < 0.3, ord("#"), ord(" ")).astype(np.uint8)
    walls[:30] = ord(" ")
    walls[0], walls[29] = ord("S"), ord("G")
    question = walls.tobytes().decode()
    return question, "S" + "o" * 28 + question[29:]


def table(path, rows, header=HEADER):
    text = "\n".join([header, *(f"made,{question},{answer},30" for question, answer in rows)]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture
def folder(tmp_path):
    table(tmp_path / "train.csv", [maze(n) for n in range(20)])
    table(tmp_path / "my_test.csv.gz", [maze(n) for n in range(100, 105)])
    return tmp_path


def request(folder=None, scale="lite", source="official", seed=0, **options):
    return BuildRequest(scale=scale, seed=seed, source=source, folder=folder, options=options)


def test_a_folder_becomes_three_splits_with_named_files(folder):
    data = build(request(folder))
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 5)
    assert data.test.ids.tolist() == [f"test/my_test/{row}" for row in range(5)]
    assert grid.to_text(data.test.inputs[3]) == maze(103)[0]
    assert grid.to_text(data.test.targets[3]) == maze(103)[1]
    rows = sorted(int(name.split("/")[2]) for name in [*data.train.ids, *data.validation.ids])
    assert rows == list(range(20))
    assert data.train.ids[0].startswith("train/train/")
    assert data.validation.ids[0].startswith("validation/train/")
    assert data.source.kind == "official"
    assert data.source.caveats == ()
    note = "validation is 2 of the 20 train rows, chosen with seed 0; train has 18"
    assert note in data.source.notes
    expected = [("train.csv", 20), ("my_test.csv.gz", 5)]
    assert [(file.name, file.rows) for file in data.source.files] == expected
    assert data.source.files[0].sha256 == hashlib.sha256((folder / "train.csv").read_bytes()).hexdigest()
    assert [path.name for path in files(request(folder))] == ["train.csv", "my_test.csv.gz"]


def test_the_seed_chooses_the_validation_rows_and_nothing_else(folder):
    first, again, other = (build(request(folder, seed=seed)) for seed in (1, 1, 2))
    assert first.validation.fingerprint() == again.validation.fingerprint()
    assert first.validation.fingerprint() != other.validation.fingerprint()
    assert first.test.fingerprint() == other.test.fingerprint()


def test_more_than_a_thousand_train_rows_are_cut_and_it_says_so(folder):
    table(folder / "train2.csv", [maze(n) for n in range(200, 1300)])
    data = build(request(folder))
    assert (len(data.train), len(data.validation)) == (1000, 100)
    assert any("train has 1,000; 20 rows are unused" in note for note in data.source.notes)
    assert [file.name for file in data.source.files] == ["train.csv", "train2.csv", "my_test.csv.gz"]


def test_a_label_that_is_another_shortest_path_is_kept_and_counted(folder):
    question = "S" + " " * 899
    question = question[:31] + "G" + question[32:]
    right, down = question[:1] + "o" + question[2:], question[:30] + "o" + question[31:]
    table(folder / "my_test-2.csv", [(question, right)])
    assert any("1 of 6 test labels" in note for note in build(request(folder)).source.notes)
    table(folder / "my_test-2.csv", [(question, down)])
    assert not any("labels" in note for note in build(request(folder)).source.notes)


def test_a_turned_train_maze_in_test_is_a_caveat(folder):
    question, answer = (to_tokens(text)[dihedral_cells(30)[5]] for text in maze(3))
    table(folder / "my_test-2.csv", [(grid.to_text(question), grid.to_text(answer))])
    data = with_overlaps(TASK, build(request(folder)))
    assert data.source.caveats == ("1 of 6 test puzzles is trained on, up to the symmetries of maze-hard",)


def replaced(text, cell, letter):
    return text[:cell] + letter + text[cell + 1 :]


QUESTION, ANSWER = maze(50)
WALL_CELL = QUESTION.index("#")
OPEN_CELL = QUESTION.index(" ", 30)


def detour():
    """A label that leaves the top row at its start and comes back two cells on."""
    question, answer = QUESTION, ANSWER
    for cell in (30, 31, 32):
        question, answer = replaced(question, cell, " "), replaced(answer, cell, "o")
    return question, replaced(answer, 1, " ")


def unreachable():
    question = replaced(replaced(QUESTION, 1, "#"), 30, "#")
    return question, question


@pytest.mark.parametrize(
    ("question", "answer", "message"),
    [
        (QUESTION[:-1], ANSWER, "the question has 899 characters, not 900"),
        (QUESTION, ANSWER + " ", "the answer has 901 characters, not 900"),
        (replaced(QUESTION, 40, "x"), ANSWER, "the question has 'x' at cell 40"),
        (replaced(QUESTION, 40, "o"), ANSWER, "the question has 'o' at cell 40"),
        (QUESTION, replaced(ANSWER, 899, "."), "the answer has '.' at cell 899"),
        (replaced(QUESTION, 40, "S"), ANSWER, "the question has 2 S, not one"),
        (replaced(QUESTION, 29, " "), ANSWER, "the question has 0 G, not one"),
        (QUESTION, replaced(ANSWER, WALL_CELL, "o"), f"the answer changes cell {WALL_CELL} from '#' to 'o'"),
        (QUESTION, replaced(ANSWER, 0, "o"), "the answer changes cell 0 from 'S' to 'o'"),
        (QUESTION, replaced(ANSWER, OPEN_CELL, "#"), f"the answer changes cell {OPEN_CELL} from ' ' to '#'"),
        (QUESTION, replaced(ANSWER, 5, " "), "the answer is not a path from S to G"),
        (*detour(), "the answer has 31 moves, a shortest path has 29"),
        (*unreachable(), "no path leads from S to G"),
    ],
)
def test_a_wrong_row_is_refused_with_file_and_line(folder, question, answer, message):
    bad = table(folder / "my_test-2.csv", [maze(900), (question, answer)])
    with pytest.raises(DataError) as caught:
        build(request(folder))
    assert str(caught.value).startswith(f"{bad}, line 3: {message}")


def test_a_repeated_question_is_refused_by_the_names_of_both(folder):
    bad = table(folder / "train3.csv", [maze(7)])
    with pytest.raises(DataError, match=r"line 2: repeats the question of .*train\.csv, line 9") as caught:
        build(request(folder))
    assert str(bad) in str(caught.value)


def test_what_is_missing_in_a_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        build(request(tmp_path / "nowhere"))
    table(tmp_path / "other.csv", [maze()])
    with pytest.raises(DataError, match=r"no train table; .*'train'.*\.csv\.gz.*; tables there: other\.csv"):
        files(request(tmp_path))
    table(tmp_path / "train.csv", [maze()])
    with pytest.raises(DataError, match="no test table"):
        build(request(tmp_path))
    table(tmp_path / "train_test.csv", [maze()])
    with pytest.raises(DataError, match="both 'train' and 'test'"):
        build(request(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"source,question,rating\n", "line 1: the header lacks answer: source, question, rating; wanted: "),
        (b"", "no rows"),
        (b"\n\r\n", "no rows"),
        (b"source,question,answer,rating\n", "no rows"),
        (b"source,question,answer,rating\na,b\n", "line 2: 2 columns, not 4"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_broken_table_is_refused(folder, content, message):
    (folder / "my_test-2.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        build(request(folder))


def test_a_cut_off_gzip_file_is_refused(folder):
    whole = (folder / "my_test.csv.gz").read_bytes()
    (folder / "my_test.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"my_test\.csv\.gz: cannot be read"):
        build(request(folder))


def test_one_train_row_is_too_few(folder):
    table(folder / "train.csv", [maze()])
    with pytest.raises(DataError, match="at least 2"):
        build(request(folder))


@pytest.mark.parametrize("source", ["official", "hub"])
def test_official_mazes_are_refused_at_mini(folder, source):
    with pytest.raises(DataError, match="30x30 only; use --scale lite or --scale paper"):
        build(request(folder, scale="mini", source=source))


def test_options_and_folders_that_do_not_fit_the_source_are_refused(folder):
    with pytest.raises(UsageError, match="'revision' goes with the source 'hub'"):
        build(request(folder, revision="abc"))
    with pytest.raises(DataError, match="--data DIR"):
        build(request(None))


@pytest.fixture
def calls(monkeypatch, folder):
    """The calls of a hub that has the files."""
    (folder / "test.csv").write_bytes(gzip.decompress((folder / "my_test.csv.gz").read_bytes()))
    return serve(monkeypatch, folder)


@pytest.mark.parametrize(
    ("options", "commit"), [({}, REVISION), ({"revision": "f" * 40}, "f" * 40)], ids=["usual", "named"]
)
def test_one_pinned_commit_is_requested_of_the_hub(calls, options, commit):
    data = build(request(source="hub", **options))
    assert calls == [(REPOSITORY, name, "dataset", commit) for name in ("train.csv", "test.csv")]
    assert commit in data.source.summary
    assert (data.source.kind, data.source.caveats) == ("hub", ())
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 5)


def test_a_revision_that_is_not_pinned_is_a_caveat(calls):
    (caveat,) = build(request(source="hub", revision="v1")).source.caveats
    assert {one[3] for one in calls[1:]} == {COMMIT}
    assert caveat == f"the revision was not pinned: 'v1' was {COMMIT}; repeat with revision={COMMIT}"


def test_a_missing_package_and_a_failing_download_say_what_to_do(monkeypatch):
    unreachable_hub(monkeypatch)
    with pytest.raises(UnavailableError, match=r"could not fetch .*ConnectionError: no route.* --data DIR"):
        build(request(source="hub"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UnavailableError, match=r"pip install 'trm-bench\[hub\]'"):
        build(request(source="hub"))


def test_the_rule_reproduces_every_official_label(data_dir):
    for path in files(request(data_dir / "maze")):
        mazes = load_mazes([path])
        assert len(mazes) >= 800
        assert np.array_equal(grid.solve_all(mazes.questions, 30, 30), mazes.answers)


def test_the_official_folder_builds_without_remarks_on_labels(data_dir):
    data = build(request(data_dir / "maze"))
    assert (len(data.train), len(data.validation), len(data.test)) == (936, 64, 800)
    assert not any("labels" in note for note in data.source.notes)
    assert data.source.caveats == ()
    assert TASK.evaluators[0] == TASK.primary == "exact"
