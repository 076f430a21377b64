"""Files that claim to be weights and must not be believed, and exports that would destroy something."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from support.stored import config_of, fresh, made, spec_of
from torch import Tensor
from trm_bench.harness.api.errors import DataError, UnavailableError, UsageError
from trm_bench.harness.weights.files import (
    SLACK,
    check_weights,
    export_weights,
    is_weights,
    load_weights,
    read_weights,
)

WEIGHTS = {name: value.clone() for name, value in made("trm-mlp").state_dict().items()}


def refusal(tmp_path: Path, content: Any) -> str:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(DataError) as caught:
        load_weights(fresh("trm-mlp"), spec_of("trm-mlp"), tmp_path / "w.pt")
    assert str(tmp_path / "w.pt") in str(caught.value)
    return str(caught.value)


def test_a_file_that_unpacks_to_far_more_than_it_is_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"a": torch.zeros(8)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "w.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for one in plain.infolist():
            bomb.writestr(one.filename, plain.read(one))
        with bomb.open("plain/data/1", "w", force_zip64=True) as stream:
            for _ in range((SLACK >> 20) + 1):
                stream.write(bytes(1 << 20))

    def loading(*_: object, **__: object) -> None:
        raise AssertionError("unpacks it")

    monkeypatch.setattr("torch.load", loading)
    with pytest.raises(DataError, match=r"w.pt: [\d,]+ bytes that unpack to [\d,]+; no checkpoint, not read"):
        read_weights(tmp_path / "w.pt")


def test_a_small_tensor_that_says_to_be_huge_is_refused_by_its_shape(tmp_path: Path) -> None:
    huge = torch.zeros(1).expand(10**6, 10**6)
    assert "y_init is 1000000×1000000 in the file" in refusal(tmp_path, {**WEIGHTS, "y_init": huge})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.int(), "y_init is whole numbers in the file and floating-point in the model"),
        (lambda one: one.to(torch.complex64), "y_init is complex in the file"),
        (lambda one: one.to_sparse(), "y_init is sparse or quantised in the file"),
        (lambda one: one.to("meta"), "y_init has no values"),
        (lambda one: one * float("nan"), "y_init contains NaN or infinite values"),
        (lambda one: one / 0, "y_init contains NaN or infinite values"),
    ],
)
def test_a_tensor_that_is_no_plain_numbers_is_named(tmp_path: Path, change: Any, words: str) -> None:
    assert words in refusal(tmp_path, {**WEIGHTS, "y_init": change(WEIGHTS["y_init"])})


def test_a_flipped_bit_of_a_torch_file_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(WEIGHTS, path)
    content = bytearray(path.read_bytes())
    place = content.index(WEIGHTS["y_init"].numpy().tobytes())
    content[place + 2] ^= 16
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"w\.pt: damaged torch file \(checksum of w/data/\d+\)"):
        load_weights(fresh("trm-mlp"), spec_of("trm-mlp"), path)


def test_a_torch_file_that_was_written_without_checksums_is_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(WEIGHTS, tmp_path / "w.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    load_weights(fresh("trm-mlp"), spec_of("trm-mlp"), tmp_path / "w.pt")


def test_averages_of_one_network_are_kept_once_and_taken_for_both_of_its_names(tmp_path: Path) -> None:
    options = {"networks": 1, "low_blocks": 1}
    raw, model = made("hrm", **options), made("hrm", seed=1, **options)
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    content = {"model": raw.state_dict(), "ema": average}
    torch.save(content, tmp_path / "both.pt")
    loaded = made("hrm", seed=2, **options)
    load_weights(loaded, spec_of("hrm"), tmp_path / "both.pt")
    assert all(torch.equal(value, average[name]) for name, value in loaded.named_parameters())


def test_one_network_cannot_take_the_weights_of_two(tmp_path: Path) -> None:
    two = {name: value.clone() for name, value in made("hrm", low_blocks=1).state_dict().items()}
    torch.save(two, tmp_path / "two.pt")
    one = made("hrm", networks=1, low_blocks=1)
    with pytest.raises(
        DataError, match=r"f_H\.\S+ and f_L\.\S+ are one tensor in the model and two in the file"
    ):
        load_weights(one, spec_of("hrm"), tmp_path / "two.pt")
    torch.save({name: value.clone() for name, value in one.state_dict().items()}, tmp_path / "one.pt")
    load_weights(made("hrm", seed=1, networks=1, low_blocks=1), spec_of("hrm"), tmp_path / "one.pt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pt")
    assert not is_weights(tmp_path / "w.pt")
    with pytest.raises(UnavailableError, match="is a pipe or device, not a file"):
        read_weights(tmp_path / "w.pt")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("w.safetensors", LFS, "a Git LFS pointer, not the file; run git lfs pull"),
        ("w.npz", b"PK\3\4", "a NumPy archive; save its arrays as tensors"),
        (
            "model-00001-of-00002.safetensors",
            None,
            "part 1 of 2 of the weights; load all of its parts and save",
        ),
        ("pytorch_model-00002-of-00002.bin", None, "part 2 of 2 of the weights; load all of its parts"),
        ("model.safetensors.index.json", b"{}", "the index of weights in parts; load all of its parts"),
    ],
)
def test_what_stands_for_weights_is_named(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is None:
        torch.save(WEIGHTS, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"weights {tmp_path / name}: {words}")):
        read_weights(tmp_path / name)


def test_the_only_part_of_weights_is_all_of_them(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "model-00001-of-00001.bin")
    assert read_weights(tmp_path / "model-00001-of-00001.bin").keys() == WEIGHTS.keys()


@pytest.mark.parametrize("inserted", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
@pytest.mark.parametrize("reference", [True, False])
def test_what_wrappers_put_into_a_name_changes_neither_weights_nor_checksum(
    tmp_path: Path, inserted: str, reference: bool
) -> None:
    spec, weights = spec_of("trm-mlp"), WEIGHTS
    if reference:
        export_weights(WEIGHTS, spec, config_of("trm-mlp"), tmp_path / "theirs.pt")
        weights = read_weights(tmp_path / "theirs.pt")
    found = set()
    for between in (".", f".{inserted}."):
        renamed = {f"{inserted}.{name.replace('.', between)}": value for name, value in weights.items()}
        torch.save(renamed, tmp_path / "w.pt")
        found.add(check_weights(fresh("trm-mlp"), spec, tmp_path / "w.pt"))
    assert len(found) == 1


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_network_that_a_model_has_in_two_places_is_exported(tmp_path: Path, suffix: str) -> None:
    options = {"networks": 1, "low_blocks": 1}
    weights, file = made("hrm", **options).state_dict(), tmp_path / f"w{suffix}"
    export_weights(weights, spec_of("hrm"), config_of("hrm", **options), file)
    loaded = made("hrm", seed=1, **options)
    load_weights(loaded, spec_of("hrm"), file)
    assert all(torch.equal(value, weights[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model."])
@pytest.mark.parametrize("name", ["trm-mlp", "transformer"])
def test_what_is_put_before_our_names_changes_neither_weights_nor_checksum(
    tmp_path: Path, name: str, prefix: str
) -> None:
    spec, weights = spec_of(name), made(name).state_dict()
    found = set()
    for start in ("", prefix):
        torch.save({start + key: value for key, value in weights.items()}, tmp_path / "w.pt")
        found.add(check_weights(fresh(name), spec, tmp_path / "w.pt"))
    assert len(found) == 1


def test_the_references_names_have_the_checksum_of_ours(tmp_path: Path) -> None:
    spec = spec_of("trm-mlp")
    torch.save(WEIGHTS, tmp_path / "ours.pt")
    export_weights(WEIGHTS, spec, config_of("trm-mlp"), tmp_path / "theirs.safetensors", compiled=True)
    files = ("ours.pt", "theirs.safetensors")
    assert len({check_weights(fresh("trm-mlp"), spec, tmp_path / file) for file in files}) == 1


# --- exports -------------------------------------------------------------------------------------


def export(file: Path, force: bool = False) -> None:
    export_weights(WEIGHTS, spec_of("trm-mlp"), config_of("trm-mlp"), file, force=force)


@pytest.mark.parametrize("there", ["mine.pt", "mine.yaml"])
def test_what_is_there_is_overwritten_with_force_alone(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(UsageError, match=re.escape(f"{tmp_path / there}: already exists") + ".*--force"):
        export(tmp_path / "mine.pt")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"
    export(tmp_path / "mine.pt", force=True)
    assert "arch" in yaml.safe_load((tmp_path / "mine.yaml").read_text())
    assert read_weights(tmp_path / "mine.pt").keys()


@pytest.mark.parametrize("how", ["itself", "another name", "linked folder", "linked file"])
def test_the_folder_of_a_run_stays_as_it_is(tmp_path: Path, how: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("manifest.json", "model.safetensors"):
        (run / name).write_text("ours")
    (tmp_path / "folder").symlink_to(run)
    (tmp_path / "file.safetensors").symlink_to(run / "model.safetensors")
    target = {
        "itself": run / "model.safetensors",
        "another name": run / "mine.pt",
        "linked folder": tmp_path / "folder" / "model.safetensors",
        "linked file": tmp_path / "file.safetensors",
    }[how]
    with pytest.raises(UsageError, match="is a run's folder; exports are not written there"):
        export(target, force=True)
    assert sorted(path.name for path in run.iterdir()) == ["manifest.json", "model.safetensors"]
    assert (run / "model.safetensors").read_text() == "ours"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"gone/w.pt: not writable \(No such file or directory\)"):
        export(tmp_path / "gone" / "w.pt")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(UsageError, match=r"folder.pt: is a folder"):
        export(tmp_path / "folder.pt", force=True)


def written(tensors: dict[str, Tensor], file: Path) -> Path:
    torch.save(tensors, file)
    return file


def test_a_file_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    assert is_weights(written(WEIGHTS, tmp_path / "step_12"))
    (tmp_path / "config.json").write_text('{"architectures": ["TRM"]}')
    assert not is_weights(tmp_path / "config.json")
    assert not is_weights(tmp_path)
    assert not is_weights(tmp_path / "gone")
