"""A configuration file next to the weights: what it says of their model."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from support.models import BUILT_IN
from support.stored import config_of, made, reference_of, spec_of, write
from trm_bench.harness.api.errors import DataError
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.planning.find_weights import external_model
from trm_bench.harness.weights.files import export_weights
from trm_bench.harness.weights.sidecar import read_sidecar
from trm_bench.trm.config import TRMConfig

ARCH = {
    "name": "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
    "loss": {"name": "losses@ACTLossHead", "loss_type": "stablemax_cross_entropy"},
    "halt_exploration_prob": 0.1,
    "halt_max_steps": 16,
    "H_cycles": 3,
    "L_cycles": 6,
    "H_layers": 0,
    "L_layers": 2,
    "hidden_size": 512,
    "num_heads": 8,
    "expansion": 4,
    "puzzle_emb_ndim": 512,
    "pos_encodings": "none",
    "forward_dtype": "bfloat16",
    "mlp_t": True,
    "puzzle_emb_len": 16,
    "no_ACT_continue": True,
}
"""As a run of the reference repository writes it."""
PUBLISHED = {
    "cycles": 3,
    "updates": 6,
    "blocks": 2,
    "hidden": 512,
    "heads": 8,
    "expansion": 4,
    "supervision": 16,
    "puzzle_emb_len": 16,
    "mixer": "mlp",
    "halting": "sigmoid",
}
"""The size of its puzzle embedding is the default, the hidden size."""


Said = tuple[Path | None, dict[str, Any], list[str]]
NOTHING: Said = (None, {}, [])


def read(folder: Path, weights: str = "trm.pt", model: str = "trm-att") -> Said:
    return read_sidecar(folder / weights, spec_of(model))


def options(folder: Path) -> dict[str, Any]:
    return read(folder)[1]


@pytest.mark.parametrize(
    ("weights", "side"),
    [
        ("trm.pt", "trm.yaml"),
        ("step_65104", "step_65104.yaml"),
        ("step_65104", "all_config.yaml"),
        ("a.b.safetensors", "a.b.yaml"),
    ],
)
def test_options_are_read_from_the_configuration_next_to_the_weights(
    tmp_path: Path, weights: str, side: str
) -> None:
    content = {"arch": ARCH, "lr": 1e-4, "data_paths": ["data/sudoku"], "ema": True}
    (tmp_path / side).write_text(yaml.safe_dump(content))
    assert read(tmp_path, weights) == (tmp_path / side, PUBLISHED, [])


@pytest.mark.parametrize(
    "other", ["all_config.yaml", "config.json", "trm.json", "config.yml", "hparams.yaml"]
)
def test_of_two_configurations_that_differ_none_is_taken(tmp_path: Path, other: str) -> None:
    (tmp_path / other).write_text(json.dumps({"arch": ARCH}))
    (tmp_path / "trm.yaml").write_text(yaml.safe_dump({"arch": {"H_cycles": 1}}))
    with pytest.raises(DataError, match=f"trm.yaml and {other}, next to them, say different things"):
        read(tmp_path)


def test_two_configurations_that_agree_are_one(tmp_path: Path) -> None:
    for name in ("config.json", "all_config.yaml"):
        (tmp_path / name).write_text(json.dumps({"arch": ARCH, "name": name}))
    assert read(tmp_path) == (tmp_path / "all_config.yaml", PUBLISHED, [])


def test_a_configuration_that_says_nothing_of_the_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["TRM"]}')
    assert read(tmp_path) == (None, {}, ["config.json"])
    (tmp_path / "trm.yaml").write_text(yaml.safe_dump({"arch": ARCH}))
    assert read(tmp_path) == (tmp_path / "trm.yaml", PUBLISHED, ["config.json"])


def test_a_row_is_named_by_what_differs_from_the_recipe_of_its_scale(tmp_path: Path) -> None:
    info = TaskInfo("maze-hard", "mini", 5, 5, 7)
    context: Any = SimpleNamespace(prepared=SimpleNamespace(info=info), settings=SimpleNamespace(training={}))

    def label(model: str) -> str:
        return external_model(BUILT_IN, model, context, tmp_path / "trm.pt").name

    assert label("trm-mlp") == label("trm-mlp[hidden=48]") == "trm-mlp"
    assert label("trm-mlp[hidden=512]") == "trm-mlp[hidden=512]"
    kind = spec_of("trm-mlp").config
    assert kind is not None
    config = kind(hidden=48, cycles=2, updates=2, supervision=6, puzzle_emb_len=1, multiple=16)
    weights = made("trm-mlp", hidden=48).state_dict()
    for name in ("trm.yaml", "all_config.yaml"):
        export_weights(weights, spec_of("trm-mlp"), config, tmp_path / "trm.pt", force=True)
        side = yaml.safe_load((tmp_path / "trm.yaml").read_text())
        (tmp_path / "trm.yaml").unlink()
        (tmp_path / name).write_text(yaml.safe_dump(side if name == "trm.yaml" else {"arch": side["arch"]}))
        assert label("trm-mlp") == "trm-mlp"
        (tmp_path / name).unlink()


def test_an_export_keeps_every_option_of_the_model_by_our_names(tmp_path: Path) -> None:
    """Also those that the reference has no word for."""
    options = {"latents": 3, "gradient": "one-step", "multiple": 24}
    write(tmp_path / "trm.pt", "trm-att", made("trm-att", **options), **options)
    assert read(tmp_path)[1] == config_of("trm-att", **options).model_dump(mode="json")


@pytest.mark.parametrize(
    "ours", [{"model": "hrm", "options": {"cycles": 9}}, {"model": "trm-att"}, {"options": {}}, "trm-att", 7]
)
def test_a_section_of_ours_about_another_model_or_about_none_says_nothing(tmp_path: Path, ours: Any) -> None:
    (tmp_path / "trm.yaml").write_text(yaml.safe_dump({"arch": {"H_cycles": 3}, "trm_bench": ours}))
    assert options(tmp_path) == {"cycles": 3}


@pytest.mark.parametrize("content", ["", "- 1", "lr: 1", "arch: trm", "7"])
def test_a_file_that_is_no_configuration_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "trm.yaml").write_text(content)
    assert read(tmp_path) == (None, {}, ["trm.yaml"])


@pytest.mark.parametrize(
    "content", [b"arch: {H_cycles: 3", b"arch: !!python/object:os.system {}", b"\xff\xfe\x00"]
)
def test_a_broken_configuration_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "all_config.yaml").write_bytes(content)
    with pytest.raises(DataError, match=r"all_config.yaml, next to the weights: cannot be read \("):
        read(tmp_path, "step_1")


@pytest.mark.parametrize(
    "change", [{"puzzle_emb_len": 0, "hidden_size": 0}, {"puzzle_emb_len": 0, "puzzle_emb_ndim": "wide"}]
)
def test_values_that_mean_nothing_are_refused_with_the_file(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "trm.yaml").write_text(yaml.safe_dump({"arch": {**ARCH, **change}}))
    with pytest.raises(DataError, match=r"trm.yaml, next to the weights: its arch cannot be read \("):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mlp_t": False, "pos_encodings": "none"}, "pos_encodings is none, and rope here"),
        (
            {"mlp_t": False, "pos_encodings": "rope", "rope_theta": 500000.0},
            "rope_theta is 500000.0, and 10000.0",
        ),
        ({"rms_norm_eps": 1e-6}, "rms_norm_eps is 1e-06, and 1e-05 here"),
    ],
)
def test_what_no_shape_shows_and_no_option_has_is_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    (tmp_path / "all_config.yaml").write_text(yaml.safe_dump({"arch": {**ARCH, **change}}))
    with pytest.raises(DataError) as caught:
        options(tmp_path)
    assert f"no model of ours has its arch ({words}" in str(caught.value)
    same = {"rope_theta": 10000, "rms_norm_eps": "1e-05", "pos_encodings": "rope", "mlp_t": False}
    (tmp_path / "all_config.yaml").write_text(yaml.safe_dump({"arch": {**ARCH, **same}}))
    assert options(tmp_path) == {**PUBLISHED, "mixer": "attention"}


def test_a_configuration_of_another_model_is_refused_with_both_names(tmp_path: Path) -> None:
    (tmp_path / "trm.yaml").write_text(yaml.safe_dump({"arch": ARCH}))
    with pytest.raises(DataError) as caught:
        read(tmp_path, model="hrm")
    assert str(caught.value) == (
        f"weights {tmp_path / 'trm.pt'}: {tmp_path / 'trm.yaml'}, next to them, says "
        "TinyRecursiveReasoningModel_ACTV1, and the requested model is HierarchicalReasoningModel_ACTV1"
    )


def test_without_a_reference_or_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert read(tmp_path) == NOTHING
    (tmp_path / "trm.yaml").write_text("arch: {H_cycles: 3}")
    assert read(tmp_path, model="transformer") == (None, {}, ["trm.yaml"])


def test_a_prefix_of_no_length_of_its_own_is_that_of_the_puzzle_embedding() -> None:
    """The reference reads puzzle_emb_len: 0 as "as many positions as the puzzle embedding needs"."""
    arch = {**ARCH, "puzzle_emb_len": 0, "puzzle_emb_ndim": 1024}
    assert reference_of("trm-att").options(arch).get("puzzle_emb_len") == 2


def test_a_puzzle_embedding_of_no_size_is_no_prefix_in_both_directions() -> None:
    reference = reference_of("trm-att")
    options = reference.options({**ARCH, "puzzle_emb_len": 0, "puzzle_emb_ndim": 0})
    assert options["puzzle_emb_len"] == 0
    assert "puzzle_emb_ndim" not in options
    arch = reference.arch(TRMConfig(puzzle_emb_len=0))
    assert (arch["puzzle_emb_len"], arch["puzzle_emb_ndim"]) == (0, 0)


@pytest.mark.parametrize("name", ["config.json", "config.yaml"])
def test_a_configuration_with_a_key_twice_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"arch": {"hidden_size": 512, "hidden_size": 256}}')
    with pytest.raises(DataError, match="'hidden_size' is there twice"):
        read(tmp_path)
