"""Options of the Python functions that are wrong are named, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import trm_bench
from trm_bench import UsageError

WRONG: dict[str, tuple[dict[str, object], str]] = {
    "an unknown model": ({"models": "miror"}, "unknown model 'miror'; did you mean 'mirror'?"),
    "no model": ({"models": []}, "--models is missing or names no model"),
    "no task": ({"task": None}, "--task is missing"),
    "an unknown task": ({"task": "tinny"}, "unknown task 'tinny'; did you mean 'tiny'?"),
    "an unknown keyword": ({"stpes": 3}, "setting stpes=3: unknown key; did you mean 'steps'?"),
    "a setting out of range": ({"steps": 0}, "setting steps=0: must be above 0"),
    "a setting of another kind": ({"settings": {"lr": "fast"}}, "setting lr=fast: not a number"),
    "an unknown axis": ({"match": "time"}, "--match time: choose one of steps, examples, flops"),
    "an unknown scale": ({"scale": "minni"}, "minni"),
    "an unknown device": ({"device": "tpu"}, "tpu"),
    "no number of a GPU": ({"gpus": "all"}, "--gpus all: write the numbers of GPUs"),
    "a GPU for a CPU": ({"device": "cpu", "gpus": [0]}, "--gpus 0 goes with --device cuda"),
    "an unknown evaluator": ({"evaluators": "exakt"}, "unknown evaluator 'exakt'; did you mean 'exact'?"),
    "no test item": ({"limit": 0}, "--limit 0: not a whole number from 1"),
    "fewer than no test items": ({"limit": -1}, "--limit -1: not a whole number from 1"),
    "no process": ({"jobs": 0}, "--jobs 0: not a whole number from 1"),
    "too many processes": ({"jobs": 2**31}, "--jobs 2147483648: at most 1,024 processes"),
    "an empty device": ({"device": ""}, "--device is empty: give a value, or leave it out"),
    "an empty scale": ({"scale": ""}, "--scale is empty: give a value, or leave it out"),
    "an empty baseline": ({"baseline": ""}, "--baseline is empty: give a value, or leave it out"),
    "no evaluator": ({"evaluators": ","}, "--evaluators ',': names none"),
    "an empty path": ({"output": ""}, "--output is empty: give a value, or leave it out"),
    "an empty file": ({"train": [""]}, "--train '': an empty path"),
    "a NUL in a path": ({"data": "a\0b"}, "--data 'a\\x00b': holds a NUL"),
    "no path at all": ({"data": "a\ud800"}, "holds characters that no path can have"),
    "too many augmentations": ({"augmentations": 2**63}, "augmentations"),
    "too large a batch": ({"batch_size": 2**40}, "setting batch_size=1099511627776: at most 16,777,216"),
    "too many steps": ({"steps": 2**60}, "setting steps=1152921504606846976: at most"),
    "half a process": ({"jobs": 0.5}, "--jobs 0.5: not a whole number from 1"),
    "no augmentation": ({"augmentations": 0}, "--augmentations 0: not a whole number from 1"),
    "no seed": ({"seeds": []}, "--seeds: no seed is named"),
    "half a seed": ({"seeds": 0.5}, "--seeds '0.5': cannot read '0.5'"),
    "a seed below 0": ({"seeds": [0, -1]}, "cannot read '-1'"),
    "a study and models": ({"study": "depth"}, "--models cannot be combined with --study; study depth"),
    "an unknown study": ({"models": (), "task": None, "study": "dept"}, "did you mean 'depth'?"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_wrong_options_are_named_and_nothing_is_written(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    options = {"models": "mirror", "task": "tiny", "output": tmp_path / "out", **change}
    with pytest.raises(UsageError) as caught:
        trm_bench.run(**options)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_has_to_be_named() -> None:
    with pytest.raises(UsageError, match="name at least one output folder"):
        trm_bench.load_results()


ODD: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"models": ("copy", None)}, "None is no name"),
    "no list of names": ({"models": 3}, "3 is no name"),
    "no path": ({"models": "copy", "output": b"out"}, "b'out' is no path"),
    "a number as a path": ({"models": "copy", "output": 3}, "3 is no path"),
    "no mapping": ({"models": "copy", "settings": ["steps=3"]}, "write a mapping, such as"),
    "no value": ({"models": "copy", "steps": None}, "setting steps=None: leave it out for the default"),
}


@pytest.mark.parametrize(("options", "why"), ODD.values(), ids=ODD)
def test_a_value_of_another_type_is_named(options: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        trm_bench.run(task="tiny", **{"output": tmp_path / "out", **options})
    assert why in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [{"limit": 3}, {"evaluators": "exact"}, {"output": "out"}])
def test_an_option_that_means_nothing_in_a_call_is_refused(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    for call in (
        lambda: trm_bench.prepare("tiny", **options),
        lambda: trm_bench.measure_speed("copy", "tiny", **options),
    ):
        with pytest.raises(UsageError, match=f"{name}={value} means nothing here"):
            call()


@pytest.mark.parametrize(
    "options", [{"limit": 3}, {"jobs": 2}, {"on": "slurm"}, {"output": "out"}, {"evaluators": "exact"}]
)
def test_a_model_is_opened_without_options_of_runs(options: dict[str, Any], tmp_path: Path) -> None:
    ((name, value),) = options.items()
    with pytest.raises(UsageError, match=f"open_model: {name}={value} means nothing here"):
        trm_bench.open_model(tmp_path, **options)


def test_puzzles_are_prepared_here() -> None:
    with pytest.raises(UsageError, match="prepare: on=slurm means nothing here"):
        trm_bench.prepare("tiny", on="slurm")
