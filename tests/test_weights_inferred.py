"""What the shapes of stored weights, and a configuration beside them, tell of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_parts import config_of, fresh, reference_of, spec_of
from test_training import INFO
from trm_bench.harness.api.errors import DataError
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.weights.files import read_beside, shapes_of

SIZES = {
    "hidden": st.sampled_from([8, 16, 24, 40]),
    "multiple": st.sampled_from([1, 8, 16, 32, 64]),
    "mixer": st.sampled_from(["attention", "mlp"]),
    "halting": st.sampled_from(["sigmoid", "two-pass", "none"]),
}
BLOCKS = st.integers(1, 3)
OPTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "trm-att": {
        **SIZES,
        "blocks": BLOCKS,
        "networks": st.integers(1, 2),
        "latents": st.integers(2, 4),
        "updates": st.just(4),
        "registers": st.integers(1, 4),
    },
    "hrm": {**SIZES, "h_blocks": BLOCKS, "l_blocks": BLOCKS},
    "transformer-looped": {**SIZES, "blocks": BLOCKS},
}
TASKS = st.builds(
    TaskInfo, st.just("any"), st.just("mini"), st.integers(1, 4), st.integers(1, 4), st.integers(3, 6)
)
CYCLES = {
    "trm-att": {"cycles", "updates", "supervision"},
    "hrm": {"h_cycles", "l_cycles", "supervision"},
    "transformer": {"repeats"},
    "transformer-looped": {"repeats", "supervision"},
}
EXACT = ("hidden", "mixer", "blocks", "h_blocks", "l_blocks", "networks", "latents")
each_kind = pytest.mark.parametrize("name", list(OPTIONS))
few = settings(max_examples=30, report_multiple_bugs=False)


def draw(name: str, data: st.DataObject) -> tuple[dict[str, Any], TaskInfo]:
    return {key: data.draw(values, key) for key, values in OPTIONS[name].items()}, data.draw(TASKS)


def told(name: str, task: TaskInfo = INFO, **options: Any) -> Mapping[str, Any]:
    """What the shapes of a model's weights tell."""
    infer = spec_of(name).infer
    assert infer is not None
    return infer(shapes_of(fresh(name, task, **options).state_dict()), task)


@each_kind
@few
@given(data=st.data())
def test_what_the_shapes_tell_is_what_the_model_was_built_with(name: str, data: st.DataObject) -> None:
    options, task = draw(name, data)
    found = told(name, task, **options)
    assert {key: found[key] for key in EXACT if key in found} == {
        key: options[key] for key in EXACT if key in options
    }
    assert ("halting" in found) == (options["halting"] == "none")
    if name == "trm-att":
        assert found["registers"] == (options["registers"] if options["mixer"] == "mlp" else None)


@each_kind
@few
@given(data=st.data())
def test_with_what_must_be_asked_the_shapes_tell_the_whole_model(name: str, data: st.DataObject) -> None:
    options, task = draw(name, data)
    found = told(name, task, **options)
    usual = config_of(name, **options).model_dump()
    every = {key: usual[key] if value is None else value for key, value in found.items()}
    same = fresh(name, task, **{**dict.fromkeys(("puzzle_size",)), **every})
    assert shapes_of(same.state_dict()) == shapes_of(fresh(name, task, **options).state_dict())


@pytest.mark.parametrize("name", list(CYCLES))
@pytest.mark.parametrize("mixer", ["attention", "mlp"])
def test_what_changes_answers_but_no_shape_is_asked_for(name: str, mixer: str) -> None:
    asked = {key for key, value in told(name, mixer=mixer).items() if value is None}
    attention = {"heads"} | ({"registers"} if name == "trm-att" else set())
    assert asked == CYCLES[name] | (attention if mixer == "attention" else set())


@pytest.mark.parametrize("name", ["trm-mlp", "hrm", "transformer", "transformer-looped"])
def test_an_mlp_over_positions_tells_the_prefix(name: str) -> None:
    assert told(name, mixer="mlp", registers=3)["registers"] == 3


def test_sizes_that_differ_from_the_published_ones_are_told_or_asked() -> None:
    assert told("trm-mlp")["multiple"] == 16
    assert told("trm-mlp", hidden=512, multiple=256, registers=16)["multiple"] == 256
    assert told("trm-mlp", puzzle_size=24)["puzzle_size"] == 24
    assert "puzzle_size" not in told("trm-mlp")
    other = told("trm-mlp", expansion=2, hidden=48)
    assert (other["expansion"], other["multiple"]) == (None, None)


