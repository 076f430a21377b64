"""What enters a table: every run once, by its content; nothing left out without a word, no seed picked."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.folders import (
    HRM,
    ITEMS,
    PLAIN,
    SCORED_BY,
    TRM,
    described,
    only_table,
    other,
    pair_of,
    quick,
    render,
    report_of,
    request,
    row_of,
    three_models,
    write_model,
    write_run,
)
from support.studies import ask, write_study
from trm_bench.harness.api.budget import Ledger
from trm_bench.harness.api.errors import NothingToReport, UnavailableError, UsageError
from trm_bench.harness.planning.request import Request, add_request
from trm_bench.harness.python.api import compare, load_results
from trm_bench.harness.report.read import NOT_LISTED, UNREQUESTED
from trm_bench.harness.store.checked import stamped
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.records import Status
from trm_bench.testing.pytest_plugin import RunCli

__all__ = ["quick"]


# --- nothing is counted twice ----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["copied", "linked", "elsewhere"])
def test_a_run_that_is_there_twice_counts_once_and_is_named(way: str, tmp_path: Path) -> None:
    names = three_models(tmp_path / "one")
    before = report_of(tmp_path / "one")
    original, folders = tmp_path / "one" / names[0], [tmp_path / "one"]
    if way == "copied":
        shutil.copytree(original, tmp_path / "one" / "trm-mlp-s9-99999999")
    elif way == "linked":
        (tmp_path / "one" / "trm-mlp-s9-99999999").symlink_to(original)
    else:
        shutil.copytree(original, tmp_path / "two" / "my best run")
        folders.append(tmp_path / "two")
    after = report_of(*folders)
    assert after.tables == before.tables
    assert any("the same run as" in remark and remark.endswith("left out") for remark in after.remarks)
    assert "Left out or not requested" in render(after)


def test_what_is_said_of_a_run_makes_it_no_other_run(tmp_path: Path) -> None:
    """The same puzzles from a gzipped file, or with a declared margin: the same seeds, not more of them."""
    three_models(tmp_path / "one")
    three_models(
        tmp_path / "two",
        describe=described(margin=0.02, source="official files", source_notes=["gzipped"]),
        notes=["another note"],
    )
    report = report_of(tmp_path / "one", tmp_path / "two")
    assert report.tables == report_of(tmp_path / "one").tables
    assert len(report.remarks) == 9


def test_a_run_that_was_carried_out_again_counts_once_and_the_difference_is_said(tmp_path: Path) -> None:
    write_model(tmp_path / "one", "trm-mlp", TRM)
    write_model(tmp_path / "two", "trm-mlp", np.ones((1, ITEMS)))
    report = report_of(tmp_path / "one", tmp_path / "two")
    assert row_of(report, "trm-mlp").summary == row_of(report_of(tmp_path / "one"), "trm-mlp").summary
    (remark,) = report.remarks
    difference = 100 * (1 - TRM[0].mean())
    assert remark.endswith(f"left out, though its scores differ by up to {difference:.2f} points")


def test_a_run_that_failed_in_one_folder_is_taken_from_the_other(tmp_path: Path) -> None:
    write_run(tmp_path / "one", "hrm", 0, [], status=Status.FAILED)
    write_run(tmp_path / "two", "hrm", 0, HRM[0])
    for folders in (("one", "two"), ("two", "one")):
        report = report_of(*(tmp_path / name for name in folders))
        assert row_of(report, "hrm").complete
        assert len(report.remarks) == 1


def test_a_folder_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    three_models(tmp_path / "one")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    report = report_of(tmp_path / "one", tmp_path / "link")
    assert report.tables == report_of(tmp_path / "one").tables
    assert report.remarks == (f"{tmp_path / 'link'}: the same folder as {tmp_path / 'one'}; read once",)


def test_a_run_that_names_another_run_is_not_believed(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    run = RunFolder(tmp_path / names[0])
    run.write_manifest(run.manifest().model_copy(update={"run": names[1]}))
    report = report_of(tmp_path)
    assert not row_of(report, "trm-mlp").complete
    assert any("not the manifest of" in problem for problem in report.problems)


def test_folders_that_changed_places_are_read_by_their_content(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    before = report_of(tmp_path)
    for source, target in ((names[0], "x"), (names[3], names[0]), ("x", names[3])):
        (tmp_path / source).rename(tmp_path / target)
    after = report_of(tmp_path)
    assert after.tables == before.tables
    assert len(after.remarks) == 2


def test_the_result_that_a_killed_repetition_has_set_aside_is_shown(tmp_path: Path) -> None:
    """After a ``--force`` that was killed, the finished result is still the one that counts."""
    names = three_models(tmp_path)
    before = report_of(tmp_path)
    run = RunFolder(tmp_path / names[0])
    run.start(run.manifest().model_copy(update={"status": Status.RUNNING}))
    after = report_of(tmp_path)
    assert after.tables == before.tables
    assert after.remarks == (f"{run.folder}: running; the earlier result, set aside, is shown",)


def test_another_procedure_is_another_row(tmp_path: Path) -> None:
    write_model(tmp_path, "hrm", HRM)
    write_model(tmp_path, "hrm", PLAIN, change=other(procedure=0))
    assert [len(row.seeds) for row in only_table(report_of(tmp_path)).rows] == [3, 3]


# --- seeds cannot be picked ------------------------------------------------------------------------


def test_runs_that_are_picked_from_their_folder_are_not_citable(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    picked = [name for name in names if name.startswith("trm-mlp") and "-s1-" not in name]
    report = report_of(*(tmp_path / name for name in picked))
    (reason,) = row_of(report, "trm-mlp").not_citable_because
    assert reason == "requested and not shown: trm-mlp seed 1; hrm seeds 0, 1, 2; plain seeds 0, 1, 2"
    assert f"NOT CITABLE: {reason}" in render(report)
    everything = report_of(*(tmp_path / name for name in names))
    assert all(row.not_citable_because == () for row in only_table(everything).rows)


def test_picked_runs_are_picked_from_within_their_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = three_models(tmp_path)
    monkeypatch.chdir(tmp_path / names[0])
    (reason,) = row_of(report_of(Path()), "trm-mlp").not_citable_because
    assert reason.startswith("requested and not shown: trm-mlp seeds 1, 2")


def test_a_run_without_its_output_folder_is_not_citable(tmp_path: Path) -> None:
    (name,) = write_model(tmp_path, "hrm", HRM[:1])
    (reason,) = row_of(report_of(tmp_path / name), "hrm").not_citable_because
    assert reason == "shown without the runs.json that says which seeds were requested"


def test_runs_that_were_copied_out_of_their_folder_are_not_citable(tmp_path: Path) -> None:
    """The seeds that were requested are not known where `runs.json` is not there, or names other runs."""
    names = three_models(tmp_path / "all")
    picked = tmp_path / "picked"
    for name in names[:2]:
        shutil.copytree(tmp_path / "all" / name, picked / name)
    assert row_of(report_of(picked), "trm-mlp").not_citable_because == (NOT_LISTED,)
    frame = load_results(picked).runs
    assert not frame["citable"].any()
    assert set(frame["reason"]) == {NOT_LISTED}
    request(picked, names[:1])
    assert row_of(report_of(picked), "trm-mlp").not_citable_because == (UNREQUESTED,)
    told: list[str] = []
    with contextlib.suppress(UsageError):
        compare("trm-mlp", "hrm", *(tmp_path / "all" / name for name in names[2:5]), problems=told)
    assert any(line.startswith("NOT CITABLE: requested and not shown: trm-mlp seeds 0, 1") for line in told)


def test_a_run_that_is_named_next_to_its_folder_is_no_pick(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    for folders in ((tmp_path, tmp_path / names[0]), (tmp_path / names[0], tmp_path)):
        assert report_of(*folders).tables == report_of(tmp_path).tables


def test_reproduce_with_names_every_way_the_runs_were_made(tmp_path: Path) -> None:
    """Files that were named, plugins before the verb, and every file of external weights."""
    two = [
        write_run(
            tmp_path,
            "trm-mlp",
            0,
            row,
            command=["trm-bench", "evaluate", "--weights", f"{number}.pt"],
            describe=described(model=f"trm ({number})", requested="trm"),
            change=other(weights=str(number)),
        )
        for number, row in enumerate(TRM[:2])
    ]
    typed = ["trm-bench", "--plugin", "'my plugin.py'", "run", "--models", "hrm"]
    made = write_run(tmp_path, "hrm", 0, HRM[0], command=typed)
    files = {"train": (Path("/a.csv"),), "test": (Path("/b.csv"),)}
    add_request(tmp_path, Request(("hrm",), "made", "mini", (0,), **files))
    request(tmp_path, [made])
    assert len(two) == 2
    assert report_of(tmp_path).commands == (
        "trm-bench --plugin 'my plugin.py' run --models hrm --task made --scale mini --seeds 0 "
        "--device cpu --train /a.csv --test /b.csv",
        "trm-bench evaluate --weights 0.pt",
        "trm-bench evaluate --weights 1.pt",
    )


def test_reproduce_with_makes_what_is_shown(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    add_request(
        tmp_path, Request(("trm-mlp", "hrm", "plain"), "made", "mini", (0, 1, 2), settings={"steps": 9})
    )
    rest = "--device cpu --set steps=9"
    whole = f"trm-bench run --models trm-mlp,hrm,plain --task made --scale mini --seeds 0-2 {rest}"
    assert report_of(tmp_path).commands == (whole,)
    picked = [tmp_path / name for name in names if name.startswith("hrm") and "-s1-" not in name]
    one = f"trm-bench run --models hrm --task made --scale mini --seeds 0,2 {rest}"
    assert report_of(*picked).commands == (one,)


def test_commands_of_two_folders_of_one_task_name_them(tmp_path: Path) -> None:
    """Both would write to the folder of the task and scale by default, and the second would be refused."""
    folders = [tmp_path / "slow", tmp_path / "fast"]
    for folder, steps in zip(folders, (9, 8), strict=True):
        names = write_model(folder, "trm-mlp", TRM, change=other(training={"lr": steps}))
        request(folder, names)
        add_request(folder, Request(("trm-mlp",), "made", "mini", (0, 1, 2), settings={"steps": steps}))
    made = report_of(*folders).commands
    assert [f"--output {folder}" in command for folder, command in zip(folders, made, strict=True)] == [
        True,
        True,
    ]
    (alone,) = report_of(folders[0]).commands
    assert "--output" not in alone


def test_what_a_missing_run_would_have_spent_is_not_made_up(tmp_path: Path) -> None:
    names = write_model(tmp_path, "hrm", HRM[:2], ledger=Ledger(optimiser_steps=9, training_seconds=7.0))
    request(tmp_path, names)
    shutil.rmtree(tmp_path / names[1])
    runs = load_results(tmp_path).runs.set_index("seed")
    assert runs["status"].to_dict() == {0: "done", 1: "missing"}
    assert runs["optimiser_steps"].to_dict() == {0: 9, 1: 0}
    assert runs["training_seconds"].sum() == 7


# --- nothing is left out without a word ------------------------------------------------------------


@pytest.mark.parametrize("verb", ["report", "compare", "cite"])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("hostX", "no such folder"),
        ("README.md", "is a file; name an output folder"),
        ("empty", "holds no runs of trm-bench"),
        ("parent", "holds no runs of trm-bench; name the output folders in it: below"),
    ],
)
def test_a_folder_without_results_is_an_error(
    verb: str, name: str, why: str, tmp_path: Path, run_cli: RunCli
) -> None:
    three_models(tmp_path / "hostA")
    (tmp_path / "README.md").write_text("# results")
    (tmp_path / "empty").mkdir()
    three_models(tmp_path / "parent" / "below")
    models = ("trm-mlp", "hrm") if verb == "compare" else ()
    ended = run_cli(verb, *models, tmp_path / "hostA", tmp_path / name)
    assert ended.code == 4
    assert ended.out == ""
    assert f"{tmp_path / name}: {why}" in ended.err


def test_outputs_of_two_machines_in_one_folder_are_all_shown(tmp_path: Path) -> None:
    for host, seeds in (("A", (0, 1)), ("B", (2, 3))):
        names = [write_run(tmp_path / host, "hrm", seed, PLAIN[seed % 3]) for seed in seeds]
        request(tmp_path / host, names)
    shutil.copytree(tmp_path / "A", tmp_path / "merged")
    shutil.copytree(tmp_path / "B", tmp_path / "merged", dirs_exist_ok=True)
    report = report_of(tmp_path / "merged")
    assert [seed.seed for seed in row_of(report, "hrm").seeds] == [0, 1, 2, 3]
    assert len(report.remarks) == 1


def test_parts_of_one_request_in_two_folders_are_the_whole(tmp_path: Path, run_cli: RunCli) -> None:
    names = three_models(tmp_path / "A")
    shutil.copytree(tmp_path / "A", tmp_path / "B")
    for place, name in enumerate(names):
        shutil.rmtree(tmp_path / ("A" if place % 2 else "B") / name)
    ended = run_cli("report", tmp_path / "A", tmp_path / "B")
    assert ended.code == 0, ended.err
    assert "no such run" not in ended.out + ended.err
    assert [len(row_of(report_of(tmp_path / "A", tmp_path / "B"), "hrm").seeds)] == [3]
    shutil.rmtree(tmp_path / "B" / names[0], ignore_errors=True)
    shutil.rmtree(tmp_path / "A" / names[0], ignore_errors=True)
    ended = run_cli("report", tmp_path / "A", tmp_path / "B")
    assert ended.code == 1
    assert f"{names[0]}: requested, but there is no such run" in ended.err


@pytest.mark.parametrize("how", ["copied into it", "linked"])
def test_results_inside_an_output_folder_are_named(how: str, tmp_path: Path, run_cli: RunCli) -> None:
    """``cp -a B A/``, without the last ``/.``, is the usual slip."""
    three_models(tmp_path / "A")
    request(tmp_path / "B", write_model(tmp_path / "B", "other", TRM))
    inside = tmp_path / "A" / "B"
    shutil.copytree(tmp_path / "B", inside) if how == "copied into it" else inside.symlink_to(tmp_path / "B")
    ended = run_cli("report", tmp_path / "A")
    assert f"{inside}: holds runs and is not read; name it too" in ended.out
    assert "holds runs and is not read" not in run_cli("report", tmp_path / "A", inside).out


BAD: dict[str, dict[str, object]] = {
    "above 1": {"exact": 1.5, "cells": 0.5},
    "below 0": {"exact": -0.5, "cells": 0.5},
    "missing": {"cells": 0.5},
    "no number": {"exact": "one", "cells": 0.5},
    "null": {"exact": None, "cells": 0.5},
}


@pytest.mark.parametrize("scores", BAD.values(), ids=BAD)
def test_a_run_with_a_bad_score_is_named_and_the_rest_is_reported(
    scores: dict[str, object], tmp_path: Path, run_cli: RunCli
) -> None:
    """Also where somebody has made the checksums fit."""
    names = three_models(tmp_path)
    forge(
        tmp_path / names[0], [{"item": f"p{row}", "cluster": "c", "scores": scores} for row in range(ITEMS)]
    )
    ended = run_cli("report", tmp_path)
    assert ended.code == 1
    assert f"{names[0]}: samples" in ended.err or f"{names[0]}: samples" in ended.out
    assert "hrm" in ended.out
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "lines", [[], [{"item": "p0", "cluster": "c", "scores": {"exact": 1, "cells": 1}}] * 2]
)
def test_samples_that_are_none_or_repeat_an_item_are_named(lines: list[object], tmp_path: Path) -> None:
    names = three_models(tmp_path)
    forge(tmp_path / names[0], lines)
    assert any(names[0] in problem for problem in report_of(tmp_path).problems)


def test_a_manifest_that_nests_without_end_is_named(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    (tmp_path / names[0] / "manifest.json").write_text("[" * 100_000)
    report = report_of(tmp_path)
    assert any(f"{names[0]}/manifest.json: cannot be read" in problem for problem in report.problems)
    assert row_of(report, "hrm").complete


def test_nothing_but_damage_is_nothing_to_report(tmp_path: Path) -> None:
    (name,) = write_model(tmp_path, "hrm", HRM[:1])
    (tmp_path / name / "samples.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(NothingToReport, match=r"samples\.jsonl\.gz: truncated or changed"):
        report_of(tmp_path)


def test_damage_of_the_requests_is_named_and_every_run_is_shown(tmp_path: Path) -> None:
    three_models(tmp_path)
    path = tmp_path / "runs.json"
    path.write_text(path.read_text().replace('"hrm"', '"hrn"', 1))
    report = report_of(tmp_path)
    assert len(only_table(report).rows) == 3
    assert any("runs.json: changed since it was written" in problem for problem in report.problems)


def test_requests_that_cannot_be_read_are_remarked(tmp_path: Path) -> None:
    three_models(tmp_path)
    assert not report_of(tmp_path).remarks
    (tmp_path / "requests.json").write_text("{")
    assert any("requests.json: cannot be read" in remark for remark in report_of(tmp_path).remarks)


def test_a_missing_folder_is_an_error_of_the_environment(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no such folder"):
        report_of(tmp_path / "none")


def test_features_of_the_puzzles_are_a_curve_of_the_report(tmp_path: Path) -> None:
    (name,) = write_model(tmp_path, "hrm", HRM[:1])
    lines = [
        {
            "item": f"p{row}",
            "cluster": f"p{row}",
            "scores": {"exact": float(row < 20), "cells": 1.0},
            "extras": {"puzzle.path_length": row // 20},
        }
        for row in range(ITEMS)
    ]
    forge(tmp_path / name, lines)
    assert row_of(report_of(tmp_path), "hrm").by_feature == {"path_length": {0.0: 1.0, 1.0: 0.0}}


def forge(folder: Path, lines: Sequence[object]) -> None:
    """Give a run other samples, and checksums that fit."""
    run = RunFolder(folder)
    packed = gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    (folder / "samples.jsonl.gz").write_bytes(packed)
    content = run.manifest().model_dump(mode="json")
    content |= {"samples": len(lines), "samples_sha256": hashlib.sha256(packed).hexdigest()}
    (folder / "manifest.json").write_bytes(stamped(content))


def test_one_run_in_two_folders_changes_no_test(tmp_path: Path) -> None:
    """The case that turned p = 0.105 into p < 0.0001."""
    three_models(tmp_path / "A")
    shutil.copytree(tmp_path / "A", tmp_path / "B")
    assert pair_of(report_of(tmp_path / "A"), "trm-mlp", "hrm") == pair_of(
        report_of(tmp_path / "A", tmp_path / "B"), "trm-mlp", "hrm"
    )


def test_the_evaluators_of_a_run_are_no_part_of_what_it_is(tmp_path: Path) -> None:
    write_model(tmp_path / "one", "hrm", HRM)
    write_model(tmp_path / "two", "hrm", HRM, scored_by=SCORED_BY[:1])
    report = report_of(tmp_path / "one", tmp_path / "two")
    assert len(row_of(report, "hrm").seeds) == 3


def test_an_evaluator_that_was_edited_between_two_seeds_has_no_mean(tmp_path: Path) -> None:
    old, new = SCORED_BY[1], SCORED_BY[1].model_copy(update={"code": "edited"})
    for seed, part in enumerate((old, old, new)):
        write_run(tmp_path, "hrm", seed, HRM[seed], scored_by=[SCORED_BY[0], part])
    report = report_of(tmp_path)
    assert row_of(report, "hrm").means.keys() == {"exact"}
    assert "cells: scored by 2 versions of it" in " ".join(only_table(report).notes)


def test_a_study_that_is_there_twice_is_reported_once(tmp_path: Path) -> None:
    question = ask("trm-mlp", "hrm")
    write_study(tmp_path / "one", question, scores={"trm-mlp": TRM, "hrm": HRM})
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    report = report_of(tmp_path / "one", tmp_path / "two")
    assert report.tables == report_of(tmp_path / "one").tables
    assert any("two: the same study as" in remark for remark in report.remarks)
    both = load_results(tmp_path / "one", tmp_path / "one" / "main")
    assert len(both.runs) == 6
    assert any("6 runs of a study that is reported too" in remark for remark in both.remarks)
