"""Conformance checks of models."""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..harness.api.puzzles import TaskInfo
from ..harness.api.specs import ModelSpec
from ..harness.host.host import Host, Part, Plugin, Registry, host
from .findings import Check, Finding, Wrong, require, run_checks
from .recipes import check_recipe
from .tiny import TINY_INFO

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..harness.api.reasoner import Output, Reasoner, State
    from ..harness.nn.noise import KeyedNormal

BATCH = 6
TOLERANCE = 1e-4
"""Of float32 numbers of the order of one, computed in two orders."""
STEPS = 4
"""Supervision steps after which rows are compared."""
BATCHES, MOST_STEPS = 3, 32
"""Of puzzles, and supervision steps of each, in which a gradient must reach every parameter."""
_FORWARD = "`forward`"


@dataclass(frozen=True)
class Subject:
    """A model to be checked: how it is built (``build(seed=0)``), for which task, and what its recipe has."""

    build: Callable[..., Reasoner]
    info: TaskInfo
    trained: bool
    recipe: Callable[[], str]


def check_model(model: str | ModelSpec, info: TaskInfo = TINY_INFO) -> tuple[Finding, ...]:
    """Check a model on random puzzles of the shape of ``info``.

    Args:
        model: what ``--models`` takes, variants too, or a spec that is not registered.
        info: the shape; by default that of `TINY_TASK`.

    Raises:
        UsageError: the name is not known, or its options are wrong.
        NotConforming: a check failed; names each of them.
    """
    name = model if isinstance(model, str) else model.name
    return require(f"model {name}", find_in_model(model, info))


def find_in_model(model: str | ModelSpec, info: TaskInfo = TINY_INFO) -> tuple[Finding, ...]:
    """As `check_model`, but failures are findings too."""
    from ..harness.planning.models import resolve_model

    plugins, name = (host(), model) if isinstance(model, str) else (_alone(model), model.name)
    resolved = resolve_model(plugins, name, info, {}, (1, 1))
    build = resolved.part.spec.build
    assert build is not None  # `resolve_model` has made sure

    def fresh(seed: int = 0) -> Reasoner:
        import torch

        torch.manual_seed(seed)
        return build(resolved.config, info)

    recipe = functools.partial(check_recipe, plugins, name, info)
    return run_checks(CHECKS, Subject(fresh, info, resolved.part.spec.trained, recipe))


def _alone(spec: ModelSpec) -> Host:
    """A host that knows one model, and those that it may be based on."""
    plugins = Host([])
    others = [part for part in host().models.parts if part.spec.name != spec.name] if spec.based_on else []
    plugins.models = Registry("model", [Part(spec, Plugin("here:here", "here", "0")), *others])
    return plugins


# --- parts of the checks ---------------------------------------------------------------------------


def _puzzles(subject: Subject, seed: int = 1, batch: int = BATCH) -> tuple[Tensor, Tensor]:
    import torch

    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randint(1, subject.info.vocab_size, (batch, subject.info.cells), generator=draw)
    return inputs, torch.randint(0, subject.info.identifiers, (batch,), generator=draw)


def _calls(
    model: Reasoner, inputs: Tensor, ids: Tensor, steps: int = 2, torch_seed: int = 7
) -> list[tuple[State, Output]]:
    """Some supervision steps from a fresh state, with the same random numbers for a model that draws some.

    At evaluation a row's numbers go by its puzzle, wherever that is, as they do in a run.
    """
    import torch

    torch.manual_seed(torch_seed)
    normal = None if model.training else _normal(inputs)
    model.normal, found = normal, []
    try:
        state = model.initial_state(len(inputs))
        for step in range(1, min(steps, model.supervision_steps) + 1):
            if normal is not None:
                normal.begin(step)
            state, output = model(state, inputs, ids)
            found.append((state, output))
    finally:
        model.normal = None
    return found


