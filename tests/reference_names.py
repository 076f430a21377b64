"""The one place where the reference implementation's weight names meet ours.

Used by the parity tests; ``model.inner.`` is the references' prefix.
"""

from __future__ import annotations

from torch import Tensor
from trm_bench.harness.reasoner import Reasoner

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
_STATES = {
    "TRM": {"H_init": "y_init", "L_init": "z_init", "L_level": "net"},
    "HRM": {"H_init": "z_H_init", "L_init": "z_L_init", "H_level": "f_H", "L_level": "f_L"},
    "LoopedTransformer": {"H_init": "y_init", "H_level": "net"},
}


def our_name(reference: str, model: Reasoner) -> str:
    """Our name of a reference tensor such as ``model.inner.L_level.layers.0.mlp.down_proj.weight``."""
    name = reference.removeprefix("_orig_mod.").removeprefix("model.").removeprefix("inner.")
    if name in _COMMON:
        return _COMMON[name]
    first, _, rest = name.partition(".")
    first = _STATES[type(model).__name__][first]
    if not rest:
        return first
    _, number, inner = rest.split(".", 2)
    layer, _, kind = inner.rpartition(".")
    return f"{first}.blocks.{number}.{_LAYER[layer]}.{kind}"


def load_reference(model: Reasoner, tensors: dict[str, Tensor]) -> None:
    """Load a state in the reference's names; every tensor of ours must be there."""
    model.load_state_dict({our_name(name, model): value for name, value in tensors.items()})
