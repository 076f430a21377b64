"""What a report prints: notes under tables, numbers, golden files.

``TRM_BENCH_UPDATE_GOLDEN=1 pytest tests/plugins/test_reporters.py`` writes the golden files again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from support.folders import (
    GOLDEN,
    HRM,
    PLAIN,
    TRM,
    described,
    on_task,
    only_table,
    printed,
    render,
    report_of,
    request,
    row_of,
    three_models,
    write_model,
)
from trm_bench.harness.api.budget import Ledger
from trm_bench.harness.report.table import Report
from trm_bench.harness.stats.tests import Verdict
from trm_bench.plugins.reporters.grids import count, p_value, percent
from trm_bench.testing.pytest_plugin import RunCli

# --- notes under a table -------------------------------------------------------------------------


def test_the_reasons_against_citing_are_printed_once_each(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM, not_citable_because=["--limit 8: only the first 8 test items"])
    write_model(
        tmp_path, "hrm", HRM, not_citable_because=["--limit 8: only the first 8 test items", "dirty tree"]
    )
    request(tmp_path, [path.name for path in tmp_path.iterdir()])
    report = report_of(tmp_path)
    assert row_of(report, "hrm").not_citable_because == (
        "--limit 8: only the first 8 test items",
        "dirty tree",
    )
    for reporter in ("text", "markdown"):
        text = render(report, reporter)
        assert text.count("NOT CITABLE: --limit 8: only the first 8 test items; hrm: dirty tree") == 1
        assert text.count("dirty tree") == text.count("--limit 8") == 1


def test_a_citable_table_does_not_mention_it(tmp_path: Path) -> None:
    three_models(tmp_path)
    assert "CITABLE" not in render(report_of(tmp_path))


@pytest.mark.parametrize(
    ("model", "requested", "display_name", "label"),
    [
        ("trm-mlp", "trm", "TRM-MLP", "TRM-MLP"),
        ("trm-mlp[cycles=2]", "trm[cycles=2]", "TRM-MLP[cycles=2]", "TRM-MLP[cycles=2]"),
        (
            "transformer-looped",
            "transformer-looped",
            "Looped transformer",
            "Looped transformer (transformer-looped)",
        ),
    ],
)
def test_a_row_has_its_display_name_and_the_typed_one_where_that_is_another(
    model: str, requested: str, display_name: str, label: str, tmp_path: Path
) -> None:
    write_model(tmp_path, model, TRM, requested=requested, describe=described(display_name=display_name))
    write_model(tmp_path, "hrm", HRM)
    report = report_of(tmp_path)
    assert row_of(report, display_name).label == label
    assert label in printed(report)
    (pair,) = only_table(report).pairs
    assert {pair.a, pair.b} == {"hrm", display_name}


def test_the_protocol_names_weights_and_supervision_steps(tmp_path: Path) -> None:
    ledger = Ledger(inference_steps=6)
    write_model(tmp_path, "trm-mlp", TRM, weights="averaged (EMA 0.999)", ledger=ledger)
    write_model(tmp_path, "hrm", HRM, weights="those of the last step", ledger=ledger)
    (protocol,) = [note for note in only_table(report_of(tmp_path)).notes if note.startswith("protocol: ")]
    assert "test set evaluated once, after training; no model selection on validation" in protocol
    assert "one prediction per puzzle, no voting" in protocol
    assert "weights: those of the last step for hrm; averaged (EMA 0.999) for trm-mlp;" in protocol
    assert "supervision steps at test: hrm 6, trm-mlp 6" in protocol


def test_notes_of_the_data_are_under_the_table_once(tmp_path: Path) -> None:
    three_models(tmp_path, describe=described(source_notes=["the test split was cut to 8"]))
    assert render(report_of(tmp_path)).count("the test split was cut to 8") == 1


def test_commands_are_given_once_each_in_their_order(tmp_path: Path) -> None:
    write_model(tmp_path / "a", "trm-mlp", TRM, command=["trm-bench", "run", "--models", "trm"])
    write_model(tmp_path / "b", "hrm", HRM, command=["trm-bench", "run", "--models", "hrm"])
    report = report_of(tmp_path / "a", tmp_path / "b")
    assert report.commands == ("trm-bench run --models trm", "trm-bench run --models hrm")
    assert render(report).endswith("    trm-bench run --models trm\n    trm-bench run --models hrm")


def test_commands_in_markdown_are_a_block_of_code(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM, command=["trm-bench", "run", "--models", "trm"])
    lines = render(report_of(tmp_path), "markdown").splitlines()
    at = next(n for n, line in enumerate(lines) if "trm-bench run" in line)
    assert lines[at - 1] == "" or lines[at - 1].startswith("```")


def test_the_step_of_halting_is_left_out_for_a_model_of_one_step(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM, halt_step=2.5, ledger=Ledger(inference_steps=6))
    write_model(tmp_path, "plain", PLAIN, ledger=Ledger(inference_steps=1))
    report = replace(report_of(tmp_path), costs=True)
    for model, steps, halt_step in (("trm-mlp", "6", "2.5"), ("plain", "1", "–")):
        assert printed(report)[model]["sup. steps (test)"] == steps
        assert printed(report, "Cost of evaluation")[model]["mean halt step"] == halt_step


def test_where_puzzles_halt_the_steps_are_their_mean_and_the_most(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM, ledger=Ledger(inference_steps=16, steps_taken=2.125))
    report = report_of(tmp_path)
    assert printed(report)["trm-mlp"]["sup. steps (test)"] == "2.1 ≤ 16"
    assert "supervision steps at test: trm-mlp 2.1 of up to 16" in render(report)


@pytest.mark.slow
def test_costs_are_printed_only_on_request_and_always_in_html_latex_and_json(golden_report: Report) -> None:
    heading = "Cost per training run"
    for reporter in ("text", "markdown"):
        assert heading not in render(golden_report, reporter)
        assert heading in render(replace(golden_report, costs=True), reporter)
    for reporter in ("html", "latex"):
        assert heading in render(golden_report, reporter)
    ledger = json.loads(render(golden_report, "json"))["tables"][0]["rows"][0]["ledger"]
    assert ledger["training_flops"] == 3.21e12


# --- how numbers are printed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "printed"),
    [
        (None, "–"),
        (1.0, "1.0000"),
        (0.04996, "0.0500"),
        (1e-4, "0.0001"),
        (9.9e-5, "<0.0001"),
        (1e-300, "<0.0001"),
    ],
)
def test_a_p_value_is_never_printed_as_zero(p: float | None, printed: str) -> None:
    assert p_value(p) == printed


@pytest.mark.parametrize(("value", "printed"), [(None, "–"), (0.0, "0.0"), (0.12345, "12.3"), (1.0, "100.0")])
def test_scores_are_percentages_with_one_decimal(value: float | None, printed: str) -> None:
    assert percent(value) == printed


@pytest.mark.parametrize(
    ("value", "printed"), [(0, "0"), (950, "950"), (59_800, "59.8k"), (6_820_000, "6.82M")]
)
def test_counts_are_short(value: float, printed: str) -> None:
    assert count(value) == printed


@pytest.mark.parametrize(
    "value",
    [
        99_949,
        123_456,
        999_960,
        27_130_000_000_000,
    ],
)
def test_a_count_has_at_most_five_characters(value: int) -> None:
    assert len(count(value)) <= 5


# --- golden files --------------------------------------------------------------------------------


def golden(name: str, content: str) -> str:
    """The golden file, written again first where that was requested."""
    path = GOLDEN / name
    if os.environ.get("TRM_BENCH_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("reporter", "name"),
    [("text", "report.txt"), ("markdown", "report.md"), ("latex", "report.tex"), ("csv", "report.csv")],
)
def test_a_report_reads_as_in_the_golden_file(reporter: str, name: str, golden_report: Report) -> None:
    content = "\n".join(line.rstrip() for line in render(golden_report, reporter).splitlines()) + "\n"
    assert content == golden(name, content)


def nine_digits(value: Any) -> Any:
    """The same JSON with floats rounded: the last digits differ between processors."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: nine_digits(inner) for key, inner in value.items()}
    return [nine_digits(inner) for inner in value] if isinstance(value, list) else value


