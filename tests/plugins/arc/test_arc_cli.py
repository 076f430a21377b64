"""ARC from the command line: a short run with votes, its files, and its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trm_bench.harness.store.folders import RunFolder
from trm_bench.testing.pytest_plugin import Ended, RunCli

SHORT = ("run", "--task", "arc-agi-1", "--seeds", "0", "--set", "steps=3", "--set", "votes=4")
SHORT = (*SHORT, "--augmentations", "8")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A run of two models, three steps each."""
    import contextlib
    import io

    from trm_bench.harness.cli import main

    folder, out, err = tmp_path_factory.mktemp("arc") / "out", io.StringIO(), io.StringIO()
    words = [*SHORT, "--models", "transformer,copy", "--output", str(folder)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return folder, Ended(code, out.getvalue(), err.getvalue())


def cells(folder: Path) -> dict[str, RunFolder]:
    return {path.name.partition("-s0")[0]: RunFolder(path) for path in folder.iterdir() if path.is_dir()}


def test_the_table_says_what_was_trained_on_and_how_it_was_answered(finished: tuple[Path, Ended]) -> None:
    _, ended = finished
    assert ended.code == 0, ended.err
    assert "training + evaluation demonstrations (transductive)" in ended.out
    assert "augmentations per puzzle A = 8; up to 4 votes per test item" in ended.out
    assert "all votes of a seed come from one checkpoint" in ended.out
    assert "pass@2 averaged in three ways" in ended.out
    assert "mean over tasks (primary)" in ended.out
    assert "pass@2 by the first so many votes" in ended.out
    assert "changed protocol: 4 votes instead of" in ended.out


def test_the_ledger_counts_votes_variants_and_the_embedding(finished: tuple[Path, Ended]) -> None:
    manifest = cells(finished[0])["transformer"].manifest()
    ledger = manifest.ledger
    assert 1 < ledger.votes_per_puzzle <= 4
    hidden = manifest.identity.architecture["hidden"]
    rows = 1 + sum(min(8, count) for count in ledger.variants_of.values())
    assert ledger.embedding_parameters == rows * hidden
    assert min(ledger.variants_of.values()) >= 1
    assert manifest.identity.votes == 4
    single = cells(finished[0])["copy"].manifest().ledger
    assert single.embedding_parameters == 0


def test_samples_hold_votes_ranks_and_the_curve(finished: tuple[Path, Ended]) -> None:
    for cell in cells(finished[0]).values():
        records = cell.records()
        assert len(records) == cell.manifest().samples
        for record in records:
            assert 1 <= record["extras"]["pass@2.votes"] <= 4
            assert {"pass@2.at_1", "pass@2.at_3", "pass@2.rank"} <= record["extras"].keys()
            assert record["scores"]["pass@2"] <= record["scores"]["pass@5"]
            assert record["cluster"] == record["item"].partition("/")[0]


def test_every_cell_writes_its_submission(finished: tuple[Path, Ended], run_cli: RunCli) -> None:
    for cell in cells(finished[0]).values():
        content = json.loads((cell.folder / "submission.json").read_text())
        items = [record["item"] for record in cell.records()]
        assert [
            f"{name}/{place}" for name, entries in content.items() for place in range(len(entries))
        ] == items
        ended = run_cli("score", cell.folder / "submission.json", "--task", "arc-agi-1")
        assert ended.code == 4
        assert "387 tasks are missing" in ended.err
        assert "17 tasks are not in the evaluation set" in ended.err


def test_a_second_run_repeats_nothing_and_force_keeps_the_files_together(
    finished: tuple[Path, Ended], run_cli: RunCli
) -> None:
    folder, _ = finished
    again = run_cli(*SHORT, "--models", "copy", "--output", folder)
    assert "finished already and reused" in again.err
    cell = cells(folder)["copy"]
    before = (cell.folder / "submission.json").read_bytes()
    cell.start(cell.manifest())  # as --force does, and then dies
    assert not (cell.folder / "submission.json").exists()
    assert cell.restore()
    assert (cell.folder / "submission.json").read_bytes() == before
    assert cell.is_done()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("--set", "puzzle_ids=gone"), "puzzle_ids=gone: write own, blank, shuffled"),
        (("--set", "votes=0"), "votes=0: must be at least 1"),
        (("--set", "votes=9"), "votes=9: there are only the A = 8 variants of --augmentations to vote"),
        (("--set", "transductive=no"), "transductive=no: write true or false"),
        (("--set", "revision=abc"), "arc-agi-1 has none of that name"),
        (("--source", "generated"), "no source 'generated'"),
    ],
)
def test_wrong_settings_are_refused(settings: tuple[str, ...], message: str, run_cli: RunCli) -> None:
    ended = run_cli("run", "--task", "arc-agi-1", "--models", "copy", "--seeds", "0", *settings)
    assert ended.code == 2
    assert message in ended.err


@pytest.mark.parametrize(
    ("setting", "message"),
    [("votes=3", "is answered once, not by vote"), ("puzzle_ids=blank", "have no identity")],
)
def test_votes_and_identities_are_for_tasks_that_have_them(
    setting: str, message: str, run_cli: RunCli
) -> None:
    ended = run_cli("run", "--task", "tiny", "--models", "copy", "--seeds", "0", "--set", setting)
    assert ended.code == 2
    assert message in ended.err


def manifest_of(run_cli: RunCli, folder: Path, *settings: str) -> dict[str, Any]:
    words = ["run", "--task", "arc-agi-1", "--models", "copy", "--seeds", "0", "--limit", "3"]
    ended = run_cli(*words, *settings, "--output", folder)
    assert ended.code == 0, ended.err
    return json.loads((cells(folder)["copy"].folder / "manifest.json").read_text())


def test_blank_ids_change_the_answers_and_not_the_training(tmp_path: Path, run_cli: RunCli) -> None:
    words = ["run", "--task", "arc-agi-1", "--models", "transformer", "--seeds", "0", "--limit", "4"]
    weights = []
    for ids in ("own", "blank", "shuffled"):
        folder = tmp_path / ids
        settings = ("--set", "steps=12", "--set", f"puzzle_ids={ids}", "--output", folder)
        ended = run_cli(*words, *settings)
        assert ended.code == 0, ended.err
        weights.append((cells(folder)["transformer"].folder / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]


def test_other_protocols_are_labelled_and_kept_apart(tmp_path: Path, run_cli: RunCli) -> None:
    usual = manifest_of(run_cli, tmp_path / "usual")
    assert usual["identity"]["votes"] == 3  # --limit holds for votes too
    blank = manifest_of(run_cli, tmp_path / "blank", "--set", "puzzle_ids=blank")
    assert blank["identity"]["puzzle_ids"] == "blank"
    assert "changed protocol: blank puzzle ids at evaluation" in blank["not_citable_because"]
    alone = manifest_of(run_cli, tmp_path / "alone", "--set", "transductive=false")
    assert (
        alone["identity"]["data"]["fingerprints"]["test"] == usual["identity"]["data"]["fingerprints"]["test"]
    )
    assert alone["identity"]["data"]["counts"]["train"] < usual["identity"]["data"]["counts"]["train"]
    assert len({each["cell"] for each in (usual, blank, alone)}) == 3
    together = run_cli("report", tmp_path / "usual", tmp_path / "blank", tmp_path / "alone").out
    assert together.count("up to 3 votes per test item") == 3  # three tables, never one
    assert "puzzle ids blank at evaluation" in together
    assert "training alone (not transductive)" in together
