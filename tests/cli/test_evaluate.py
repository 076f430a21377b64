"""`trm-bench evaluate` and `export` from end to end, on models that train in a moment."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from support.models import resolve
from support.stored import (
    TINY,
    VARIANTS,
    asked,
    command,
    evaluate,
    evaluated,
    export,
    foreign,
    made,
    predictions,
    run,
    runs,
    said,
    same_results,
    write,
    written,
)
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.host.host import host
from trm_bench.harness.inference.inference import predict
from trm_bench.harness.planning.open_weights import open_weights
from trm_bench.harness.planning.request import Request
from trm_bench.harness.store.folders import WEIGHTS, RunFolder
from trm_bench.harness.store.records import Manifest
from trm_bench.harness.weights.files import read_weights
from trm_bench.testing.pytest_plugin import RunCli

pytestmark = pytest.mark.usefixtures("one_thread")

TRAINED = asked("trm-mlp")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small TRM with two seeds, and a model that has nothing to learn."""
    return run(tmp_path_factory.mktemp("trained") / "out", TRAINED, "copy", seeds="0-1")


@pytest.fixture(scope="module")
def ours(trained: Path) -> RunFolder:
    return next(one for one in runs(trained) if one.name.startswith("trm"))


# --- our own runs --------------------------------------------------------------------------------


def test_runs_of_a_folder_give_the_very_samples_of_their_training(trained: Path, tmp_path: Path) -> None:
    own = [one for one in runs(trained) if one.name.startswith("trm")]
    again = evaluated(tmp_path / "out", trained)
    assert [one.name for one in again] == [one.name for one in own]
    for one, other in zip(own, again, strict=True):
        assert same_results(one, other)
        before, after = one.manifest(), other.manifest()
        assert after.identity == before.identity
        assert after.weights_file == str(one.folder / WEIGHTS)
        kept = (
            "description",
            "weights",
            "weights_sha256",
            "tensors_sha256",
            "not_citable_because",
            "validation",
        )
        assert all(getattr(after, key) == getattr(before, key) for key in kept)
        training = (
            "optimiser_steps",
            "draws",
            "training_flops",
            "training_seconds",
            "inference_flops_per_puzzle",
        )
        assert all(getattr(after.ledger, key) == getattr(before.ledger, key) for key in training)


@pytest.mark.parametrize("what", ["run", "file"])
def test_a_run_and_its_file_are_the_same_to_evaluate(ours: RunFolder, tmp_path: Path, what: str) -> None:
    (again,) = evaluated(tmp_path / "out", ours.folder if what == "run" else ours.folder / WEIGHTS)
    assert again.name == ours.name
    assert same_results(ours, again)


@pytest.mark.slow
def test_runs_get_processes_of_their_own(trained: Path, tmp_path: Path, run_cli: RunCli) -> None:
    ended = run_cli(
        "evaluate", "--weights", trained, "--jobs", 2, "--steps", "2,3", "--output", tmp_path / "out"
    )
    assert ended.code == 0, ended.err
    again = [one for one in runs(tmp_path / "out") if one.manifest().identity.steps is None]
    own = [one for one in runs(trained) if one.name.startswith("trm")]
    assert all(same_results(one, other) for one, other in zip(own, again, strict=True))
    assert len(runs(tmp_path / "out")) == 4


def test_finished_runs_are_reused_and_only_the_others_are_filled(ours: RunFolder, tmp_path: Path) -> None:
    output = tmp_path / "out"
    first = evaluated(output, ours.folder, more=("--steps", "1,3"))
    stamps = [written(one) for one in first]
    more = evaluated(output, ours.folder, more=("--steps", "1,2,3,4"))
    assert len(more) == 4
    assert {one.name for one in first} < {one.name for one in more}
    assert [written(one) for one in first] == stamps
    assert [one.manifest().ledger.inference_steps for one in more] == [1, 2, 3, 4]


