"""Weights on disk: names, files of every form, loading and exporting."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from support.stored import (
    VARIANTS,
    config_of,
    fresh,
    made,
    reference_of,
    said,
    spec_of,
    write,
)
from support.training import INFO
from torch import Tensor
from trm_bench.harness.api.errors import DataError, UnavailableError, UsageError
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.weights.files import export_weights, load_weights, read_weights
from trm_bench.harness.weights.reference_names import our_name, their_name

Variant = tuple[str, dict[str, Any]]
WRAPPERS = ("_orig_mod.", "module.", "model.", "inner.")
each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=said)


def same_tensors(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# --- names ---------------------------------------------------------------------------------------


def theirs(variant: Variant) -> dict[str, str]:
    """The reference's name of every tensor of a model, by ours."""
    name, options = variant
    found = {ours: their_name(ours, reference_of(name)) for ours in fresh(name, **options).state_dict()}
    assert None not in found.values(), found
    return {ours: str(value) for ours, value in found.items()}


@each_variant
def test_every_tensor_has_one_name_in_the_reference_and_comes_back_from_it(variant: Variant) -> None:
    names, reference = theirs(variant), reference_of(variant[0])
    assert len(set(names.values())) == len(names)
    assert all(value.startswith("model.inner.") for value in names.values())
    assert {ours: our_name(value, reference) for ours, value in names.items()} == {one: one for one in names}


def test_the_names_are_those_of_the_published_checkpoints() -> None:
    names = theirs(("trm-mlp", {"networks": 2}))
    assert (
        names["net.blocks.0.mixer.gate_up.weight"] == "model.inner.L_level.layers.0.mlp_t.gate_up_proj.weight"
    )
    assert names["answer_net.blocks.0.mlp.down.weight"] == "model.inner.H_level.layers.0.mlp.down_proj.weight"
    assert names["z_init"] == "model.inner.L_init"
    assert names["embed.puzzle.table"] == "model.inner.puzzle_emb.weights"
    slow = theirs(("hrm", {}))
    assert slow["f_H.blocks.0.mixer.qkv.weight"] == "model.inner.H_level.layers.0.self_attn.qkv_proj.weight"
    assert slow["f_L.blocks.1.mixer.out.weight"] == "model.inner.L_level.layers.1.self_attn.o_proj.weight"


@pytest.mark.parametrize("variant", VARIANTS[::4], ids=said)
@given(wrappers=st.lists(st.sampled_from(WRAPPERS), max_size=5))
def test_wrappers_before_a_name_are_stripped_in_any_order(variant: Variant, wrappers: list[str]) -> None:
    for ours, value in theirs(variant).items():
        bare = value.removeprefix("model.inner.")
        assert our_name("".join(wrappers) + bare, reference_of(variant[0])) == ours


@pytest.mark.parametrize(
    "name",
    [
        "model.inner.L_level.layers.0.mlp.down_proj.weight",  # of TRM and HRM; this model has no such part
        "model.inner.H_level.layers.0.mlp.up_proj.weight",
        "model.inner.H_level.blocks.0.mlp.down_proj.weight",
        "model.inner.H_level.layers.0.mlp.weight",
        "model.inner.embed_pos.embedding_weight",
        "model.inner.",
        "net.blocks.0.mlp.down.weight",
    ],
)
def test_a_name_that_the_model_has_no_use_for_is_not_translated(name: str) -> None:
    assert our_name(name, reference_of("transformer-looped")) is None


@pytest.mark.parametrize("name", ["net.blocks.0.mlp.up.weight", "net.layers.0.mlp.down.weight", "other", ""])
def test_a_tensor_that_the_reference_lacks_has_no_name_there(name: str) -> None:
    assert their_name(name, reference_of("trm-att")) is None


# --- files that hold weights ---------------------------------------------------------------------

TENSORS = {
    "model.inner.lm_head.weight": torch.arange(6, dtype=torch.float32).view(2, 3),
    "model.inner.q_head.bias": torch.tensor([1.0, -2.0]),
}
Saver = Callable[[Any, Path], None]


def save_zip(content: Any, file: Path) -> None:
    torch.save(content, file)