def _normal(inputs: Tensor, seed: int = 0) -> KeyedNormal:
    """The random numbers of an evaluation of these puzzles."""
    from ..harness.api.rollouts import Rollouts
    from ..harness.inference.rollouts import item_numbers, keys_of
    from ..harness.nn.noise import KeyedNormal

    numbers = item_numbers([row.numpy().tobytes().hex() for row in inputs])
    return KeyedNormal(keys_of(Rollouts(seed=seed), numbers, numbers * 0))


def _call(model: Reasoner, inputs: Tensor, ids: Tensor) -> tuple[State, Output]:
    """The last of `_calls`."""
    return _calls(model, inputs, ids)[-1]


def _stirred(model: Reasoner) -> Reasoner:
    """The model with noise on its weights, so that none is zero."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    return model


def _losses(subject: Subject, steps: int = 3) -> list[float]:
    import torch

    from ..harness.nn.loss import step_loss
    from ..harness.nn.optim import AdamATan2
    from ..harness.training.supervision import Slots, continue_target

    model = subject.build().train()
    torch.manual_seed(7)
    optimiser = AdamATan2(model.parameters(), 1e-3, 0.0)
    slots = Slots(model, BATCH, subject.info.cells, torch.device("cpu"))
    slots.inputs, slots.puzzle_ids = _puzzles(subject)
    slots.targets = _puzzles(subject, seed=2)[0]
    losses = []
    for _ in range(steps):
        state, output = model(slots.state, slots.inputs, slots.puzzle_ids)
        loss = step_loss(output, slots.targets, continue_target(slots, state)).total / BATCH
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        slots.advance(state, output)
        losses.append(float(loss.detach()))
    return losses


def _same(a: Tensor, b: Tensor, tolerance: float = TOLERANCE) -> bool:
    import torch

    return a.shape == b.shape and torch.allclose(a.float(), b.float(), atol=tolerance, rtol=tolerance)


# --- the checks ------------------------------------------------------------------------------------


def _builds(subject: Subject) -> str:
    from ..harness.api.errors import PluginError
    from ..harness.api.reasoner import Reasoner
    from ..harness.nn.precision import require_float32, require_shapes
    from ..harness.training.costs import count_parameters

    model = subject.build()
    if not isinstance(model, Reasoner):
        raise Wrong(f"build gave {type(model).__name__}, which is no trm_bench.Reasoner")
    if model.supervision_steps < 1:
        raise Wrong(f"supervision_steps is {model.supervision_steps}; it must be 1 or more")
    try:
        require_shapes(model)
        if subject.trained:
            require_float32(model)
    except PluginError as error:
        raise Wrong(str(error)) from error
    core, io, _ = count_parameters(model)
    steps = f"{model.supervision_steps} supervision steps"
    return f"{core + io:,} parameters, {steps}, halting {model.halting.value}"


def _answers(subject: Subject) -> None:
    model = subject.build().eval()
    inputs, ids = _puzzles(subject)
    _, output = _call(model, inputs, ids)
    expected = (BATCH, subject.info.cells, subject.info.vocab_size)
    if tuple(output.logits.shape) != expected:
        raise Wrong(f"Output.logits has shape {tuple(output.logits.shape)}, not (B, L, V) = {expected}")
    if not bool(output.logits.isfinite().all()):
        raise Wrong("Output.logits is not finite with fresh weights")


def _state(subject: Subject) -> None:
    model = subject.build().train()
    inputs, ids = _puzzles(subject)
    before = model.initial_state(BATCH)
    after, _ = model(before, inputs, ids)
    shapes = [tuple(part.shape) for part in before], [tuple(part.shape) for part in after]
    if shapes[0] != shapes[1]:
        raise Wrong(
            f"initial_state has shapes {shapes[0]}, forward gives back {shapes[1]}", "`initial_state`"
        )
    if any(shape[:1] != (BATCH,) for shape in shapes[0]):
        raise Wrong(f"each tensor of a state must be (B, ...), not {shapes[0]}", "`initial_state`")
    if any(part.requires_grad for part in after):
        raise Wrong("the state that forward gives back carries a gradient: detach it")


def _loss_is_finite(subject: Subject) -> str | None:
    if not subject.trained:
        return "nothing is trained"
    import math

    losses = _losses(subject)
    if not all(math.isfinite(loss) for loss in losses):
        raise Wrong(f"losses of the first steps: {losses}")
    return None


def _bf16(subject: Subject) -> str | None:
    if not subject.trained:
        return "nothing is trained"
    import torch

    from ..harness.nn.loss import step_loss
    from ..harness.nn.precision import refresh, set_precision
    from ..harness.training.device import autocast
    from ..harness.training.supervision import Slots, continue_target

    model = subject.build().train()
    set_precision(model, "bf16")
    refresh(model)
    slots = Slots(model, BATCH, subject.info.cells, torch.device("cpu"))
    slots.inputs, slots.puzzle_ids = _puzzles(subject)
    with autocast(torch.device("cpu"), "bf16"):
        state, output = model(slots.state, slots.inputs, slots.puzzle_ids)
        target = continue_target(slots, state)
    for name in ("q_halt", "q_continue"):
        if (q := getattr(output, name)) is not None and q.dtype is torch.bfloat16:
            raise Wrong(f"Output.{name} is {q.dtype}: end it with .float(), so that its loss is in float32")
    step_loss(output, _puzzles(subject, seed=2)[0], target).total.backward()  # type: ignore[no-untyped-call]
    return None


def _gradients(subject: Subject) -> str | None:
    if not subject.trained:
        return "nothing is trained"
    import torch

    from ..harness.nn.loss import step_loss
    from ..harness.training.supervision import Slots, continue_target

    model = _stirred(subject.build().train())  # a head that begins at zero would hide what is behind it
    for batch in range(BATCHES):
        torch.manual_seed(7 + batch)
        slots = Slots(model, BATCH, subject.info.cells, torch.device("cpu"))
        slots.inputs, slots.puzzle_ids = _puzzles(subject, seed=1 + 2 * batch)
        targets = _puzzles(subject, seed=2 + 2 * batch)[0]
        for _ in range(min(model.supervision_steps, MOST_STEPS)):
            state, output = model(slots.state, slots.inputs, slots.puzzle_ids)
            loss = step_loss(output, targets, continue_target(slots, state))
            loss.total.backward()  # type: ignore[no-untyped-call]
            slots.advance(state, output)
            if not (unreached := _without_gradient(model)):
                return None
    raise Wrong(f"no gradient reaches {', '.join(unreached)}: is it used, and not detached?")


def _without_gradient(model: Reasoner) -> list[str]:
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not bool(parameter.grad.any()))
    ]


def _rows(subject: Subject) -> None:
    for mode in (True, False):
        inputs, ids = _puzzles(subject)
        others = _puzzles(subject, seed=3)[0]
        place = 0 if mode else BATCH - 1  # dropout, in training, may differ from row to row
        others[place] = inputs[0]
        moved = ids.clone()
        moved[place] = ids[0]
        fresh = subject.build().train(mode)  # copied each time: what counts calls is no matter of rows
        first, second = (
            [(*state, output.logits) for state, output in _calls(copy.deepcopy(fresh), *given, STEPS)]
            for given in ((inputs, ids), (others, moved))
        )
        for step, (before, after) in enumerate(zip(first, second, strict=True)):
            tolerance = TOLERANCE * (1 if step < 2 else 10)  # rounding grows from step to step
            if not all(_same(a[0], b[place], tolerance) for a, b in zip(before, after, strict=True)):
                when = "in training" if mode else "at evaluation"
                raise Wrong(
                    f"{when}, the prediction for a puzzle changes with the other puzzles of its batch"
                )


def _same_seed(subject: Subject) -> str | None:
    if not subject.trained:
        return "nothing is trained"
    first, second = _losses(subject), _losses(subject)
    if first != second:
        raise Wrong(f"the same seed gave losses {first} and {second}", "`build` and whatever draws numbers")
    return None


def _saves(subject: Subject) -> None:
    import torch

    model = _stirred(subject.build().eval())
    other = subject.build(seed=1).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        torch.save(model.state_dict(), path)
        other.load_state_dict(torch.load(path, weights_only=True))
    inputs, ids = _puzzles(subject)
    if not _same(_call(model, inputs, ids)[1].logits, _call(other, inputs, ids)[1].logits):
        raise Wrong(
            "loaded weights give other predictions: something is kept outside of parameters and buffers"
        )


def _batch_of_one(subject: Subject) -> None:
    model = subject.build().eval()
    inputs, ids = _puzzles(subject)
    whole, alone = _call(model, inputs, ids)[1], _call(model, inputs[:1], ids[:1])[1]
    if not _same(whole.logits[:1], alone.logits):
        raise Wrong("a puzzle alone gets another prediction than in a batch")
    for name in ("q_halt", "q_continue"):
        many, one = getattr(whole, name), getattr(alone, name)
        if many is not None and not _same(many[:1], one):
            raise Wrong(f"Output.{name} of a puzzle alone differs from that in a batch: {one.tolist()}")


def _halting(subject: Subject) -> str | None:
    import torch

    from ..harness.api.reasoner import Halting, halt_decision
    from ..harness.training.supervision import Slots

    model = subject.build().train()
    inputs, ids = _puzzles(subject)
    slots = Slots(model, BATCH, subject.info.cells, torch.device("cpu"))
    for _ in range(model.supervision_steps):
        state, output = model(slots.state, inputs, ids)
        _check_q(model.halting, output)
        halt_decision(model.halting, output)
        slots.advance(state, output)
    if not bool(slots.halted.all()):
        raise Wrong(f"a puzzle is still there after supervision_steps={model.supervision_steps}")
    if model.halting is Halting.NONE and output.q_halt is not None:
        return "Output.q_halt is given, but halting is NONE: it is trained and never used"
    return None


def _check_q(policy: object, output: Output) -> None:
    import torch

    from ..harness.api.reasoner import Halting

    needs = {
        Halting.HALT_LOGIT: ("q_halt",),
        Halting.Q_COMPARE: ("q_halt", "q_continue"),
        Halting.Q_LEARNING: ("q_halt", "q_continue"),
    }.get(policy, ())  # type: ignore[call-overload]
    for name in needs:
        value: torch.Tensor | None = getattr(output, name)
        if value is None:
            raise Wrong(f"halting is {policy}, but Output.{name} is None", "`forward` and `halting`")
        if tuple(value.shape) != (BATCH,) or value.dtype != torch.float32:
            raise Wrong(
                f"Output.{name} must be ({BATCH},) in float32, not {tuple(value.shape)} in {value.dtype}"
            )


def _logits(model: Reasoner, inputs: Tensor, ids: Tensor, torch_seed: int = 7) -> list[Tensor]:
    return [output.logits.detach() for _, output in _calls(model, inputs, ids, torch_seed=torch_seed)]


def _no_memory(subject: Subject) -> None:
    for mode in (True, False):
        inputs, ids = _puzzles(subject)
        _check_in_place(subject.build().train(mode), inputs.clone(), ids)
        first = subject.build().train(mode)
        second = copy.deepcopy(first)
        for seed in (4, 5):  # as many calls of both: what counts calls alone is no memory of puzzles
            _calls(first, *_puzzles(subject, seed))
            _calls(second, *_puzzles(subject, 10 * seed))
        if not all(map(_same, _logits(first, inputs, ids), _logits(second, inputs, ids))):
            when = "in training" if mode else "at evaluation"
            raise Wrong(
                f"{when}, a prediction changes with the batches before it: only the state may carry over"
            )


def _check_in_place(model: Reasoner, inputs: Tensor, ids: Tensor) -> None:
    """The slots own what they hand over, and in Q-learning a second pass gets the same again."""
    import torch

    given = inputs, ids, *(part.clone() for part in model.initial_state(BATCH))
    kept = [part.clone() for part in given]
    model(given[2:], inputs, ids)
    if not all(map(torch.equal, kept, given)):
        what = "the state" if torch.equal(kept[0], inputs) else "the inputs"
        raise Wrong(f"forward changes {what} that it is given in place: let it make new tensors")


def _several_answers(subject: Subject) -> str | None:
    """Random numbers at evaluation come from `Reasoner.draw`; noise reaches the parts that are named."""
    model = subject.build().eval()
    inputs, ids = _puzzles(subject)
    first, again = (_logits(copy.deepcopy(model), inputs, ids, seed) for seed in (7, 11))
    if not all(map(_same, first, again)):
        raise Wrong(
            "at evaluation its predictions depend on random numbers that are not drawn by self.draw(): draw "
            "them by it, and set stochastic = True"
        )
    model.normal = _normal(inputs, seed=1)
    try:
        state, output = model(model.initial_state(BATCH), inputs, ids)
    finally:
        model.normal = None
    if not (model.stochastic or _same(first[0], output.logits)):
        raise Wrong("at evaluation its predictions depend on random numbers: set stochastic = True")
    if model.perturbable:
        _check_noise(model, state)
    if not (model.stochastic or model.perturbable):
        return "deterministic, and its state takes no noise"
    return None


def _check_noise(model: Reasoner, state: State) -> None:
    import torch

    names, where = model.perturbable, "`perturb`, `perturbable`, `usual_noise`"
    if len(names) != len(state):
        raise Wrong(f"perturbable names {len(names)} parts of a state of {len(state)}", where)
    if model.usual_noise not in names:
        raise Wrong(f"usual_noise={model.usual_noise!r} is none of {', '.join(names)}", where)
    for name in (*names, "both"):
        after = model.perturb(state, 0.5, name)
        changed = [not torch.equal(a, b) for a, b in zip(state, after, strict=True)]
        if changed != [name in (own, "both") for own in names]:
            raise Wrong(f"noise on {name} changes other parts of the state, or none", where)


def _counts(subject: Subject) -> str:
    from ..harness.training.costs import count_flops, count_on_meta

    counted = f"{count_flops(subject.build(), subject.info.cells).training_step:.3g} FLOPs a supervision step"
    try:
        count_on_meta(subject.build(), subject.info.cells)
    except Exception as error:  # a tensor that was made on a CPU, or numbers that are read there
        if "cpu" in str(error):
            raise
        return f"{counted} in training; not with shapes alone: {str(error).splitlines()[0]}"
    return f"{counted} in training"


CHECKS: list[tuple[Check, Callable[[Subject], str | None]]] = [
    (Check("it is built on a CPU", "`build`", essential=True), _builds),
    (Check("its outputs have the right shape and are finite", _FORWARD, essential=True), _answers),
    (Check("its state keeps its shape and carries no gradient", _FORWARD, essential=True), _state),
    (Check("losses are finite", f"{_FORWARD} and the initialisation"), _loss_is_finite),
    (Check("a gradient reaches every parameter", _FORWARD), _gradients),
    (Check("it trains in bf16", f"{_FORWARD} (dtype of new tensors?)"), _bf16),
    (Check("rows of a batch do not influence one another", f"{_FORWARD} (batch norm?)"), _rows),
    (Check("the same seed gives the same losses", "`build`"), _same_seed),
    (Check("saved weights are the whole model", "`__init__` (register_buffer?)"), _saves),
    (Check("a batch of one works", _FORWARD), _batch_of_one),
    (Check("its halting policy is honoured", "`halting`, `supervision_steps`, `forward`"), _halting),
    (Check("nothing is remembered from batch to batch", _FORWARD), _no_memory),
    (Check("several answers differ by its declared random numbers alone", "`draw`"), _several_answers),
    (Check("every section of its recipe can be read", "`recipes`"), lambda subject: subject.recipe()),
    (Check("its FLOPs can be counted with shapes alone", f"{_FORWARD} (device= of new tensors?)"), _counts),
]