def test_the_puzzles_are_those_of_training(tmp_path: Path) -> None:
    out = run(tmp_path / "out", TRAINED, more=("--set", "task_seed=3"))
    (again,) = evaluated(tmp_path / "again", out)
    assert same_results(runs(out)[0], again)
    assert again.manifest().identity.task_seed == 3
    (other,) = evaluated(tmp_path / "other", out, more=("--set", "task_seed=0"))
    assert other.manifest().identity.task_seed == 0
    assert "the weights were trained on other puzzles than these" in other.manifest().not_citable_because


def test_a_run_without_its_output_folder_still_knows_its_puzzles(tmp_path: Path) -> None:
    out = run(tmp_path / "out", TRAINED, more=("--set", "task_seed=3"))
    alone = Path(shutil.copytree(runs(out)[0].folder, tmp_path / "alone" / "run"))
    (again,) = evaluated(tmp_path / "again", alone)
    assert same_results(runs(out)[0], again)


def test_a_limit_takes_the_first_items_and_is_a_reason_against_citing(
    ours: RunFolder, tmp_path: Path
) -> None:
    (again,) = evaluated(tmp_path / "out", ours.folder, more=("--limit", 5))
    assert again.records() == ours.records()[:5]
    assert "--limit 5: only the first 5 test items" in again.manifest().not_citable_because


def test_a_setting_of_the_evaluation_holds_for_our_runs_too(ours: RunFolder, tmp_path: Path) -> None:
    (again,) = evaluated(tmp_path / "out", ours.folder, more=("--set", "evaluation_batch=5"))
    assert again.manifest().ledger.evaluation_batch == 5


@pytest.mark.parametrize("setting", ["steps=8", "lr=0.5"])
def test_a_setting_that_only_training_has_is_not_swallowed(
    ours: RunFolder, tmp_path: Path, setting: str
) -> None:
    ended = evaluate(tmp_path / "out", ours.folder, more=("--set", setting))
    assert ended.code == 2
    assert setting.partition("=")[0] in ended.err


def test_a_folder_without_trained_weights_is_nothing_to_evaluate(trained: Path, tmp_path: Path) -> None:
    (copy, *_) = [one.folder for one in runs(trained) if one.name.startswith("copy")]
    for folder in (tmp_path, copy):
        ended = evaluate(tmp_path / "out", folder)
        assert ended.code == 3
        assert f"{folder}: no finished run with weights in it" in ended.err


def test_weights_that_are_not_those_of_the_manifest_are_not_ours(ours: RunFolder, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(ours.folder, tmp_path / "run"))
    weights = read_weights(changed / WEIGHTS)
    (changed / WEIGHTS).unlink()  # what was read lies in memory that is mapped to it
    torch.save(weights, changed / WEIGHTS)
    assert "no finished run with weights in it" in evaluate(tmp_path / "out", changed).err
    refused = evaluate(tmp_path / "out", changed / WEIGHTS).err
    assert "has changed since training; to evaluate it as external weights, copy it elsewhere" in refused


def test_opened_weights_predict_as_the_run_did(ours: RunFolder) -> None:
    opened = open_weights(host(), Request(weights=(ours.folder,)))
    test = opened.prepared.read("test").take(slice(0, 4))
    assert predict(opened.reasoner, test, opened.inference).tokens.tolist() == predictions(ours)[:4]
    assert opened.model == ours.manifest().description.display_name
    with pytest.raises(UsageError, match="holds the weights of 2 runs; name one of them"):
        open_weights(host(), Request(weights=(ours.folder.parent,)))


def built(manifest: Manifest) -> dict[str, Any]:
    """The options, in which an MLP has no heads, and a puzzle embedding is by default as large as hidden."""
    options = {**manifest.identity.architecture, "heads": None}
    return {**options, "puzzle_emb_ndim": options["puzzle_emb_ndim"] or options["hidden"]}


# --- several answers -----------------------------------------------------------------------------


