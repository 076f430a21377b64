"""What a report says, as plain values. Reporters turn it into text; nothing is computed there."""

from __future__ import annotations

from dataclasses import dataclass

from ..api.budget import Budget, Ledger, described
from ..api.embedding_rows import PuzzleIds
from ..api.published import Published
from ..stats.across_tasks import Overall
from ..stats.power import VarianceShares
from ..stats.stats import CellSummary, Difference, McNemar, Verdict
from ..store.records import Answers


@dataclass(frozen=True)
class SeedResult:
    """One training run: its score on the primary metric, or why there is none.

    Attributes:
        seed: training seed.
        cell: name of its folder.
        score: mean over test items, 0 to 1; None where the cell is not done.
        status: ``done``, ``failed``, ``interrupted``, ``running``, ``damaged`` or ``missing``.
        reason: why it is not done.
    """

    seed: int
    cell: str
    score: float | None
    status: str
    reason: str = ""


@dataclass(frozen=True)
class OtherMeans:
    """Averages of a metric over finished seeds that give every cluster another weight, 0 to 1.

    Attributes:
        items: every item weighs the same.
        whole_clusters: the share of clusters with all of their items fully right.
    """

    items: float
    whole_clusters: float


@dataclass(frozen=True)
class CurvePoint:
    """Validation at one step: mean, lowest and highest of the seeds, 0 to 1."""

    step: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        model: what was run, e.g. ``trm-mlp``.
        asked: what the user wrote, e.g. ``trm``.
        seeds: every requested seed.
        summary: the primary metric over the finished seeds; None where none is finished.
        means: each evaluator's mean over finished seeds and clusters, 0 to 1.
        other_means: two more ways to average the primary metric, where clusters have several items.
        vote_curve: the primary metric by the first so many votes, where items are answered by vote.
        copy_cells: cell accuracy of copying the question, where an evaluator gave it.
        halt_step: mean step at which the model's own rule would have stopped.
        validation: the validation curve over the finished seeds; empty for a model that is not trained.
        halting: share of test items by the step at which the model's own rule would have stopped.
        answers: the first test items as the first finished seed answered them, where they were kept.
        ledger: means over the finished seeds; None where none is finished.
        devices: what the cells ran on.
        not_citable_because: reasons of any of its cells.
        number: tells rows of one model apart that were run with different settings; else None.
    """

    model: str
    asked: str
    seeds: tuple[SeedResult, ...]
    summary: CellSummary | None
    means: dict[str, float]
    other_means: OtherMeans | None
    vote_curve: dict[int, float]
    copy_cells: float | None
    halt_step: float | None
    validation: tuple[CurvePoint, ...]
    halting: dict[int, float]
    answers: Answers | None
    ledger: Ledger | None
    devices: tuple[str, ...]
    not_citable_because: tuple[str, ...]
    number: int | None = None

    @property
    def label(self) -> str:
        """The model, with the name it was asked by where that is another, and how it was evaluated."""
        asked, at, evaluation = self.asked.partition(" @ ")
        name = (self.model if asked == self.model else f"{asked} ({self.model})") + at + evaluation
        return name if self.number is None else f"{name} #{self.number}"

    @property
    def name(self) -> str:
        """The model as it was asked for, however it was evaluated."""
        return self.asked.partition(" @ ")[0]

    @property
    def evaluation(self) -> str:
        """How stored weights were evaluated again, ``steps=32``; empty for the end of training."""
        return self.asked.partition(" @ ")[2]

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
        a, b: labels of the rows.
        difference: A minus B with the crossed test, where there is one.
        mcnemar: with one seed each, the comparison of the two checkpoints; else None.
        holm_p: adjusted over every pair of every table of the report.
        verdict: in the words of `stats.Verdict`.
        detectable: smallest difference seen with 80 % power, 0 to 1; None without a test.
        shares: what the variance of the difference consists of; None without a test.
        note: what must be said beside it.
    """

    a: str
    b: str
    difference: Difference
    mcnemar: McNemar | None
    holm_p: float | None
    verdict: Verdict
    detectable: float | None
    shares: VarianceShares | None
    note: str


@dataclass(frozen=True)
class Table:
    """Cells that may be compared: same task, data, budget and evaluation.

    Attributes:
        task, scale, source: where the puzzles come from.
        budget: of training; None for weights from elsewhere.
        train, test: how many puzzles.
        primary: the metric of ``summary`` and of every pair.
        votes: most answers to a test item; None for a single one.
        puzzle_ids: which rows of the puzzle embedding were used at evaluation.
        cluster: what a cluster of test items is called.
        evaluators: the columns of ``Row.means``, in order.
        notes: what must stand beneath.
        published: numbers of the literature, where they were asked for; reported, not tested.
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
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]
    published: tuple[Published, ...] = ()

    @property
    def title(self) -> str:
        """Task, scale and source: everything that must not be left off a number."""
        return f"{self.task} · {self.scale} · {self.source} · {self.train:,} train, {self.test:,} test"

    @property
    def conditions(self) -> str:
        """The training budget, and how many answers were given to a test item."""
        votes = f"; up to {self.votes:,} votes per test item" if self.votes else ""
        ids = (
            "" if self.puzzle_ids is PuzzleIds.OWN else f"; puzzle ids {self.puzzle_ids.value} at evaluation"
        )
        return described(self.budget) + votes + ids


@dataclass(frozen=True)
class Answer:
    """What a study found for one of its questions.

    Attributes:
        asks: the question, of yes or no.
        grid: the budget under which it is asked here, by its name in the study.
        pair: the two models, A better meaning yes; None where there is nothing to compare.
        sentence: the answer in words.
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
        commands: what was typed to make the cells.
        overall: each model over all tasks, where there are three or more; describes, and tests nothing.
        studies: the answers of the studies among the folders; their tables have no pairs of their own.
    """

    tables: tuple[Table, ...]
    problems: tuple[str, ...]
    commands: tuple[str, ...]
    overall: tuple[Overall, ...] = ()
    studies: tuple[StudyAnswers, ...] = ()

    @property
    def family(self) -> str:
        """Which tests were adjusted together; empty where nothing was tested."""
        tested = sum(pair.holm_p is not None for table in self.tables for pair in table.pairs)
        if not tested:
            return ""
        tests = "the one test" if tested == 1 else f"all {tested} tests"
        return (
            f"Holm's p is adjusted over {tests} of this report: every pair that its tables list, on each "
            "table's primary metric. Other metrics are unadjusted and exploratory."
        )
