"""Conformance checks of tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..harness.api.augment import Augmentation, Ints
from ..harness.api.errors import DataError, UsageError
from ..harness.api.predictions import Predictions
from ..harness.api.puzzles import PAD, PuzzleSet, TaskData, TaskInfo, Tokens
from ..harness.api.specs import AugmentationRequest, BuildRequest, EvaluatorSpec, TaskSpec
from ..harness.api.voting import BallotBox
from ..harness.data.overlap import Labels, canonical_keys
from ..harness.data.prepare import SPLITS, features_of, scale_of
from ..harness.host.host import Host, Part, Plugin, host
from .findings import Check, Finding, Wrong, require, run_checks

ITEMS = 200
"""Puzzles of a split that the costlier checks look at."""
AUGMENTATIONS = 16
"""Augmentations of a puzzle that are looked at."""
MOST_LUCKY = 0.5
"""Where many predictions are right, some changed cells give another right one."""
LEAST_DISTINCT = 0.5
"""Share of different puzzles whose canonical forms must differ."""
_BUILD, _AUGMENTATION = "`build`", "`augmentation`"


@dataclass(frozen=True)
class Subject:
    """A task to be checked, built once."""

    spec: TaskSpec
    request: BuildRequest
    data: TaskData
    evaluators: tuple[EvaluatorSpec, ...]

    def split(self, name: str) -> PuzzleSet:
        """The first puzzles of a split."""
        whole: PuzzleSet = getattr(self.data, name)
        return whole.take(slice(0, ITEMS))

    def augmentation(self, puzzles: PuzzleSet, training: bool = True) -> Augmentation:
        """The symmetries of a split."""
        return self.spec.augmentation(
            AugmentationRequest(self.data.info, puzzles, self.data.identities, training)
        )

    def augmentations_of(self, puzzles: PuzzleSet, training: bool = True) -> tuple[Ints, Ints]:
        """(V,) puzzles and (V,) augmentations of them: some for each, the puzzle itself first."""
        most = self.augmentation(puzzles, training).max_augmentations or AUGMENTATIONS
        counts = np.full(len(puzzles), min(most, AUGMENTATIONS))
        if self.data.identities is not None:
            counts = np.minimum(counts, self.data.identities.augmentations[puzzles.identifiers])
        items = np.repeat(np.arange(len(puzzles)), counts)
        return items, np.arange(len(items)) - np.repeat(np.cumsum(counts) - counts, counts)


def check_task(
    task: str | TaskSpec, request: BuildRequest | None = None, evaluators: tuple[EvaluatorSpec, ...] = ()
) -> tuple[Finding, ...]:
    """Check a task and what it builds.

    Args:
        task: what ``--task`` takes, or a spec that is not registered.
        request: what is built; by default its first scale (mini, where there is one) from its first source.
        evaluators: of its evaluators those that are not registered.

    Raises:
        UsageError: the name is not known, or the task has neither a scale nor a source.
        NotConforming: a check failed; names each of them.
    """
    name = task if isinstance(task, str) else task.name
    return require(f"task {name}", find_in_task(task, request, evaluators))


def find_in_task(
    task: str | TaskSpec, request: BuildRequest | None = None, evaluators: tuple[EvaluatorSpec, ...] = ()
) -> tuple[Finding, ...]:
    """As `check_task`, but failures are findings too."""
    plugins = host()
    part = plugins.tasks.get(task) if isinstance(task, str) else Part(task, Plugin("here:here", "here", "0"))
    spec = part.spec
    if not spec.scales or not spec.sources:
        raise UsageError(f"task {spec.name!r} needs a scale and a source at least")
    scale = "mini" if "mini" in spec.scales else next(iter(spec.scales))
    asked = request or BuildRequest(scale, 0, spec.sources[0])
    scale_of(spec, asked.scale)
    subject: list[Subject] = []

    def built(_: None) -> str:
        data = spec.build(asked)
        subject.append(Subject(spec, asked, data, _evaluators(plugins, part, evaluators)))
        if spec.primary not in spec.evaluators:
            raise Wrong(f"primary={spec.primary!r} is none of its evaluators {spec.evaluators}")
        counts = ", ".join(f"{len(getattr(data, name))} {name}" for name in SPLITS)
        return f"{counts}; {data.info.height}×{data.info.width}, {data.info.vocab_size} tokens"

    first = run_checks([(Check("it builds its puzzles", _BUILD, essential=True), built)], None)
    return (*first, *run_checks(CHECKS, subject[0])) if first[0].ok else first


def shape_of(task: str) -> TaskInfo:
    """The shape of a task's puzzles at its first scale (mini, where there is one).

    Raises:
        UsageError: the name is not known.
    """
    spec = host().tasks.get(task).spec
    scale = "mini" if "mini" in spec.scales else next(iter(spec.scales))
    return spec.build(BuildRequest(scale, 0, spec.sources[0])).info


def _evaluators(
    plugins: Host, part: Part[TaskSpec], given: tuple[EvaluatorSpec, ...]
) -> tuple[EvaluatorSpec, ...]:
    from ..harness.planning.grid import evaluators_of

    own = {evaluator.name: evaluator for evaluator in given}
    registered = replace(
        part.spec, evaluators=tuple(name for name in part.spec.evaluators if name not in own)
    )
    found = evaluators_of(plugins, Part(registered, part.plugin))
    known = {**{one.spec.name: one.spec for one in found}, **own}
    return tuple(known[name] for name in part.spec.evaluators)


def answered(puzzles: PuzzleSet, answers: Tokens, votes: bool = False) -> Predictions:
    """Predictions with these (N, L) tokens; by vote, one vote each."""
    count = len(puzzles)
    ballots = None
    if votes:
        box = BallotBox(np.ones(count, np.int64))
        box.add(np.arange(count), np.zeros(count, np.int64), answers, np.ones(count))
        ballots = box.ballots()
    return Predictions(answers, 1, np.ones(count, np.int64), np.full(count, np.nan), ballots)


Scores = np.ndarray[tuple[int], np.dtype[np.float64]]


def _scores(subject: Subject, puzzles: PuzzleSet, answers: Tokens) -> dict[str, Scores]:
    """Scores of these predictions by each of the task's evaluators."""
    from ..harness.inference.scoring import score

    votes = subject.spec.scales[subject.request.scale].votes is not None
    predictions = answered(puzzles, answers, votes)
    records = score(subject.evaluators, subject.data.info, puzzles, predictions, {})
    names = [evaluator.name for evaluator in subject.evaluators]
    return {name: np.array([record.scores[name] for record in records]) for name in names}


