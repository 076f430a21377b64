"""One rule for FLOPs, so that models can be compared and matched on them.

The rule: two FLOPs per multiply-add of every matrix product that is really carried out (linear
layers and attention), forward and backward; forward passes without a gradient once, a backward
pass at what it carries out, the second pass of Q-learning too. Element-wise work, norms, the
loss and the optimiser are left out. A complex multiply-add is four real ones. Counted by running one
training step on torch's meta device under `torch.utils.flop_counter`; `docs/budget.md` has the closed forms
that a test holds this to. A model that cannot run there is counted on fake tensors of a CPU, and one that
reads numbers in its forward pass with numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry, shape_wrapper

from ..api.errors import UsageError
from ..api.puzzles import TaskInfo
from ..api.reasoner import Reasoner
from ..nn.embedding import InputEmbedding, OutputHeads, PuzzleEmbedding
from ..nn.loss import step_loss
from ..nn.precision import require_shapes
from .supervision import Slots, continue_target

OPERATIONS = 50_000
"""Most operations of torch in a supervision step; the published models have about a thousand."""
WITH_NUMBERS = 10**11
"""Most FLOPs of two puzzles that are really computed in order to count them: some seconds of a core."""
_BUILDS: WeakKeyDictionary[Reasoner, Callable[[], Reasoner]] = WeakKeyDictionary()
"""How models without numbers are built with them."""


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
            shapes = build(task)
        _BUILDS[shapes] = partial(build, task)
        return shapes
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


def without_numbers(model: Reasoner) -> Reasoner:
    """A copy whose parameters, buffers and other tensors are on the CPU; call it under `FakeTensorMode`."""
    memo: dict[int, object] = {}
    for module in model.modules():
        for tensor in (value for value in vars(module).values() if isinstance(value, Tensor)):
            memo[id(tensor)] = torch.empty_like(tensor, device="cpu")
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="cpu")
    for parameter in model.parameters():
        values = torch.empty_like(parameter, device="cpu")
        memo[id(parameter)] = torch.nn.Parameter(values, parameter.requires_grad)
    return copy.deepcopy(model, memo)


class _Patience(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Gives up on a model that would not come to an end."""

    def __init__(self, counter: FlopCounterMode, most: float = float("inf")):
        super().__init__()  # type: ignore[no-untyped-call]
        self.counter, self.most, self.operations = counter, most, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        if self.operations > OPERATIONS:
            raise UsageError(
                f"one supervision step takes more than {OPERATIONS:,} operations; choose fewer repetitions "
                "(cycles, updates, timesteps, repeats) or blocks"
            )
        if self.counter.get_total_flops() > self.most:
            raise UsageError(
                "FLOPs are counted with shapes alone, and forward reads numbers on the host; with numbers, "
                f"two puzzles take more than {self.most:.0e} FLOPs, which takes too long; let forward read "
                "none (.item(), if x.sum() > 0), or choose a smaller model"
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


def _of_convolution(
    gradient: Sequence[int], x: Sequence[int], weight: Sequence[int], *rest: Any, **_: Any
) -> int:
    """As often as a gradient of the input or of the weight is requested: what the forward pass takes.

    torch's own rule leaves groups out.
    """
    transposed, requested = rest[-4], rest[-1]
    positions = x if transposed else gradient
    return 2 * int(gradient[0]) * prod(positions[2:]) * prod(weight) * sum(map(bool, requested[:2]))


_aten = torch.ops.aten
FURTHER = {
    _aten.mv: _of_vector,
    _aten.dot: _of_vector,
    _aten.addmv: lambda added, matrix, vector, *_, **__: _of_vector(matrix, vector),
    _aten.addbmm: _of_sum,
    _aten._trilinear: _of_three,
    _aten.convolution_backward: _of_convolution,
}
"""Products that torch's own counter does not know or counts wrong, with two FLOPs for each multiply-add."""


def _in_real_numbers(rule: Callable[..., int]) -> Callable[..., int]:
    """A rule that takes the tensors themselves, with four multiply-adds for each of complex numbers."""

    def counted(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
        results = (one for one in tree_leaves(out_val) if isinstance(one, Tensor))
        return rule(*args, out_val=out_val, **kwargs) * (4 if any(map(torch.is_complex, results)) else 1)

    counted._get_raw = True  # type: ignore[attr-defined]
    return counted


_OF_SHAPES = {operation: shape_wrapper(rule) for operation, rule in FURTHER.items()}  # type: ignore[no-untyped-call]
RULES = {operation: _in_real_numbers(rule) for operation, rule in (flop_registry | _OF_SHAPES).items()}
"""The rule of every operation that counts."""


def count_flops(model: Reasoner, cells: int) -> Flops:
    """FLOPs per puzzle of a model for puzzles of L = ``cells``; draws no random number.

    Where forward reads numbers on the host, they are those of two empty puzzles and of fresh weights.

    Raises:
        UsageError: a supervision step has more than `OPERATIONS`, or with numbers `WITH_NUMBERS` FLOPs.
    """
    require_shapes(model)
    with torch.random.fork_rng(devices=()):
        try:
            return count_on_meta(model, cells)
        except UsageError:
            raise
        except Exception:  # it asks for a device that can compute, or for numbers
            return _count_on_cpu(model, cells)


def count_on_meta(model: Reasoner, cells: int) -> Flops:
    """As `count_flops`, of a model that runs on torch's meta device; others raise whatever they raise."""
    return _count(_on_meta(model), cells, torch.device("meta"))


def _count_on_cpu(model: Reasoner, cells: int) -> Flops:
    """On fake tensors, or if that fails with numbers."""
    cpu = torch.device("cpu")
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            return _count(without_numbers(model), cells, cpu)
    except UsageError:
        raise
    except Exception:  # it asks for numbers; what cannot run at all fails again here
        torch.manual_seed(0)
        real = _BUILDS[model]() if model in _BUILDS else copy.deepcopy(model).to(cpu)
        return _count(real, cells, cpu, WITH_NUMBERS)


def _count(probe: Reasoner, cells: int, device: torch.device, most: float = float("inf")) -> Flops:
    """Of a copy of the model, which is left with gradients."""
    batch = 2  # more than one, so that no product degenerates to a vector
    slots = Slots(probe, batch, cells, device)
    training, inference = (FlopCounterMode(display=False, custom_mapping=RULES) for _ in range(2))
    # The closed-form attention kernels of a device have no meta implementation of their own.
    with sdpa_kernel(SDPBackend.MATH):
        probe.train()
        with torch.enable_grad(), training, _Patience(training, most):
            state, output = probe(slots.state, slots.inputs, slots.puzzle_ids)
            loss = step_loss(output, slots.targets, continue_target(slots, state))
            if loss.total.requires_grad:
                loss.total.backward()  # type: ignore[no-untyped-call]
        probe.eval()
        with torch.no_grad(), inference:
            probe(slots.state, slots.inputs, slots.puzzle_ids)
    return Flops(
        training.get_total_flops() / batch,
        inference.get_total_flops() / batch * probe.supervision_steps,
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
        if parameter.requires_grad
    }
    total = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    tables = sum(module.table.numel() for module in model.modules() if isinstance(module, PuzzleEmbedding))
    return total - sum(io.values()), sum(io.values()), tables