def test_several_answers_are_in_the_label_and_in_the_cost_and_have_an_oracle(
    trained: Path, tmp_path: Path
) -> None:
    words = ("--rollouts", "1,4", "--noise", "0,0.5", "--noise-seed", 0, "--select", "mode")
    ended = evaluate(tmp_path / "noise", trained, more=words)
    assert ended.code == 2  # four answers without noise are one
    assert "@ rollouts=4,select=mode: the model is deterministic" in ended.err
    assert not (tmp_path / "noise").exists()
    words = ("--rollouts", "1,4", "--noise", 0.5, "--noise-seed", 3, "--select", "mode")
    ended = evaluate(tmp_path / "out", trained, more=words)
    assert ended.code == 0, ended.err
    assert "any right %" in ended.out
    usual = {one.manifest().identity.seed: one for one in runs(trained)}
    found = [one.manifest() for one in runs(tmp_path / "out")]
    labels = {"noise=0.5,noise_seed=3": 1, "noise=0.5,noise_seed=3,rollouts=4,select=mode": 4}
    assert len(found) == 2 * len(labels)  # two seeds
    for manifest in found:
        label = manifest.description.requested.partition(" @ ")[2]
        single = usual[manifest.identity.seed].manifest().ledger.inference_flops_per_puzzle
        assert manifest.ledger.inference_flops_per_puzzle == pytest.approx(labels[label] * single)
        assert f"changed protocol: {label}, which no study declares" in manifest.not_citable_because


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--select", "q"), "--select=q: means nothing without rollouts"),
        (("--noise-on", "w"), "--noise-on=w: means nothing without noise"),
        (("--noise-on", "w", "--noise", "1"), "noise_on=w: the model has y, z, both"),
        (("--noise-seed", "4"), "@ noise_seed=4: the model is deterministic"),
        (
            ("--rollouts", "2", "--noise", "1", "--select", "residual", "--steps", "1,2"),
            "@ noise=1,rollouts=2,select=residual,steps=1: select=residual compares the logits",
        ),
    ],
)
def test_an_option_of_several_answers_that_would_do_nothing_is_refused(
    ours: RunFolder, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    ended = evaluate(tmp_path / "out", ours.folder, more=words)
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "out").exists()


def test_weights_that_cannot_have_noise_are_left_out_next_to_others(trained: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "other", asked("transformer"))
    ended = evaluate(tmp_path / "out", trained, other, more=("--noise", "0.5"))
    assert ended.code == 0, ended.err
    assert "@ noise=0.5: the model has no state that noise can be added to" in ended.err
    assert len(runs(tmp_path / "out")) == 2


# --- exported, and read back ---------------------------------------------------------------------


@pytest.mark.parametrize("file", ["trm.pt", "trm.safetensors"])
@pytest.mark.parametrize("compiled", [(), ("--compiled",)])
@pytest.mark.parametrize("options", ["same stem", "brackets", "all_config.yaml"])
def test_exported_weights_score_as_the_run_they_are_of(
    ours: RunFolder, tmp_path: Path, file: str, compiled: tuple[str, ...], options: str
) -> None:
    weights = export(ours, tmp_path / file, *compiled)
    if options == "brackets":
        (tmp_path / "trm.yaml").unlink()
    elif options == "all_config.yaml":
        weights = weights.rename(tmp_path / "step_4")
        (tmp_path / "trm.yaml").rename(tmp_path / "all_config.yaml")
    model = TRAINED.replace("trm-mlp", "trm") if options == "brackets" else "trm"
    (again,) = evaluated(tmp_path / "out", weights, more=foreign(model))
    assert same_results(ours, again)
    manifest = again.manifest()
    assert manifest.identity.weights == manifest.tensors_sha256 == ours.manifest().tensors_sha256
    assert manifest.weights_file == str(weights)
    assert manifest.identity.budget is None
    assert built(manifest) == built(ours.manifest())
    assert manifest.ledger.optimiser_steps == 0
    assert "external weights: training budget, seed and data are unknown" in manifest.not_citable_because


