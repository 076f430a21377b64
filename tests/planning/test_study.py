"""What a study may declare, and what is refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.studies import ask, definition, write_yaml
from trm_bench.harness.api.budget import Match
from trm_bench.harness.api.embedding_rows import PuzzleIds
from trm_bench.harness.api.errors import TrmBenchError, UnavailableError, UsageError
from trm_bench.harness.planning.evaluation_mode import EvaluationMode
from trm_bench.harness.planning.study import (
    FILE,
    TRAINED,
    Declared,
    Subject,
    canonical_evaluation,
    checked,
    declared_in,
    questions,
    read_definition,
    subject,
    write_declared,
)
from trm_bench.harness.store.checked import DamagedResult

UNHURRIED = settings(deadline=None)  # the machine may be busy

# --- what could not be run -----------------------------------------------------------------------

GOOD = definition(ask("mirror", "copy"), models=["mirror", "copy"])
SEVERAL = definition(ask("mirror @ steps=2", "copy"), models=["mirror", "copy"], evaluations=["steps=2"])


def refusal(tmp_path: Path, content: object) -> str:
    """Why a file is refused; it must say which file."""
    path = tmp_path / "bad.yaml"
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        write_yaml(path, content)
    with pytest.raises(TrmBenchError) as caught:
        read_definition(path)
    assert str(caught.value).startswith(f"study {path}: ")
    assert caught.value.exit_code in (2, 4)
    return str(caught.value).removeprefix(f"study {path}: ")


def test_a_good_study_is_read_as_it_stands(tmp_path: Path) -> None:
    study = read_definition(write_yaml(tmp_path / "good.yaml", SEVERAL))
    assert (study.name, study.seeds, list(study.grids)) == ("made", "0-4", ["main"])
    assert study.grids["main"].match is Match.STEPS
    assert not study.grids["main"].share


BAD: dict[str, tuple[object, str]] = {
    "no YAML": ("models: [", "not YAML .*line 1"),
    "a list": ([GOOD], "must be a mapping of keys"),
    "nothing": ("", "must be a mapping of keys"),
    "an unknown key": ({**GOOD, "modles": []}, "modles: unknown key"),
    "an unknown key of a contrast": (
        {**GOOD, "contrasts": [ask("mirror", "copy"), {**ask("mirror", "copy"), "c": "x"}]},
        r"contrasts\.1\.c: unknown key",
    ),
    "an unknown key of a grid": (
        {**GOOD, "grids": {"main": {"stpes": 3}}},
        r"main\.stpes: unknown key",
    ),
    "a name that leads out of the output folder": (
        {**GOOD, "name": "../../elsewhere"},
        "name: must be of letters, digits, _, . and -, because a folder is called so",
    ),
    "grids that differ in case alone": (
        {**GOOD, "grids": {"main": {}, "Main": {}}},
        "grids: names that differ in case alone are one folder",
    ),
    "no contrasts": ({key: GOOD[key] for key in GOOD if key != "contrasts"}, "contrasts: is missing"),
    "an empty list of contrasts": ({**GOOD, "contrasts": []}, "contrasts: must have at least 1"),
    "no models": ({**GOOD, "models": []}, "models: must have at least 1"),
    "a number for a model": ({**GOOD, "models": [1, "copy"]}, r"models\.0: must be text"),
    "no question": ({**GOOD, "contrasts": [{"a": "mirror", "b": "copy"}]}, r"contrasts\.0\.asks: is missing"),
    "an unknown model": (
        {**GOOD, "contrasts": [ask("mirror", "copy"), ask("mirror", "coppy")]},
        "contrast 2: b: the study has no model 'coppy'; did you mean 'copy'",
    ),
    "an unknown option of a model": (
        {**GOOD, "contrasts": [ask("mirror[hidden=3]", "copy")]},
        r"contrast 1: a: the study has no model 'mirror\[hidden=3\]'; did you mean 'mirror'",
    ),
    "an unknown evaluation": (
        {**SEVERAL, "contrasts": [ask("mirror @ steps=3", "copy")]},
        "contrast 1: a: the study has no evaluation 'steps=3'; did you mean 'steps=2'",
    ),
    "an evaluation of a study without any": (
        {**GOOD, "contrasts": [ask("mirror", "copy @ steps=2")]},
        "contrast 1: b: the study has no evaluation 'steps=2'; known: none",
    ),
    "an unknown grid": (
        {**GOOD, "contrasts": [ask("mirror", "copy", grid="mian")]},
        "contrast 1: the study has no grid 'mian'; did you mean 'main'",
    ),
    "a label of an unknown model": (
        {**GOOD, "labels": {"coppy": "nothing"}},
        "labels: the study has no model 'coppy'; did you mean 'copy'",
    ),
    "an unknown axis": (
        {**GOOD, "grids": {"main": {"match": "time"}}},
        r"main\.match: choose one of",
    ),
    "one share for all scales": (
        {**GOOD, "grids": {"main": {"match": "flops", "share": 0.5}}},
        r"grids\.main\.share: must be a mapping of keys and values",
    ),
    "a share of nothing": (
        {**GOOD, "grids": {"main": {"share": {"mini": 0}}}},
        r"grids\.main\.share\.mini: must be above 0",
    ),
    "settings in a list": ({**GOOD, "grids": {"main": {"settings": [3]}}}, r"grids\.main\.settings: "),
    "no augmentations": (
        {**GOOD, "grids": {"main": {"augmentations": 0}}},
        r"grids\.main\.augmentations: must be above 0",
    ),
}


@pytest.mark.parametrize(("content", "why"), BAD.values(), ids=BAD)
def test_a_mistake_is_refused_with_file_and_place(content: object, why: str, tmp_path: Path) -> None:
    assert re.search(why, refusal(tmp_path, content), re.DOTALL)


@pytest.mark.parametrize("content", [[GOOD], "", 3])
def test_a_file_that_is_no_mapping_is_refused_as_that(content: object, tmp_path: Path) -> None:
    assert not refusal(tmp_path, content).startswith(": ")


WITHOUT_PLACE: dict[str, tuple[Mapping[str, Any], str]] = {
    "a model": ({**GOOD, "models": ["mirror[", "copy"]}, "models"),
    "a side of a contrast": ({**GOOD, "contrasts": [ask("mirror[hidden", "copy")]}, "contrast 1: a"),
    "a label": ({**GOOD, "labels": {"mirror[": "x"}}, "labels"),
}


@pytest.mark.parametrize(("content", "place"), WITHOUT_PLACE.values(), ids=WITHOUT_PLACE)
def test_brackets_that_do_not_close_are_refused_with_file_and_place(
    content: Mapping[str, Any], place: str, tmp_path: Path
) -> None:
    assert refusal(tmp_path, content).startswith(place)


NEVER_RUN: dict[str, Mapping[str, Any]] = {
    "an unknown setting of an evaluation": {**GOOD, "evaluations": ["stepz=1"]},
    "no number of steps": {**GOOD, "evaluations": ["steps=many"]},
    "seeds that are none": {**GOOD, "seeds": "one"},
    "no grid at all": {**GOOD, "grids": {}},
    "a grid outside of the study's folder": {**GOOD, "grids": {"../../elsewhere": {}}},
    "a grid where another's evaluations are kept": {**GOOD, "grids": {"main": {}, "main-evaluated": {}}},
}


@pytest.mark.parametrize("content", NEVER_RUN.values(), ids=NEVER_RUN)
def test_what_could_never_be_run_is_refused_when_the_file_is_read(
    content: Mapping[str, Any], tmp_path: Path
) -> None:
    refusal(tmp_path, content)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name, why in (("missing.yaml", "No such file"), ("binary.yaml", "truncated data")):
        with pytest.raises(UnavailableError, match=re.escape(str(tmp_path / name)) + f".*{why}"):
            read_definition(tmp_path / name)


def test_numbers_in_settings_are_read_as_set_would_have_them(tmp_path: Path) -> None:
    grids = {"main": {"settings": {"steps": 3, "lr": 0.001, "deterministic": False}}, "other": None}
    study = read_definition(write_yaml(tmp_path / "good.yaml", {**GOOD, "grids": grids}))
    assert study.grids["main"].settings == {"steps": "3", "lr": "0.001", "deterministic": "False"}
    assert study.grids["other"].settings == {}


def test_a_stored_definition_is_read_back_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert declared_in(tmp_path) is None
    declared = Declared(study=checked(SEVERAL, "here"), scale="mini", resolved={"main": {"mirror": "copy"}})
    write_declared(tmp_path, declared)
    assert declared_in(tmp_path) == declared
    (tmp_path / FILE).write_text('{"study"')
    with pytest.raises(DamagedResult, match=rf"{re.escape(str(tmp_path))}/study\.json: cannot be read"):
        declared_in(tmp_path)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"asks": "in other words?"}, True),
        ({"source": "a book"}, True),
        ({"labels": {"mirror": "glass"}}, True),
        ({"contrasts": [ask("mirror", "copy", "Really?")]}, True),
        ({"contrasts": [ask("copy", "mirror")]}, False),
        ({"contrasts": [ask("mirror", "copy", grid="main")]}, False),
        ({"models": ["mirror", "copy", "mirror[hidden=3]"]}, False),
        ({"seeds": "0-2"}, False),
        ({"evaluations": ["steps=2"]}, False),
        ({"grids": {"main": {"share": {"mini": 0.5}}}}, False),
        ({"task": "maze-hard"}, False),
    ],
)
def test_wording_may_be_changed_and_anything_else_is_another_study(
    change: Mapping[str, Any], same: bool
) -> None:
    before, after = checked(GOOD, "here"), checked({**GOOD, **change}, "here")
    assert (questions(before) == questions(after)) is same


# --- sides of a contrast -------------------------------------------------------------------------

NUMBERS = st.none() | st.integers(1, 10_000)
MODES = st.builds(EvaluationMode, NUMBERS, st.booleans(), NUMBERS, st.none() | st.sampled_from(PuzzleIds))


@UNHURRIED
@given(MODES)
def test_a_mode_is_read_back_from_its_label(mode: EvaluationMode) -> None:
    assert EvaluationMode.parse(mode.label) == mode
    assert canonical_evaluation(mode.label) == mode.label


@UNHURRIED
@given(MODES, st.randoms(use_true_random=False))
def test_the_order_of_the_settings_does_not_matter(mode: EvaluationMode, random: Any) -> None:
    pairs = mode.label.split(",")
    random.shuffle(pairs)
    assert canonical_evaluation(" , ".join(pairs)) == mode.label
    assert EvaluationMode.parse(",".join(pairs)) == mode


@UNHURRIED
@given(st.permutations(["T=2", "n=4", "lr=0.1"]), st.permutations(["steps=8", "votes=3", "halting=true"]))
def test_a_side_is_the_same_in_whatever_order_it_is_written(model: list[str], mode: list[str]) -> None:
    written = f" trm[{','.join(model)}]@ {', '.join(mode)} "
    found = subject(written)
    assert found == Subject("trm[T=2,lr=0.1,n=4]", "halting=true,steps=8,votes=3")
    assert subject(str(found)) == found


def test_a_side_without_an_evaluation_is_the_end_of_training() -> None:
    assert subject("trm") == subject("trm @ ") == Subject("trm", TRAINED)
    assert str(subject("trm")) == "trm"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("halting=True", "halting=true"),
        ("halting=false", ""),
        ("steps=08", "steps=8"),
        ("steps = 8", "steps=8"),
    ],
)
def test_an_evaluation_is_found_in_every_form_that_is_understood(text: str, label: str) -> None:
    assert canonical_evaluation(text) == label


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("stepz=1", "evaluation 'stepz=1': cannot read 'stepz=1'; did you mean 'steps'"),
        ("steps=0", "steps: '0' is not a number of supervision steps from 1 to 100000"),
        ("votes=none", "votes=none: not a whole number"),
        ("votes=0", "votes=0: must be above 0"),
        ("halting=perhaps", "evaluation 'halting=perhaps': halting=perhaps: write true or false"),
        ("halting=yes", "evaluation 'halting=yes': halting=yes: write true or false"),
        ("puzzle_ids=mine", "puzzle_ids=mine: choose one of own, blank or shuffled"),
        ("steps", "evaluation 'steps': cannot read 'steps'"),
    ],
)
def test_a_mode_that_does_not_exist_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        EvaluationMode.parse(text)
