"""Weights on disk: ours, or in the names of a public reference implementation; read, checked, written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from ..api.errors import DataError, UnavailableError, UsageError
from ..api.reasoner import Reasoner
from ..api.specs import ModelSpec, ReferenceNames
from ..nn.embedding import PuzzleEmbedding
from ..store.folders import replacing, write_atomically
from .reference_names import Shapes, our_name, their_name, unwrapped

NESTED = ("state_dict", "model_state_dict", "model")
"""Keys under which other programs keep the weights, next to their optimiser's state."""
SHOWN = 6
"""Names that an error lists."""
SIDE_FILES = ("{stem}.yaml", "all_config.yaml")
"""Configuration files next to weights: that of `export`, and that of the reference repositories."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors or torch file, by the names in it.

    The first bytes tell the kind of a file: the references' checkpoints have no suffix. Nothing in a torch
    file is executed (``weights_only=True``).

    Raises:
        UnavailableError: it does not exist or cannot be read.
        DataError: it holds something else than named tensors.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise UnavailableError(f"weights {path}: cannot be read ({error.strerror})") from error
    if start[8:9] == b"{":
        content = _read_safetensors(path)
    elif start.startswith((b"PK", b"\x80")):
        content = _read_torch(path)
    else:
        raise DataError(f"weights {path}: neither a safetensors nor a torch file")
    return _tensors(content, path)


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"weights {path}: damaged safetensors file ({error})") from error


def _read_torch(path: Path) -> Any:
    try:
        with path.open("rb") as stream:  # of a path, torch would believe the suffix
            return torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the unpickler stumble in any way
        if found := re.search(r"Unsupported (?:global|operand|class)[^\n]*", str(error), re.IGNORECASE):
            why = found[0].strip()
            raise DataError(
                f"weights {path}: a pickle that holds more than weights; refused ({why})"
            ) from error
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"weights {path}: damaged torch file ({why})") from error


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise DataError(f"weights {path}: holds a {type(content).__name__}, not tensors by name")
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others or not content:
        what = f"{', '.join(others[:SHOWN])} is no tensor" if others else "no tensor in it"
        raise DataError(f"weights {path}: {what}")
    return {str(name): value for name, value in content.items()}


def in_our_names(weights: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:
    """The same tensors by our names; a name that means nothing to the model is kept as it is."""
    renamed: dict[str, Tensor] = {}
    for name, value in weights.items():
        ours = our_name(name, spec.reference) if spec.reference is not None else None
        renamed[ours or (unwrapped(name) if name.startswith("_orig_mod.") else name)] = value
    return renamed


def shapes_of(weights: Mapping[str, Tensor]) -> Shapes:
    """Shapes by name."""
    return {name: tuple(value.shape) for name, value in weights.items()}


def load_weights(model: Reasoner, spec: ModelSpec, path: Path, blank: bool = False) -> None:
    """Load the weights of a file into a model.

    Args:
        model: gets them.
        spec: of the model.
        path: of the file, in any form that `read_weights` reads.
        blank: whether only the blank row of the puzzle embedding is needed; of a table with other rows
            than the model's, that one alone is then taken.

    Raises:
        DataError: a tensor is missing, unexpected or of another shape; names which and both shapes.
    """
    weights = in_our_names(read_weights(path), spec)
    if problems := _problems(model, shapes_of(weights), blank):
        raise DataError(f"weights {path}: not those of this {spec.name}: {problems}")
    expected = model.state_dict()
    for name in _tables(model):
        if weights[name].shape != expected[name].shape:  # of which only the blank row is needed
            table = torch.zeros_like(expected[name])
            table[0] = weights[name][0]
            weights[name] = table
    model.load_state_dict(weights)


def check_weights(model: Reasoner, spec: ModelSpec, path: Path, blank: bool = False) -> None:
    """Whether the external weights of a file would load into a model, which may be on the meta device.

    Raises:
        DataError: see `load_weights`; says what may help.
    """
    shapes = shapes_of(in_our_names(read_weights(path), spec))
    if problems := _problems(model, shapes, blank):
        raise DataError(
            f"weights {path}: not those of this {spec.name}: {problems}. If its options are others, write "
            f"them in brackets, --model '{spec.name}[…]', or put its configuration file next to the weights"
        )


def _tables(model: Reasoner) -> set[str]:
    return {f"{name}.table" for name, one in model.named_modules() if isinstance(one, PuzzleEmbedding)}


def _problems(model: Reasoner, found: Shapes, blank: bool) -> str:
    """Why tensors of these shapes are not a model's; of a table, ``blank`` needs no more than one row."""
    tables, expected = _tables(model), shapes_of(model.state_dict())
    rows = {name for name in tables & found.keys() if found[name][1:] == expected[name][1:]}
    fit = {name: expected[name] if blank and name in rows else shape for name, shape in found.items()}
    return "; ".join(mismatch(fit, expected, tables))


