"""Settings, as text of ``--set`` or keywords of `trm_bench.run`: checked before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.stored import asked, command, run, runs
from support.studies import QUICK, write_yaml
from trm_bench.harness.api.embedding_rows import PuzzleIds
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.planning.settings import MAX_SEED, OWN_KEYS, Settings, parse_seeds, read_settings
from trm_bench.harness.training.config import ExecutionConfig, TrainingConfig

import trm_bench

BAD = {
    "steps=0": "must be above 0",
    "steps=many": "not a whole number",
    "steps=2.5": "not a whole number",
    "batch_size=-1": "must be above 0",
    "examples=1e3": "not a whole number",
    "flops=0": "must be above 0.0",
    "flops=inf": "must be a finite number",
    "task_seed=-1": "must be at least 0",
    "threads=0": "must be above 0",
    "threads=99999999999": "must be at most 1024",
    "deterministic=maybe": "write true or false",
    "margin=0": "must be above 0.0",
    "margin=100": "must be below 100.0",
    "margin=nan": "must be a finite number",
    "votes=0": "must be above 0",
    "votes=none": "not a whole number",
    "puzzle_ids=gone": "choose one of own, blank or shuffled",
    "optimizer=adam": "choose one of adam-atan2 or muon",
    "clip=-1": "must be at least 0.0",
    "clip=nan": "must be a finite number",
    "clip=inf": "must be a finite number",
    "lr=fast": "not a number",
    "lr=0": "must be above 0.0",
    "lr=1e400": "must be a finite number",
    "weight_decay=-1": "must be at least 0.0",
    "beta1=1": "must be below 1.0",
    "beta2=-0.1": "must be at least 0.0",
    "embedding_lr=-1": "must be at least 0.0",
    "embedding_weight_decay=-1": "must be at least 0.0",
    "warmup=-1": "must be at least 0",
    "min_lr_ratio=2": "must be at most 1.0",
    "ema=1": "must be below 1.0",
    "exploration=1.1": "must be at most 1.0",
    "precision=fp8": "choose one of auto, float32 or bf16",
    "compile=perhaps": "write auto, or true or false",
    "microbatch=few": "write auto, or a whole number",
    "recompute=perhaps": "write true or false",
    "graph=2": "write true or false",
    "processes=0": "must be above 0",
    "evaluation_batch=0": "must be above 0",
    "validations=-1": "must be at least 0",
    "checkpoint_seconds=soon": "not a number",
    "checkpoint_seconds=0": "must be above 0.0",
    "checkpoint_steps=1.5": "not a whole number",
    "checkpoint_steps=0": "must be above 0",
}
GOOD: dict[str, Any] = {
    "steps": 20,
    "batch_size": 8,
    "examples": 100,
    "flops": 1e9,
    "task_seed": 7,
    "threads": 2,
    "deterministic": True,
    "margin": 1.5,
    "votes": 3,
    "puzzle_ids": PuzzleIds.BLANK,
    "lr": 2e-3,
    "warmup": 5,
    "precision": "bf16",
    "compile": True,
    "microbatch": 96,
    "processes": 2,
    "recompute": True,
    "checkpoint_seconds": 2.5,
    "checkpoint_steps": 9,
}
ALL_KEYS = {*OWN_KEYS, *TrainingConfig.model_fields, *ExecutionConfig.model_fields}


def pair(text: str) -> dict[str, str]:
    key, _, value = text.partition("=")
    return {key: value}


def refusal(pairs: dict[str, Any], *task_options: str) -> str:
    with pytest.raises(UsageError) as caught:
        read_settings(pairs, task_options)
    return str(caught.value)


# --- values ----------------------------------------------------------------------------------------


def test_no_setting_is_left_out_here() -> None:
    assert {text.partition("=")[0] for text in BAD} == ALL_KEYS


@pytest.mark.parametrize("text", ["steps=1_0", "lr=1_0.5", "task_seed=1_000"])
def test_a_number_has_no_underscores(text: str) -> None:
    assert refusal(pair(text)) == f"setting {text}: write numbers without underscores"


@pytest.mark.parametrize(("text", "why"), BAD.items())
def test_a_value_that_a_setting_cannot_have_is_refused_with_its_key(text: str, why: str) -> None:
    assert refusal(pair(text)) == f"setting {text}: {why}"


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("steps", 2.5, "not a whole number"),
        ("steps", "", "not a whole number"),
        ("lr", [1], "not a number"),
        ("deterministic", 3, "write true or false"),
        ("lr", float("nan"), "must be a finite number"),
        ("steps", True, "not a whole number"),
        ("lr", True, "not a number"),
    ],
)
def test_a_python_value_of_another_kind_is_refused_too(key: str, value: Any, why: str) -> None:
    assert refusal({key: value}) == f"setting {key}={value}: {why}"


def test_of_a_long_value_only_the_start_is_shown() -> None:
    assert refusal({"steps": "9" * 5000}) == f"setting steps={'9' * 60}…: not a whole number"


@pytest.mark.parametrize("as_text", [False, True])
def test_text_and_values_give_the_same_typed_settings(as_text: bool) -> None:
    pairs = {key: str(value).lower() if as_text else value for key, value in GOOD.items()}
    settings = read_settings(pairs)
    own = {key: getattr(settings, key) for key in OWN_KEYS}
    assert {**own, **settings.training, **settings.execution} == GOOD


@hypothesis_settings(deadline=None)  # the machine may be busy
@given(st.sets(st.sampled_from(sorted(GOOD))))
def test_a_setting_that_is_not_given_has_its_default(keys: set[str]) -> None:
    settings = read_settings({key: GOOD[key] for key in keys})
    for key in OWN_KEYS:
        assert getattr(settings, key) == (GOOD[key] if key in keys else getattr(Settings(), key))
    assert set(settings.training) == keys & TrainingConfig.model_fields.keys()
    assert set(settings.execution) == keys & ExecutionConfig.model_fields.keys()


@pytest.mark.parametrize("key", ["checkpoint_seconds", "checkpoint_steps"])
def test_checkpoints_can_be_switched_off(key: str) -> None:
    assert getattr(read_settings({key: "none"}).execution_config(), key) is None


# --- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("stpes", "steps"),
        ("warm_up", "warmup"),
        ("checkpoint_second", "checkpoint_seconds"),
        ("densty", "density"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, nearest: str) -> None:
    message = refusal({key: 3}, "density").removeprefix(f"setting {key}=3: ")
    assert message.startswith(f"unknown key; did you mean {nearest!r}? known: batch_size, beta1,")


def test_an_option_of_a_model_is_shown_where_to_write_it() -> None:
    assert refusal({"cycles": "2"}).endswith("Write an option of a model in brackets: trm[cycles=2].")


def test_an_option_of_the_task_is_passed_on_as_text() -> None:
    assert read_settings({"density": 0.4, "steps": "3"}, ("density",)).task == {"density": "0.4"}


# --- before anything is written --------------------------------------------------------------------

REFUSED = [
    "steps=0",
    "lr=fast",
    "checkpoint_seconds=soon",
    "votes=2",
    "puzzle_ids=blank",
    "examples=5",
    "graph=true",
]


@pytest.mark.parametrize("text", [*REFUSED, "cycles=2"])
def test_run_refuses_a_bad_setting_before_its_folder_is_made(text: str, tmp_path: Path) -> None:
    ended = command(
        *("run", "--task", "tiny", "--models", "mirror", "--device", "cpu"),
        *("--output", tmp_path / "out", "--set", text),
    )
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert text in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", REFUSED)
def test_the_python_api_refuses_it_too(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=text):
        trm_bench.run("mirror", "tiny", device="cpu", settings=pair(text))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("text", ["precision=fp8", "evaluation_batch=0", "margin=100", "cycles=2", "lr=0.1"])
def test_evaluate_refuses_a_bad_setting_before_its_folder_is_made(text: str, tmp_path: Path) -> None:
    own = runs(run(tmp_path / "own", asked("trm-mlp")))[0]
    ended = command("evaluate", "--weights", own.folder, "--output", tmp_path / "out", "--set", text)
    assert (ended.code, ended.out) == (2, "")
    assert f"setting {text}: " in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("settings", [{"steps": 0}, {"lr": "fast"}, {"stpes": 3}])
def test_a_bad_setting_of_a_study_is_refused_before_its_folder_is_made(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    grids = {"main": {"settings": {"steps": 2}}, "other": {"settings": settings}}
    study = write_yaml(tmp_path / "study.yaml", {**QUICK, "grids": grids})
    ended = command("run", "--study", study, "--device", "cpu", "--output", tmp_path / "out")
    assert (ended.code, ended.out) == (2, "")
    ((key, value),) = settings.items()
    assert f"setting {key}={value}: " in ended.err
    assert not (tmp_path / "out").exists()


# --- seeds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seeds"),
    [
        ("3", (3,)),
        ("0-4", (0, 1, 2, 3, 4)),
        ("0,1,7", (0, 1, 7)),
        (" 2 , 0-1, 1", (2, 0, 1)),
        (str(MAX_SEED), (MAX_SEED,)),
        (3, (3,)),
        (range(3), (0, 1, 2)),
        ([5, 1, 5], (5, 1)),
    ],
)
def test_seeds_keep_their_order_and_come_once(value: Any, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(value) == seeds


@pytest.mark.parametrize(
    "value", ["", "one", "-1", "1-", "0,,1", "1.5", "²", "0:3", str(MAX_SEED + 1), -1, [0.5], "9" * 5000]
)
def test_what_is_no_seed_is_refused_with_the_forms_that_are(value: Any) -> None:
    with pytest.raises(
        UsageError, match=r"--seeds .*: cannot read .*; write 0-4, 0,1,2 or 3, up to 2147483647"
    ):
        parse_seeds(value)


def test_an_empty_list_of_seeds_is_refused() -> None:
    with pytest.raises(UsageError, match="--seeds: no seed is named; write 0-4, 0,1,2 or 3"):
        parse_seeds([])


@pytest.mark.parametrize("value", ["4-0", "0-10000", "0-9999,20000-29999,40000"])
def test_a_range_that_falls_or_is_too_long_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="is no rising range of at most 10000 seeds"):
        parse_seeds(value)