def save_legacy(content: Any, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


def save_pickle(content: Any, file: Path) -> None:
    file.write_bytes(pickle.dumps(content))


def save_safetensors(content: Any, file: Path) -> None:
    save_file(content, file)


FORMS: list[Saver] = [save_zip, save_legacy, save_safetensors]
TORCH_FORMS = FORMS[:2]


@pytest.mark.parametrize("save", FORMS)
@pytest.mark.parametrize("name", ["step_65104", "weights.pt", "weights.safetensors", "weights.bin", "a.txt"])
def test_weights_are_known_by_their_content_and_not_by_their_suffix(
    tmp_path: Path, save: Saver, name: str
) -> None:
    save(TENSORS, tmp_path / name)
    assert same_tensors(read_weights(tmp_path / name), TENSORS)


@pytest.mark.parametrize("save", TORCH_FORMS)
@pytest.mark.parametrize("place", ["state_dict", "model", "model_state_dict", "state_dict/model"])
def test_weights_next_to_an_optimisers_state_are_found(tmp_path: Path, save: Saver, place: str) -> None:
    content: dict[str, Any] = TENSORS
    for key in reversed(place.split("/")):
        content = {key: content, "step": 7, "optimizer": {"lr": 0.1, "state": [torch.ones(1)]}}
    save(content, tmp_path / "checkpoint")
    assert same_tensors(read_weights(tmp_path / "checkpoint"), TENSORS)


def refusal(file: Path) -> str:
    """The message with which a file is refused; it names the file and ends a command with 4."""
    with pytest.raises(UnavailableError) as caught:
        read_weights(file)
    assert caught.value.exit_code == 4
    assert str(file) in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in refusal(tmp_path / "gone.pt")
    assert "cannot be read (is a folder, not a file)" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\0", b"epoch,loss\n1,0.5\n", b"{'a': 1}", "é".encode() * 40])
def test_a_file_that_is_no_weights_at_all_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert "neither a safetensors nor a torch file" in refusal(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(2)], "holds a list, not tensors by name"),
        (torch.ones(2), "holds a Tensor, not tensors by name"),
        (7, "holds a int, not tensors by name"),
        ({"a": torch.ones(2), "step": 7, "note": "x"}, "step, note is no tensor"),
        ({f"n{i}": i for i in range(9)}, "n0, n1, n2, n3, n4, n5 and 3 more is no tensor"),
        ({"state_dict": {"a": [1.0]}}, "a is no tensor"),
        ({"state_dict": [torch.ones(2)]}, "state_dict is no tensor"),
        ({}, "no tensor in it"),
        ({"model": {}}, "no tensor in it"),
    ],
)
@pytest.mark.parametrize("save", TORCH_FORMS)
def test_a_torch_file_of_something_else_says_what_it_holds(
    tmp_path: Path, save: Saver, content: Any, words: str
) -> None:
    save(content, tmp_path / "file.pt")
    assert words in refusal(tmp_path / "file.pt")


def test_a_safetensors_file_without_tensors_is_refused(tmp_path: Path) -> None:
    save_file({}, tmp_path / "file.safetensors")
    assert "no tensor in it" in refusal(tmp_path / "file.safetensors")


class Bomb:
    """Unpickled without care, it makes a file."""

    def __init__(self, target: Path):
        self.target = str(target)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return open, (self.target, "w")


def test_the_bomb_of_these_tests_goes_off_without_care(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "made"))).close()
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("save", [*TORCH_FORMS, save_pickle])
@pytest.mark.parametrize("place", ["alone", "in a list", "next to tensors", "next to the state"])
def test_a_pickle_that_is_not_weights_is_refused_and_not_run(tmp_path: Path, save: Saver, place: str) -> None:
    bomb = Bomb(tmp_path / "made")
    content = {
        "alone": bomb,
        "in a list": [bomb],
        "next to tensors": {**TENSORS, "extra": bomb},
        "next to the state": {"state_dict": TENSORS, "args": bomb},
    }[place]
    save(content, tmp_path / "file.pt")
    words = refusal(tmp_path / "file.pt")
    assert not (tmp_path / "made").exists()
    assert "refused" in words or "damaged" in words
    if save is not save_pickle:  # a plain pickle may already fail at its first bytes
        assert "a pickle that holds more than weights (" in words
        assert words.endswith("load it yourself and save its state_dict()")
        assert "add_safe_globals" not in words
    assert "\n" not in words