def mismatch(found: Shapes, expected: Shapes, tables: set[str]) -> list[str]:
    """Why weights do not fit a model; empty where they do."""
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    problems = [
        f"{word} {_some(names)}"
        for word, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
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
    return problems[: SHOWN + 2]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"


@dataclass(frozen=True)
class Sidecar:
    """Options from a configuration file next to the weights; ``file`` is None where there is none."""

    file: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def read_sidecar(path: Path, spec: ModelSpec) -> Sidecar:
    """Options from a configuration file next to the weights: that of `export`, else that of the reference.

    Raises:
        DataError: it cannot be read, or is of another model.
    """
    for name in SIDE_FILES:
        file = path.parent / name.format(stem=path.stem)
        if not file.is_file():
            continue
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DataError(f"{file}, next to the weights: cannot be read ({error})") from error
        content = content if isinstance(content, Mapping) else {}
        ours, arch = content.get(OWN), content.get("arch")
        own = ours.get("options") if isinstance(ours, Mapping) and ours.get("model") == spec.name else None
        if isinstance(own, Mapping):
            return Sidecar(file, dict(own))
        if isinstance(arch, Mapping) and spec.reference is not None:
            _require_class(
                str(arch.get("name", "")), spec.reference, f"weights {path}: {file}, next to them,"
            )
            try:
                return Sidecar(file, spec.reference.options(arch))
            except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
                raise DataError(
                    f"{file}, next to the weights: its arch cannot be read ({error!r})"
                ) from error
    return Sidecar()


OWN = "trm_bench"
"""The section of a configuration file with our own names, which the references do not read."""


def _require_class(name: str, reference: ReferenceNames, what: str) -> None:
    """A class has one name in all of the references' repositories, unlike the module it is in."""
    theirs, ours = name.partition("@")[2], reference.name.partition("@")[2]
    if theirs and theirs != ours:
        raise DataError(f"{what} says {theirs}, and the requested model is {ours}")


def export_weights(
    weights: Mapping[str, Tensor], spec: ModelSpec, config: Any, path: Path, *, compiled: bool = False
) -> Path:
    """Write weights in the reference's names, and the configuration next to them; return the latter's path.

    Args:
        weights: by our names.
        spec: of the model.
        config: its configuration.
        path: ``.safetensors`` or ``.pt``.
        compiled: whether to put ``_orig_mod.`` before every name, as a compiled model's checkpoint has it.

    Raises:
        UsageError: another suffix, a model without a reference, or a variant that it does not have.
    """
    if spec.reference is None:
        raise UsageError(f"model {spec.name!r} has no reference implementation whose names could be used")
    if path.suffix not in (".safetensors", ".pt"):
        raise UsageError(f"export to {path}: the name must end in .safetensors or .pt")
    renamed = {name: their_name(name, spec.reference) for name in weights}
    if unknown := [name for name, theirs in renamed.items() if theirs is None]:
        raise UsageError(f"the reference implementation of {spec.name} has no {_some(unknown)}")
    start = "_orig_mod." if compiled else ""
    content = {f"{start}{theirs}": weights[name].contiguous() for name, theirs in renamed.items()}
    with replacing(path) as scratch:
        if path.suffix == ".pt":
            torch.save(content, scratch)
        else:
            from safetensors.torch import save_file

            save_file(content, scratch)
    side = path.with_suffix(".yaml")
    arch = {"name": spec.reference.name, **spec.reference.arch(config)}
    ours = {"model": spec.name, "options": config.model_dump(mode="json")}
    write_atomically(side, yaml.safe_dump({"arch": arch, OWN: ours}, sort_keys=False).encode())
    return side
