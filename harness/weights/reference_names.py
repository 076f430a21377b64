"""The one place where the public reference implementations' names of weights meet ours.

Source: the TinyRecursiveModels and HRM repositories; their checkpoints hold these names, often after
``_orig_mod.model.inner.``. What differs from model to model is in its `ReferenceNames`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..api.errors import DataError
from ..api.specs import ReferenceNames

Shapes = Mapping[str, tuple[int, ...]]
PREFIX = "model.inner."
"""Prefix of every name in the references."""
WRAPPERS = ("_orig_mod.", "module.", "model.", "inner.")
"""What `torch.compile`, data parallelism and the references put before a name."""
INSERTED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""What wrappers of modules inside a model put into its names, wherever they are."""
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
    "puzzle_emb_ndim": "puzzle_emb_ndim",
}
"""Words of every reference's configuration, and ours."""


def options_by(same: Mapping[str, str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """From a reference's configuration to ours, where the words differ and the values do not.

    What it gives raises `DataError` for a value that no option here has: weights would have the same shapes.
    """

    def options(arch: Mapping[str, Any]) -> dict[str, Any]:
        _refuse_others(arch)
        found = {ours: arch[theirs] for theirs, ours in same.items() if theirs in arch}
        if found.get("puzzle_emb_ndim") == 0:  # there: no puzzle embedding, and no prefix
            del found["puzzle_emb_ndim"]
            found["puzzle_emb_len"] = 0
        elif found.get("puzzle_emb_ndim") == found.get("hidden"):  # which is its default
            found.pop("puzzle_emb_ndim", None)
        return found

    return options


def _refuse_others(arch: Mapping[str, Any]) -> None:
    """Refuse what no shape shows: another encoding of positions, or another norm."""
    from ..nn.blocks import EPS, ROTARY_BASE  # needs torch

    fixed: dict[str, Any] = {"rms_norm_eps": EPS}
    if not arch.get("mlp_t"):
        fixed |= {"pos_encodings": "rope", "rope_theta": ROTARY_BASE}
    for key, value in fixed.items():
        told = arch.get(key, value)
        if (told if isinstance(value, str) else float(told)) != value:
            raise DataError(f"no model of ours has its arch ({key} is {told}, and {value} here)")


def arch_by(same: Mapping[str, str]) -> Callable[[Any], dict[str, Any]]:
    """The way back, for models with attention."""

    def arch(config: Any) -> dict[str, Any]:
        options = {theirs: getattr(config, ours) for theirs, ours in same.items()}
        return {**options, "puzzle_emb_ndim": config.puzzle_size, "pos_encodings": "rope"}

    return arch


def unwrapped(name: str) -> str:
    """The name without what `torch.compile`, data parallelism and the references put before it."""
    while wrapper := next((one for one in WRAPPERS if name.startswith(one)), None):
        name = name.removeprefix(wrapper)
    return name
