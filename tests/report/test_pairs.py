"""When the paired test is taken, and which rows of a table are compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.folders import (
    HRM,
    INCOMPLETE,
    ITEMS,
    PLAIN,
    TRM,
    only_table,
    other,
    pair_of,
    quick,
    render,
    report_of,
    request,
    write_run,
)
from support.studies import crossed, paired, request_too, write_evaluated
from trm_bench.harness.report.compare import compare_models
from trm_bench.harness.report.pairs import PAIRED, same_weights
from trm_bench.harness.report.read import Run, read_runs
from trm_bench.harness.report.rows import distinct_names
from trm_bench.harness.report.table import Report
from trm_bench.harness.report.words import sentences
from trm_bench.harness.stats.scores import Floats
from trm_bench.harness.stats.tests import Verdict
from trm_bench.harness.store.folders import Output
from trm_bench.harness.store.records import Status

__all__ = ["quick"]


# --- when it is taken ----------------------------------------------------------------------------

SHALLOW, DEEP = "steps=1", "steps=12"


def again(scores: Floats) -> Floats:
    """The same runs with slightly other predictions."""
    return np.where(np.arange(ITEMS) % 9 == 0, 1 - scores, scores)


def two_ways(folder: Path) -> Path:
    write_evaluated(folder, "trm-mlp", TRM)
    write_evaluated(folder, "trm-mlp", again(TRM), SHALLOW, steps=1)
    return folder


def runs_of(folder: Path, requested: str) -> list[Run]:
    return [run for run in read_runs([folder], [], []) if run.manifest.description.requested == requested]


def same(folder: Path) -> bool:
    return same_weights(runs_of(folder, "trm-mlp"), runs_of(folder, f"trm-mlp @ {SHALLOW}"))


def test_weights_are_the_same_where_every_seed_has_the_same_digest(tmp_path: Path) -> None:
    assert same(two_ways(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "digest"), [(1, "another file"), (1, "trm-mlp 0"), (2, ""), (0, "")], ids=str
)
def test_one_digest_that_differs_or_is_unknown_is_enough(seed: int, digest: str, tmp_path: Path) -> None:
    two_ways(tmp_path)
    write_evaluated(tmp_path, "trm-mlp", again(TRM), SHALLOW, steps=1, digests={seed: digest})
    assert not same(tmp_path)


def test_unknown_weights_are_not_the_same_weights(tmp_path: Path) -> None:
    write_evaluated(tmp_path, "trm-mlp", TRM, weights_sha256="")
    write_evaluated(tmp_path, "trm-mlp", again(TRM), SHALLOW, steps=1, weights_sha256="")
    assert not same(tmp_path)
    pair = pair_of(report_of(tmp_path), "trm-mlp", f"trm-mlp @ {SHALLOW}")
    assert pair.difference in (crossed(again(TRM), TRM), crossed(TRM, again(TRM)))
    assert PAIRED not in pair.note


def test_more_seeds_on_one_side_are_not_the_same_weights(tmp_path: Path) -> None:
    two_ways(tmp_path)
    write_run(tmp_path, "trm-mlp", 3, TRM[0], weights_sha256="trm-mlp 3")
    assert not same(tmp_path)


def test_a_report_pairs_the_same_weights_and_says_so(tmp_path: Path) -> None:
    report = report_of(two_ways(tmp_path))
    (pair,) = only_table(report).pairs
    a, b = (again(TRM), TRM) if SHALLOW in pair.a else (TRM, again(TRM))
    assert pair.difference == paired(a, b) != crossed(a, b)
    assert pair.note == PAIRED
    assert pair.shares is None
    assert pair.difference.error is not None
    assert pair.decidable == pair.difference.error.decidable()
    assert PAIRED in render(report)


def test_runs_that_are_listed_in_another_order_are_paired_by_their_seed(tmp_path: Path) -> None:
    names = write_evaluated(tmp_path, "trm-mlp", TRM)
    deeper = write_evaluated(tmp_path, "trm-mlp", again(TRM), SHALLOW, steps=1)
    before = only_table(report_of(tmp_path)).pairs
    request(tmp_path, [names[2], *deeper[::-1], *names[:2]])
    (pair,) = only_table(report_of(tmp_path)).pairs
    assert {pair.difference.p} == {one.difference.p for one in before}
    assert PAIRED in pair.note


def test_two_models_are_never_paired(tmp_path: Path) -> None:
    write_evaluated(tmp_path, "trm-mlp", TRM)
    write_evaluated(tmp_path, "hrm", HRM)
    (pair,) = only_table(report_of(tmp_path)).pairs
    a, b = (HRM, TRM) if pair.a == "hrm" else (TRM, HRM)
    assert pair.difference == crossed(a, b)
    assert PAIRED not in pair.note


def test_a_seed_that_is_not_done_leaves_the_pair_untested(tmp_path: Path) -> None:
    two_ways(tmp_path)
    more = {
        "requested": f"trm-mlp @ {SHALLOW}",
        "change": other(steps=1, architecture={"hidden": 48, "evaluated": SHALLOW}),
    }
    name = write_run(tmp_path, "trm-mlp", 3, [], status=Status.FAILED, **more)
    request_too(tmp_path, name, "trm-mlp", 3, f"trm-mlp @ {SHALLOW}")
    (pair,) = only_table(report_of(tmp_path)).pairs
    assert (pair.note, pair.verdict, pair.holm_p, pair.decidable) == (
        INCOMPLETE,
        Verdict.UNTESTED,
        None,
        None,
    )


def test_compare_pairs_two_evaluations_of_one_folder(tmp_path: Path) -> None:
    two_ways(tmp_path)
    write_evaluated(tmp_path, "trm-mlp", HRM, DEEP, steps=12)
    (found,) = compare_models(f"trm-mlp @ {DEEP}", f"trm-mlp @ {SHALLOW}", [tmp_path], [])
    alone = replace(found.difference, note="")
    assert alone == paired(HRM, again(TRM)) != crossed(HRM, again(TRM))
    assert (found.shares, found.needed) == (None, None)
    assert "exploratory" in found.note  # a depth is between the two, and the table compares neighbours
    write_evaluated(tmp_path, "trm-mlp", HRM, DEEP, steps=12, weights_sha256="")
    (found,) = compare_models(f"trm-mlp @ {DEEP}", f"trm-mlp @ {SHALLOW}", [tmp_path], [])
    assert replace(found.difference, note="") == crossed(HRM, again(TRM))


def test_compare_does_not_ask_for_puzzles_where_more_seeds_were_not_looked_at(tmp_path: Path) -> None:
    write_evaluated(tmp_path, "trm-mlp", HRM, SHALLOW, steps=1)
    write_evaluated(tmp_path, "trm-mlp", PLAIN, DEEP, steps=12)
    (found,) = compare_models(f"trm-mlp @ {DEEP}", f"trm-mlp @ {SHALLOW}", [tmp_path], [])
    text = " ".join(sentences(found))
    assert "Undecided: " in text
    assert "no number of seeds would show" not in text


# --- which rows are compared ---------------------------------------------------------------------

DEPTHS = {"steps=1": 1, "steps=2": 2, "": 6, "steps=12": 12}


def compared(report: Report) -> set[frozenset[str]]:
    return {frozenset((pair.a, pair.b)) for pair in only_table(report).pairs}


def between(*pairs: tuple[str, str]) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in pairs}


def at_all_depths(folder: Path, model: str, scores: Floats) -> None:
    for place, (evaluation, steps) in enumerate(DEPTHS.items()):
        write_evaluated(folder, model, np.roll(scores, place, axis=1), evaluation, steps=steps)


def test_each_depth_is_compared_with_the_next_one_alone(tmp_path: Path) -> None:
    at_all_depths(tmp_path, "a", TRM)
    assert compared(report_of(tmp_path)) == between(
        ("a @ steps=1", "a @ steps=2"), ("a @ steps=2", "a"), ("a", "a @ steps=12")
    )


def test_models_are_compared_where_they_were_evaluated_alike(tmp_path: Path) -> None:
    at_all_depths(tmp_path, "a", TRM)
    write_evaluated(tmp_path, "b", HRM)
    write_evaluated(tmp_path, "b", PLAIN, "steps=2", steps=2)
    of_a = between(("a @ steps=1", "a @ steps=2"), ("a @ steps=2", "a"), ("a", "a @ steps=12"))
    of_b = between(("b @ steps=2", "b"))
    across = between(("a", "b"), ("a @ steps=2", "b @ steps=2"))
    assert compared(report_of(tmp_path)) == of_a | of_b | across


def test_halting_is_compared_with_every_step_at_the_same_depth(tmp_path: Path) -> None:
    at_all_depths(tmp_path, "a", TRM)
    write_evaluated(tmp_path, "a", HRM, "halting=true")
    write_evaluated(tmp_path, "a", PLAIN, "halting=true,steps=12", steps=12)
    halting = between(
        ("a @ halting=true", "a"),
        ("a @ halting=true,steps=12", "a @ steps=12"),
        ("a @ halting=true", "a @ halting=true,steps=12"),
    )
    found = compared(report_of(tmp_path))
    assert {pair for pair in found if any("halting" in row for row in pair)} == halting


def test_two_models_that_halt_are_compared(tmp_path: Path) -> None:
    for model, scores in (("a", TRM), ("b", HRM)):
        write_evaluated(tmp_path, model, scores)
        write_evaluated(tmp_path, model, again(scores), "halting=true")
    across = between(("a", "b"), ("a @ halting=true", "b @ halting=true"))
    within = between(("a", "a @ halting=true"), ("b", "b @ halting=true"))
    assert compared(report_of(tmp_path)) == across | within


def test_the_trained_depth_requested_by_number_has_the_same_neighbours(
    tmp_path: Path,
) -> None:
    at_all_depths(tmp_path, "a", TRM)
    write_evaluated(tmp_path, "a", np.roll(TRM, 2, axis=1), "steps=6", steps=6)
    found = compared(report_of(tmp_path))
    assert frozenset(("a", "a @ steps=6")) in found
    assert not any(
        frozenset(pair) in found for pair in (("a @ steps=1", "a"), ("a @ steps=1", "a @ steps=6"))
    )


def test_the_family_of_depths_does_not_change_when_a_missing_one_is_there(tmp_path: Path) -> None:
    at_all_depths(tmp_path, "a", TRM)
    request(tmp_path, [run.name for run in Output(tmp_path).runs()])
    whole = {pair.family.tests for pair in only_table(report_of(tmp_path)).pairs if pair.family}
    for run in Output(tmp_path).runs():
        if run.manifest().evaluation == "steps=2":
            damaged = run.manifest().model_copy(update={"status": Status.FAILED})
            run.write_manifest(damaged)
    left = {pair.family.tests for pair in only_table(report_of(tmp_path)).pairs if pair.family}
    assert left == whole == {3}


def test_a_training_has_one_number_in_whichever_way_it_is_evaluated(tmp_path: Path) -> None:
    write_evaluated(tmp_path, "a", TRM)
    first, *_ = only_table(report_of(tmp_path)).rows
    rows = [
        replace(first, requested=f"a{evaluation}")
        for evaluation in (" @ steps=1", " @ steps=4", " @ steps=1", " @ steps=4", " @ steps=64")
    ]
    named = distinct_names(rows, [{"x"}, {"x"}, {"y"}, {"y", "z"}, {"z"}])
    assert [row.number for row in named] == [1, 1, 2, 2, 2]
    assert [row.number for row in distinct_names(rows[:2], [{"x"}, {"x", "y"}])] == [None, None]
    assert [row.number for row in distinct_names([rows[0], rows[0]], [{"x"}, {"x"}])] == [1, 2]
    unfinished = distinct_names([rows[0]] * 3, [{"x"}, set(), {"y"}])
    assert sorted(row.number or 0 for row in unfinished) == [1, 2, 3]
    two_devices = distinct_names([rows[0]] * 3, [{"x"}, {"x"}, {"y"}])
    assert [row.number for row in two_devices] == [1, 3, 2]
