"""The one place where the public reference implementations' names of weights meet ours.

Source: the TinyRecursiveModels and HRM repositories; their checkpoints hold these names, often after
``_orig_mod.model.inner.``. What differs from model to model is in its `ReferenceNames`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..api.errors import DataError
from ..api.specs import ReferenceNames

Shapes = Mapping[str, tuple[int, ...]]
PREFIX = "model.inner."
"""What the references put before every name."""
_WRAPPERS = ("_orig_mod.", "module.", "model.", "inner.")
_COMMON = {
    "embed_tokens.embedding_weight": "embed.tokens.weight",
    "lm_head.weight": "heads.answer.weight",
    "q_head.weight": "heads.q.weight",
    "q_head.bias": "heads.q.bias",
    "puzzle_emb.weights": "embed.puzzle.table",
}
_LAYER = {
    "self_attn.qkv_proj": "mixer.qkv",
    "self_attn.o_proj": "mixer.out",
    "mlp_t.gate_up_proj": "mixer.gate_up",
    "mlp_t.down_proj": "mixer.down",
    "mlp.gate_up_proj": "mlp.gate_up",
    "mlp.down_proj": "mlp.down",
}


def our_name(theirs: str, reference: ReferenceNames) -> str | None:
    """Our name of, say, ``model.inner.L_level.layers.0.mlp.down_proj.weight``; None where there is none."""
    name = unwrapped(theirs)
    if name in _COMMON:
        return _COMMON[name]
    part, _, rest = name.partition(".")
    if part not in reference.parts:
        return None
    ours = reference.parts[part]
    if not rest:
        return ours
    match rest.split("."):
        case ["layers", number, *layer, kind] if ".".join(layer) in _LAYER:
            return f"{ours}.blocks.{number}.{_LAYER['.'.join(layer)]}.{kind}"
    return None


def their_name(ours: str, reference: ReferenceNames) -> str | None:
    """The reference's name of one of our tensors, with its prefix; None for one that it does not have."""
    common = {value: key for key, value in _COMMON.items()}
    if ours in common:
        return PREFIX + common[ours]
    parts = {value: key for key, value in reference.parts.items()}
    part, _, rest = ours.partition(".")
    if part not in parts:
        return None
    if not rest:
        return PREFIX + parts[part]
    layers = {value: key for key, value in _LAYER.items()}
    match rest.split("."):
        case ["blocks", number, *layer, kind] if ".".join(layer) in layers:
            return f"{PREFIX}{parts[part]}.layers.{number}.{layers['.'.join(layer)]}.{kind}"
    return None


COMMON_OPTIONS = {
    "hidden_size": "hidden",
    "num_heads": "heads",
    "expansion": "expansion",
    "halt_max_steps": "supervision",
    "puzzle_emb_ndim": "puzzle_size",
}
"""Words of every reference's configuration, and ours."""


def options_by(same: Mapping[str, str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """From a reference's configuration to ours, where the words differ and the values do not."""
    return lambda arch: {ours: arch[theirs] for theirs, ours in same.items() if theirs in arch}


def arch_by(same: Mapping[str, str]) -> Callable[[Any], dict[str, Any]]:
    """The way back, for models with attention."""

    def arch(config: Any) -> dict[str, Any]:
        found = {theirs: getattr(config, ours) for theirs, ours in same.items()}
        return {**found, "puzzle_emb_ndim": config.puzzle_size or config.hidden, "pos_encodings": "rope"}

    return arch


def unwrapped(name: str) -> str:
    """The name without what `torch.compile`, data parallelism and the references put before it."""
    while wrapper := next((one for one in _WRAPPERS if name.startswith(one)), None):
        name = name.removeprefix(wrapper)
    return name


def blocks_of(shapes: Shapes, stack: str) -> int:
    """How many blocks the stack of that name has."""
    start = f"{stack}.blocks."
    return len({name.removeprefix(start).partition(".")[0] for name in shapes if name.startswith(start)})


def some_blocks(shapes: Shapes, stack: str) -> int:
    """`blocks_of` a stack that the model must have.

    Raises:
        DataError: it has none; names some of what there is instead.
    """
    if count := blocks_of(shapes, stack):
        return count
    there = ", ".join(f"{name} ({'×'.join(map(str, shape))})" for name, shape in list(shapes.items())[:4])
    raise DataError(f"no tensor {stack}.blocks.0.…; it has {there}, …")


def registers_of(shapes: Shapes, stack: str, cells: int) -> int:
    """Prefix positions of a stack that mixes positions with an MLP.

    Raises:
        DataError: it was made for puzzles of another size; names the tensor and its shape.
    """
    name = f"{stack}.blocks.0.mixer.gate_up.weight"
    registers = shapes[name][1] - cells
    if registers < 1:
        shape = "×".join(map(str, shapes[name]))
        raise DataError(
            f"{name} is {shape}, for {shapes[name][1]} positions; these puzzles have {cells} cells"
        )
    return registers


def sizes_of(shapes: Shapes, stack: str) -> dict[str, object]:
    """Options that the shapes of a stack and of the embeddings tell; None for what must be asked.

    The heads of attention share one matrix, so their number is not told; an MLP over positions has none.
    """
    hidden = shapes["embed.tokens.weight"][1]
    found: dict[str, object] = {"hidden": hidden}
    mixes = f"{stack}.blocks.0.mixer.gate_up.weight" in shapes
    found["mixer"] = "mlp" if mixes else "attention"
    if not mixes:
        found["heads"] = None
    if "embed.puzzle.table" in shapes and shapes["embed.puzzle.table"][1] != hidden:
        found["puzzle_size"] = shapes["embed.puzzle.table"][1]
    linear = [f"{stack}.blocks.0.{part}.gate_up.weight" for part in ("mlp", "mixer")]
    widths = [(shapes[name][1], shapes[name][0] // 2) for name in linear if name in shapes]
    multiple = _multiple_of(widths)
    return {**found, "multiple": multiple} if multiple else {**found, "expansion": None, "multiple": None}


def _multiple_of(widths: Iterable[tuple[int, int]], expansion: float = 4.0) -> int | None:
    """The largest rounding that gives every inner size from its outer one at the published expansion."""
    for multiple in (256, 128, 64, 32, 16, 8, 4, 2, 1):
        if all(-(-round(expansion * size * 2 / 3) // multiple) * multiple == inner for size, inner in widths):
            return multiple
    return None
