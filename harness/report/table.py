"""A report as plain values. Reporters turn it into text; nothing is computed there."""

from __future__ import annotations

from dataclasses import dataclass

from ..api.budget import Budget, Ledger, described
from ..api.embedding_rows import PuzzleIds
from ..api.published import Published
from ..stats.across_tasks import Overall
from ..stats.interval import ScoreSummary
from ..stats.power import Equivalence, VarianceShares
from ..stats.tests import Difference, McNemar, Verdict
from ..store.predictions import Shown
from ..store.records import ScoredSplit


@dataclass(frozen=True)
class SeedResult:
    """One run: its score on the primary metric, or why there is none.

    Attributes:
        seed: training seed.
        run: name of its folder.
        score: mean over test items, 0 to 1; None where the run is not done.
        status: ``done``, ``failed``, ``interrupted``, ``running``, ``damaged`` or ``missing``.
        reason: why it is not done.
    """

    seed: int
    run: str
    score: float | None
    status: str
    reason: str = ""


@dataclass(frozen=True)
class CurvePoint:
    """Validation at one optimiser step: mean, lowest and highest of the seeds, 0 to 1."""

    step: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        model: what was run, with the options that change something, e.g. ``trm-mlp``.
        requested: what the user typed, e.g. ``trm``, and after @ how it was evaluated.
        display_name: what tables call the model, e.g. ``TRM-MLP``.
        seeds: every requested seed.
        summary: the primary metric over the finished seeds; None where none is finished.
        means: each evaluator's mean over finished seeds and clusters, 0 to 1.
        other_means: ``items`` (every item weighs the same) and ``whole clusters`` (share of clusters with all
            items fully correct); empty where every item is a cluster of its own.
        vote_curve: the primary metric by the first N votes, where items are voted on.
        copy_cells: cell accuracy of copying the input, where an evaluator gave it.
        any_right: share of items of which any of several answers is right, an oracle; None for one answer.
        agree: mean share of an item's answers that equal the one that counts.
        halt_step: mean step at which the model's own rule would have stopped.
        validation: the validation curve over the finished seeds; empty for a model that is not trained.
        by_feature: for each feature of a puzzle that the task knows, from the mean of a group of like puzzles
            to their mean score.
        halting: share of test items by the step at which the model's own rule would have stopped.
        predictions: the first test items as the first finished seed predicted them, where they were kept.
        ledger: means over the finished seeds; None where none is finished.
        devices: what the runs ran on.
        not_citable_because: reasons of any of its runs.
        number: tells rows of one name apart that were run with different settings; else None.
    """

    model: str
    requested: str
    display_name: str
    seeds: tuple[SeedResult, ...]
    summary: ScoreSummary | None
    means: dict[str, float]
    other_means: dict[str, float]
    vote_curve: dict[int, float]
    copy_cells: float | None
    any_right: float | None
    agree: float | None
    halt_step: float | None
    validation: tuple[CurvePoint, ...]
    halting: dict[int, float]
    by_feature: dict[str, dict[float, float]]
    predictions: Shown | None
    ledger: Ledger | None
    devices: tuple[str, ...]
    not_citable_because: tuple[str, ...]
    number: int | None = None

    @property
    def name(self) -> str:
        """The display name, how it was evaluated, and its number."""
        mode = f" @ {self.evaluation}" if self.evaluation else ""
        return self.display_name + mode + ("" if self.number is None else f" #{self.number}")

    @property
    def label(self) -> str:
        """`name`, and the name that is typed where that is another."""
        typed = self.requested.partition(" @ ")[0].partition("[")[0]
        if self.display_name.lower().startswith(typed.lower()):
            return self.name
        return f"{self.name} ({typed})"

    @property
    def name_over_tasks(self) -> str:
        """The row's name next to other tasks, where one typed name may resolve to another model."""
        return self.requested if self.number is None else self.name

    @property
    def evaluation(self) -> str:
        """How stored weights were evaluated, ``steps=32``; empty for the evaluation after training."""
        return self.requested.partition(" @ ")[2]

    @property
    def depth(self) -> int:
        """Supervision steps that a puzzle may take at evaluation; 0 where nothing is finished."""
        return 0 if self.ledger is None else self.ledger.inference_steps

    @property
    def halts(self) -> bool:
        """Whether a puzzle stops by the model's own rule at evaluation."""
        return "halting=true" in self.evaluation

    @property
    def complete(self) -> bool:
        """Whether every requested seed is done."""
        return all(seed.status == "done" for seed in self.seeds)


