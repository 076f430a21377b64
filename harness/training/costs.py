"""One rule for FLOPs, so that models can be compared and matched on them.

The rule: two FLOPs per multiply-add of every matrix product that is really carried out (linear
layers and attention), forward and backward; forward passes without a gradient once, a backward
pass at what it carries out, the second pass of Q-learning too. Element-wise work, norms, the
loss and the optimiser are left out. Counted by running one training step on torch's meta device
under `torch.utils.flop_counter`; `docs/budget.md` has the closed forms that a test holds this to.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ..api.errors import UsageError
from ..api.puzzles import TaskInfo
from ..api.reasoner import Reasoner
from ..nn.embedding import InputEmbedding, OutputHeads, PuzzleEmbedding
from ..nn.loss import step_loss
from .supervision import Slots, continue_target

OPERATIONS = 50_000
"""Most operations of torch in a supervision step; the published models have about a thousand."""


@dataclass(frozen=True)
class Flops:
    """FLOPs of one puzzle.

    Attributes:
        training_step: of one supervision step in training, backward pass included.
        inference: of all N_sup supervision steps at evaluation.
    """

    training_step: float
    inference: float


def build_shapes(build: Callable[[TaskInfo], Reasoner], task: TaskInfo) -> Reasoner:
    """Build a model as shapes without numbers, so that a huge puzzle embedding costs nothing.

    A model that cannot be built so is built as usual.
    """
    try:
        with torch.device("meta"):
            return build(task)
    except Exception:  # it looks at its numbers; what cannot be built at all fails again here
        return build(task)


def _on_meta(model: Reasoner) -> Reasoner:
    """A copy on the meta device."""
    memo: dict[int, object] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = torch.nn.Parameter(parameter.to("meta"), parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.to("meta")
    return copy.deepcopy(model, memo)


class _Patience(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Gives up on a model that would not come to an end."""

    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        if self.operations > OPERATIONS:
            raise UsageError(
                f"one supervision step takes more than {OPERATIONS:,} operations; choose fewer repetitions "
                "(cycles, updates, timesteps, repeats) or blocks"
            )
        return func(*args, **(kwargs or {}))


def _of_vector(matrix: Sequence[int], vector: Sequence[int], **_: Any) -> int:
    return 2 * prod(matrix)


def _of_sum(added: Sequence[int], left: Sequence[int], right: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * prod(left) * right[-1]


def _of_three(one: Sequence[int], two: Sequence[int], three: Sequence[int], *expanded: Any, **_: Any) -> int:
    shapes: list[list[int]] = []
    for shape, places in zip((one, two, three), expanded, strict=False):
        full = list(shape)
        for place in sorted(places):
            full.insert(place, 1)
        shapes.append(full)
    return 2 * int(prod([max(sizes) for sizes in zip(*shapes, strict=True)]))


_aten = torch.ops.aten
FURTHER = {
    _aten.mv: _of_vector,
    _aten.dot: _of_vector,
    _aten.addmv: lambda added, matrix, vector, *_, **__: _of_vector(matrix, vector),
    _aten.addbmm: _of_sum,
    _aten._trilinear: _of_three,
}
"""Products that torch's own counter does not know, with two FLOPs for each multiply-add."""


def count_flops(model: Reasoner, cells: int) -> Flops:
    """FLOPs per puzzle of a model for puzzles of L = ``cells``; draws no random number.

    Raises:
        UsageError: a supervision step has more than `OPERATIONS`.
    """
    probe = _on_meta(model)
    batch = 2  # more than one, so that no product degenerates to a vector
    slots = Slots(probe, batch, cells, torch.device("meta"))
    # The closed-form attention kernels of a device have no meta implementation of their own.
    with sdpa_kernel(SDPBackend.MATH):
        probe.train()
        with FlopCounterMode(display=False, custom_mapping=FURTHER) as training, _Patience():  # type: ignore[no-untyped-call]
            state, output = probe(slots.state, slots.inputs, slots.puzzle_ids)
            loss = step_loss(output, slots.targets, continue_target(slots, state))
            if loss.total.requires_grad:
                loss.total.backward()  # type: ignore[no-untyped-call]
        probe.eval()
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=FURTHER) as inference:
            probe(slots.state, slots.inputs, slots.puzzle_ids)
    return Flops(
        training.get_total_flops() / batch,
        inference.get_total_flops() / batch * model.supervision_steps,
    )


def count_parameters(model: Reasoner) -> tuple[int, int, int]:
    """Trainable numbers of the core, of token embedding and heads, and of the puzzle embedding.

    The core is what the papers' "7M" counts: everything outside the modules `InputEmbedding`
    and `OutputHeads` of `trm_bench.nn`.
    """
    io = {
        id(parameter): parameter.numel()
        for module in model.modules()
        if isinstance(module, InputEmbedding | OutputHeads)
        for parameter in module.parameters()
    }
    total = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    tables = sum(module.table.numel() for module in model.modules() if isinstance(module, PuzzleEmbedding))
    return total - sum(io.values()), sum(io.values()), tables
