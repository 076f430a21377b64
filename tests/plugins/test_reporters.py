"""What a report prints: words beneath tables, numbers, golden files."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.folders import (
    GOLDEN,
    HRM,
    ITEMS,
    PLAIN,
    TRM,
    on_task,
    only_table,
    render,
    report_of,
    request,
    row_of,
    three_models,
    write_model,
    write_run,
)
from trm_bench.harness.api.budget import Ledger
from trm_bench.harness.report.table import Report
from trm_bench.harness.stats.tests import Verdict
from trm_bench.harness.store.records import Status
from trm_bench.plugins.reporters.grids import count, p_value, percent
from trm_bench.testing.pytest_plugin import RunCli

# --- words beneath a table -----------------------------------------------------------------------


def test_the_reasons_against_citing_are_printed_once_each(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM, not_citable_because=["--limit 8: only the first 8 test items"])
    write_model(
        tmp_path, "hrm", HRM, not_citable_because=["--limit 8: only the first 8 test items", "dirty tree"]
    )
    report = report_of(tmp_path)
    assert row_of(report, "hrm").not_citable_because == (
        "--limit 8: only the first 8 test items",
        "dirty tree",
    )
    for reporter in ("text", "markdown"):
        text = render(report, reporter)
        assert text.count("NOT CITABLE: --limit 8: only the first 8 test items; dirty tree") == 1


def test_a_citable_table_does_not_mention_it(tmp_path: Path) -> None:
    three_models(tmp_path)
    assert "CITABLE" not in render(report_of(tmp_path))


def test_a_model_is_labelled_with_the_name_it_was_asked_by(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM, requested="trm")
    write_model(tmp_path, "hrm", HRM)
    report = report_of(tmp_path)
    assert only_table(report).pairs[0].b == "trm (trm-mlp)"
    assert "- trm stands for trm-mlp here" in render(report)
    assert "hrm stands for" not in render(report)


def test_the_protocol_names_weights_and_inference_steps(tmp_path: Path) -> None:
    ledger = Ledger(inference_steps=6)
    write_model(tmp_path, "trm-mlp", TRM, weights="averaged (EMA 0.999)", ledger=ledger)
    write_model(tmp_path, "hrm", HRM, weights="those of the last step", ledger=ledger)
    (protocol,) = [note for note in only_table(report_of(tmp_path)).notes if note.startswith("protocol: ")]
    assert "answered once" in protocol
    assert "weights: hrm those of the last step, trm-mlp averaged (EMA 0.999);" in protocol
    assert "inference steps: hrm 6, trm-mlp 6" in protocol


def test_notes_of_the_data_stand_beneath_the_table_once(tmp_path: Path) -> None:
    three_models(tmp_path, change=data(notes=["the test split was cut to 8"]))
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
    text = render(report_of(tmp_path))
    assert re.search(r"trm-mlp .* 6 +2\.5$", text, re.MULTILINE)
    assert re.search(r"plain .* 1 +–$", text, re.MULTILINE)


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

LEDGER = Ledger(
    optimiser_steps=1600,
    draws=12_000,
    distinct_augmentations=1000,
    supervision_steps=51_200,
    training_flops=3.21e12,
    inference_flops_per_puzzle=4.5e7,
    core_parameters=59_800,
    io_parameters=1234,
    inference_steps=6,
    training_seconds=41.25,
    evaluation_seconds=0.5,
    puzzles_per_second=1000.0,
    evaluation_batch=24,
    milliseconds_per_puzzle=2.5,
    peak_memory_bytes=300 * 2**20,
)


@pytest.fixture
def golden_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """A table of three models and three seeds, and one of single runs of which one has failed."""
    monkeypatch.chdir(tmp_path)
    maze, sudoku = Path("results/maze-hard-mini"), Path("results/sudoku-extreme-mini")
    run = ["trm-bench", "run", "--models", "trm,transformer,copy", "--task", "maze-hard"]
    averaged = "average of the weights (EMA 0.99)"
    of_maze: dict[str, Any] = {"change": on_task("maze-hard"), "command": run, "ledger": LEDGER}
    of_maze["cells"] = np.linspace(0.5, 1, ITEMS)
    names = write_model(maze, "trm-att", TRM, requested="trm", weights=averaged, halt_step=2.5, **of_maze)
    of_maze["ledger"] = LEDGER.model_copy(update={"inference_steps": 1})
    names += write_model(maze, "transformer", HRM, weights=averaged, **of_maze)
    of_maze["ledger"] = Ledger(inference_steps=1)
    names += write_model(maze, "copy", np.zeros((3, ITEMS)), **of_maze)
    request(maze, names)
    of_sudoku = {
        "change": on_task("sudoku-extreme"),
        "command": ["trm-bench", "run", "--config", "sudoku.yaml"],
        "not_citable_because": ["shortened recipe: 100 steps instead of 700"],
    }
    names = write_model(sudoku, "trm-mlp", TRM[:1], ledger=LEDGER, **of_sudoku)
    names += write_model(sudoku, "hrm", HRM[:1], ledger=LEDGER, **of_sudoku)
    failure = "the loss is nan after optimiser step 7"
    names.append(write_run(sudoku, "transformer", 0, [], status=Status.FAILED, error=failure, **of_sudoku))
    request(sudoku, names)
    return report_of(maze, sudoku)


def golden(name: str, content: str) -> str:
    """The golden file, rewritten first where that was asked for."""
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


def test_the_json_report_has_every_number_of_the_report(golden_report: Report) -> None:
    content = json.loads(render(golden_report, "json"))
    for table, written in zip(golden_report.tables, content["tables"], strict=True):
        assert written["title"] == table.title
        assert [row["label"] for row in written["rows"]] == [row.label for row in table.rows]
        assert [row["summary"] and row["summary"]["mean"] for row in written["rows"]] == [
            row.summary and row.summary.mean for row in table.rows
        ]
        assert [pair["difference"]["p"] for pair in written["pairs"]] == [
            pair.difference.p for pair in table.pairs
        ]


def test_a_report_without_problems_or_commands_is_only_its_tables(golden_report: Report) -> None:
    text = render(replace(golden_report, problems=(), commands=()))
    assert "Not read" not in text
    assert "Reproduce" not in text


# --- CSV and LaTeX -------------------------------------------------------------------------------


def test_csv_holds_every_mean_and_every_seed_in_full(golden_report: Report) -> None:
    lines = list(csv.DictReader(io.StringIO(render(golden_report, "csv"))))
    for table in golden_report.tables:
        for row in table.rows:
            own = {
                line["metric"]: line
                for line in lines
                if (line["task"], line["model"]) == (table.task, row.label)
            }
            assert set(own) == ({table.primary, *table.evaluators} if row.means else {table.primary})
            primary = own[table.primary]
            if row.summary is None:
                assert primary["mean"] == ""
                continue
            assert float(primary["mean"]) == pytest.approx(row.summary.mean)
            assert [float(score) for score in primary["each_seed"].split()] == pytest.approx(
                [seed.score for seed in row.seeds if seed.score is not None]
            )
            for name in set(own) - {table.primary}:
                assert float(own[name]["mean"]) == pytest.approx(row.means[name])
            assert own[table.primary]["citable"] == str(row.complete and not row.not_citable_because)


def test_latex_escapes_what_latex_would_trip_over() -> None:
    from trm_bench.plugins.reporters.as_latex import escape

    assert escape(r"50 % & a_b #1 $x^2 {y} ~ \n <z>") == (
        r"50 \% \& a\_b \#1 \$x\textasciicircum{}2 \{y\} \textasciitilde{} \textbackslash{}n $<$z$>$"
    )


def test_latex_is_plain_and_balanced(golden_report: Report) -> None:
    text = render(golden_report, "latex")
    assert text.isascii()
    for kind in ("table", "tabular", "itemize"):
        assert text.count(f"\\begin{{{kind}}}") == text.count(f"\\end{{{kind}}}") > 0
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert text.count("\\toprule") == text.count("\\midrule") == text.count("\\bottomrule")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_latex_compiles_in_a_plain_article(golden_report: Report, tmp_path: Path) -> None:
    packages = r"\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}\usepackage{booktabs}"
    body = render(golden_report, "latex")
    document = f"\\documentclass{{article}}{packages}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "report.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


# --- what stands beside the tables ---------------------------------------------------------------


def test_the_family_is_stated_and_counts_what_was_tested(golden_report: Report) -> None:
    tested = sum(pair.holm_p is not None for table in golden_report.tables for pair in table.pairs)
    assert f"adjusted over all {tested} tests" in golden_report.family
    assert golden_report.family in render(golden_report)
    untested = replace(golden_report, tables=golden_report.tables[1:])  # single runs
    assert untested.family == ""


def test_an_undecided_pair_gets_advice(tmp_path: Path) -> None:
    three_models(tmp_path)
    (table,) = report_of(tmp_path).tables
    undecided = [pair for pair in table.pairs if pair.verdict is Verdict.UNDECIDED]
    assert undecided
    for pair in undecided:
        assert any(note.startswith(f"{pair.a} – {pair.b}: twice the seeds") for note in table.notes)
    assert not any(note.startswith("trm-mlp – hrm: twice the seeds") for note in table.notes)


def test_three_tasks_have_an_overall_table_and_two_have_none(tmp_path: Path) -> None:
    for task in ("a", "b", "c"):
        three_models(tmp_path / task, change=on_task(task))
    report = report_of(tmp_path / task for task in "abc")
    assert [one.model for one in report.overall] == ["trm-mlp", "hrm", "plain"]
    assert report.overall[0].mean_rank == 1
    text = render(report)
    assert "Over all tasks (descriptive, no test)" in text
    assert "descriptive only: 9 runs" in text
    assert report_of(tmp_path / task for task in "ab").overall == ()


def test_published_numbers_stand_beside_ours_and_enter_no_test(tmp_path: Path, run_cli: RunCli) -> None:
    three_models(tmp_path, change=on_task("maze-hard"))
    plain, beside = (
        json.loads(run_cli("report", tmp_path, "--json", *more).out) for more in ((), ("--published",))
    )
    (before,), (after,) = plain["tables"], beside["tables"]
    assert before["pairs"] == after["pairs"]
    assert before["published"] == []
    trm = [one for one in after["published"] if one["model"].startswith("TRM-Att")]
    assert ("85.3", "TRM paper, arXiv 2510.04871") in [(one["score"], one["source"]) for one in trm]
    for reporter in ("text", "markdown", "latex"):
        text = run_cli("report", tmp_path, "--format", reporter, "--published").out
        assert "Reported by others on the full task, in percent; not tested" in text
        assert "75 to 84" in text


@pytest.mark.parametrize("task", ["sudoku-extreme", "maze-hard", "arc-agi-1", "arc-agi-2"])
def test_every_published_number_has_a_source(task: str) -> None:
    from trm_bench.harness.host.host import host

    numbers = host().tasks.get(task).spec.published
    assert len(numbers) >= 5
    assert all(one.model and one.score and one.source for one in numbers)
    assert len({(one.model, one.source) for one in numbers}) == len(numbers)


# --- HTML ----------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page holds: its tags, whatever it would fetch, and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_is_whole_and_fetches_nothing(golden_report: Report) -> None:
    text = render(golden_report, "html")
    page = Page(text)
    assert page.open == []
    assert page.fetched == []
    assert "url(http" not in text
    assert page.tags.count("table") == sum(2 + bool(table.pairs) for table in golden_report.tables)
    assert page.tags.count("svg") >= 2
    for table in golden_report.tables:
        assert table.title in page.words
        assert all(note in page.words for note in table.notes)


def test_the_page_escapes_what_came_from_outside(golden_report: Report) -> None:
    wicked = "<script>alert(1)</script>"
    table = golden_report.tables[0]
    rows = (replace(table.rows[0], model=wicked, requested=wicked), *table.rows[1:])
    tables = (replace(table, notes=(wicked,), rows=rows), *golden_report.tables[1:])
    text = render(replace(golden_report, tables=tables, commands=(wicked,), problems=(wicked,)), "html")
    assert wicked not in text
    assert text.count("&lt;script&gt;") >= 4


def test_without_matplotlib_the_page_has_its_tables_and_says_what_is_missing(
    golden_report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    text = render(golden_report, "html")
    assert "<svg" not in text
    assert "No figures here: figures need matplotlib" in text
    assert golden_report.tables[0].title in text


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

    check_rules = schema()
    follows(check_rules, json.loads(render(golden_report, "json")), check_rules["$defs"])