MORE: list[tuple[str, dict[str, Any]]] = [
    ("trm-att", {"gradient": "one-step", "puzzle_emb_len": 3}),
    (
        "trm-mlp",
        {"expansion": 2},
    ),
    ("hrm", {"gradient": "full"}),
    ("hrm", {"halting": "sigmoid"}),
    ("hrm", {"puzzle_emb_len": 2}),
    ("hrm", {"mixer": "mlp", "puzzle_emb_len": 2}),
    ("transformer-looped", {"puzzle_emb_len": 2}),
    ("transformer-looped", {"halting": "sigmoid"}),
]
"""What a reference lacks: it must either be refused by `export`, or come back as it was."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*VARIANTS, *MORE], ids=said)
def test_every_variant_scores_alike_after_its_export_or_is_refused(
    tmp_path: Path, kind: tuple[str, dict[str, Any]]
) -> None:
    name, options = kind
    model, plain = made(name, TINY, seed=2, **options), tmp_path / "ours" / "w.pt"
    plain.parent.mkdir()
    torch.save(model.state_dict(), plain)
    (own,) = evaluated(tmp_path / "own", plain, more=foreign(asked(name, **options)))
    try:
        file = write(tmp_path / "theirs.safetensors", name, model, **options)
    except UsageError:
        assert kind in MORE
        return
    (again,) = evaluated(tmp_path / "again", file, more=foreign(name))
    assert same_results(own, again)


@pytest.mark.parametrize("model", ["mirror[hidden=8]", asked("transformer")])
def test_weights_of_a_model_without_a_reference_are_read_in_their_own_names(
    tmp_path: Path, model: str
) -> None:
    own = runs(run(tmp_path / "own", model))[0]
    weights = Path(shutil.copy(own.folder / WEIGHTS, tmp_path / "weights"))
    (again,) = evaluated(tmp_path / "out", weights, more=foreign(model))
    assert same_results(own, again)


def test_export_refuses_what_it_cannot_write(trained: Path, ours: RunFolder, tmp_path: Path) -> None:
    (copy, *_) = [one.folder for one in runs(trained) if one.name.startswith("copy")]
    for what, file, code, message in (
        (trained, "w.pt", 2, "2 runs with weights in it; name the folder of one"),
        (ours.folder / WEIGHTS, "w.pt", 2, "name the folder of a run"),
        (copy, "w.pt", 3, "no finished run with weights in it"),
        (ours.folder, "w.bin", 2, "the name must end in .safetensors or .pt"),
        (ours.folder, "missing/w.pt", 4, "missing"),
    ):
        ended = command("export", what, "--output", tmp_path / file)
        assert ended.code == code, ended.err
        assert message in ended.err
        assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


# --- external weights ---------------------------------------------------------------------------


def test_without_a_configuration_file_options_come_from_brackets_and_the_recipe(
    ours: RunFolder, tmp_path: Path
) -> None:
    weights = export(ours, tmp_path / "bare.pt")
    weights.with_suffix(".yaml").unlink()
    ended = evaluate(tmp_path / "out", weights, more=foreign("trm"))
    assert ended.code == 4
    assert f"weights {weights}: not those of this trm-mlp" in ended.err
    assert "embed.tokens.weight is 5×16 in the file and 5×48 in the model" in ended.err
    assert "write them in brackets, --model 'trm-mlp[…]', or put its configuration file next to" in ended.err
    assert not (tmp_path / "out").exists()
    sizes = "hidden=16,multiple=16,blocks=1,puzzle_emb_len=2"
    (again,) = evaluated(tmp_path / "out", weights, more=foreign(f"trm[{sizes},T=1]"))
    architecture, recipe = again.manifest().identity.architecture, resolve("trm-mlp", TINY).config
    assert architecture["cycles"] == 1
    assert architecture["updates"] == recipe.updates
    (note,) = (note for note in again.manifest().notes if note.startswith("architecture"))
    assert note == ("architecture of bare.pt: the recipe of trm-mlp for tiny at mini, overridden by --model")


def test_brackets_win_over_the_configuration_file(ours: RunFolder, tmp_path: Path) -> None:
    weights = export(ours, tmp_path / "w.pt")
    (again,) = evaluated(tmp_path / "out", weights, more=foreign("trm[supervision=5]"))
    assert again.manifest().ledger.inference_steps == 5
    assert again.manifest().identity.architecture["cycles"] == 2
    assert again.manifest().notes[1].endswith("at mini, overridden by w.yaml, overridden by --model")


def test_an_alias_is_resolved_by_what_the_configuration_file_says(tmp_path: Path) -> None:
    weights = write(tmp_path / "w.pt", "trm-att", made("trm-att", TINY))
    (again,) = evaluated(tmp_path / "out", weights, more=foreign("trm"))
    assert again.manifest().identity.part("model").name == "trm-att"


def test_a_row_says_where_its_mixer_is_not_that_of_its_name(ours: RunFolder, tmp_path: Path) -> None:
    weights = export(ours, tmp_path / "w.pt")
    (again,) = evaluated(tmp_path / "out", weights, more=foreign("trm-att"))
    assert same_results(ours, again)
    table = json.loads(command("report", tmp_path / "out", "--json").out)["tables"][0]
    assert re.fullmatch(r"TRM-Att\[.*mixer=mlp.*\] \(w.pt [0-9a-f]{8}\)", table["rows"][0]["name"])


@pytest.fixture
def pair(trained: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The exported weights of two seeds."""
    first, second = (one for one in runs(trained) if one.name.startswith("trm"))
    return export(first, tmp_path / "first.pt"), export(second, tmp_path / "second.pt")