@pytest.fixture(scope="module", params=FORMS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    """A file of each form as bytes, and a place for what remains of it."""
    file = tmp_path_factory.mktemp("whole") / "file"
    request.param(TENSORS, file)
    return file.read_bytes(), file


def fate(file: Path, content: bytes) -> str:
    """What becomes of a file with such a content: ``weights``, ``damaged`` or the whole refusal."""
    file.write_bytes(content)
    try:
        read_weights(file)
    except DataError as error:
        return "damaged" if f"{file}: damaged" in str(error) else str(error)
    return "weights"


def test_a_truncated_file_is_refused(whole: tuple[bytes, Path]) -> None:
    """A pickle that is cut in the middle of a name holds an unknown name."""
    content, file = whole
    fates = {fate(file, content[:cut]) for cut in range(16, len(content), 5)}
    assert "damaged" in fates
    assert all(one == "damaged" or "holds more than weights" in one for one in fates)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_changed_byte_ends_in_weights_or_in_a_refusal(whole: tuple[bytes, Path]) -> None:
    content, file = whole
    for place in range(0, len(content), 2):
        changed = bytearray(content)
        changed[place] ^= 0x15
        fate(file, changed)


# --- into a model --------------------------------------------------------------------------------


@each_variant
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_what_is_exported_is_read_back_to_the_bit(tmp_path: Path, variant: Variant, suffix: str) -> None:
    name, options = variant
    model, other = made(name, **options), fresh(name, **options)
    load_weights(other, spec_of(name), write(tmp_path / f"w{suffix}", name, model, **options))
    assert same_tensors(other.state_dict(), model.state_dict())


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
@pytest.mark.parametrize("name", ["trm-mlp", "transformer"])
def test_weights_in_our_own_names_are_loaded_too(tmp_path: Path, name: str, prefix: str) -> None:
    model, other = made(name), fresh(name)
    save_zip({prefix + key: value for key, value in model.state_dict().items()}, tmp_path / "w")
    load_weights(other, spec_of(name), tmp_path / "w")
    assert same_tensors(other.state_dict(), model.state_dict())


def test_weights_of_half_precision_are_loaded_as_what_the_model_is_of(tmp_path: Path) -> None:
    model, other = made("trm-mlp"), fresh("trm-mlp")
    save_zip({key: value.bfloat16() for key, value in model.state_dict().items()}, tmp_path / "w")
    load_weights(other, spec_of("trm-mlp"), tmp_path / "w")
    assert {value.dtype for value in other.state_dict().values()} == {torch.float32}
    assert torch.equal(other.state_dict()["y_init"], model.state_dict()["y_init"].bfloat16().float())


def refused(tmp_path: Path, weights: Mapping[str, Tensor], name: str = "trm-mlp", **more: Any) -> str:
    """Why weights do not fit the small model; it is left as it was."""
    save_zip(dict(weights), tmp_path / "w.pt")
    model = fresh(name, **more)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(DataError) as caught:
        load_weights(model, spec_of(name), tmp_path / "w.pt")
    assert same_tensors(model.state_dict(), before)
    assert f"{tmp_path / 'w.pt'}: not those of this {name}: " in str(caught.value)
    return str(caught.value)


def exported(
    tmp_path: Path, name: str = "trm-mlp", task: TaskInfo = INFO, **options: Any
) -> dict[str, Tensor]:
    """Weights in the reference's names."""
    file = tmp_path / "exported.pt"
    return read_weights(write(file, name, made(name, task, **options), **options))


def test_missing_and_unexpected_tensors_are_named(tmp_path: Path) -> None:
    weights = exported(tmp_path)
    weights["model.inner.embed_pos.embedding_weight"] = weights.pop("model.inner.lm_head.weight")
    words = refused(tmp_path, weights)
    assert "missing heads.answer.weight; unexpected model.inner.embed_pos.embedding_weight" in words


def test_of_many_missing_tensors_some_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    weights = exported(tmp_path)
    only = {"model.inner.H_init": weights["model.inner.H_init"]}
    assert f" and {len(weights) - 1 - 6} more" in refused(tmp_path, only)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((5, 8), "heads.answer.weight is 5×8 in the file and 5×16 in the model"),
        ((80,), "heads.answer.weight is 80 in the file and 5×16 in the model"),
        ((), "heads.answer.weight is a single number in the file and 5×16 in the model"),
    ],
)
def test_a_tensor_of_another_shape_is_named_with_both(
    tmp_path: Path, shape: tuple[int, ...], words: str
) -> None:
    weights = {**exported(tmp_path), "model.inner.lm_head.weight": torch.zeros(shape)}
    assert words in refused(tmp_path, weights)


def test_another_vocabulary_names_the_embedding_and_the_head(tmp_path: Path) -> None:
    words = refused(tmp_path, exported(tmp_path, task=TaskInfo("other", "mini", 2, 3, 11)))
    assert "embed.tokens.weight is 11×16 in the file and 5×16 in the model" in words
    assert "heads.answer.weight is 11×16 in the file and 5×16 in the model" in words
    assert "y_init" not in words


def test_another_architecture_is_named_by_what_is_missing_and_what_is_there(tmp_path: Path) -> None:
    words = refused(tmp_path, exported(tmp_path, "hrm"), "trm-att")
    assert "unexpected" in words
    mixers = refused(tmp_path, exported(tmp_path, "trm-mlp"), "trm-att")
    assert "missing net.blocks.0.mixer.qkv.weight, net.blocks.0.mixer.out.weight" in mixers
    assert "unexpected net.blocks.0.mixer.gate_up.weight, net.blocks.0.mixer.down.weight" in mixers