def _accepted(subject: Subject, puzzles: PuzzleSet, what: str) -> None:
    for name, scores in _scores(subject, puzzles, puzzles.targets).items():
        if (scores < 1).any():
            wrong = int(np.argmin(scores))
            raise Wrong(f"evaluator {name} gives {what} {str(puzzles.ids[wrong])!r} {scores[wrong]:g}, not 1")


# --- the checks ------------------------------------------------------------------------------------


def _again(subject: Subject) -> None:
    again = subject.spec.build(subject.request)
    for name in SPLITS:
        if getattr(again, name).fingerprint() != getattr(subject.data, name).fingerprint():
            raise Wrong(f"built twice from one seed, the {name} split differs")


def _other_seed(subject: Subject) -> str | None:
    if subject.data.source.kind != "generated":
        return f"source {subject.data.source.kind}: the puzzles are given"
    other = subject.spec.build(replace(subject.request, seed=subject.request.seed + 1))
    if other.train.fingerprint() == subject.data.train.fingerprint():
        raise Wrong("another seed gives the same puzzles")
    return None


def _ids(subject: Subject) -> None:
    ids = np.concatenate([getattr(subject.data, name).ids for name in SPLITS])
    names, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise Wrong(f"item {str(names[counts > 1][0])!r} is in two splits, or twice in one")


def _tokens(subject: Subject) -> None:
    info = subject.data.info
    for name in SPLITS:
        puzzles: PuzzleSet = getattr(subject.data, name)
        if not len(puzzles):
            raise Wrong(f"the {name} split is empty")
        for what in ("inputs", "targets"):
            tokens = getattr(puzzles, what)
            if tokens.dtype != np.uint8 or tokens.shape[1] != info.cells or tokens.max() >= info.vocab_size:
                raise Wrong(
                    f"{name}.{what} is {tokens.dtype} {tokens.shape} with tokens up to {tokens.max()}; "
                    f"expected uint8 (N, {info.cells}) below vocab_size={info.vocab_size}"
                )
        if not 0 <= puzzles.identifiers.min() <= puzzles.identifiers.max() < info.identifiers:
            raise Wrong(f"{name}.identifiers must be from 0 to {info.identifiers - 1}")
        if (puzzles.targets == PAD).all(axis=1).any():
            raise Wrong(f"a {name} puzzle has no labelled cell: its target is all padding (token {PAD})")


