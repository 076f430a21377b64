"""Tables as people have them: headers, delimiters, encodings, any name; and those that fill the memory."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from trm_bench.plugins import tabular
from trm_bench.plugins.tabular import Layout, Rows, read_rows

from trm_bench import DataError

LAYOUT = Layout(cells=4, question={"1": 1, "2": 2, ".": 3, ",": 4}, answer={"1": 1, "2": 2})
QUESTION, ANSWER = "1..2", "1122"


def read(tmp_path: Path, content: str | bytes, name: str = "train.csv") -> Rows:
    path = tmp_path / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") and isinstance(content, str) else data)
    return read_rows([path], LAYOUT)


def require_row(rows: Rows) -> None:
    assert len(rows) == 1
    assert rows.questions.tolist() == [[1, 3, 3, 2]]
    assert rows.answers.tolist() == [[1, 1, 2, 2]]


def test_a_pointer_of_git_lfs_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.csv\.gz: a Git LFS pointer, not the file; run git lfs pull"):
        read(tmp_path, b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "train.csv.gz")


@pytest.mark.parametrize(
    "text",
    [
        f"source,question,answer,rating\nx,{QUESTION},{ANSWER},1\n",
        f"puzzle,solution\n{QUESTION},{ANSWER}\n",
        f"quizzes,solutions\n{QUESTION},{ANSWER}\n",
        f"id,puzzle,solution,clues,difficulty\n7,{QUESTION},{ANSWER},2,1.5\n",
        f"id;Puzzle;Solution\n7;{QUESTION};{ANSWER}\n",
        f"solution\tquiz\n{ANSWER}\t{QUESTION}\n",
        f" Question , Answer \n{QUESTION},{ANSWER}\n",
        f'"puzzle","solution"\n"{QUESTION}","{ANSWER}"\n',
        f"{QUESTION},{ANSWER}\n",
        f"{QUESTION};{ANSWER}\n",
        f"17,{QUESTION},{ANSWER},a,b\n",
        f"x,{QUESTION},{ANSWER}",
        f"\n\r\n{QUESTION},{ANSWER}\n\n",
    ],
)
def test_usual_headers_and_delimiters_are_read(text: str, tmp_path: Path) -> None:
    require_row(read(tmp_path, text))
    require_row(read(tmp_path, text, "train.tsv.gz"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_and_line_ends_of_other_systems_are_read(encoding: str, end: str, tmp_path: Path) -> None:
    text = end.join(["puzzle,solution", f"{QUESTION},{ANSWER}", ""])
    require_row(read(tmp_path, text.encode(encoding)))
    assert read(tmp_path, text.encode(encoding)).lines.tolist() == [2]
    require_row(read(tmp_path, gzip.compress(text.encode(encoding)), "train.csv.gz"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "line 1: no header and no row: a, b; wanted: question (or questions, puzzle, "),
        ("id,puzzle\n", "line 1: the header lacks answer: id, puzzle; wanted: question"),
        ("grid,solution\n", "line 1: the header lacks question: grid, solution; wanted: question"),
        ("puzzle,question,answer\n", "line 1: the header has several columns for question: puzzle, question"),
        ("1..2,1122,1122,1122,x\n", "line 1: 4 columns as long as a puzzle and no header to tell them apart"),
        ("1..2,1122,a,b,x\n".replace("1122", "112"), "line 1: 5 columns and no header; wanted: question"),
        ("1..2,1122,1122\n", "line 1: 3 columns as long as a puzzle and no header to tell them apart"),
        ("puzzle,solution\n1..2,1122,9\n", "line 2: 3 columns, not 2"),
        ("puzzle,solution\n1..2;1122\n", "line 2: 1 columns, not 2"),
        ("puzzle,solution\n1..2,112\n", "line 2: the answer has 3 characters, not 4"),
        ("puzzle,solution\n", "no rows"),
        ("", "no rows"),
    ],
)
def test_other_headers_are_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert f"train.csv{', ' if message.startswith('line') else ': '}{message}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_of_any_name_is_read_and_its_rows_have_names_that_can_be_printed(tmp_path: Path) -> None:
    name = os.fsdecode(b"my tr\xe9 train.csv")
    try:
        rows = read(tmp_path, f"{QUESTION},{ANSWER}\n", name)
    except OSError:
        pytest.skip("no such names here")
    assert rows.name(0) == "my tr\\xe9 train/0"
    assert rows.files[0].name == "my tr\\xe9 train.csv"
    assert len(rows.puzzles(np.arange(1)).fingerprint()) == 64


# --- limits ----------------------------------------------------------------------------------------------


def test_a_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "_LONGEST_LINE", 50)
    with pytest.raises(DataError, match=r"train\.csv, line 2: longer than 50 characters"):
        read(tmp_path, f"{QUESTION},{ANSWER}\n" + "1" * 51)
    with pytest.raises(DataError, match=r"train\.csv, line 1: longer than 50 characters"):
        read(tmp_path, "1" * 51)


@pytest.mark.slow
def test_a_packed_table_that_is_a_bomb_is_refused_early_and_a_usual_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabular, "_UNPACKED_FREELY", 20_000)
    member = gzip.compress(b"\n" * 20_000_000)
    begun = gzip.compress(f"puzzle,solution\n{QUESTION},{ANSWER}\n".encode())
    with pytest.raises(DataError, match=r"train\.csv\.gz: unpacks to more than 100 times its size") as caught:
        read(tmp_path, begun + member * 100, "train.csv.gz")  # two gigabytes
    assert "\n" not in str(caught.value)
    require_row(read(tmp_path, begun + gzip.compress(b"\n" * 10_000), "train.csv.gz"))


def test_more_rows_than_can_be_held_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "_MOST_BYTES", 2 * 4 * 2)
    rows = [f"{question},{ANSWER}" for question in ("1..2", "1..1", "2..2")]
    assert len(read(tmp_path, "\n".join(rows[:2]))) == 2
    with pytest.raises(DataError, match="more than 2 rows in the split"):
        read(tmp_path, "\n".join(rows))
