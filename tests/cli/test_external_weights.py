"""`trm-bench evaluate` with files of external weights: what is a row, what is a seed, what is the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from support.stored import (
    TINY,
    Ended,
    asked,
    command,
    evaluate,
    evaluated,
    export,
    foreign,
    made,
    manifests,
    predictions,
    run,
    runs,
    same_results,
    write,
)
from trm_bench.harness.inference.inference import predict
from trm_bench.harness.python.verbs import open_model
from trm_bench.harness.store.folders import WEIGHTS, RunFolder
from trm_bench.harness.store.records import Manifest
from trm_bench.harness.weights.files import read_weights

pytestmark = pytest.mark.usefixtures("one_thread")

TRAINED = asked("trm-mlp")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small TRM with two seeds, and a model that has nothing to learn."""
    return run(tmp_path_factory.mktemp("trained") / "out", TRAINED, "copy", seeds="0-1")


@pytest.fixture(scope="module")
def ours(trained: Path) -> RunFolder:
    return next(one for one in runs(trained) if one.name.startswith("trm"))


@pytest.fixture
def pair(trained: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The exported weights of two seeds."""
    first, second = (one for one in runs(trained) if one.name.startswith("trm"))
    return export(first, tmp_path / "first.pt"), export(second, tmp_path / "second.pt")


def rows(ended: Ended) -> list[dict[str, Any]]:
    assert ended.code == 0, ended.err
    return [row for table in json.loads(ended.out)["tables"] for row in table["rows"]]


def label(file: Path, manifest: Manifest) -> str:
    return f"({file.name} {manifest.tensors_sha256[:8]})"


# --- rows and seeds ------------------------------------------------------------------------------


def test_two_files_are_two_rows_with_a_checksum_each(pair: tuple[Path, Path], tmp_path: Path) -> None:
    found = rows(evaluate(tmp_path / "out", *pair, more=foreign("trm", "--json")))
    assert [len(row["seeds"]) for row in found] == [1, 1]
    by_file = {one.weights_file: one for one in manifests(tmp_path / "out")}
    for file, row in zip(pair, found, strict=True):
        assert label(file, by_file[str(file)]) in row["name"]
    assert len({one.tensors_sha256 for one in by_file.values()}) == 2


def test_two_calls_into_one_folder_are_two_rows(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """43.0 % was once the mean of weights that score 81.0 % and others that score 5.0 %."""
    for file in pair:
        ended = evaluate(tmp_path / "out", file, more=foreign("trm", "--json"))
    found = rows(ended)
    assert [len(row["seeds"]) for row in found] == [1, 1]
    assert all(any(file.name in row["name"] for row in found) for file in pair)


def test_files_are_seeds_where_that_is_said(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (row,) = rows(evaluate(tmp_path / "out", *pair, more=foreign("trm", "--as-seeds", "--json")))
    assert [seed["seed"] for seed in row["seeds"]] == [0, 1]
    assert "(2 files " in row["name"]
    table = command("report", tmp_path / "out").out
    for one in manifests(tmp_path / "out"):
        file = Path(one.weights_file).name
        assert f"seed {one.identity.seed} is {file} (weights {one.tensors_sha256[:12]}" in table


@pytest.mark.slow
def test_seeds_in_another_order_are_the_same_seeds(pair: tuple[Path, Path], tmp_path: Path) -> None:
    evaluate(tmp_path / "out", *pair, more=foreign("trm", "--as-seeds"))
    (row,) = rows(evaluate(tmp_path / "out", *pair[::-1], more=foreign("trm", "--as-seeds", "--json")))
    assert len(row["seeds"]) == 2


@pytest.mark.slow
def test_other_files_do_not_join_the_seeds_of_a_row(pair: tuple[Path, Path], tmp_path: Path) -> None:
    third = write(tmp_path / "third.pt", "trm-mlp", made("trm-mlp", TINY))
    evaluate(tmp_path / "out", *pair, more=foreign("trm", "--as-seeds"))
    words = foreign("trm", "--as-seeds", "--json")
    found = rows(evaluate(tmp_path / "out", pair[0], third, more=words))
    assert [len(row["seeds"]) for row in found] == [2, 2]


@pytest.mark.slow
def test_files_of_different_models_are_no_seeds(tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{hidden}.pt", "trm-mlp", made("trm-mlp", TINY, hidden=hidden), hidden=hidden)
        for hidden in (16, 32)
    ]
    assert len(rows(evaluate(tmp_path / "out", *files, more=foreign("trm", "--json")))) == 2
    ended = evaluate(tmp_path / "other", *files, more=foreign("trm", "--as-seeds"))
    assert ended.code == 2
    assert f"--as-seeds: {files[0]} is trm-mlp[" in ended.err
    assert not (tmp_path / "other").exists()


# --- the same weights ----------------------------------------------------------------------------


def twins(file: Path) -> list[Path]:
    """The same tensors as another path, another format, and under other names."""
    folder, weights = file.parent, read_weights(file)
    side = file.with_suffix(".yaml")
    shutil.copy(file, folder / "copied.pt")
    torch.save(
        {"state_dict": {f"module.{name}": one for name, one in weights.items()}}, folder / "wrapped.pt"
    )
    torch.save({name: one.double() for name, one in weights.items()}, folder / "wide.pt")
    made = [folder / name for name in ("copied.pt", "wrapped.pt", "wide.pt")]
    for one in made:
        shutil.copy(side, one.with_suffix(".yaml"))
    return made


@pytest.mark.slow
def test_the_same_weights_count_once_and_the_others_are_named(
    ours: RunFolder, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    first = pair[0]
    other = export(ours, tmp_path / "compiled.safetensors", "--compiled")
    same = [*twins(first), other]
    ended = evaluate(tmp_path / "out", first, *same, more=foreign("trm", "--as-seeds"))
    assert ended.code == 0, ended.err
    (one,) = manifests(tmp_path / "out")
    assert one.weights_file == str(first)
    for file in same:
        assert f"left out: {file}: the same weights as {first}" in ended.err


def test_one_training_in_several_precisions_is_one_seed(pair: tuple[Path, Path], tmp_path: Path) -> None:
    first = pair[0]
    words = {torch.float16: "half precision", torch.bfloat16: "bfloat16"}
    files = []
    for kind in words:
        files.append(tmp_path / f"{kind}.pt")
        torch.save({name: one.to(kind) for name, one in read_weights(first).items()}, files[-1])
        shutil.copy(first.with_suffix(".yaml"), files[-1].with_suffix(".yaml"))
    ended = evaluate(tmp_path / "out", *files, *pair, more=foreign("trm", "--as-seeds"))
    assert ended.code == 0, ended.err
    assert {one.weights_file for one in manifests(tmp_path / "out")} == {str(file) for file in pair}
    for file, precision in zip(files, words.values(), strict=True):
        assert f"left out: {file}: {first} in {precision}" in ended.err


def test_a_run_and_its_export_are_the_same_weights(ours: RunFolder, tmp_path: Path) -> None:
    file = export(ours, tmp_path / "w.pt")
    ended = evaluate(tmp_path / "out", file, ours.folder, more=("--model", "trm", "--limit", 12))
    assert ended.code == 0, ended.err
    (again,) = runs(tmp_path / "out")
    assert again.name == ours.name
    assert f"left out: {file}: the same weights as {ours.folder / WEIGHTS}" in ended.err


@pytest.mark.slow
def test_a_later_call_with_the_same_weights_adds_no_row(pair: tuple[Path, Path], tmp_path: Path) -> None:
    evaluate(tmp_path / "out", pair[0], more=foreign("trm"))
    for file in twins(pair[0]):
        ended = evaluate(tmp_path / "out", file, more=foreign("trm", "--json"))
        assert len(rows(ended)) == 1
        assert f"{file}: the same weights as {pair[0]}, whose row is reused" in ended.err
    assert len(runs(tmp_path / "out")) == 1


def test_weights_that_were_changed_in_their_place_are_evaluated_again(tmp_path: Path) -> None:
    found = []
    for seed in (0, 1):
        file = write(tmp_path / "w.pt", "trm-mlp", made("trm-mlp", TINY, seed=seed))
        found = rows(evaluate(tmp_path / "out", file, more=foreign("trm", "--json")))
    assert [len(row["seeds"]) for row in found] == [1, 1]
    assert all("(w.pt " in row["name"] for row in found)


# --- several sets in a file ----------------------------------------------------------------------


@pytest.fixture
def both(pair: tuple[Path, Path], tmp_path: Path) -> Path:
    """A file with the weights of one seed, and those of the other as its average."""
    raw, averaged = map(read_weights, pair)
    torch.save({"epoch": 1, "model_state_dict": raw, "ema_state_dict": averaged}, tmp_path / "ckpt.pt")
    shutil.copy(pair[0].with_suffix(".yaml"), tmp_path / "ckpt.yaml")
    return tmp_path / "ckpt.pt"


def test_averaged_weights_are_scored_unless_a_key_says_otherwise(
    trained: Path, both: Path, tmp_path: Path
) -> None:
    raw, averaged = (one for one in runs(trained) if one.name.startswith("trm"))
    ended = evaluate(tmp_path / "average", both, more=foreign("trm"))
    assert "ckpt.pt: averaged weights (ema_state_dict); not those of model_state_dict" in ended.out
    assert same_results(runs(tmp_path / "average")[0], averaged)
    ended = evaluate(tmp_path / "raw", both, more=foreign("trm", "--weights-key", "model_state_dict"))
    assert "ckpt.pt: the weights (model_state_dict), chosen with --weights-key" in ended.out
    assert same_results(runs(tmp_path / "raw")[0], raw)


@pytest.mark.parametrize("key", ["ema_state_dict", "model_state_dict", None])
def test_solve_opens_the_weights_that_evaluate_scores(trained: Path, both: Path, key: str | None) -> None:
    raw, averaged = (one for one in runs(trained) if one.name.startswith("trm"))
    opened = open_model(both, model="trm", task="tiny", scale="mini", weights_key=key)
    test = opened.prepared.read("test").take(slice(0, 4))
    expected = predictions(raw if key == "model_state_dict" else averaged)[:4]
    assert predict(opened.reasoner, test, opened.inference).tokens.tolist() == expected
    assert "(ckpt.pt " in opened.model


def test_an_unknown_key_ends_with_2(both: Path, tmp_path: Path) -> None:
    ended = evaluate(tmp_path / "out", both, more=foreign("trm", "--weights-key", "model"))
    assert ended.code == 2
    assert "no weights of that key; there are: model_state_dict, ema_state_dict" in ended.err


# --- our own runs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--model", "hrm"), "--model hrm: run trm-mlp"),
        (("--model", "trm[cycles=3]"), "has cycles=2; a run knows its model"),
        (("--model", "trm[lr=0.5]"), "has lr=0.002"),
        (("--model", "trm[match=hrm]"), "match= means nothing for a run"),
        (("--as-seeds",), "--as-seeds is for files of external weights"),
        (("--weights-key", "ema"), "--weights-key is for files of external weights"),
    ],
)
def test_a_run_knows_its_model_and_its_seed(
    ours: RunFolder, tmp_path: Path, more: tuple[str, ...], words: str
) -> None:
    ended = evaluate(tmp_path / "out", ours.folder, more=more)
    assert ended.code == 2
    assert words in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("model", ["trm", "trm-mlp", TRAINED, "trm[cycles=2,lr=0.002]"])
def test_a_runs_own_model_may_be_named(ours: RunFolder, tmp_path: Path, model: str) -> None:
    ended = evaluate(tmp_path / "out", ours.folder, more=("--model", model))
    assert ended.code == 0, ended.err


def test_runs_without_weights_of_their_own_are_named(trained: Path, tmp_path: Path) -> None:
    ended = evaluate(tmp_path / "out", trained)
    assert "left out: copy: nothing is trained, so there are no weights" in ended.err
    (again, *_) = runs(tmp_path / "out")
    own = next(one for one in runs(trained) if one.name.startswith("trm"))
    for name, folder in (("evaluation", again.folder), ("run", own.folder)):
        shutil.copytree(folder, tmp_path / "mixed" / name)
    ended = evaluate(tmp_path / "last", tmp_path / "mixed")
    assert ended.code == 0, ended.err
    assert f"left out: evaluation: an evaluation of stored weights; name {trained}" in ended.err


# --- folders and options -------------------------------------------------------------------------


@pytest.mark.parametrize("names", [["model.safetensors"], ["pytorch_model.bin"], ["step_9", "ema.pt"]])
def test_a_folder_of_a_hub_is_told_from_one_of_results(
    ours: RunFolder, tmp_path: Path, names: list[str]
) -> None:
    folder = tmp_path / "hub"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text('{"architectures": ["TRM"]}')
    (folder / "._model.safetensors").write_bytes(b"\0\5\x16\7")
    for name in names:
        shutil.copy(ours.folder / WEIGHTS, folder / name)
    ended = evaluate(tmp_path / "out", folder, more=foreign("trm"))
    assert ended.code == 2
    which = "the file" if len(names) == 1 else "one of the files"
    files = ", ".join(str(folder / name) for name in sorted(names))
    assert f"{folder}: no folder of results; name {which} {files}, and its model with --model" in ended.err


def test_a_hubs_cache_is_told_by_its_snapshots(ours: RunFolder, tmp_path: Path) -> None:
    cache = tmp_path / "models--a--b"
    (cache / "blobs").mkdir(parents=True)
    shutil.copy(ours.folder / WEIGHTS, cache / "blobs" / "4d7a")
    (cache / "snapshots" / "abc").mkdir(parents=True)
    file = cache / "snapshots" / "abc" / "model.safetensors"
    file.symlink_to(cache / "blobs" / "4d7a")
    ended = evaluate(tmp_path / "out", cache, more=foreign("trm"))
    assert ended.code == 2
    assert f"{cache}: no folder of results; name the file {file}, and its model with --model" in ended.err


def test_a_folder_of_weights_in_parts_says_what_to_do(ours: RunFolder, tmp_path: Path) -> None:
    for number in (1, 2):
        shutil.copy(ours.folder / WEIGHTS, tmp_path / f"model-0000{number}-of-00002.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    ended = evaluate(tmp_path / "out", tmp_path, more=foreign("trm"))
    assert ended.code == 4
    assert f"{tmp_path}: weights in 2 parts (model-00001-of-00002.safetensors, " in ended.err


def test_options_of_a_hub_folders_configuration_are_read(ours: RunFolder, tmp_path: Path) -> None:
    file = export(ours, tmp_path / "w.pt")
    sides = [file.with_suffix(".yaml").rename(tmp_path / "all_config.yaml")]
    assert evaluate(tmp_path / "out", file, more=foreign("trm")).code == 0
    sides.append(Path(shutil.copy(sides[0], tmp_path / "w.yaml")))
    sides[0].write_text(sides[0].read_text().replace("cycles: 2", "cycles: 3"))
    ended = evaluate(tmp_path / "other", file, more=foreign("trm"))
    assert ended.code == 4
    assert "w.yaml and all_config.yaml, next to them, say different things of the model" in ended.err


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_an_export_into_the_folder_of_a_run_is_refused(ours: RunFolder, more: tuple[str, ...]) -> None:
    before = (ours.folder / WEIGHTS).read_bytes()
    ended = command("export", ours.folder, "--output", ours.folder / WEIGHTS, *more)
    assert ended.code == 2
    assert "is a run's folder; exports are not written there" in ended.err
    assert (ours.folder / WEIGHTS).read_bytes() == before


def test_an_export_over_a_file_needs_force(ours: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine: 1")
    ended = command("export", ours.folder, "--output", tmp_path / "mine.pt")
    assert ended.code == 2
    assert "mine.yaml: already exists" in ended.err
    assert (tmp_path / "mine.yaml").read_text() == "mine: 1"
    assert command("export", ours.folder, "--output", tmp_path / "mine.pt", "--force").code == 0


def test_an_unknown_evaluator_is_refused_for_our_runs_too(ours: RunFolder, tmp_path: Path) -> None:
    ended = evaluate(tmp_path / "out", ours.folder, more=("--evaluators", "exat"))
    assert ended.code == 2
    assert "unknown evaluator 'exat'; did you mean 'exact'?" in ended.err


def test_seeds_that_are_picked_for_an_evaluation_are_not_citable(trained: Path, tmp_path: Path) -> None:
    """Of five seeds the best three, evaluated at another depth, would be a table like any other."""
    first, second = (one for one in runs(trained) if one.name.startswith("trm"))
    (alone,) = evaluated(tmp_path / "out", first.folder)
    picked = f"requested and not evaluated: {first.manifest().description.model} seed 1"
    assert picked in alone.manifest().not_citable_because
    assert picked in command("report", tmp_path / "out").out
    both = evaluated(tmp_path / "out", first.folder, second.folder)
    assert [one.name for one in both] == [first.name, second.name]
    assert not any("not evaluated" in reason for one in both for reason in one.manifest().not_citable_because)
    lone = tmp_path / "copied" / first.name
    shutil.copytree(first.folder, lone)
    (alone,) = evaluated(tmp_path / "other", lone)
    reasons = " ".join(alone.manifest().not_citable_because)
    assert "requested and not evaluated: unknown, as runs.json is not there or damaged" in reasons


@pytest.mark.slow
def test_rows_that_share_weights_are_not_tested(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Their seeds are neither the same nor independent."""
    third = write(tmp_path / "third.pt", "trm-mlp", made("trm-mlp", TINY))
    evaluate(tmp_path / "out", *pair, more=foreign("trm", "--as-seeds"))
    ended = evaluate(tmp_path / "out", pair[0], third, more=foreign("trm", "--as-seeds", "--json"))
    (found,) = [one for table in json.loads(ended.out)["tables"] for one in table["pairs"]]
    assert found["verdict"] == "untested"
    assert found["difference"]["p"] is None
    assert found["note"] == "1 seed of both are the same weights, and the others are not"


def test_one_file_is_no_seeds(pair: tuple[Path, Path], tmp_path: Path) -> None:
    ended = evaluate(tmp_path / "out", pair[0], more=foreign("trm", "--as-seeds"))
    assert ended.code == 2
    assert "--as-seeds is for several files of external weights, and this is one" in ended.err