def _overlap(subject: Subject) -> str:
    data, labels = subject.data, Labels(subject.spec, subject.data)
    for name in ("train", "validation"):
        split: PuzzleSet = getattr(data, name)
        shared = labels.also_in(split)
        if shared.any() and not data.source.as_published:
            first = str(data.test.ids[np.argmax(shared)])
            raise Wrong(f"{shared.sum()} of {len(shared)} test puzzles, e.g. {first!r}, are in {name}")
    extent = "up to symmetry" if subject.spec.canonical is not None else _augmented_in_training(subject)
    return f"{len(data.test)} test puzzles against {len(data.train)} training puzzles, {extent}"


def _augmented_in_training(subject: Subject) -> str:
    """Without a canonical form, some augmentations of some test puzzles are looked for."""
    if subject.data.identities is not None:
        return "as they are"
    train, test = subject.data.train, subject.split("test")
    items, ks = subject.augmentations_of(test, training=False)
    augmentation = subject.augmentation(replace(test, targets=np.zeros_like(test.targets)), training=False)
    made = augmentation.transforms(0, items, ks).apply(test.inputs[items])
    known = {row.tobytes(): str(name) for row, name in zip(train.inputs, train.ids, strict=True)}
    for item, k, row in zip(items.tolist(), ks.tolist(), made, strict=True):
        if k and row.tobytes() in known:  # k = 0 is the puzzle itself
            raise Wrong(
                f"augmentation {k} of test puzzle {str(test.ids[item])!r} asks what training puzzle "
                f"{known[row.tobytes()]!r} asks"
            )
    return f"as they are, and under {len(made):,} augmentations of {len(test)} of them"


def _copies(subject: Subject) -> str:
    groups = Labels(subject.spec, subject.data).groups()
    if repeated := len(groups) - len(set(groups)):
        raise Wrong(f"{repeated} of {len(groups)} test puzzles are the same as another one")
    return f"{len(groups)} different ones"


def _canonical(subject: Subject) -> str:
    """An augmented copy has the key of its puzzle, and other puzzles have other keys."""
    spec, info = subject.spec, subject.data.info
    if spec.canonical is None:
        most = subject.augmentation(subject.split("train")).max_augmentations
        if most == 1 and subject.data.identities is None:
            return "not needed: a puzzle has no augmentation but itself"
        return "`canonical` is not given: leaks are found as they are, but not under the task's symmetries"
    checked = 0
    for name in ("train", "test"):
        puzzles = subject.split(name)
        keys = canonical_keys(spec, info, puzzles)
        items, ks = subject.augmentations_of(puzzles, training=False)
        transforms = subject.augmentation(puzzles, training=False).transforms(3, items, ks)
        inputs, targets = (transforms.apply(tokens[items]) for tokens in (puzzles.inputs, puzzles.targets))
        for item, k, key in zip(items, ks, spec.canonical(info, inputs, targets), strict=True):
            if key != keys[item]:
                raise Wrong(f"augmentation {k} of {name} puzzle {str(puzzles.ids[item])!r} has another key")
        different = len({row.tobytes() for row in np.concatenate([puzzles.inputs, puzzles.targets], axis=1)})
        if len(set(keys)) < different * LEAST_DISTINCT:
            raise Wrong(f"{different} different {name} puzzles have only {len(set(keys))} keys")
        checked += len(items)
    return f"{checked:,} augmentations have the keys of their puzzles"


def _features(subject: Subject) -> str:
    if subject.spec.features is None:
        return "no `features`: scores are not drawn against difficulty"
    try:
        features = features_of(subject.spec, subject.data)
    except DataError as error:
        raise Wrong(str(error)) from error
    return ", ".join(f"{name} {low:g} to {high:g}" for name, low, high in _ranges(features))


def _ranges(features: Mapping[str, Scores]) -> list[tuple[str, float, float]]:
    return [(name, float(values.min()), float(values.max())) for name, values in features.items()]


def _itself(subject: Subject) -> None:
    for name in ("train", "validation"):
        puzzles = subject.split(name)
        rows = np.arange(len(puzzles))
        transforms = subject.augmentation(puzzles).transforms(0, rows, np.zeros_like(rows))
        if not (np.array_equal(transforms.apply(puzzles.inputs), puzzles.inputs)):
            raise Wrong("augmentation 0 is not the puzzle itself")


