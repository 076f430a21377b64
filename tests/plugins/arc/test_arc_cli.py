"""ARC from the command line: a short run with votes, its files, and its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.stored import command
from trm_bench.harness.store.folders import RunFolder
from trm_bench.testing.pytest_plugin import Ended, RunCli

ARC = ("run", "--task", "arc-agi-1", "--seeds", "0")
SHORT = (*ARC, "--set", "steps=3", "--set", "votes=4", "--augmentations", "8")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, run_cli: RunCli) -> tuple[Path, Ended]:
    """Runs of two models, three steps each."""
    folder = tmp_path_factory.mktemp("arc") / "out"
    return folder, run_cli(*SHORT, "--models", "transformer,copy", "--output", folder)


def runs(folder: Path) -> dict[str, RunFolder]:
    return {path.name.partition("-s0")[0]: RunFolder(path) for path in folder.iterdir() if path.is_dir()}


@pytest.mark.slow
def test_the_table_names_the_training_data_and_the_votes(finished: tuple[Path, Ended]) -> None:
    _, ended = finished
    assert ended.code == 0, ended.err
    assert "training + evaluation demonstrations (transductive)" in ended.out
    assert "augmentations per puzzle A = 8; up to 4 votes per test item" in ended.out
    assert "all votes of a seed come from one checkpoint" in ended.out
    assert "pass@2 % averaged in three ways" in ended.out
    assert "mean over tasks (primary)" in ended.out
    assert "pass@2 % by number of votes" in ended.out
    assert "changed protocol: 4 votes instead of" in ended.out


@pytest.mark.slow
def test_the_ledger_counts_votes_augmentations_and_the_embedding(finished: tuple[Path, Ended]) -> None:
    manifest = runs(finished[0])["transformer"].manifest()
    ledger = manifest.ledger
    assert 1 < ledger.votes_per_puzzle <= 4
    hidden = manifest.identity.architecture["hidden"]
    rows = 1 + sum(min(8, count) for count in ledger.augmentations_of.values())
    assert ledger.puzzle_embedding_parameters == rows * hidden
    assert min(ledger.augmentations_of.values()) >= 1
    assert manifest.identity.votes == 4
    single = runs(finished[0])["copy"].manifest().ledger
    assert single.puzzle_embedding_parameters == 0


@pytest.mark.slow
def test_samples_hold_votes_ranks_and_the_curve(finished: tuple[Path, Ended]) -> None:
    for run in runs(finished[0]).values():
        records = run.records()
        assert len(records) == run.manifest().samples
        for record in records:
            assert 1 <= record["extras"]["pass@2.votes"] <= 4
            assert {"pass@2.at_1", "pass@2.at_3", "pass@2.rank"} <= record["extras"].keys()
            assert record["scores"]["pass@2"] <= record["scores"]["pass@5"]
            assert record["cluster"] == record["item"].partition("/")[0]


@pytest.mark.slow
def test_every_run_writes_its_submission(finished: tuple[Path, Ended], run_cli: RunCli) -> None:
    for run in runs(finished[0]).values():
        content = json.loads((run.folder / "submission.json").read_text())
        items = [record["item"] for record in run.records()]
        assert [
            f"{name}/{place}" for name, entries in content.items() for place in range(len(entries))
        ] == items
        ended = run_cli("score", run.folder / "submission.json", "--task", "arc-agi-1")
        assert ended.code == 4
        assert "387 tasks are missing" in ended.err
        assert "17 tasks are not in the evaluation set" in ended.err


@pytest.mark.slow
def test_a_second_run_repeats_nothing_and_force_keeps_the_files_together(
    finished: tuple[Path, Ended], run_cli: RunCli
) -> None:
    folder, _ = finished
    again = run_cli(*SHORT, "--models", "copy", "--output", folder)
    assert "are finished and reused" in again.err
    run = runs(folder)["copy"]
    before = (run.folder / "submission.json").read_bytes()
    run.start(run.manifest())  # as --force does, and then dies
    assert not (run.folder / "submission.json").exists()
    assert run.restore()
    assert (run.folder / "submission.json").read_bytes() == before
    assert run.is_done()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("--set", "puzzle_ids=gone"), "puzzle_ids=gone: choose one of own, blank or shuffled"),
        (("--set", "votes=0"), "votes=0: must be above 0"),
        (("--set", "votes=9", "--augmentations", "8"), "votes=9: there are only A = 8 augmentations to vote"),
        (("--set", "transductive=no"), "transductive=no: write true or false"),
        (("--set", "revision=abc"), "arc-agi-1 has none of that name"),
        (("--source", "generated"), "no source 'generated'"),
    ],
)
def test_wrong_settings_are_refused(settings: tuple[str, ...], message: str, run_cli: RunCli) -> None:
    ended = run_cli(*ARC, "--models", "copy", *settings)
    assert ended.code == 2
    assert message in ended.err


@pytest.mark.parametrize(
    ("setting", "message"),
    [("votes=3", "has one prediction per puzzle and no votes"), ("puzzle_ids=blank", "have no identity")],
)
def test_votes_and_identities_are_for_tasks_that_have_them(
    setting: str, message: str, run_cli: RunCli
) -> None:
    ended = run_cli("run", "--task", "tiny", "--models", "copy", "--seeds", "0", "--set", setting)
    assert ended.code == 2
    assert message in ended.err


def manifest_of(folder: Path, *settings: str) -> dict[str, Any]:
    ended = command(*ARC, "--models", "copy", "--limit", "3", *settings, "--output", folder)
    assert ended.code == 0, ended.err
    return json.loads((runs(folder)["copy"].folder / "manifest.json").read_text())


@pytest.mark.slow
def test_puzzle_ids_change_the_predictions_and_not_the_training(tmp_path: Path) -> None:
    found = []
    for ids in ("own", "blank", "shuffled"):
        training = ("steps=12", "warmup=0", "ema=0", "embedding_lr=1")  # so that embeddings matter soon
        settings = [word for pair in (*training, f"puzzle_ids={ids}") for word in ("--set", pair)]
        models = ("--models", "transformer", "--limit", "4")
        ended = command(*ARC, *models, *settings, "--output", tmp_path / ids)
        assert ended.code == 0, ended.err
        found.append(runs(tmp_path / ids)["transformer"].folder)
    assert len({(folder / "model.safetensors").read_bytes() for folder in found}) == 1
    assert len({(folder / "submission.json").read_bytes() for folder in found}) == 3


@pytest.mark.slow
def test_other_protocols_are_labelled_and_kept_apart(tmp_path: Path, run_cli: RunCli) -> None:
    usual = manifest_of(tmp_path / "usual")
    assert usual["identity"]["votes"] == 3  # --limit holds for votes too
    blank = manifest_of(tmp_path / "blank", "--set", "puzzle_ids=blank")
    assert blank["identity"]["puzzle_ids"] == "blank"
    assert "changed protocol: blank puzzle ids at evaluation" in blank["not_citable_because"]
    alone = manifest_of(tmp_path / "alone", "--set", "transductive=false")
    assert alone["identity"]["fingerprints"]["test"] == usual["identity"]["fingerprints"]["test"]
    assert alone["description"]["counts"]["train"] < usual["description"]["counts"]["train"]
    assert len({each["run"] for each in (usual, blank, alone)}) == 3
    together = run_cli("report", tmp_path / "usual", tmp_path / "blank", tmp_path / "alone").out
    assert together.count("A = 8; up to 3 votes per test item") == 3  # three tables, never one
    assert "puzzle ids blank at evaluation" in together
    assert "training alone (not transductive)" in together
