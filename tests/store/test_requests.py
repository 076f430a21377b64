"""What was requested of a folder: the runs that its report accounts for, and what `resume` repeats."""

from __future__ import annotations

from pathlib import Path

import pytest
from trm_bench.harness.api.budget import Match
from trm_bench.harness.api.embedding_rows import PuzzleIds
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.planning.evaluation_mode import EvaluationMode
from trm_bench.harness.planning.request import REQUESTS, Request, add_request, read_requests
from trm_bench.harness.store.folders import DamagedResult
from trm_bench.harness.store.requests import RUNS, RequestedRun, add_requested, read_requested


def run(name: str, requested: str = "trm", seed: int = 0, **more: bool) -> RequestedRun:
    return RequestedRun(run=name, model="trm-mlp", requested=requested, seed=seed, **more)


def names(folder: Path) -> list[str]:
    return [one.run for one in read_requested(folder)]


def test_requested_runs_are_kept_in_their_order_and_once(tmp_path: Path) -> None:
    assert read_requested(tmp_path) == []
    add_requested(tmp_path, [run("b"), run("a", seed=1)])
    add_requested(tmp_path, [run("b"), run("c", seed=2)])
    assert names(tmp_path) == ["a", "b", "c"]


def test_a_later_run_of_a_model_and_seed_takes_the_place_of_an_earlier_recipe(tmp_path: Path) -> None:
    add_requested(tmp_path, [run("old"), run("deep", "trm @ steps=9"), run("other", seed=1)])
    add_requested(tmp_path, [run("new", "trm[cycles=2]")])
    assert names(tmp_path) == ["deep", "other", "new"]


def test_external_weights_never_replace_one_another(tmp_path: Path) -> None:
    """They are numbered again in every call: seed 0 is another file then."""
    for name in ("first", "second"):
        add_requested(tmp_path, [run(name, replaceable=False)])
    assert names(tmp_path) == ["first", "second"]


@pytest.mark.parametrize("content", ["", "[{", '[{"run": "a"}]', "{}"])
def test_a_damaged_file_of_runs_is_named_with_what_to_do(content: str, tmp_path: Path) -> None:
    (tmp_path / RUNS).write_text(content)
    with pytest.raises(DamagedResult) as caught:
        read_requested(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / RUNS}: ")
    assert str(caught.value).endswith("; delete it, finished runs are kept")


REQUEST = Request(
    models=("trm", "hrm[cycles=2]"),
    task="tiny",
    scale="mini",
    seeds=(0, 7),
    weights=(Path("a.safetensors"),),
    modes=(EvaluationMode(3, True, 2, PuzzleIds.BLANK), EvaluationMode()),
    data=Path("/somewhere/data"),
    match=Match.FLOPS,
    settings={"steps": 2, "lr": 1e-3, "deterministic": False, "revision": "abc"},
)


def test_a_request_is_read_back_as_it_was_made_and_kept_once(tmp_path: Path) -> None:
    other = Request(models=("trm",))
    for request in (REQUEST, other, REQUEST):
        add_request(tmp_path, request)
    assert read_requests(tmp_path) == [other, REQUEST]


@pytest.mark.parametrize("content", ["", "[{", '[{"model": "a"}, 3]'])
def test_a_damaged_file_of_requests_is_named_with_what_to_do(content: str, tmp_path: Path) -> None:
    assert read_requests(tmp_path) == []
    (tmp_path / REQUESTS).write_text(content)
    with pytest.raises(UsageError) as caught:
        read_requests(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / REQUESTS}: cannot be read (")
    assert str(caught.value).endswith("; delete it, finished runs are kept")
