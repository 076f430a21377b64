"""Damaged files of a result folder, and files of users: named or read, and never believed in silence."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.folders import quick
from support.fuzzing import Watched, no_training, odd, watched
from support.stored import run

__all__ = ["no_training", "odd", "quick", "watched"]

FUZZ = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
Damage = Callable[[bytes], bytes]


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """A flipped bit, a cut, a piece taken out or put in, or deep nesting."""
    kind = draw(st.sampled_from(["flip", "cut", "out", "in", "nest", "empty", "double"]))
    place, bit = draw(st.floats(0, 0.999)), draw(st.integers(0, 7))
    pieces = [b"\0", b"\xff\xfe", b"1", b'"', b"}", b"[" * 5000, b"NaN", b"-1e999", b"\n"]
    piece = draw(st.sampled_from(pieces))

    def damaged(content: bytes) -> bytes:
        at = int(place * len(content))
        if kind == "flip" and content:
            return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
        if kind == "cut":
            return content[:at]
        if kind == "out":
            return content[:at] + content[at + 7 :]
        if kind == "in":
            return content[:at] + piece + content[at:]
        if kind == "nest":
            return b"[" * 100_000 + content
        return b"" if kind == "empty" else content + content

    return damaged


def changed(content: Any, pick: random.Random) -> Any:
    """JSON with one value in it exchanged for another."""
    if isinstance(content, dict) and content:
        key = pick.choice(sorted(content))
        return {**content, key: changed(content[key], pick)}
    if isinstance(content, list) and content:
        place = pick.randrange(len(content))
        return [*content[:place], changed(content[place], pick), *content[place + 1 :]]
    others = [None, True, -1, 1e308, "x", "\x1b[31m", [], {}, [[]], 10**30, "../.."]
    return pick.choice([one for one in others if one != content])


# --- results -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    return run(folder / "whole", "copy", "mirror", seeds="0-1")


def files_of(folder: Path) -> list[Path]:
    """Every file of a result folder that is read again, by its relative path."""
    kept = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return [path.relative_to(folder) for path in kept if path.suffix != ".safetensors"]


def tried(folder: Path, file: Path, content: bytes, call: Watched) -> str:
    """The report of a folder one of whose files has other content; every other verb must cope, too."""
    place = folder.parent / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place)
    (place / file).write_bytes(content)
    report = call("report", place, "--json")
    call("cite", place)
    call("compare", "copy", "mirror", place)
    verified = call("verify", place)
    assert verified.code or not report.code, file
    if len(file.parts) > 1:
        call("show", (place / file).parent)
    if report.code:
        assert report.err.strip(), file
        return ""
    return report.out


@pytest.mark.slow
@FUZZ
@given(damage=damages(), pick=st.integers(0, 10**6))
def test_a_damaged_file_of_a_result_changes_no_number_in_silence(
    damage: Damage, pick: int, results: Path, watched: Watched
) -> None:
    files = files_of(results)
    file = files[pick % len(files)]
    whole = (results / file).read_bytes()
    content = damage(whole)
    usual = said_by(watched("report", results, "--json").out)
    if file.name == "metrics.jsonl" or content == whole:
        return
    out = tried(results, file, content, watched)
    assert not out or said_by(out) == usual, file


@pytest.mark.slow
@FUZZ
@given(pick=st.integers(0, 10**6))
def test_an_edited_value_in_a_result_changes_no_number_in_silence(
    pick: int, results: Path, watched: Watched
) -> None:
    files = [file for file in files_of(results) if file.suffix == ".json"]
    file = files[pick % len(files)]
    whole = json.loads((results / file).read_bytes())
    content = json.dumps(changed(whole, random.Random(pick))).encode()
    usual = said_by(watched("report", results, "--json").out)
    out = tried(results, file, content, watched)
    assert not out or said_by(out) == usual, file


def said_by(report: str) -> Any:
    """A report without what another folder changes, and without the remark that requests cannot be read."""
    found = json.loads(report)
    if not found:
        return found
    remarks = [one for one in found["remarks"] if "requests.json: " not in one]
    return [*(found[name] for name in ("tables", "studies", "overall")), remarks]


# --- users' files --------------------------------------------------------------------------------

SOLVED = "".join(str((3 * row + row // 3 + column) % 9 + 1) for row in range(9) for column in range(9))
ARC = {
    split: {
        "train": [
            {"input": [[0, 1], [2, size]], "output": [[1, 0]]},
            {"input": [[size] * 3], "output": [[0]]},
        ],
        "test": [{"input": [[4, size]], "output": [[5], [size]]}],
    }
    for split, size in (("training", 3), ("evaluation", 7))
}


def table(first: int) -> bytes:
    """Twelve Sudoku puzzles with one solution."""
    rows = [f"made,{SOLVED[:cell]}.{SOLVED[cell + 1 :]},{SOLVED},3\n" for cell in range(first, first + 12)]
    return ("source,question,answer,rating\n" + "".join(rows)).encode()


def edited(whole: Any, damage: Damage, pick: int, edit: bool) -> bytes:
    """JSON with another value in it, or with damaged bytes."""
    if edit:
        return json.dumps(changed(whole, random.Random(pick))).encode()
    return damage(json.dumps(whole).encode())


@pytest.mark.slow
def test_what_is_damaged_below_is_read_as_long_as_it_is_whole(watched: Watched, odd: Path) -> None:
    folder = odd / "whole"
    folder.mkdir()
    for place, name in enumerate(("train", "test")):
        (folder / f"{name}.csv").write_bytes(table(40 * place))
    ended = watched("prepare", "--task", "sudoku-extreme", "--scale", "lite", "--data", folder)
    assert ended.code == 0, ended.err
    for split in ("training", "evaluation"):
        (folder / "data" / split).mkdir(parents=True)
        (folder / "data" / split / f"{split[:4]}0000.json").write_text(json.dumps(ARC[split]))
    ended = watched("prepare", "--task", "arc-agi-1", "--scale", "mini", "--data", folder)
    assert ended.code == 0, ended.err


@pytest.mark.slow
@FUZZ
@given(damage=damages(), packed=st.booleans(), which=st.sampled_from(["train", "test"]))
def test_a_damaged_table_of_puzzles_is_read_or_refused(
    damage: Damage, packed: bool, which: str, watched: Watched, odd: Path
) -> None:
    folder = odd / "tables"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for place, name in enumerate(("train", "test")):
        content = gzip.compress(table(40 * place)) if packed else table(40 * place)
        suffix = ".csv.gz" if packed else ".csv"
        (folder / (name + suffix)).write_bytes(damage(content) if name == which else content)
    watched("prepare", "--task", "sudoku-extreme", "--scale", "lite", "--data", folder)


@pytest.mark.slow
@FUZZ
@given(damage=damages(), pick=st.integers(0, 10**6), edit=st.booleans())
def test_a_damaged_task_of_arc_is_read_or_refused(
    damage: Damage, pick: int, edit: bool, watched: Watched, odd: Path
) -> None:
    folder = odd / "tasks"
    shutil.rmtree(folder, ignore_errors=True)
    for split in ("training", "evaluation"):
        (folder / "data" / split).mkdir(parents=True)
        (folder / "data" / split / f"{split[:4]}0000.json").write_text(json.dumps(ARC[split]))
    content = edited(ARC["evaluation"], damage, pick, edit)
    (folder / "data" / "evaluation" / "bb000001.json").write_bytes(content)
    watched("prepare", "--task", "arc-agi-1", "--scale", "mini", "--data", folder)


@pytest.mark.slow
@FUZZ
@given(damage=damages(), pick=st.integers(0, 10**6), edit=st.booleans())
def test_a_damaged_submission_is_scored_or_refused(
    damage: Damage, pick: int, edit: bool, watched: Watched, odd: Path
) -> None:
    whole = {"00576224": [{"attempt_1": [[0, 1]], "attempt_2": [[2]]}]}
    (odd / "submission.json").write_bytes(edited(whole, damage, pick, edit))
    ended = watched("score", odd / "submission.json", "--task", "arc-agi-1")
    assert ended.code != 0  # it holds one task of four hundred


STUDY = """
name: made
asks: which one?
task: tiny
models: [copy, mirror]
seeds: 0-1
contrasts:
  - {asks: "Is a better?", a: copy, b: mirror}
"""


@pytest.mark.slow
@FUZZ
@given(damage=damages(), option=st.sampled_from(["--study", "--config"]))
def test_a_damaged_yaml_file_is_read_or_refused(
    damage: Damage, option: str, watched: Watched, odd: Path
) -> None:
    text = STUDY if option == "--study" else "models: copy\ntask: tiny\nseeds: 0-1\nset: {steps: 3}\n"
    (odd / "made.yaml").write_bytes(damage(text.encode()))
    watched("run", option, "made.yaml", "--dry-run", "--output", "planned")