# --- the rows of the puzzle embedding ------------------------------------------------------------

SEVEN, THREE = (TaskInfo("puzzles", "mini", 2, 3, 5, identifiers=count) for count in (7, 3))


def loaded(tmp_path: Path, task: TaskInfo, blank: bool, **options: Any) -> tuple[Tensor, Tensor]:
    """The table of a file for seven identities, and what a model for ``task`` makes of it."""
    model, other = made("trm-mlp", SEVEN), fresh("trm-mlp", task, **options)
    load_weights(other, spec_of("trm-mlp"), write(tmp_path / "w.pt", "trm-mlp", model), blank=blank)
    return model.state_dict()["embed.puzzle.table"], other.state_dict()["embed.puzzle.table"]


def test_a_table_of_other_puzzles_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, THREE, blank=False)
    words = str(caught.value)
    assert "embed.puzzle.table is 7×16 in the file and 3×16 in the model (its rows belong to " in words
    assert "with --set puzzle_ids=blank they are not needed" in words


def test_of_a_table_of_other_puzzles_the_blank_row_alone_can_be_taken(tmp_path: Path) -> None:
    stored, taken = loaded(tmp_path, THREE, blank=True)
    assert torch.equal(taken[0], stored[0])
    assert stored[0].any()
    assert not taken[1:].any()


def test_a_table_that_fits_is_taken_whole(tmp_path: Path) -> None:
    assert torch.equal(*loaded(tmp_path, SEVEN, blank=False))
    assert torch.equal(*loaded(tmp_path, SEVEN, blank=True))


def test_a_table_of_vectors_of_another_size_is_refused_even_for_its_blank_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"embed.puzzle.table is 7×16 in the file and 3×24 in the model"):
        loaded(tmp_path, THREE, blank=True, puzzle_emb_ndim=24)


# --- out of a model ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("compiled", [False, True])
def test_an_export_has_the_references_names_and_its_configuration_next_to_it(
    tmp_path: Path, suffix: str, compiled: bool
) -> None:
    model, file = made("trm-mlp"), tmp_path / f"trm{suffix}"
    side = export_weights(
        model.state_dict(), spec_of("trm-mlp"), config_of("trm-mlp"), file, compiled=compiled
    )
    found = torch.load(file, weights_only=True) if suffix == ".pt" else load_file(file)
    start = "_orig_mod.model.inner." if compiled else "model.inner."
    assert all(key.startswith(start) for key in found)
    assert torch.equal(found[f"{start}lm_head.weight"], model.state_dict()["heads.answer.weight"])
    assert len(found) == len(model.state_dict())
    assert side == tmp_path / "trm.yaml"
    arch = yaml.safe_load(side.read_text())["arch"]
    assert (arch["H_cycles"], arch["L_cycles"], arch["halt_max_steps"], arch["mlp_t"]) == (2, 2, 3, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([file.name, "trm.yaml"])


def test_blocks_that_are_repeated_within_a_step_are_unknown_to_the_reference(tmp_path: Path) -> None:
    """Its files have ``H_cycles``, which its code does not use; no shape would show it."""
    name, reference = "transformer-looped", reference_of("transformer-looped")
    assert "repeats" not in reference.options({"H_cycles": 3, "H_layers": 8})
    assert reference.arch(config_of(name))["H_cycles"] == 1
    repeated = config_of(name).model_copy(update={"repeats": 3})
    with pytest.raises(UsageError, match="applies its blocks once a step, not repeats=3"):
        export_weights(made(name).state_dict(), spec_of(name), repeated, tmp_path / "w.pt")
    assert list(tmp_path.iterdir()) == []


def export(name: str, file: Path, **more: Tensor) -> None:
    model = made(name)
    export_weights({**model.state_dict(), **more}, spec_of(name), config_of(name), file)


@pytest.mark.parametrize("file", ["weights", "weights.bin", "weights.safetensors.gz", "weights.PT"])
def test_an_export_to_an_unknown_suffix_is_refused(tmp_path: Path, file: str) -> None:
    with pytest.raises(UsageError, match=r"the name must end in .safetensors or .pt") as caught:
        export("trm-mlp", tmp_path / file)
    assert str(tmp_path / file) in str(caught.value)
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_a_reference_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="model 'transformer' has no reference implementation"):
        export("transformer", tmp_path / "w.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_that_the_reference_lacks_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"implementation of hrm has no answer_net.gate, extra"):
        export("hrm", tmp_path / "w.pt", **{"answer_net.gate": torch.ones(1), "extra": torch.ones(1)})
    assert list(tmp_path.iterdir()) == []
