"""The Python functions: the command line without exits and prints, with DataFrames of documented columns."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.stored import in_this_process, runs
from support.studies import QUICK, write_yaml
from trm_bench.harness.inference.scoring import score
from trm_bench.testing.pytest_plugin import RunCli

import trm_bench
from trm_bench import NothingToReport, Results, UnavailableError, UsageError

TRM = "trm-mlp[hidden=16,multiple=16,cycles=1,updates=1,supervision=3]"
MODELS = [TRM, "mirror", "copy"]
SHORT = ("--task", "tiny", "--seeds", "0-1", "--limit", "12", "--set", "steps=4", "--set", "batch_size=8")
COLUMNS = {
    "runs": """task scale split model requested resolved evaluation seed status score metric optimiser_steps
        inference_steps training_seconds device citable reason run folder""",
    "samples": """task scale split model evaluation seed item cluster exact first-cell cells steps halt_step
        cells.copy""",
    "comparisons": """task scale split source budget metric citable study grid question a b delta low high p
        tests family_low family_high holm_p verdict decidable margin equivalence_p seeds
        share_seeds share_puzzles share_residual note""",
    "costs": """task scale split source budget model evaluation devices core_parameters io_parameters
        puzzle_embedding_parameters training_flops optimiser_steps supervision_steps draws
        distinct_augmentations training_seconds validation_seconds processes device_hours
        inference_flops_per_puzzle inference_steps steps_taken mean_halt_step
        milliseconds_per_puzzle puzzles_per_second evaluation_seconds
        peak_memory_bytes votes_per_puzzle""",
    "table": """task scale split source budget model evaluation score low high seed_sd seeds inference_steps
        inference_flops_per_puzzle""",
}
FEW = "task scale split model evaluation seed item cluster"
"""Columns of samples where there are none."""


def short(folder: Path, *models: str, **more: object) -> Results:
    """A run of seconds; its processes are this one's."""
    options = {"seeds": range(2), "limit": 12, "steps": 4, "batch_size": 8, "output": folder, **more}
    with in_this_process():
        return trm_bench.run(models or MODELS, "tiny", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return short(tmp_path_factory.mktemp("api") / "out")


@pytest.fixture
def copied(finished: Results, tmp_path: Path) -> Path:
    """The folder of the finished runs, for a test to change."""
    return Path(shutil.copytree(finished.folders[0], tmp_path / "copied"))


def digests(folder: Path) -> dict[str, tuple[str, str]]:
    """What was trained and what was predicted, bit for bit, by run."""
    manifests = [run.manifest() for run in runs(folder)]
    return {one.run: (one.weights_sha256, one.samples_sha256) for one in manifests}


def shape_of(results: Results, name: str) -> tuple[list[str], int]:
    frame = getattr(results, name)
    assert isinstance(frame, pd.DataFrame)
    return list(frame.columns), len(frame)


# --- run -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_run_gives_the_samples_of_the_command_line_bit_for_bit(
    finished: Results, tmp_path: Path, run_cli: RunCli
) -> None:
    with in_this_process():
        ended = run_cli("run", "--models", ",".join(MODELS), *SHORT, "--output", tmp_path / "cli")
    assert ended.code == 0, ended.err
    assert digests(finished.folders[0]) == digests(tmp_path / "cli")
    there = trm_bench.load_results(tmp_path / "cli")
    pd.testing.assert_frame_equal(there.samples, finished.samples)
    pd.testing.assert_frame_equal(there.table, finished.table)
    without_times = [name for name in COLUMNS["runs"].split() if name not in ("training_seconds", "folder")]
    pd.testing.assert_frame_equal(there.runs[without_times], finished.runs[without_times])
    assert ended.out.partition("- made with")[0] == finished.report().partition("- made with")[0]


def test_run_and_the_command_line_share_a_folder(copied: Path, run_cli: RunCli) -> None:
    line = [*SHORT, "--set", "lr=1e-3", "--output", copied.with_name("shared")]
    first = short(copied.with_name("shared"), "mirror", lr=0.001)
    ended = run_cli("run", "--models", "mirror", *line)
    assert ended.code == 0, ended.err
    assert "2 of 2 runs are finished and reused" in ended.err
    assert digests(first.folders[0]) == digests(copied.with_name("shared"))


