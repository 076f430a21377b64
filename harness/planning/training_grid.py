"""Which runs a request for training means: models × seeds under one budget. Nothing is run here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..api.budget import Budget, Match
from ..api.embedding_rows import PuzzleIds
from ..api.errors import PluginError, UsageError, nearest
from ..api.specs import AugmentationRequest, Progress, no_progress
from ..data.prepare import Prepared
from ..host.calls import calling
from ..host.host import Host
from ..stats.looks import Plan
from ..store import provenance
from ..training.costs import count_flops, count_parameters
from ..training.cuda_graph import check_optimizer
from .grid import Context, Grid, context_of, votes_of
from .identity import describe, identity_of, in_precision, planned_run
from .job import Job, PlannedRun
from .models import ResolvedModel, parse_variant, resolve_model
from .request import Request
from .settings import Settings

MOST_BATCH, MOST_DRAWN = 2**24, 2**48
"""Puzzles of a batch; steps, and augmentations: more cannot be told apart by their numbers."""
MUCH_LARGER = 2
"""Times as many core parameters as any other model of the grid: named at the start and under the table."""


def plan_training(
    host: Host,
    request: Request,
    progress: Progress = no_progress,
    at_most: int | None = None,
    fetch: bool = True,
) -> Grid:
    """Work out every run; builds or reads the puzzles, trains nothing. For the last two see `context_of`.

    Raises:
        UsageError: an unknown name, key or value; the nearest is suggested.
        DataError: a data file is missing or wrong; names it.
    """
    assert request.task is not None  # of training, see `Request`
    # What can be checked without the puzzles is checked before minutes are spent on making them.
    for text in request.models:
        host.models.get(parse_variant(text).name)
    context = context_of(host, request, request.task, request.scale, progress, at_most, fetch)
    augmentations = request.augmentations or context.size.augmentations
    prepared = context.prepared.for_budget(augmentations)
    models, resolved, broken = _models(host, context, prepared, augmentations)
    if context.settings.execution_config().graph:
        for model in models:
            check_optimizer(model.training.optimizer)
    budget = budget_of(context, context.settings, augmentations, models, prepared)
    models = tuple(_with_published_budget(model, budget, prepared) for model in models)
    counts = {augmentations, *(model.augmentations or augmentations for model in models)}
    for count in sorted(counts):
        _check_augmentations(context, count)
    by_count = {count: context.prepared.for_budget(count) for count in counts}
    baseline = _baseline(request.baseline, resolved, models)
    reasons = _reasons(context, budget, models, prepared)
    shapes = {model.name: _measured(model, prepared, broken) for model in models}
    models = _with_sizes(models, {name: core for name, (_, core) in shapes.items()})
    jobs = []
    for seed in request.seeds:
        for model in models:
            count = model.augmentations or augmentations
            run = _run(context, model, budget, count, seed, shapes[model.name][0], reasons, baseline)
            jobs.append(Job((run,), by_count[count], context.settings.execution_config()))
    return Grid(context, tuple(jobs), budget, models, resolved, broken=broken)


def _models(
    host: Host, context: Context, prepared: Prepared, augmentations: int
) -> tuple[tuple[ResolvedModel, ...], dict[str, str], dict[str, PluginError]]:
    """The different models that were requested, the row of each requested name, and what others raised.

    Raises:
        PluginError: every one of them failed.
    """
    distinct: dict[str, ResolvedModel] = {}
    resolved: dict[str, str] = {}
    broken: dict[str, PluginError] = {}
    counts = augmentations, context.size.augmentations
    for text in context.request.models:
        try:
            with calling(f"model {text}"):
                model = resolve_model(host, text, replace(prepared.info), context.settings.training, counts)
                model = _in_precision(model, context.request.precision)
                dumped(model)
        except PluginError as error:
            broken[text] = error
            resolved[text] = str(parse_variant(text))
            continue
        same = repr((model.part.full_name, model.config, model.training, model.augmentations))
        first = distinct.setdefault(same, model)  # trm and trm-mlp may be one and the same here
        resolved[text] = str(first.requested)
    if not distinct:
        raise PluginError("; ".join(map(str, broken.values())))
    leader = context.request.models[0]
    if leader in broken and context.request.match is Match.FLOPS and context.settings.flops is None:
        raise _without_budget(leader, broken[leader])
    return tuple(distinct.values()), resolved, broken


def _baseline(text: str, resolved: Mapping[str, str], models: Sequence[ResolvedModel]) -> str:
    """The row of the model that the others are compared with; empty where none is declared.

    Raises:
        UsageError: it is none of the models, or is not trained.
    """
    if not text:
        return ""
    rows = {str(parse_variant(requested)): row for requested, row in resolved.items()}
    wanted = str(parse_variant(text))
    if wanted not in rows:
        raise UsageError(
            f"--baseline {text}: is none of the models; name it among them, too (finished runs are reused); "
            f"{nearest(wanted, rows)}"
        )
    row = rows[wanted]
    if not all(model.part.spec.trained for model in models if str(model.requested) == row):
        raise UsageError(f"--baseline {text}: is not trained, and part of no test; name a model that is")
    return row


def _in_precision(model: ResolvedModel, auto: str) -> ResolvedModel:
    """The model with the precision that ``auto`` means, in its settings and in its recipe's."""
    replaced = {key: auto if value == "auto" else value for key, value in model.replaced.items()}
    return replace(model, training=in_precision(model.training, auto), replaced=replaced)