def test_the_table_says_that_the_budget_is_not_known(ours: RunFolder, tmp_path: Path) -> None:
    weights = export(ours, tmp_path / "w.pt")
    ended = evaluate(tmp_path / "out", weights, more=foreign("trm"))
    assert "external weights: the training budget is unknown" in ended.out
    assert "NOT CITABLE: external weights: training budget, seed and data are unknown" in ended.out
    assert "external weights: how they were selected is unknown" in ended.out
    again = command("report", tmp_path / "out", "--format", "json")
    assert json.loads(again.out)["tables"][0]["budget"] is None


# --- weights that do not fit ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("--model", "trm"), 2, "--task is missing"),
        (("--task", "tiny"), 2, "name their model with --model"),
        (foreign("trmm"), 2, "unknown model 'trmm'; did you mean 'trm'?"),
        (foreign("trm[cycle=2]"), 2, "has no option 'cycle'; did you mean 'cycles'?"),
        (foreign("trm[cycles=0]"), 2, "trm[cycles=0] with w.yaml: cycles=0: must be above 0"),
        (foreign("trm[lr=1]"), 2, "lr"),
        (foreign("copy"), 4, "unexpected"),
        (foreign("trm", "--evaluators", "exat"), 2, "unknown evaluator 'exat'"),
        (foreign("trm", "--set", "halting=true"), 2, "unknown key"),
        (foreign("trm", "--set", "puzzle_ids=blank"), 2, "the puzzles of 'tiny' have no identity"),
        (
            foreign("trm", "--set", "votes=2"),
            2,
            "votes=2: task 'tiny' has one prediction per puzzle",
        ),
    ],
)
def test_a_wrong_option_is_named(
    ours: RunFolder, tmp_path: Path, more: tuple[object, ...], code: int, message: str
) -> None:
    ended = evaluate(tmp_path / "out", export(ours, tmp_path / "w.pt"), more=more)
    assert ended.code == code
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_a_broken_configuration_file_is_named(ours: RunFolder, tmp_path: Path) -> None:
    file = export(ours, tmp_path / "w.pt")
    file.with_suffix(".yaml").write_text("arch: {H_cycles: 3")
    ended = evaluate(tmp_path / "out", file, more=foreign("trm"))
    assert ended.code == 4
    assert f"{tmp_path / 'w.yaml'}, next to the weights: cannot be read" in ended.err


def test_a_wrong_value_in_a_configuration_file_is_named_with_the_file(
    ours: RunFolder, tmp_path: Path
) -> None:
    file = export(ours, tmp_path / "w.pt")
    arch = yaml.safe_load(file.with_suffix(".yaml").read_text())["arch"]
    file.with_suffix(".yaml").write_text(yaml.safe_dump({"arch": {**arch, "H_cycles": "three"}}))
    ended = evaluate(tmp_path / "out", file, more=foreign("trm"))
    assert ended.code in (2, 4)
    assert f"weights {file}: trm with w.yaml: cycles=three: not a whole number" in ended.err