def _pure(subject: Subject) -> None:
    puzzles = subject.split("train")
    items, ks = subject.augmentations_of(puzzles)
    augmentation = subject.augmentation(puzzles)
    whole = augmentation.transforms(5, items, ks).apply(puzzles.inputs[items])
    order = np.arange(len(items))[::-1]
    turned = augmentation.transforms(5, items[order], ks[order]).apply(puzzles.inputs[items[order]])
    if not np.array_equal(whole[order], turned):
        raise Wrong(
            "an augmentation depends on those requested with it: it must be a function of (seed, i, k) alone"
        )


def _inverts(subject: Subject) -> None:
    puzzles = subject.split("train")
    items, ks = subject.augmentations_of(puzzles)
    transforms = subject.augmentation(puzzles).transforms(1, items, ks)
    for what in ("inputs", "targets"):
        tokens = getattr(puzzles, what)[items]
        back = transforms.invert(transforms.apply(tokens))
        if not np.array_equal(back, tokens):
            wrong = int(np.argmax((back != tokens).any(axis=1)))
            raise Wrong(
                f"invert(apply(x)) is not x for the {what} of puzzle {str(puzzles.ids[items[wrong]])!r}, "
                f"augmentation {ks[wrong]}",
                "`invert` of the augmentations",
            )


def _augmented_targets(subject: Subject) -> str | None:
    """The target of an augmentation is the augmentation of the target."""
    if subject.data.identities is not None:
        return "predictions of a task with identities are scored after the augmentation is undone"
    puzzles = subject.split("train")
    items, ks = subject.augmentations_of(puzzles)
    transforms = subject.augmentation(puzzles).transforms(2, items, ks)
    names = np.array([f"{item}, augmentation {k}" for item, k in zip(puzzles.ids[items], ks, strict=True)])
    made = PuzzleSet(
        transforms.apply(puzzles.inputs[items]),
        transforms.apply(puzzles.targets[items]),
        names,
        names,
        puzzles.identifiers[items],
    )
    _accepted(subject, made, "the augmented target of")
    return None


def _targets(subject: Subject) -> str:
    for name in SPLITS:
        _accepted(subject, subject.split(name), f"the own target of {name} puzzle")
    return f"by {', '.join(evaluator.name for evaluator in subject.evaluators)}"


def _spoilt(subject: Subject) -> str | None:
    puzzles, vocabulary = subject.split("test"), subject.data.info.vocab_size
    if vocabulary < 3:
        return "one token besides padding leaves nothing to be wrong about"
    spoilt = puzzles.targets.copy()
    for row, target in enumerate(puzzles.targets):
        cell = int(np.flatnonzero(target != PAD)[0])
        spoilt[row, cell] = 1 + target[cell] % (vocabulary - 1)
    scores = _scores(subject, puzzles, spoilt)[subject.spec.primary]
    if (scores == 1).mean() > MOST_LUCKY:
        raise Wrong(f"one cell of each target was changed, and {(scores == 1).mean():.0%} are still right")
    return None


def _question(subject: Subject) -> str | None:
    puzzles = subject.split("test")
    scores = _scores(subject, puzzles, puzzles.inputs)[subject.spec.primary]
    if (scores == 1).all():
        raise Wrong("every input is its own target")
    return f"copying it solves {(scores == 1).mean():.0%}"


CHECKS: list[tuple[Check, Callable[[Subject], str | None]]] = [
    (Check("tokens and shapes are what TaskInfo says", _BUILD, essential=True), _tokens),
    (Check("the same request gives the same puzzles", _BUILD), _again),
    (Check("another seed gives other puzzles", _BUILD), _other_seed),
    (Check("ids are unique over all splits", _BUILD), _ids),
    (Check("no test puzzle is a training puzzle up to symmetry", _BUILD), _overlap),
    (Check("no test puzzle is a copy of another", _BUILD), _copies),
    (
        Check("the canonical form sees through augmentations, and tells puzzles apart", "`canonical`"),
        _canonical,
    ),
    (Check("what is known of a puzzle is a finite number for each", "`features`"), _features),
    (Check("augmentation 0 is the puzzle itself", _AUGMENTATION), _itself),
    (Check("an augmentation is a function of (seed, puzzle, k) alone", _AUGMENTATION), _pure),
    (Check("augmentations can be undone", _AUGMENTATION), _inverts),
    (Check("the augmentation of a target is right for the augmentation", _AUGMENTATION), _augmented_targets),
    (Check("every target is accepted by the task's own evaluators", "`build` and the evaluator"), _targets),
    (Check("a spoilt target is refused", "the evaluator"), _spoilt),
    (Check("the input is not the target", _BUILD), _question),
]