def dumped(model: ResolvedModel) -> dict[str, Any]:
    """A model's options as its run's identity holds them."""
    return model.config.model_dump(mode="json")


def budget_of(
    context: Context,
    settings: Settings,
    augmentations: int,
    models: Sequence[ResolvedModel],
    prepared: Prepared,
) -> Budget:
    """The same for every model; examples and FLOPs are by default what the recipe's steps come to.

    Raises:
        UsageError: a setting belongs to another axis, or the first model has no FLOPs to match.
    """
    match = context.request.match
    batch = settings.batch_size or context.size.batch_size
    for key, given, most in (("batch_size", batch, MOST_BATCH), ("steps", settings.steps or 1, MOST_DRAWN)):
        if given > most:
            raise UsageError(f"setting {key}={given}: at most {most:,}")
    steps = settings.steps or context.size.optimiser_steps(prepared.counts["train"], batch)
    for key, axis in (("examples", Match.EXAMPLES), ("flops", Match.FLOPS)):
        if getattr(settings, key) is not None and match is not axis:
            raise UsageError(
                f"setting {key}={getattr(settings, key)} goes with --match {axis.value}, not with "
                f"--match {match.value}"
            )
        if getattr(settings, key) is not None and settings.steps is not None:
            both = f"steps={settings.steps} and {key}={getattr(settings, key)}"
            raise UsageError(f"settings {both}: leave one out")
    amount: float = steps
    if match is Match.EXAMPLES:
        amount = settings.examples or steps * batch
    elif match is Match.FLOPS:
        amount = settings.flops or steps * batch * _flops_per_step(models[0], prepared)
    return Budget(match=match, amount=amount, batch_size=batch, augmentations=augmentations)


def _with_published_budget(model: ResolvedModel, budget: Budget, prepared: Prepared) -> ResolvedModel:
    """The model with a note where it was published with another budget."""
    if model.published is None:
        return model
    spec, info = model.part.spec, prepared.info
    note = model.published.note(spec.display_name or spec.name, info.task, budget, prepared.counts["train"])
    return replace(model, notes=(*model.notes, *note))


def _flops_per_step(first: ResolvedModel, prepared: Prepared) -> float:
    """FLOPs of one puzzle's supervision step of the model that the others are matched to."""
    try:
        shapes = first.shapes(prepared.info)
        with calling(f"model {first.requested}"):
            per_step = count_flops(shapes, prepared.info.cells).training_step
    except PluginError as error:
        raise _without_budget(str(first.requested), error) from error
    if not per_step:
        raise UsageError(f"--match flops: the first model, {first.name}, uses none; name another one first")
    return per_step


def _without_budget(first: str, error: PluginError) -> PluginError:
    return PluginError(
        f"{error}; with --match flops the first model, {first}, defines the budget of all: correct it, name "
        "another one first, or give the budget with --set flops=N"
    )


def _measured(model: ResolvedModel, prepared: Prepared, broken: dict[str, PluginError]) -> tuple[int, int]:
    """N_sup and the core parameters: the model itself knows. One that cannot say is added to ``broken``."""
    try:
        with calling(f"model {model.requested}"):
            shapes = model.shapes(prepared.info)
            return int(shapes.supervision_steps), count_parameters(shapes)[0]
    except PluginError as error:
        broken[model.name] = error
        return 0, 0


def _with_sizes(models: Sequence[ResolvedModel], cores: Mapping[str, int]) -> tuple[ResolvedModel, ...]:
    """The models, the largest with a note where it is at least `MUCH_LARGER` times as large as any other.

    Variants of one model are not compared: their sizes differ on purpose.
    """
    trained = sorted((model for model in models if cores[model.name]), key=lambda model: -cores[model.name])
    others = [model for model in trained[1:] if model.part.full_name != trained[0].part.full_name]
    if not others or cores[trained[0].name] < MUCH_LARGER * cores[others[0].name]:
        return tuple(models)
    largest, following = trained[0], others[0]
    ours, theirs = cores[largest.name], cores[following.name]
    advice = f"; match={following.requested.name} makes them equal" if largest.part.spec.resize else ""
    note = (
        f"{largest.name} has {ours:,} core parameters, {ours / theirs:.1f} times the {theirs:,} of "
        f"{following.name}, the next largest{advice}"
    )
    noted = replace(largest, notes=(*largest.notes, note))
    return tuple(noted if model is largest else model for model in models)


