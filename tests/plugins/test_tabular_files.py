"""Which tables are for training and which for the test: whole words, no candidate taken without a word."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from trm_bench.plugins.tabular_files import Tables, find_tables, stem, words

from trm_bench import BuildRequest, DataError


def request(folder: Path | None = None, **more: Any) -> BuildRequest:
    return BuildRequest("lite", 0, "official", folder, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    touch(tmp_path / "data", "train.csv", "test.csv")
    return tmp_path / "data"


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("")


def found(tables: Tables) -> tuple[list[str], list[str], list[str]]:
    train, test, left_out = (
        [path.name for path in paths] for paths in (tables.train, tables.test, tables.left_out)
    )
    return train, test, left_out


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.csv", "train"), ("Train.CSV", "train"), ("TRAIN.csv.gz", "train"), ("my train.csv", "train"),
        ("sudokuTrain.csv", "train"), ("TrainSet.csv", "train"), ("sudoku-train_1k.csv.gz", "train"),
        ("9.train.tsv", "train"), ("train2.csv", "train"), ("training.csv", "train"), ("(train.csv", "train"),
        ("test-00000-of-00001.csv", "test"), ("MAZE_TEST.csv", "test"), ("testing.csv.gz", "test"),
        ("constraints.csv", ""), ("with-constraints.csv", ""), ("sudoku-latest.csv", ""), ("contest.csv", ""),
        ("trained.csv", ""), ("strain.csv", ""), ("fastest2.csv", ""), ("untrain.csv", ""), ("valid.csv", ""),
    ],
)  # fmt: skip
def test_a_table_is_told_by_a_whole_word(name: str, split: str, tmp_path: Path) -> None:
    other = {"train": ["zz-test.csv"], "test": ["zz-train.csv"], "": ["zz-test.csv", "zz-train.csv"]}[split]
    touch(tmp_path, name, *other)
    train, test, left_out = found(find_tables(request(tmp_path)))
    assert (name in train, name in test, name in left_out) == (split == "train", split == "test", split == "")


def test_a_name_is_cut_where_its_case_changes() -> None:
    assert words("SudokuTrain-00.x") == ["sudoku", "train", "x"]
    assert words("HTMLTest") == ["html", "test"]
    assert stem(Path("a/Train 1.csv.GZ")) == "Train 1"


def test_tables_of_no_split_are_named(folder: Path) -> None:
    touch(folder, "constraints.csv", "dev.csv.gz", "readme.txt")
    assert find_tables(request(folder)).notes == (
        "not read, as no word of the name is train or test: constraints.csv, dev.csv.gz",
    )
    assert find_tables(request(folder, training=False)).notes != ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train.csv.gz",), r"train\.csv\.gz: train\.csv is there as well; keep one"),
        (("train.tsv",), r"train\.csv is there as well"),
        (("train-hard.csv",), r"several train tables, .*: train-hard\.csv, train\.csv; choose with --train"),
        (("old-test.csv",), r"several test tables, .*: old-test\.csv, test\.csv; choose with --test FILE"),
        (("train_v2.csv",), r"several train tables"),
        (("train (copy).csv",), r"several train tables"),
        (("train_10k.csv",), r"several train tables"),
        (("test_train.csv",), r"both 'train' and 'test'; rename it .* --train FILE and --test FILE"),
    ],
)  # fmt: skip
def test_several_candidates_are_refused_by_name(names: tuple[str, ...], message: str, folder: Path) -> None:
    touch(folder, *names)
    with pytest.raises(DataError, match=message):
        find_tables(request(folder))


@pytest.mark.parametrize(
    "parts",
    [
        ["train.csv", "train2.csv", "train3.csv"],
        ["train-00000-of-00002.csv", "train-00001-of-00002.csv"],
        ["train-00001-of-00002.csv", "train-00002-of-00002.csv"],
        ["train-00000-of-00001.csv"],
        ["train_01.csv", "train_02.csv.gz"],
    ],
)
def test_numbered_parts_of_a_table_are_read_in_their_order(parts: list[str], tmp_path: Path) -> None:
    touch(tmp_path, "test.csv", *parts)
    assert found(find_tables(request(tmp_path))) == (parts, ["test.csv"], [])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["test-00000-of-00003.csv", "test-00002-of-00003.csv"], "part 1 of 3 of the test table is missing"),
        (["test-00002-of-00003.csv", "test-00003-of-00003.csv"], "part 1 of 3 of the test table is missing"),
        (["test-00000-of-00002.csv"], "part 1 of 2 of the test table is missing"),
        (["test-0-of-1.csv", "test-0-of-2.csv", "test-1-of-2.csv"], "parts of one test table next to others"),
    ],
)
def test_a_table_in_parts_must_be_whole(parts: list[str], message: str, tmp_path: Path) -> None:
    touch(tmp_path, "train.csv", *parts)
    with pytest.raises(DataError, match=f"{message}.*{parts[0]}.*--test FILE"):
        find_tables(request(tmp_path))
    assert found(find_tables(request(tmp_path, test=(tmp_path / parts[0],))))[1] == parts[:1]


@pytest.mark.parametrize("below", ["snapshots/abc/train.csv", "data/train.csv", "train/data.csv"])
def test_tables_in_folders_of_the_folder_are_named(below: str, tmp_path: Path) -> None:
    touch((tmp_path / below).parent, Path(below).name)
    touch(tmp_path / ".git", "train.csv")
    words = f"tables there: none; tables below it: {below}; give their folder with --data; or name it with"
    with pytest.raises(DataError, match=words):
        find_tables(request(tmp_path))


def test_a_table_that_is_named_twice_is_refused(folder: Path) -> None:
    for option in ("train", "test"):
        path = folder / f"{option}.csv"
        with pytest.raises(DataError, match=rf"--{option} .*{option}\.csv: named twice"):
            find_tables(request(folder, **{option: (path, path)}))


# --- files that are named ------------------------------------------------------------------------------


def test_named_files_are_read_and_the_folder_gives_the_rest(folder: Path, tmp_path: Path) -> None:
    touch(folder, "train-hard.csv")
    touch(tmp_path, "mine.csv", "more.csv")
    chosen = find_tables(request(folder, train=(folder / "train-hard.csv",)))
    assert found(chosen) == (["train-hard.csv"], ["test.csv"], [])
    both = find_tables(
        request(train=(folder / "train.csv",), test=(tmp_path / "mine.csv", tmp_path / "more.csv"))
    )
    assert found(both) == (["train.csv"], ["mine.csv", "more.csv"], [])


def test_named_files_that_cannot_be_meant_are_refused(folder: Path, tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    for paths, message in (
        ((tmp_path / "nowhere.csv",), r"--test .*nowhere\.csv: No such file"),
        ((tmp_path / "notes.txt",), r"--test .*notes\.txt: no table; its name must end in \.csv"),
        ((folder / "train.csv",), r"train\.csv: the same file is to be trained on"),
    ):
        with pytest.raises(DataError, match=message):
            find_tables(request(folder, test=paths))
    with pytest.raises(DataError, match="--test without --train: name the train table too"):
        find_tables(request(test=(folder / "test.csv",)))


def test_where_nothing_is_trained_a_test_table_is_enough(folder: Path) -> None:
    alone = request(test=(folder / "test.csv",), training=False)
    assert found(find_tables(alone)) == ([], ["test.csv"], [])
    (folder / "train.csv").unlink()
    assert found(find_tables(request(folder, training=False))) == ([], ["test.csv"], [])
    with pytest.raises(DataError, match=r"no train table; .* as a word .*; or name it with --train FILE"):
        find_tables(request(folder))
    (folder / "test.csv").unlink()
    with pytest.raises(DataError, match="no test table"):
        find_tables(request(folder, training=False))


# --- the world is not ideal ------------------------------------------------------------------------------


def test_names_that_begin_with_a_dot_are_no_data(folder: Path) -> None:
    touch(folder, "._train.csv", "._test.csv", ".train-old.csv", ".DS_Store")
    touch(folder / "train-folder.csv")
    assert found(find_tables(request(folder))) == (["train.csv"], ["test.csv"], [])


def test_links_are_followed_and_broken_ones_are_named(folder: Path, tmp_path: Path) -> None:
    touch(tmp_path / "store", "a.csv")
    (folder / "train.csv").unlink()
    (folder / "train.csv").symlink_to(tmp_path / "store" / "a.csv")
    (tmp_path / "link").symlink_to(folder)
    assert found(find_tables(request(tmp_path / "link"))) == (["train.csv"], ["test.csv"], [])
    (tmp_path / "store" / "a.csv").unlink()
    with pytest.raises(DataError, match=r"train\.csv: No such file"):
        find_tables(request(folder))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_the_place_of_a_table_is_refused_at_once(folder: Path) -> None:
    (folder / "test.csv").unlink()
    os.mkfifo(folder / "test.csv")
    with pytest.raises(DataError, match=r"test\.csv: is a pipe or device, not a file"):
        find_tables(request(folder))
