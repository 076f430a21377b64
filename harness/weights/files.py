"""Weights on disk: ours, or in the names of a public reference implementation; read, checked, written."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..api.errors import DataError, UnavailableError, UsageError
from ..api.pointers import POINTER, is_pointer
from ..api.reading import require_file
from ..api.reasoner import Reasoner
from ..api.specs import ModelSpec
from ..nn.embedding import PuzzleEmbedding
from ..store.folders import MANIFEST, replacing, write_atomically
from ..store.tensors import tensors_sha256
from .reference_names import INSERTED, WRAPPERS, Shapes, our_name, their_name, unwrapped
from .sets import Place, Placed, Tensors, choose, some
from .sidecar import OWN

UNPACKED = 8
"""Times its own size to which a torch file may unpack; torch compresses nothing."""
SLACK = 64 << 20
"""Bytes to which any torch file may unpack."""
PARTS = re.compile(r"-0*(\d+)-of-0*(\d+)\.\w+$|\.index\.json$")
"""The end of the names of the parts of weights, and of the index over them."""


def is_weights(path: Path) -> bool:
    """Whether a file begins as safetensors or torch files do."""
    try:
        require_file(path)
        with path.open("rb") as stream:
            return _kind(stream.read(16)) is not None
    except OSError:
        return False


def _kind(start: bytes) -> str | None:
    """The first bytes tell the kind of a file: the references' checkpoints have no suffix."""
    if start[8:9] == b"{":
        return "safetensors"
    return "torch" if start.startswith((b"PK", b"\x80")) else None


def read_content(path: Path) -> Any:
    """What a safetensors or torch file holds. Nothing in it is executed (``weights_only=True``).

    Raises:
        UnavailableError: it does not exist or cannot be read.
        DataError: it is no such file, is damaged, or unpacks to far more than it is.
    """
    try:
        size = require_file(path)
        with path.open("rb") as stream:
            kind = _kind(stream.read(16))
        problem = _no_weights(path) or ("" if kind else "neither a safetensors nor a torch file")
    except OSError as error:
        raise UnavailableError(f"weights {path}: cannot be read ({error.strerror or error})") from error
    if problem:
        raise DataError(f"weights {path}: {problem}")
    if kind == "safetensors":
        return _read_safetensors(path)
    _refuse_bomb(path, size)
    return _read_torch(path)


def read_weights(path: Path, key: str | None = None) -> dict[str, Tensor]:
    """Every tensor of the weights in a file, by the names in it; see `sets.choose`.

    Raises:
        UnavailableError: see `read_content`.
        DataError: it holds something else than named tensors, or several sets of them.
    """

    def place(tensors: Tensors) -> Placed:
        return dict(tensors), [], []

    return choose(read_content(path), place, (), key, path=path)[0]


def part_of(path: Path) -> str:
    """What a file is of weights that are stored in several; empty where they are not."""
    found = PARTS.search(path.name)
    if found is None or found[2] == "1":
        return ""
    return f"part {found[1]} of {found[2]} of the weights" if found[2] else "the index of weights in parts"


def _no_weights(path: Path) -> str:
    """Why a file is not read, as its name or its first bytes tell; else empty."""
    if is_pointer(path):
        return POINTER
    if part := part_of(path):
        return f"{part}; load all of its parts and save their tensors in one file first"
    if path.suffix == ".npz":
        return "a NumPy archive; save its arrays as tensors with safetensors.torch.save_file"
    return ""


