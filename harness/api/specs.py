"""Specs, which plugins hand over: tasks, models, evaluators and reporters.

A spec is cheap to make and to import. The functions it holds may import torch; the module that
makes the spec must not, so that `trm-bench list` stays fast and works without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from pydantic import BaseModel

from .augment import Augmentation
from .predictions import Predictions
from .published import Published
from .puzzles import Identities, PuzzleSet, TaskData, TaskInfo, Tokens

if TYPE_CHECKING:
    from ..report.table import Report
    from .reasoner import Reasoner

API_VERSION = "1.0"
"""Version of the hooks and specs: the first number goes up when plugins must change, the second when
something is added that they may use. A spec carries the one that its plugin was made for."""

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, what)`` by long work."""


def no_progress(done: int, total: int, what: str) -> None:
    """The `Progress` that shows nothing."""


def steps_of_epochs(epochs: int, puzzles: int, batch_size: int) -> int:
    """Optimiser steps of a number of passes over the puzzles, to the nearest whole number, at least 1."""
    return max(1, (2 * epochs * puzzles + batch_size) // (2 * batch_size))


@dataclass(frozen=True)
class Scale:
    """One size of a task and the training budget that goes with it.

    Attributes:
        name: ``mini``, ``small``, ``lite`` or ``paper``.
        summary: one line: which puzzles, how many.
        steps: optimiser steps of the recipe; None where ``epochs`` gives them.
        batch_size: supervision slots, the same for every model.
        augmentations: A, augmentations per training puzzle, the puzzle itself included.
        votes: predictions for each test item, every one under another augmentation, for a task with voting;
            None for one prediction.
        takes: how long a run takes on which machine, e.g. ``minutes on a CPU``.
        epochs: passes over the training puzzles, in place of ``steps``, where the steps depend on the data.
        source: one of `TaskSpec.sources`, the default at this scale; None for the task's first. Only a run or
            `prepare` builds from it; what needs shapes alone takes a few puzzles of the first.

    Raises:
        ValueError: not exactly one of ``steps`` and ``epochs`` is given.
    """

    name: str
    summary: str
    steps: int | None
    batch_size: int
    augmentations: int
    votes: int | None = None
    takes: str = ""
    epochs: int | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(f"scale {self.name!r}: give either steps or epochs")

    @property
    def length(self) -> str:
        """Length of a training, e.g. ``800 steps`` or ``100,000 epochs``."""
        return f"{self.epochs:,} epochs" if self.epochs is not None else f"{self.steps:,} steps"

    def optimiser_steps(self, puzzles: int, batch_size: int | None = None) -> int:
        """Optimiser steps of a training on N ``puzzles``, by default at the scale's own batch size."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None  # see `__post_init__`
        return steps_of_epochs(self.epochs, puzzles, batch_size or self.batch_size)


@dataclass(frozen=True)
class BuildRequest:
    """Argument of `TaskSpec.build`.

    Attributes:
        scale: a key of `TaskSpec.scales`.
        seed: the task seed; every random choice in the data comes from it.
        source: one of `TaskSpec.sources`.
        folder: the folder of ``--data``, None where none was given.
        options: the task's own ``--set`` keys.
        progress: to be called now and then by work of more than a second.
        at_most: this many puzzles of each split are enough, None for all; a task may make more.
        train, test: the files of ``--train`` and ``--test``, to be read instead of what the folder holds.
        training: False where nothing will be trained: files to train on may then be missing, and what
            they would have given is an empty split.
    """

    scale: str
    seed: int
    source: str = "generated"
    folder: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = no_progress
    at_most: int | None = None
    train: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    training: bool = True

    @property
    def reads_files(self) -> bool:
        """Whether the user named a folder or files."""
        return self.folder is not None or bool(self.train or self.test)


@dataclass(frozen=True)
class AugmentationRequest:
    """Argument of `TaskSpec.augmentation`.

    Attributes:
        info: the shape of the task.
        puzzles: the split whose rows `Augmentation.transforms` will name; a test split comes without targets.
        identities: as `TaskSpec.build` gave them.
        training: whether examples for training are made, not views for a vote.
    """

    info: TaskInfo
    puzzles: PuzzleSet
    identities: Identities | None
    training: bool


@dataclass(frozen=True)
class SubmissionScore:
    """Scores of a submission file.

    Attributes:
        summary: one line: which task, how many predictions.
        scores: by name, 0 to 1, in the order in which they are printed.
    """

    summary: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Puzzle:
    """One puzzle typed by a user or read from a file.

    Attributes:
        inputs: (1, L) token codes.
        targets: (1, L) token codes of the solution; ``PAD`` cells are not compared. None where it is unknown.
        identity: name of the puzzle's identity, where the text itself gives it.
        title: one line, e.g. "6×6 Sudoku, 18 givens".
        truth: what ``targets`` are, to end "5 cells differ from".
    """

    inputs: Tokens
    targets: Tokens | None
    identity: str | None
    title: str
    truth: str = "the known solution"


@dataclass(frozen=True)
class RuleCheck:
    """Whether a prediction obeys the rules of its task.

    Attributes:
        valid: None where no rule could be checked.
        reason: why, e.g. "row 3 holds 5 twice".
        correct: whether the task accepts the prediction, where that differs from equal cells; else None.
    """

    valid: bool | None
    reason: str
    correct: bool | None = None


@dataclass(frozen=True)
class TaskSpec:
    """A task: its puzzles, its symmetries, and how predictions are scored.

    Attributes:
        name: what ``--task`` takes.
        summary: one line for `trm-bench list`.
        version: goes up whenever the same request would give other puzzles.
        scales: by name; ``mini`` must run in minutes on a CPU.
        build: makes or reads the three splits; raises `DataError` naming file and line.
        augmentation: the symmetries of a split of this task.
        evaluators: names of the evaluators, in the order in which they are printed.
        primary: the evaluator whose score the table compares; fixed here, before any result.
        sources: values of `BuildRequest.source`, the default first.
        files: the files that the build of such a request would read, so that caches notice a change;
            raises `DataError` where one is missing or is no plain file.
        canonical: a key for each of N puzzles, given inputs and targets (N, L), that is equal for puzzles
            that are the same up to the task's symmetries. By it, test puzzles that are trained on, and test
            puzzles that are copies of one another, are found. None compares inputs and targets as they are.
        features: numbers (N,) that the task knows of each test puzzle, by name, such as its difficulty;
            finite. They are kept with the scores as ``puzzle.<name>``.
        options: further keys of ``--set`` that the build understands.
        citation: BibTeX of the benchmark.
        licence: of the data.
        symbols: characters for the token codes in figures; empty for the codes themselves.
        published: published numbers on the primary metric of the full task.
        cluster: singular name of a cluster of dependent test items; ``puzzle`` where each is one.
        extra_files: further files of a run by name, e.g. its predictions in the form of a competition.
        score_submission: scores such a file; given the task's own ``--set`` keys. Raises `DataError` naming
            everything that is missing or malformed.
        parse: reads puzzles from text; raises `UsageError` or `DataError` naming what is wrong, and both
            sizes where the size is.
        check_rules: whether a prediction (L,) for a puzzle obeys the rules of the task.
    """

    name: str
    summary: str
    version: int
    scales: Mapping[str, Scale]
    build: Callable[[BuildRequest], TaskData]
    augmentation: Callable[[AugmentationRequest], Augmentation]
    evaluators: tuple[str, ...]
    primary: str
    sources: tuple[str, ...] = ("generated",)
    files: Callable[[BuildRequest], Sequence[Path]] | None = None
    canonical: Callable[[TaskInfo, Tokens, Tokens], Sequence[bytes]] | None = None
    features: Callable[[TaskInfo, PuzzleSet], Mapping[str, NDArray[Any]]] | None = None
    options: tuple[str, ...] = ()
    citation: str = ""
    licence: str = ""
    symbols: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    cluster: str = "puzzle"
    extra_files: Callable[[TaskInfo, PuzzleSet, Predictions], Mapping[str, bytes]] | None = None
    score_submission: Callable[[Path, Mapping[str, str]], SubmissionScore] | None = None
    parse: Callable[[str, TaskInfo], Sequence[Puzzle]] | None = None
    check_rules: Callable[[TaskInfo, Puzzle, Tokens], RuleCheck] | None = None
    api_version: str = API_VERSION


@dataclass(frozen=True)
class ReferenceNames:
    """How the public reference implementation of a model calls what we call differently.

    Attributes:
        name: of the class, ``module@Class`` as its configuration files have it.
        parts: its names of networks and initial states, e.g. ``L_level``, to ours, e.g. ``net``.
        options: from the ``arch`` section of its configuration file to our options.
        arch: from our options to such a section.
    """

    name: str
    parts: Mapping[str, str]
    options: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    arch: Callable[[Any], Mapping[str, Any]]


@dataclass(frozen=True)
class ModelSpec:
    """A model: its configuration, how it is built, and its recipes.

    Attributes:
        name: what ``--models`` takes; variants are written ``name[key=value]``.
        summary: one line for `trm-bench list`.
        display_name: what tables call it, e.g. ``TRM-MLP``; by default the name.
        config: the pydantic model of its options.
        build: ``build(config, task_info)`` gives the untrained `Reasoner`.
        recipes: a YAML file of settings by task and scale, see docs/recipes.md.
        based_on: the name of the model that this one is a variant of, such as a subclass of it. Where this
            spec has no ``aliases`` and no ``resize``, and its recipe says nothing, that model's hold: sizes
            and training settings of its recipe, for the options that both have.
        resolve: of an alias: ``resolve(task_info, options)`` gives the name of the model that is meant on the
            task. Needs no config, build or recipes.
        trained: False for a model that has nothing to learn.
        aliases: other names of options, e.g. the letters of the paper, to their names in ``config``.
        resize: ``resize(config, size)`` gives the same model in its size-th width, 1 the narrowest, for
            ``match=``; None for a model that cannot be matched to another.
        reference: where there is a reference implementation whose weights can be read.
        citation: BibTeX of the model.
    """

    name: str
    summary: str
    display_name: str = ""
    config: type[BaseModel] | None = None
    build: Callable[[Any, TaskInfo], Reasoner] | None = None
    recipes: Path | None = None
    based_on: str = ""
    resolve: Callable[[TaskInfo, Mapping[str, str]], str] | None = None
    trained: bool = True
    aliases: Mapping[str, str] = field(default_factory=dict)
    resize: Callable[[Any, int], Any] | None = None
    reference: ReferenceNames | None = None
    citation: str = ""
    api_version: str = API_VERSION


@dataclass(frozen=True)
class Sample:
    """One evaluator's score of one test item.

    Attributes:
        item: the item's id.
        cluster: the item's cluster.
        score: 0 to 1, higher is better.
        extras: further numbers worth keeping.
    """

    item: str
    cluster: str
    score: float
    extras: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluatorSpec:
    """A way to score predictions. It never aggregates: statistics do.

    Attributes:
        name: the column it fills.
        summary: one line for `trm-bench list`.
        evaluate: one `Sample` per test item, in the order of the puzzles.
        tasks: names of the tasks it fits; empty for all.
        heading: of its column, e.g. ``solved %``; by default the name and a percent sign.
    """

    name: str
    summary: str
    evaluate: Callable[[TaskInfo, PuzzleSet, Predictions], Sequence[Sample]]
    tasks: tuple[str, ...] = ()
    heading: str = ""
    api_version: str = API_VERSION


@dataclass(frozen=True)
class ReporterSpec:
    """A way to write a report, e.g. as text or Markdown.

    Attributes:
        name: what ``--format`` takes.
        summary: one line for `trm-bench list`.
        render: the report as text.
    """

    name: str
    summary: str
    render: Callable[[Report], str]
    api_version: str = API_VERSION


@dataclass(frozen=True)
class StudySpec:
    """A study that is declared in a file: models, budgets and the questions asked of them.

    Attributes:
        name: what ``--study`` takes.
        summary: one line for `trm-bench list`, as a rule what the study asks.
        file: the YAML file, see `harness.planning.study`.
    """

    name: str
    summary: str
    file: Path
    api_version: str = API_VERSION