@pytest.mark.parametrize("latents", [1, 2, 3, "multi"])
def test_the_rows_of_z_tell_how_many_latents_there_are(latents: int | str) -> None:
    assert told("trm-mlp", latents=latents, updates=4)["latents"] == (5 if latents == "multi" else latents)


@pytest.mark.parametrize(
    ("name", "other", "words"),
    [
        ("trm-mlp", "hrm", r"no tensor net.blocks.0.…; it has .*z_H_init"),
        ("hrm", "trm-att", "no tensor f_H.blocks.0.…; it has "),
        ("transformer-looped", "hrm", "no tensor net.blocks.0.…; it has "),
    ],
)
def test_shapes_of_another_model_are_refused_with_names_that_are_there(
    name: str, other: str, words: str
) -> None:
    infer = spec_of(name).infer
    assert infer is not None
    with pytest.raises(DataError, match=words):
        infer(shapes_of(fresh(other).state_dict()), INFO)


def test_an_mlp_over_more_or_fewer_positions_names_the_tensor_and_both_sizes() -> None:
    infer = spec_of("trm-mlp").infer
    assert infer is not None
    with pytest.raises(
        DataError, match=r"gate_up.weight is 64×8, for 8 positions; these puzzles have 9 cells"
    ):
        infer(shapes_of(fresh("trm-mlp").state_dict()), TaskInfo("larger", "mini", 3, 3, 5))


# --- a configuration beside the file -------------------------------------------------------------

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
    "registers": 16,
    "puzzle_size": 512,
    "mixer": "mlp",
    "halting": "sigmoid",
}


@pytest.mark.parametrize(
    ("weights", "side"),
    [
        ("trm.pt", "trm.yaml"),
        ("step_65104", "step_65104.yaml"),
        ("step_65104", "all_config.yaml"),
        ("a.b.safetensors", "a.b.yaml"),
    ],
)
def test_options_are_read_from_the_configuration_beside_the_file(
    tmp_path: Path, weights: str, side: str
) -> None:
    content = {"arch": ARCH, "lr": 1e-4, "data_paths": ["data/sudoku"], "ema": True}
    (tmp_path / side).write_text(yaml.safe_dump(content))
    assert read_beside(tmp_path / weights, spec_of("trm-att")).options == PUBLISHED


def test_the_configuration_of_the_files_own_name_wins(tmp_path: Path) -> None:
    (tmp_path / "all_config.yaml").write_text(yaml.safe_dump({"arch": ARCH}))
    (tmp_path / "trm.yaml").write_text(yaml.safe_dump({"arch": {"H_cycles": 1}}))
    assert read_beside(tmp_path / "trm.pt", spec_of("trm-att")).options == {"cycles": 1}


@pytest.mark.parametrize("content", ["", "- 1", "lr: 1", "arch: trm", "7"])
def test_a_file_beside_the_weights_that_is_no_configuration_tells_nothing(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "trm.yaml").write_text(content)
    assert read_beside(tmp_path / "trm.pt", spec_of("trm-att")).options == {}


@pytest.mark.parametrize(
    "content", [b"arch: {H_cycles: 3", b"arch: !!python/object:os.system {}", b"\xff\xfe\x00"]
)
def test_a_broken_configuration_beside_the_weights_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "all_config.yaml").write_bytes(content)
    with pytest.raises(DataError, match=r"all_config.yaml, beside the weights: cannot be read \("):
        read_beside(tmp_path / "step_1", spec_of("trm-att"))


def test_without_a_reference_or_a_file_nothing_is_known_from_beside(tmp_path: Path) -> None:
    assert read_beside(tmp_path / "trm.pt", spec_of("trm-att")).options == {}
    (tmp_path / "trm.yaml").write_text("arch: {H_cycles: 3}")
    assert read_beside(tmp_path / "trm.pt", spec_of("transformer")).options == {}


def test_a_prefix_of_no_length_of_its_own_is_that_of_the_puzzle_embedding() -> None:
    """The reference reads puzzle_emb_len: 0 as "as many positions as the puzzle embedding needs"."""
    arch = {**ARCH, "puzzle_emb_len": 0, "puzzle_emb_ndim": 1024}
    assert reference_of("trm-att").options(arch).get("registers") == 2