def _check_augmentations(context: Context, count: int) -> None:
    prepared, spec = context.prepared, context.task.spec
    whole = AugmentationRequest(prepared.info, prepared.read("train"), prepared.identities, training=True)
    with calling(f"augmentation of task {context.task.full_name}"):
        most = spec.augmentation(whole).max_augmentations
    if not 1 <= count <= (MOST_DRAWN if most is None else most):
        raise UsageError(
            f"--augmentations {count}: task {spec.name!r} has 1 to {most or 'any number of'} augmentations"
            + (f", and a run at most {MOST_DRAWN:,}" if count > MOST_DRAWN else "")
        )


def _votes(context: Context, augmentations: int) -> int | None:
    request = context.request
    return votes_of(
        context.task.spec.name, context.size.votes, context.settings.votes, augmentations, request.limit
    )


def _puzzle_ids(context: Context) -> PuzzleIds:
    which = context.settings.puzzle_ids
    if which is not None and context.prepared.identities is None:
        raise UsageError(
            f"setting puzzle_ids={which}: the puzzles of task {context.task.spec.name!r} have no identity"
        )
    return which or PuzzleIds.OWN


def _run(
    context: Context,
    model: ResolvedModel,
    budget: Budget,
    augmentations: int,
    seed: int,
    steps: int,
    reasons: Sequence[str],
    baseline: str,
) -> PlannedRun:
    """``reasons`` and ``baseline`` hold for every run of the grid."""
    votes = _votes(context, budget.augmentations)
    identity = identity_of(
        context,
        model.part,
        limit=context.request.limit,
        architecture=dumped(model),
        training=model.training.model_dump(mode="json"),
        budget=budget.model_copy(update={"augmentations": augmentations}),
        votes=None if votes is None else min(votes, augmentations),
        puzzle_ids=_puzzle_ids(context),
        seed=seed,
    )
    description = describe(
        context,
        model.part,
        requested=str(model.requested),
        model=model.name,
        display_name=model.display_name,
        supervision_steps=steps,
        baseline=baseline,
        looks=list(Plan().seeds) if context.request.until_decided else [],
    )
    recipe = {**model.replaced, **context.declared.training}  # a study's own settings are its recipe
    own = [
        f"changed recipe: {key}={getattr(model.training, key)} instead of {recipe[key]}"
        for key in model.replaced
        if model.part.spec.trained and recipe[key] != getattr(model.training, key)
    ]
    return planned_run(context, identity, description, model.notes, [*reasons, *own])


def _reasons(
    context: Context, budget: Budget, models: Sequence[ResolvedModel], prepared: Prepared
) -> tuple[str, ...]:
    """Why the runs must not be cited as runs of the scale's recipe."""
    request, size = context.request, context.size
    reasons = list(prepared.source.caveats)
    if request.limit is not None:
        reasons.append(f"--limit {request.limit}: only the first {request.limit} {request.split} items")
    reasons += _changes(context, budget, models, prepared)
    votes = _votes(context, budget.augmentations)
    usual = None if size.votes is None else min(size.votes, budget.augmentations)
    if votes != usual:
        reasons.append(f"changed protocol: {votes} votes instead of {usual}")
    if _puzzle_ids(context) is not PuzzleIds.OWN:
        reasons.append(f"changed protocol: {_puzzle_ids(context).value} puzzle ids at evaluation")
    return (*reasons, *changed_sources())


def _changes(
    context: Context, budget: Budget, models: Sequence[ResolvedModel], prepared: Prepared
) -> list[str]:
    """In what the budget is another one than the recipe's."""
    try:
        recipe = budget_of(context, context.declared, context.size.augmentations, models, prepared)
    except PluginError:  # of the first model, which fails; the budget was given
        return [f"changed recipe: {budget.amount:,.0f} flops, and those of the first model are not known"]
    reasons = []
    if budget.amount < recipe.amount:
        unit = budget.match.value
        reasons.append(f"shortened recipe: {budget.amount:,.0f} {unit} instead of {recipe.amount:,.0f}")
    if budget.batch_size != recipe.batch_size:
        reasons.append(f"changed recipe: batch size {budget.batch_size} instead of {recipe.batch_size}")
    return reasons


def changed_sources() -> list[str]:
    """Whether the source tree differs from its commit, or git does not say."""
    code = provenance.code()
    if "changed" in code and code["changed"] is None:
        return ["git does not say whether the source tree differs from its commit"]
    changed = code.get("changed")
    return [f"the source tree differs from its commit in {len(changed)} file(s)"] if changed else []