def _refuse_bomb(path: Path, size: int) -> None:
    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(one.file_size for one in packed.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # an older form, or damaged: reading it will tell
    if unpacked > max(SLACK, UNPACKED * size):
        raise DataError(
            f"weights {path}: {size:,} bytes that unpack to {unpacked:,}; no checkpoint, not read"
        )
    try:
        with zipfile.ZipFile(path) as packed:  # torch does not look at the checksums that it writes
            members = [one for one in packed.infolist() if one.file_size]
            damaged = [one.filename for one in members if not _is_whole(packed, one)]
    except Exception as error:  # whatever it stumbles over
        raise DataError(f"weights {path}: damaged torch file ({error})") from error
    if damaged and len(damaged) < len(members):  # torch can be told to write none, and then all are wrong
        raise DataError(f"weights {path}: damaged torch file (checksum of {damaged[0]})")


def _is_whole(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    try:
        with packed.open(member) as stream:
            while stream.read(1 << 20):
                pass
    except zipfile.BadZipFile as error:
        if "CRC" not in str(error):
            raise
        return False
    return True


def _read_safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"weights {path}: damaged safetensors file ({error})") from error


def _read_torch(path: Path) -> Any:
    try:
        with (
            path.open("rb") as stream,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # and of a path, torch would believe the suffix
            return torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the unpickler stumble in any way
        if found := re.search(r"Unsupported (?:global|operand|class)[^\n]*", str(error), re.IGNORECASE):
            named = re.search(r"GLOBAL (\S+)", found[0])
            what = named[1] if named else found[0].strip()
            raise DataError(
                f"weights {path}: a pickle that holds more than weights ({what}); refused; if you trust it, "
                "load it yourself and save its state_dict()"
            ) from error
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"weights {path}: damaged torch file ({why})") from error


def in_our_names(
    weights: Mapping[str, Tensor], spec: ModelSpec, expected: Collection[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """The same tensors by our names, and which of them have one name there.

    What `torch.compile` and others put before a name or into it is taken away; a name that means nothing to
    the model is kept as it is.
    """
    renamed: dict[str, Tensor] = {}
    first: dict[str, str] = {}
    clashes: list[str] = []
    for name, value in weights.items():
        ours = _ours(name, spec, expected)
        if ours in renamed:
            clashes.append(f"{first[ours]} and {name} are both {ours}")
        renamed[ours], first[ours] = value, name
    return renamed, clashes


def _ours(name: str, spec: ModelSpec, expected: Collection[str]) -> str:
    plain = ".".join(part for part in name.split(".") if part not in INSERTED)
    bare = plain
    while bare not in expected:
        wrapper = next((one for one in WRAPPERS if bare.startswith(one)), None)
        if wrapper is None:
            break
        bare = bare.removeprefix(wrapper)
    if bare in expected:
        return bare
    ours = our_name(plain, spec.reference) if spec.reference is not None else None
    return ours or (unwrapped(plain) if plain != name else name)


def shapes_of(weights: Mapping[str, Tensor]) -> Shapes:
    """Shapes by name."""
    return {name: tuple(value.shape) for name, value in weights.items()}


def load_weights(
    model: Reasoner, spec: ModelSpec, path: Path, blank: bool = False, key: str | None = None
) -> str:
    """Load the weights of a file into a model, and give the checksum of its tensors.

    Args:
        model: gets them.
        spec: of the model.
        path: of the file, in any form that `read_content` reads.
        blank: whether only the blank row of the puzzle embedding is needed; of a table with other rows
            than the model's, that one alone is then taken.
        key: of the weights in the file, where it holds several; see `sets.choose`.

    Raises:
        DataError: a tensor is missing, unexpected, of another shape, or holds what is no number; names it.
        UsageError: there is no such key.
    """
    weights, _ = _chosen(model, spec, path, blank, key)
    checksum, expected = tensors_sha256(weights), model.state_dict()
    for name in _tables(model):
        if weights[name].shape != expected[name].shape:  # of which only the blank row is needed
            table = torch.zeros_like(expected[name])
            table[0] = weights[name][0]
            weights[name] = table
    model.load_state_dict(weights)
    return checksum


def check_weights(
    model: Reasoner, spec: ModelSpec, path: Path, blank: bool = False, key: str | None = None
) -> tuple[str, str]:
    """The checksum of a file's tensors, and what is to be said about the choice among several sets.

    The model, into which they would load, may be on the meta device.

    Raises:
        DataError: see `load_weights`; says what may help.
        UsageError: there is no such key.
    """
    hint = (
        f". If its options are others, write them in brackets, --model '{spec.name}[…]', or put its "
        "configuration file next to the weights"
    )
    weights, note = _chosen(model, spec, path, blank, key, hint)
    return tensors_sha256(weights), note


def rounded_sha256(
    model: Reasoner, spec: ModelSpec, path: Path, blank: bool = False, key: str | None = None
) -> dict[str, str]:
    """By precision, the checksum that a file's weights would have if stored in it; see `check_weights`."""
    weights, _ = _chosen(model, spec, path, blank, key)
    checksums = {}
    for name, kind in (("half precision", torch.float16), ("bfloat16", torch.bfloat16)):
        rounded = {
            one: value.to(kind) if value.is_floating_point() else value for one, value in weights.items()
        }
        checksums[name] = tensors_sha256(rounded)
    return checksums


def _chosen(
    model: Reasoner, spec: ModelSpec, path: Path, blank: bool, key: str | None, hint: str = ""
) -> tuple[dict[str, Tensor], str]:
    place = placing(model, spec, blank)
    trained = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    found, note = choose(read_content(path), place, trained, key, path=path, model=spec.name, hint=hint)
    for name, value in found.items():
        if value.is_floating_point() and not bool(torch.isfinite(value.float()).all()):
            raise DataError(f"weights {path}: {name} contains NaN or infinite values; not evaluated")
    return found, note


def placing(model: Reasoner, spec: ModelSpec, blank: bool = False) -> Place:
    """How sets of tensors fit a model; of its puzzle embedding, ``blank`` needs no more than one row."""
    tables, expected, tied = _tables(model), model.state_dict(), _tied(model)
    shapes = shapes_of(expected)

    def place(tensors: Tensors) -> Placed:
        ours, clashes = in_our_names(tensors, spec, expected)
        for names in tied:  # averages are kept of each tensor once
            there = [name for name in names if name in ours]
            ours |= {name: ours[there[0]] for name in names if there and name not in ours}
        found = shapes_of(ours)
        rows = {name for name in tables & found.keys() if found[name][1:] == shapes[name][1:]}
        fit = {name: shapes[name] if blank and name in rows else shape for name, shape in found.items()}
        odd = [
            f"{name} is {_sort(value)} in the file and {_sort(expected[name])} in the model"
            for name, value in ours.items()
            if name in expected and _sort(value) != _sort(expected[name])
        ]
        odd += [f"{name} has no values" for name, value in ours.items() if value.is_meta]
        odd += [problem for names in tied if (problem := _untied(names, ours))]
        missing, problems = mismatch(fit, shapes, tables)
        return ours, missing, [*clashes, *problems, *odd]

    return place


def _tied(model: Reasoner) -> list[list[str]]:
    """Names of one and the same tensor, as of a network that a model has in two places."""
    names: dict[int, list[str]] = {}
    for name, one in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(one), []).append(name)
    return [alike for alike in names.values() if len(alike) > 1]


def _untied(names: Sequence[str], weights: Mapping[str, Tensor]) -> str:
    """Which of the names of one tensor a file has other numbers for; empty where it has none.

    What is no plain tensor of the model's shape is named elsewhere.
    """
    first, *others = [name for name in names if name in weights and _is_plain(weights[name])] or [""]
    for name in others:
        same_kind = (
            weights[first].shape == weights[name].shape and weights[first].dtype == weights[name].dtype
        )
        if same_kind and not torch.equal(weights[first], weights[name]):
            return f"{first} and {name} are one tensor in the model and two in the file"
    return ""


def _is_plain(tensor: Tensor) -> bool:
    return not tensor.is_meta and _sort(tensor) == "floating-point"


def _sort(tensor: Tensor) -> str:
    """What numbers a tensor holds, as far as a model cares."""
    if tensor.is_sparse or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        return "sparse or quantised"
    if tensor.is_complex():
        return "complex"
    return "floating-point" if tensor.is_floating_point() else "whole numbers"


def _tables(model: Reasoner) -> set[str]:
    return {f"{name}.table" for name, one in model.named_modules() if isinstance(one, PuzzleEmbedding)}


def mismatch(found: Shapes, expected: Shapes, tables: set[str]) -> tuple[list[str], list[str]]:
    """The names that weights lack for a model, and why else they do not fit."""
    unexpected = [name for name in found if name not in expected]
    problems = [f"unexpected {some(unexpected)}"] if unexpected else []
    for name in expected:
        if name not in found or found[name] == expected[name]:
            continue
        problems.append(
            f"{name} is {_size(found[name])} in the file and {_size(expected[name])} in the model"
        )
        if name in tables and found[name][1:] == expected[name][1:]:
            problems[-1] += (
                " (its rows belong to puzzle identities in the order in which they were trained on; with "
                "--set puzzle_ids=blank they are not needed)"
            )
    return [name for name in expected if name not in found], problems


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"


def export_weights(
    weights: Mapping[str, Tensor],
    spec: ModelSpec,
    config: Any,
    path: Path,
    *,
    compiled: bool = False,
    force: bool = False,
) -> Path:
    """Write weights in the reference's names, and the configuration next to them; return the latter's path.

    Args:
        weights: by our names.
        spec: of the model.
        config: its configuration.
        path: ``.safetensors`` or ``.pt``.
        compiled: whether to put ``_orig_mod.`` before every name, as a compiled model's checkpoint has it.
        force: whether existing files may be overwritten; those of a run never are.

    Raises:
        UsageError: another suffix, an existing file, no reference, or a tensor for which it has no name.
        UnavailableError: the folder does not exist or cannot be written to.
    """
    if spec.reference is None:
        raise UsageError(f"model {spec.name!r} has no reference implementation whose names could be used")
    if path.suffix not in (".safetensors", ".pt"):
        raise UsageError(f"export to {path}: the name must end in .safetensors or .pt")
    side = path.with_suffix(".yaml")
    for file in (path, side):
        _refuse_overwriting(file, force)
    renamed = {name: their_name(name, spec.reference) for name in weights}
    if unknown := [name for name, theirs in renamed.items() if theirs is None]:
        raise UsageError(f"the reference implementation of {spec.name} has no {some(unknown)}")
    start = "_orig_mod." if compiled else ""
    content = {  # copies: a network that a model has in two places is one tensor under two names
        f"{start}{theirs}": weights[name].detach().clone(memory_format=torch.contiguous_format)
        for name, theirs in renamed.items()
    }
    arch = {"name": spec.reference.name, **spec.reference.arch(config)}
    ours = {"model": spec.name, "options": config.model_dump(mode="json")}
    try:
        with replacing(path) as scratch:
            if path.suffix == ".pt":
                torch.save(content, scratch)
            else:
                save_file(content, scratch)
        write_atomically(side, yaml.safe_dump({"arch": arch, OWN: ours}, sort_keys=False).encode())
    except OSError as error:
        raise UnavailableError(f"export to {path}: not writable ({error.strerror or error})") from error
    return side


def _refuse_overwriting(file: Path, force: bool) -> None:
    """Weights cost hours; a run's folder has nothing but what the run wrote."""
    place = file.resolve()
    folder = next((one for one in (file.absolute().parent, place.parent) if (one / MANIFEST).exists()), None)
    if folder is not None:
        raise UsageError(f"export to {file}: {folder} is a run's folder; exports are not written there")
    if file.is_dir():
        raise UsageError(f"export to {file}: is a folder; name a file")
    if not force and (file.exists() or file.is_symlink()):
        raise UsageError(
            f"export to {file}: already exists; choose another name, or overwrite it with --force"
        )