@pytest.mark.parametrize(
    "more",
    [
        {"seeds": "0-1", "settings": {"steps": "4", "batch_size": "8"}},
        {"seeds": [0, 1], "settings": {"steps": 4, "batch_size": 99}},  # the keyword wins
        {"seeds": np.arange(2), "steps": np.int64(4), "limit": np.int64(12), "jobs": np.int64(1)},
    ],
)
def test_options_may_be_text_or_numbers(copied: Path, finished: Results, more: dict[str, object]) -> None:
    before = digests(copied)
    kept = {} if "steps" in more else {"batch_size": 8}
    settings = {"steps": 4, "batch_size": 8} if "settings" not in more else kept
    with in_this_process():
        again = trm_bench.run(",".join(MODELS), "tiny", **{"limit": 12, "output": copied, **settings, **more})  # type: ignore[arg-type]
    assert again.failed == {}
    assert digests(copied) == before


@pytest.mark.slow
def test_nothing_is_printed_unless_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call: dict[str, Any] = {"models": "copy", "task": "tiny", "seeds": 0, "output": tmp_path / "out"}
    quiet = trm_bench.run(**call)
    assert quiet.failed == {}
    assert capfd.readouterr() == ("", "")
    shown = trm_bench.run(**call, progress=True, force=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert f"tiny at scale mini on cpu: 1 model × 1 seed = 1 run, to {tmp_path / 'out'}" in err
    assert "[1/1] copy-s0-" in err
    assert digests(tmp_path / "out").keys() == set(shown.runs["run"])


@pytest.mark.slow
def test_a_failing_run_is_in_failed_and_the_others_are_there(tmp_path: Path) -> None:
    models = ["mirror[explode=true]", "mirror[crash=true]", "copy"]
    results = trm_bench.run(models, "tiny", seeds=0, steps=2, output=tmp_path)
    by_model = results.runs.set_index("requested")
    assert list(by_model["status"]) == ["failed", "failed", "done"]
    exploded, crashed, copy = by_model["run"]
    assert set(results.failed) == {exploded, crashed}
    assert "nan" in results.failed[exploded]
    assert results.failed[crashed] == "the run's process ended with exit code 7 (see the lines above)"
    assert list(by_model["reason"].iloc[:2].str.contains("the run failed")) == [True, True]
    assert set(results.samples["model"]) == {by_model["model"].iloc[2]}
    assert not results.complete
    assert results.table.set_index("model")["seeds"].to_dict() == dict(
        zip(by_model["model"], (0, 0, 1), strict=True)
    )
    assert copy in digests(tmp_path)


def test_a_forced_run_that_fails_is_in_failed_and_keeps_its_earlier_result(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(copied)

    def fails(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trm_bench.harness.running.worker.score", fails)
    results = short(copied, "copy", force=True)
    assert set(results.failed.values()) == {"failed; the result that is there was kept"}
    assert len(results.failed) == 2
    assert digests(copied) == before


def test_a_study_is_run_by_its_name_or_file(tmp_path: Path) -> None:
    file = write_yaml(tmp_path / "quick.yaml", QUICK)
    with in_this_process():
        results = trm_bench.run(study=file, seeds=range(3), limit=12, output=tmp_path / "out")
    (answer,) = results.comparisons.to_dict("records")
    assert (answer["study"], answer["grid"]) == ("quick", "main")
    assert (answer["question"], answer["seeds"]) == ("Is a mirror better?", 3)
    assert results.complete
    assert results.report().startswith("Study quick at mini")


# --- resume, load, evaluate ----------------------------------------------------------------------


def test_resume_runs_what_is_missing(copied: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = digests(copied)
    shutil.rmtree(copied / next(name for name in before if name.startswith("mirror")))
    assert trm_bench.load_results(copied).runs["status"].tolist().count("missing") == 1
    with in_this_process():
        results = trm_bench.resume(copied)
    assert capfd.readouterr() == ("", "")
    assert (results.failed, results.complete) == ({}, True)
    assert digests(copied) == before


def test_resume_names_why_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(NothingToReport, match="no run into it is known"):
        trm_bench.resume(tmp_path)
    study = write_yaml(tmp_path / "quick.yaml", QUICK)
    with in_this_process():
        trm_bench.run(study=study, limit=12, output=tmp_path / "study")
    with pytest.raises(UsageError, match=r"belongs to a study: trm-bench run --study quick .* resumes it"):
        trm_bench.resume(tmp_path / "study")


def test_loaded_results_are_those_that_run_returned(finished: Results) -> None:
    again = trm_bench.load_results(str(finished.folders[0]))
    for name in COLUMNS:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(finished, name))
    assert again.report("json") == finished.report("json")
    assert (again.failed, again.problems, again.complete) == ({}, (), True)
    assert repr(again) == f"<trm_bench.Results: 6 runs in {finished.folders[0]}>"


def test_several_folders_are_loaded_together(finished: Results, tmp_path: Path) -> None:
    short(tmp_path / "longer", "mirror", steps=6)
    both = trm_bench.load_results(finished.folders[0], tmp_path / "longer")
    assert both.runs["folder"].value_counts().to_dict() == {
        str(finished.folders[0]): 6,
        str(tmp_path / "longer"): 2,
    }
    assert len(both.data.tables) == 2


@pytest.mark.slow
def test_weights_are_evaluated_as_the_command_line_does(
    finished: Results, tmp_path: Path, run_cli: RunCli, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder,) = finished.folders
    with in_this_process():
        results = trm_bench.evaluate(folder, steps=[1, 3], halting=True, output=tmp_path / "api", limit=12)
    assert capfd.readouterr() == ("", "")
    with in_this_process():
        line = ["--weights", folder, "--steps", "1,3", "--halt", "threshold", "--limit", 12]
        assert run_cli("evaluate", *line, "--output", tmp_path / "cli").code == 0
    assert results.failed == {}
    assert digests(tmp_path / "api") == digests(tmp_path / "cli")
    of_trm = results.samples[results.samples["model"].str.startswith("TRM")]
    modes = ["halting=true,steps=1", "halting=true,steps=3", "steps=1", "steps=3"]
    assert sorted(set(of_trm["evaluation"])) == modes
    assert of_trm.groupby("evaluation")["steps"].max().loc[modes].tolist() == [1, 3, 1, 3]
    usual = finished.samples[finished.samples["model"].str.startswith("TRM")]
    again = of_trm[of_trm["evaluation"] == "steps=3"]
    scores = ["seed", "item", "exact", "cells", "steps", "halt_step"]
    pd.testing.assert_frame_equal(
        again[scores].sort_values(["seed", "item"], ignore_index=True),
        usual[scores].sort_values(["seed", "item"], ignore_index=True),
    )


def test_one_of_several_weights_may_be_named_and_settings_are_keywords(
    finished: Results, tmp_path: Path
) -> None:
    (folder,) = finished.folders
    (name,) = [name for name in digests(folder) if name.startswith("trm") and "-s1-" in name]
    with in_this_process():
        results = trm_bench.evaluate(
            [folder / name], steps=2, output=tmp_path, evaluation_batch=np.int64(3), threads="1"
        )
    assert results.runs[["seed", "evaluation", "inference_steps"]].values.tolist() == [[1, "steps=2", 2]]
    with pytest.raises(UsageError, match=r"setting lr=0\.1: the weights are trained already"):
        trm_bench.evaluate(folder / name, lr=0.1)
    with pytest.raises(UsageError, match="--steps: '0' is not a number of supervision steps"):
        trm_bench.evaluate(folder / name, steps=[1, 0])


def test_of_an_evaluation_that_fails_half_way_the_finished_depths_are_there(
    finished: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = next(finished.folders[0].glob("trm-mlp*-s1-*"))
    scored = []

    def fails_at_the_second(*arguments: Any, **named: Any) -> Any:
        scored.append(arguments)
        if len(scored) == 2:
            raise OSError(28, "No space left on device")
        return score(*arguments, **named)

    monkeypatch.setattr("trm_bench.harness.running.worker.score", fails_at_the_second)
    with in_this_process():
        results = trm_bench.evaluate(run, steps=[1, 2, 3], output=tmp_path)
    statuses = results.runs.set_index("evaluation")["status"].to_dict()
    assert statuses == {"steps=1": "done", "steps=2": "failed", "steps=3": "failed"}
    assert set(results.failed) == set(results.runs["run"].iloc[1:])
    assert all("No space left" in reason for reason in results.failed.values())


# --- compare and cite ----------------------------------------------------------------------------


def test_compare_gives_the_pairs_of_two_models_or_two_folders(finished: Results, copied: Path) -> None:
    (folder,) = finished.folders
    trm = finished.runs["requested"].iloc[0]
    (pair,) = trm_bench.compare(trm, "mirror", folder)
    assert (pair.a, pair.b) == (trm, "mirror")
    table = finished.table.set_index("model")["score"]
    assert pair.difference.delta == pytest.approx(table.iloc[0] - table["mirror"])
    assert "mirror" in trm_bench.sentences(pair)[0]
    with pytest.raises(UsageError, match="have runs in common, and nothing is compared with itself"):
        trm_bench.compare(folder, copied)


def test_compare_names_what_is_wrong_and_what_cannot_be_read(finished: Results, copied: Path) -> None:
    (folder,) = finished.folders
    with pytest.raises(UsageError, match=r"no run of model 'miror'; did you mean 'mirror'\?"):
        trm_bench.compare("miror", "copy", folder)
    with pytest.raises(UsageError, match="name the output folders to look in, or two folders to compare"):
        trm_bench.compare("mirror", "copy")
    with pytest.raises(UnavailableError, match="no such folder"):
        trm_bench.compare("mirror", "copy", copied / "nowhere")
    samples = next(copied.glob("copy-s0-*")) / "samples.jsonl.gz"
    samples.write_bytes(samples.read_bytes()[:20])
    problems: list[str] = []
    (pair,) = trm_bench.compare("mirror", "copy", copied, problems=problems)
    assert pair.difference.seeds == 1
    damaged, unfit = problems
    assert str(samples) in damaged
    assert unfit.startswith("NOT CITABLE: ")  # a run of seconds
    assert "incomplete: not every requested seed is done" in unfit


def test_cite_has_an_entry_for_the_harness_and_for_the_models(finished: Results) -> None:
    citations = trm_bench.cite(*finished.folders)
    assert [of[0] for of in citations.entries.values()] == ["trm-bench", "model trm-bench:trm-mlp"]
    assert str(citations).startswith("@software{trm_bench,")
    assert "jolicoeur2025less" in str(citations)
    assert any("tiny" in missing for missing in citations.missing)
    assert list(trm_bench.cite().entries.values()) == [("trm-bench",)]


# --- DataFrames ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rows"), [("runs", 6), ("samples", 72), ("comparisons", 1), ("costs", 3), ("table", 3)]
)
def test_a_frame_has_the_documented_columns_in_their_order(finished: Results, name: str, rows: int) -> None:
    assert shape_of(finished, name) == (COLUMNS[name].split(), rows)


def test_the_frames_have_the_numbers_of_the_report(finished: Results) -> None:
    (content,) = json.loads(finished.report("json"))["tables"]
    for row, (_, ours) in zip(content["rows"], finished.table.iterrows(), strict=True):
        summary = row["summary"]
        assert [ours[key] for key in ("score", "low", "high", "seeds")] == [
            summary[key] for key in ("mean", "low", "high", "seeds")
        ]
    by_model = finished.runs.groupby("model", sort=False)["score"].mean()
    assert by_model.tolist() == pytest.approx(finished.table["score"].tolist())
    means = finished.samples.groupby("model", sort=False)["exact"].mean()
    assert means.loc[by_model.index].tolist() == pytest.approx(by_model.tolist())
    for pair, (_, ours) in zip(content["pairs"], finished.comparisons.iterrows(), strict=True):
        assert (ours["a"], ours["b"], ours["delta"]) == (pair["a"], pair["b"], pair["difference"]["delta"])


def test_frames_of_a_single_run_have_the_same_columns_and_no_interval(tmp_path: Path) -> None:
    results = short(tmp_path, "mirror", seeds=0)
    sizes = {"runs": 1, "samples": 12, "comparisons": 0, "costs": 1, "table": 1}
    for name, rows in sizes.items():
        assert shape_of(results, name) == (COLUMNS[name].split(), rows)
    row = results.table.iloc[0]
    assert (row["seeds"], pd.isna(row["seed_sd"])) == (1, True)
    assert results.table[["low", "high", "seed_sd"]].dtypes.eq(float).all()
    two = short(tmp_path, "mirror", "mirror[lr=0.5]", seeds=0).comparisons
    assert two["verdict"].tolist() == ["untested"]
    assert two[["low", "high", "p", "holm_p"]].isna().all(axis=None)


def test_frames_without_any_run_have_the_documented_columns(tmp_path: Path) -> None:
    (tmp_path / "grid.json").write_text("{}")
    results = trm_bench.load_results(tmp_path)
    for name, columns in {**COLUMNS, "samples": FEW}.items():
        assert shape_of(results, name) == (columns.split(), 0)
    assert not results.complete
    assert results.figures() == {}
    with pytest.raises(NothingToReport, match=str(results.folders[0])):
        results.report()


def test_frames_without_any_finished_run_show_what_failed(tmp_path: Path) -> None:
    results = short(tmp_path, "mirror[explode=true]", seeds=0)
    assert list(results.failed) == results.runs["run"].tolist()
    for name, columns in {**COLUMNS, "samples": FEW}.items():
        assert shape_of(results, name) == (columns.split(), 1 if name == "runs" else 0)
    assert "failed" in results._repr_html_()
    assert "the run failed" in results._repr_html_()
    with pytest.raises(NothingToReport):
        results.data  # noqa: B018


# --- reports and figures -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text", "markdown", "html", "latex", "csv", "json"])
def test_a_report_is_that_of_the_command_line(finished: Results, run_cli: RunCli, name: str) -> None:
    ended = run_cli("report", *finished.folders, "--format", name)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == finished.report(name) + "\n"


def test_a_report_takes_the_options_of_the_command_line(finished: Results, run_cli: RunCli) -> None:
    line = ["--costs", "--published", "--only", "mirror", "--name", "mirror=Ours"]
    ours = finished.report(costs=True, published=True, only=["mirror"], names={"mirror": "Ours"})
    assert run_cli("report", *finished.folders, *line).out == ours + "\n"
    assert "Ours" in ours
    assert "Cost per training run" in ours
    assert "Cost per training run" not in finished.report()


def test_a_wrong_reporter_or_model_is_refused_with_the_nearest(finished: Results) -> None:
    with pytest.raises(UsageError, match="did you mean 'markdown'"):
        finished.report("markdwon")
    with pytest.raises(UsageError, match="did you mean 'mirror'"):
        finished.report(only=["miror"])


@pytest.mark.slow
def test_figures_are_drawn_and_saved_by_name(finished: Results, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figures = finished.figures()
    assert figures
    assert {type(figure) for figure in figures.values()} == {Figure}
    files = finished.save_figures(tmp_path / "figures")
    assert {file.name for file in files} == {f"{name}.{kind}" for name in figures for kind in ("svg", "png")}
    assert all(file.stat().st_size for file in files)


def test_figures_without_matplotlib_name_what_to_install(
    finished: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UnavailableError, match=r"pip install 'trm-bench\[figures\]'"):
        finished.figures()


def test_a_notebook_shows_the_models_and_their_comparisons(finished: Results) -> None:
    html = finished._repr_html_()
    assert html.count("<table") == 2
    for model in finished.table["model"]:
        assert model in html
    assert "verdict" in html


# --- the other functions -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_other_functions_return_data_and_print_nothing(
    finished: Results, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prepared = trm_bench.prepare("tiny", settings={"task_seed": 3})
    assert prepared.counts == {"train": 120, "validation": 20, "test": 40}
    run = next(finished.folders[0].glob("trm-mlp*-s1-*"))
    assert trm_bench.open_model(run).reasoner.supervision_steps == 3
    name, weights, side = trm_bench.export(run, tmp_path / "weights.safetensors")
    assert name.startswith("trm-mlp[")
    assert weights.stat().st_size > side.stat().st_size > 0
    speed = trm_bench.measure_speed("copy", "tiny", minutes=0.1)
    assert [one.model for one in speed.measured] == ["copy"]
    assert capfd.readouterr() == ("", "")


# --- the module ----------------------------------------------------------------------------------


@pytest.fixture
def fresh() -> Callable[[str], str]:
    """What a script prints in a new interpreter."""
    from support.shell import environment

    def python(script: str) -> str:
        import subprocess

        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return python


@pytest.mark.slow
def test_importing_the_package_imports_nothing_heavy(fresh: Callable[[str], str]) -> None:
    heavy = "{'torch', 'pandas', 'scipy', 'matplotlib', 'rich', 'click'}"
    assert fresh(f"import sys, trm_bench; print({heavy} & set(sys.modules))").strip() == "set()"
    assert fresh("import trm_bench; print(trm_bench.run.__name__, trm_bench.Results.__name__)").split() == [
        "run",
        "Results",
    ]


def test_every_public_name_is_there() -> None:
    for name in trm_bench.__all__:
        assert getattr(trm_bench, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        trm_bench.train  # noqa: B018