@dataclass(frozen=True)
class Pair:
    """Two models compared on the primary metric.

    Attributes:
        a, b: names of the rows.
        metric: task, scale and primary metric.
        first, second: each model by itself.
        difference: A minus B with the test, where there is one.
        mcnemar: with one seed each, the comparison of the two checkpoints; else None.
        holm_p: adjusted over the family that the pair belongs to; None before that, or without a test.
        verdict: in the words of `stats.tests.Verdict`.
        detectable: smallest true difference found with 80 % power, 0 to 1; None without a test.
        shares: what the variance of the difference consists of; None without a test.
        needed: seeds per model that would show a difference as large as the measured one, if any would.
        equivalence: with a margin that was declared before the runs; else None.
        differs: how the two were treated differently; empty within one grid.
        note: what must be printed with it.
    """

    a: str
    b: str
    metric: str
    first: ScoreSummary
    second: ScoreSummary
    difference: Difference
    mcnemar: McNemar | None
    holm_p: float | None
    verdict: Verdict
    detectable: float | None
    shares: VarianceShares | None
    needed: int | None
    equivalence: Equivalence | None
    differs: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Table:
    """Runs that may be compared: same task, data, budget and evaluation.

    Attributes:
        task, scale, source: where the puzzles come from.
        train, test: number of puzzles, of training and scored.
        split: the puzzles that are scored.
        budget: of training; None for external weights.
        votes: most predictions for a test item; None for a single one.
        puzzle_ids: which rows of the puzzle embedding were used at evaluation.
        cluster: what a cluster of test items is called.
        primary: the metric of ``summary`` and of every pair.
        evaluators: the columns of ``Row.means``, in order.
        headings: what each evaluator's column is called.
        notes: what must be printed below.
        hidden: names of rows that were left out of print; tests were adjusted with them.
        published: published numbers, where they were requested; reported, not tested.
        source_kind: how the puzzles were obtained, e.g. ``generated`` or ``hub``.
    """

    task: str
    scale: str
    source: str
    train: int
    test: int
    budget: Budget | None
    votes: int | None
    puzzle_ids: PuzzleIds
    cluster: str
    primary: str
    evaluators: tuple[str, ...]
    headings: dict[str, str]
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    split: ScoredSplit = "test"
    source_kind: str = ""

    @property
    def title(self) -> str:
        """Task, scale and source: everything that must not be left off a number."""
        puzzles = f"{self.train:,} train, {self.test:,} {self.split}"
        return f"{self.task} · {self.scale} · {self.source} · {puzzles}"

    @property
    def conditions(self) -> str:
        """The training budget, and how many predictions were made for a test item."""
        votes = f"; up to {self.votes:,} votes per test item" if self.votes else ""
        ids = (
            "" if self.puzzle_ids is PuzzleIds.OWN else f"; puzzle ids {self.puzzle_ids.value} at evaluation"
        )
        return described(self.budget) + votes + ids

    def heading(self, evaluator: str) -> str:
        """The heading of an evaluator's column, in percent."""
        return self.headings.get(evaluator) or f"{evaluator} %"


@dataclass(frozen=True)
class Answer:
    """A study's answer to one of its questions.

    Attributes:
        asks: the question, to be answered yes or no.
        grid: the budget of this answer, by its name in the study.
        pair: the two models, A better meaning yes; None where there is nothing to compare.
        sentence: the answer.
    """

    asks: str
    grid: str
    pair: Pair | None
    sentence: str


@dataclass(frozen=True)
class StudyAnswers:
    """A study's questions and their answers; Holm's p is adjusted over exactly these.

    Attributes:
        name, asks, source: as declared.
        scale: at which it was run.
        answers: grid by grid.
    """

    name: str
    asks: str
    source: str
    scale: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Report:
    """All tables of the folders that were read.

    Attributes:
        tables: one for each budget, data set and task.
        problems: files that could not be read, and why.
        remarks: runs that were found and are not counted, or were not requested.
        commands: what makes the runs that are shown.
        overall: each model over all tasks, where there are three or more; describes, and tests nothing.
        studies: the answers of the studies among the folders; their tables have no pairs of their own.
        tests: how many tests Holm's p is adjusted over, hidden rows included.
    """

    tables: tuple[Table, ...]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    commands: tuple[str, ...]
    overall: tuple[Overall, ...] = ()
    studies: tuple[StudyAnswers, ...] = ()
    tests: int = 0
    costs: bool = False
    """Whether reporters of text print the tables of costs; no part of the JSON report."""

    @property
    def family(self) -> str:
        """Which tests were adjusted together; empty where nothing was tested."""
        if not self.tests:
            return ""
        tests = "the one test" if self.tests == 1 else f"all {self.tests} tests"
        return (
            f"Holm's p is adjusted over {tests} of this report: every pair of its tables, on each table's "
            "primary metric. Other metrics are unadjusted and exploratory."
        )