def not_json(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_the_json_report_holds_what_the_golden_file_does(golden_report: Report) -> None:
    content = nine_digits(json.loads(render(golden_report, "json"), parse_constant=not_json))
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    assert content == json.loads(golden("report.json", text))


def plain(value: Any) -> Any:
    """A value of a report as JSON has it, field by field."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, str) else value


def test_the_json_report_has_every_number_of_the_report(golden_report: Report, wide_report: Report) -> None:
    for report in (golden_report, wide_report):
        expected = plain(report)
        del expected["costs"]
        for table, entry in zip(report.tables, expected["tables"], strict=True):
            entry["title"] = table.title
            for row, inner in zip(table.rows, entry["rows"], strict=True):
                inner |= {"name": row.name, "label": row.label}
        assert json.loads(render(report, "json")) == expected


def test_a_report_without_problems_or_commands_is_only_its_tables(golden_report: Report) -> None:
    text = render(replace(golden_report, problems=(), commands=()))
    assert "Not read" not in text
    assert "Reproduce" not in text


# --- how wide tables are -------------------------------------------------------------------------

RULE = re.compile(r"^-+(?:  -+)*$", re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["golden_report", "wide_report", "study_report"])
def test_tables_have_eight_columns_and_lines_of_text_a_hundred_characters(
    name: str, request: pytest.FixtureRequest
) -> None:
    report = replace(request.getfixturevalue(name), costs=True)
    blocks = [block for block in render(report).split("\n\n") if RULE.search(block)]
    assert len(blocks) >= 5
    for block in blocks:
        assert max(map(len, block.splitlines())) <= 100, block
    for reporter, columns in (("text", RULE), ("markdown", re.compile(r"^\|-.*", re.MULTILINE))):
        rules = columns.findall(render(report, reporter))
        assert max(len(re.findall("-+", rule)) for rule in rules) <= 8
    rows = [row for row in render(report, "latex").splitlines() if row.endswith(r"\\")]
    assert max(row.count(" & ") for row in rows) < 8
    for head in re.findall(r"<thead>.*?</thead>", render(report, "html"), flags=re.DOTALL):
        assert head.count("<th ") + head.count("<th>") <= 8


def test_a_table_that_is_too_wide_goes_on_below_and_loses_nothing(wide_report: Report) -> None:
    text = render(wide_report)
    for heading in ("Other metrics (unadjusted, exploratory)", "pass@2 % by number of votes"):
        assert text.count(heading) == 2
        assert f"{heading}, continued" in text
    words = " ".join(text.split())
    for metric in only_table(wide_report).evaluators:
        assert only_table(wide_report).heading(metric) in words
    for row in only_table(wide_report).rows:
        assert text.count(row.name) >= 8


# --- beside the tables ---------------------------------------------------------------------------


def test_the_family_is_stated_and_counts_what_was_tested(golden_report: Report, tmp_path: Path) -> None:
    first, second = golden_report.tables
    assert first.tests == sum(pair.holm_p is not None for pair in first.pairs) == 3
    assert first.family.startswith("Family: 3 tests, the tested pairs of this table")
    assert first.family in render(golden_report)
    assert second.family == ""  # one seed of each: nothing is tested
    write_model(tmp_path / "single", "trm-mlp", TRM[:1])
    write_model(tmp_path / "single", "hrm", HRM[:1])
    assert only_table(report_of(tmp_path / "single")).family == ""


def test_an_undecided_pair_gets_advice(tmp_path: Path) -> None:
    three_models(tmp_path)
    (table,) = report_of(tmp_path).tables
    undecided = [pair for pair in table.pairs if pair.verdict is Verdict.UNDECIDED]
    assert undecided
    for pair in undecided:
        assert any(
            note.startswith(f"{pair.a} − {pair.b}: twice the seeds would narrow the interval by")
            for note in table.notes
        )
    assert not any(note.startswith("trm-mlp − hrm: twice the seeds") for note in table.notes)


def test_three_tasks_have_an_overall_table_and_two_have_none(tmp_path: Path) -> None:
    for task in ("a", "b", "c"):
        three_models(tmp_path / task, change=on_task(task))
    report = report_of(*(tmp_path / task for task in "abc"))
    assert [one.model for one in report.overall] == ["trm-mlp", "hrm", "plain"]
    assert report.overall[0].mean_rank == 1
    text = render(report)
    assert "Over all tasks (descriptive, no test)" in text
    assert "descriptive only: 9 runs" in text
    assert report_of(*(tmp_path / task for task in "ab")).overall == ()


def test_published_numbers_stand_beside_ours_and_enter_no_test(tmp_path: Path, run_cli: RunCli) -> None:
    three_models(tmp_path, change=on_task("maze-hard", "paper"), describe=described(source_kind="official"))
    plain, beside = (
        json.loads(run_cli("report", tmp_path, "--json", *more).out) for more in ((), ("--published",))
    )
    (before,), (after,) = plain["tables"], beside["tables"]
    assert before["pairs"] == after["pairs"]
    assert before["published"] == []
    trm = [one for one in after["published"] if one["model"].startswith("TRM-Att")]
    assert ("85.3", "arXiv 2510.04871") in [(one["score"], one["source"]) for one in trm]
    for reporter in ("text", "markdown", "latex"):
        text = run_cli("report", tmp_path, "--format", reporter, "--published").out
        assert "Published on the full task; not tested, and not run under the budget above" in text
        assert "75 to 84" in text


@pytest.mark.parametrize(
    ("task", "scale", "source"),
    [
        ("sudoku-extreme", "mini", "generated"),
        ("sudoku-extreme", "small", "official"),
        ("sudoku-extreme", "paper", "generated"),
        ("maze-hard", "lite", "generated"),
        ("maze-unique", "small", "generated"),
        ("arc-agi-1", "mini", "packaged"),
    ],
)
def test_no_published_number_is_printed_under_other_puzzles(
    tmp_path: Path, run_cli: RunCli, task: str, scale: str, source: str
) -> None:
    three_models(tmp_path, change=on_task(task, scale), describe=described(source_kind=source))
    (table,) = json.loads(run_cli("report", tmp_path, "--json", "--published").out)["tables"]
    assert table["published"] == []
    assert any(
        note.startswith("no published numbers here: they are about other puzzles (scale lite, paper")
        for note in table["notes"]
    )


@pytest.mark.parametrize(
    ("task", "source"),
    [
        ("sudoku-extreme", "hub"),
        ("maze-hard", "official"),
        ("maze-unique", "generated"),
        ("arc-agi-1", "packaged"),
        ("arc-agi-2", "official"),
    ],
)
def test_every_published_number_has_a_source_and_a_date_and_fits_the_published_size(
    task: str, source: str
) -> None:
    from trm_bench.harness.host.host import host

    numbers = host().tasks.get(task).spec.published
    assert len(numbers) >= 5
    assert all(one.model and one.score and one.source and one.date for one in numbers)
    assert len({(one.model, one.metric, one.inference, one.source) for one in numbers}) == len(numbers)
    for scale in ("lite", "paper"):
        assert all(one.fits(scale, source) for one in numbers)
    scales = host().tasks.get(task).spec.scales
    assert {scale for one in numbers for scale in one.scales} <= scales.keys()
    prompted = [one for one in numbers if one.inference == "prompted language model"]
    assert all(one.date == "2025-10" for one in prompted)
    assert bool(prompted) == (task != "maze-unique")


def test_a_published_number_is_printed_with_everything_it_depends_on_in_one_grid(wide_report: Report) -> None:
    from trm_bench.plugins.published import published
    from trm_bench.plugins.reporters.as_text import WIDTH, as_text
    from trm_bench.plugins.reporters.grids import published as grid_of

    table = only_table(wide_report)
    for task in ("sudoku-extreme", "maze-hard", "maze-unique", "arc-agi-1", "arc-agi-2"):
        grid = grid_of(replace(table, published=published(task)))
        assert max(map(len, as_text(grid, "simple").splitlines())) <= WIDTH
    rows = grid_of(replace(table, published=published("sudoku-extreme"))).rows
    (best,) = (row for row in rows if row[:2] == ["EqR, 5M", "99.8"])
    assert best[2] == (
        "solved; trained on 1,000; 64 steps × 128 restarts: 512 times the FLOPs of 86.4; seeds: 1; 2026-05"
    )


def test_device_hours_are_of_all_processes_and_seeds_and_training_counts_once(tmp_path: Path) -> None:
    spent = {"training_seconds": 3000.0, "validation_seconds": 500.0, "evaluation_seconds": 100.0}
    ledger = Ledger(**spent, processes=2)  # type: ignore[arg-type]
    assert ledger.device_hours == 2.0
    write_model(tmp_path, "trm-mlp", TRM[:3], ledger=ledger)
    write_model(tmp_path, "hrm", HRM[:1], ledger=Ledger(**spent))  # type: ignore[arg-type]
    # Stored weights keep the ledger of their training, which took place in another run.
    write_model(tmp_path, "plain", PLAIN[:1], ledger=ledger, weights_file="model.safetensors")
    rows = printed(replace(report_of(tmp_path), costs=True), "Device-hours of the finished runs (CPU)")
    per_run, runs, hours = "device-hours per run", "finished runs", "device-hours"
    assert rows["trm-mlp"] | {"model": ""} == {"model": "", per_run: "2.0", runs: "3", hours: "6.0"}
    assert (rows["hrm"][per_run], rows["hrm"][hours]) == ("1.0", "1.0")
    assert rows["plain"][hours] == "0.028"
    assert (rows["total"][runs], rows["total"][hours]) == ("5", "7.0")


# --- the schema of the JSON ----------------------------------------------------------------------


def test_the_documented_schema_is_that_of_the_json_report() -> None:
    from support.paths import ROOT
    from trm_bench.plugins.reporters.as_json import schema

    path = ROOT / "docs" / "report.schema.json"
    if os.environ.get("TRM_BENCH_UPDATE_GOLDEN"):
        path.write_text(json.dumps(schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == schema()


def follows(schema: dict[str, Any], value: Any, defs: dict[str, Any], where: str = "report") -> None:
    """Whether JSON has the types and required keys of a schema; enough of the standard for ours."""
    if "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        for one in schema["anyOf"]:
            with contextlib.suppress(AssertionError):
                return follows(one, value, defs, where)
        raise AssertionError(f"{where}: {value!r} is none of {schema['anyOf']}")
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "null": type(None),
        "boolean": bool,
        "integer": int,
    }
    kind = schema.get("type")
    assert kind is None or isinstance(value, (int, float) if kind == "number" else kinds[kind]), where
    if "enum" in schema:
        assert value in schema["enum"], where
    if kind == "object":
        assert set(schema.get("required", ())) <= value.keys(), where
        properties = schema.get("properties", {})
        for key, inner in value.items():
            rule = properties.get(key, schema.get("additionalProperties", {}))
            assert key in properties or "additionalProperties" in schema, f"{where}: {key}"
            if isinstance(rule, dict):
                follows(rule, inner, defs, f"{where}.{key}")
    if kind == "array" and isinstance(schema.get("items"), dict):
        for place, inner in enumerate(value):
            follows(schema["items"], inner, defs, f"{where}[{place}]")
    return None


def test_the_json_report_follows_its_schema(golden_report: Report) -> None:
    from trm_bench.plugins.reporters.as_json import schema

    rules = schema()
    follows(rules, json.loads(render(golden_report, "json")), rules["$defs"])
