"""Weights that do not fit, and files that are none: `trm-bench evaluate` refuses them with what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.stored import (
    TINY,
    asked,
    evaluate,
    foreign,
    made,
    run,
    runs,
    write,
)
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.store.folders import WEIGHTS
from trm_bench.harness.store.records import Status

pytestmark = pytest.mark.usefixtures("one_thread")


def of(tmp_path: Path, name: str, task: TaskInfo = TINY, **options: Any) -> Path:
    return write(tmp_path / "w.pt", name, made(name, task, **options), **options)


@pytest.mark.parametrize(
    ("name", "task", "model", "message"),
    [
        (
            "transformer-looped",
            TINY,
            "trm",
            "says Model_ACTV2, and the requested model is Tiny",
        ),
        ("hrm", TINY, "trm", "says HierarchicalReasoningModel_ACTV1"),
        (
            "trm-mlp",
            TINY,
            "hrm",
            "says TinyRecursiveReasoningModel_ACTV1, and the requested",
        ),
        (
            "trm-mlp",
            TINY,
            "transformer",
            "not those of this transformer: missing embed.tokens.weight, ",
        ),
        ("trm-mlp", TINY, "mirror", "unexpected model.inner."),
        (
            "trm-mlp",
            TaskInfo("smaller", "mini", 1, 4, 5),
            "trm",
            "net.blocks.0.mixer.gate_up.weight is 32×6 in the file and 64×8 in the model",
        ),
        (
            "trm-mlp",
            TaskInfo("larger", "mini", 3, 3, 5),
            "trm",
            "net.blocks.0.mixer.gate_up.weight is 64×11 in the file and 64×8 in the model",
        ),
        (
            "trm-mlp",
            TaskInfo("words", "mini", 1, 6, 11),
            "trm",
            "embed.tokens.weight is 11×16 in the file and 5×16 in the model",
        ),
        (
            "trm-mlp",
            TINY,
            "trm[hidden=32]",
            "embed.tokens.weight is 5×16 in the file and 5×32 in the model",
        ),
        ("trm-mlp", TINY, "trm[blocks=2]", "missing net.blocks.1.mixer.gate_up.weight, net.blocks.1."),
        (
            "trm-mlp",
            TaskInfo("many", "mini", 1, 6, 5, identifiers=4),
            "trm",
            "embed.puzzle.table is 4×16 in the file and 1×16 in the model",
        ),
    ],
)
def test_weights_of_another_architecture_vocabulary_or_size_name_the_tensor(
    tmp_path: Path, name: str, task: TaskInfo, model: str, message: str
) -> None:
    ended = evaluate(tmp_path / "out", of(tmp_path, name, task), more=foreign(model))
    assert ended.code == 4
    assert message in ended.err
    assert str(tmp_path / "w.pt") in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither a safetensors nor a torch file"),
        (b"model: trm\n", "neither a safetensors nor a torch file"),
        (b"PK\3\4 cut short", "damaged torch file"),
        (b"\x80\4" + b"cos\nsystem\n(S'true'\ntR.", "refused"),
    ],
)
def test_a_file_that_is_not_weights_is_refused_before_anything_is_written(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    ended = evaluate(tmp_path / "out", tmp_path / "w.pt", more=foreign("trm"))
    assert ended.code == 4
    assert f"{tmp_path / 'w.pt'}: " in ended.err
    assert message in ended.err
    assert not (tmp_path / "out").exists()


def test_a_training_setting_in_brackets_is_refused_for_a_plugins_model_too(tmp_path: Path) -> None:
    own = runs(run(tmp_path / "own", "mirror"))[0]
    weights = Path(shutil.copy(own.folder / WEIGHTS, tmp_path / "weights"))
    ended = evaluate(tmp_path / "out", weights, more=foreign("mirror[lr=1]"))
    assert ended.code == 2


def test_a_file_that_is_not_there_ends_with_4(tmp_path: Path) -> None:
    ended = evaluate(tmp_path / "out", tmp_path / "gone.pt", more=foreign("trm"))
    assert ended.code == 4
    assert str(tmp_path / "gone.pt") in ended.err


def test_a_file_of_a_run_that_cannot_be_believed_is_not_taken_for_external_weights(tmp_path: Path) -> None:
    """Its options would be guessed from a recipe, and shapes do not tell the number of cycles."""
    (one,) = runs(run(tmp_path / "trained", asked("trm-mlp")))
    file = one.folder / WEIGHTS
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    ended = evaluate(tmp_path / "out", file, more=foreign("trm-mlp"))
    assert ended.code == 2
    assert f"{file}: has changed since training; to evaluate it as external" in ended.err
    file.write_bytes(whole)
    one.write_manifest(one.manifest().model_copy(update={"status": Status.INTERRUPTED}))
    ended = evaluate(tmp_path / "out", file, more=foreign("trm-mlp"))
    assert ended.code == 2
    assert f"{file}: its run is interrupted; to evaluate it as external weights" in ended.err
