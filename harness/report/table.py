"""A report as plain values. Reporters turn it into text; nothing is computed there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from ..api.budget import Budget, Ledger, described
from ..api.embedding_rows import PuzzleIds
from ..api.published import Published
from ..api.rollouts import Rollouts
from ..api.text import plural
from ..stats.across_tasks import Overall
from ..stats.interval import ScoreSummary
from ..stats.power import Equivalence, VarianceShares, narrower, seeds_to_see
from ..stats.rules import ALPHA
from ..stats.tests import Difference, InFamily, McNemar, Verdict
from ..stats.variance import Parts
from ..store.predictions import Shown
from ..store.records import ScoredSplit

_OTHERS = "Other metrics are unadjusted and exploratory."
ENDLESS = 10**9
"""Seeds that leave nothing but the puzzles to vary."""


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
        rollouts: how every item was answered several times, or with noise; None for one answer without.
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
        is_fixed: whether the model has no weights, so that its score is known before any run.
        device_hours: of all its finished runs; where stored weights were evaluated, of the evaluation alone.
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
    rollouts: Rollouts | None
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
    is_fixed: bool = False
    device_hours: float = 0.0

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
        return self.finished == len(self.seeds)

    @property
    def finished(self) -> int:
        """Number of seeds that are done."""
        return sum(seed.status == "done" for seed in self.seeds)

    @property
    def hours_per_run(self) -> float | None:
        """Device-hours of a finished run, mean; None where none is finished."""
        return self.device_hours / self.finished if self.finished else None


@dataclass(frozen=True)
class Pair:
    """Two models compared on the primary metric.

    Attributes:
        a, b: names of the rows.
        metric: task, scale and primary metric.
        first, second: each model by itself.
        difference: A minus B with the test, where there is one.
        mcnemar: with one seed each, the comparison of the two checkpoints; else None.
        family: the test among those that it belongs to; None where it is no member.
        verdict: in the words of `stats.tests.Verdict`.
        shares: what the variance of the difference consists of; None without a test.
        parts: the variances that ``shares`` are of; None without a test, and where seeds are paired.
        equivalence: with a margin that was declared before the runs; else None.
        differs: how the two were treated differently; empty within one grid.
        note: what must be printed with it.
        not_citable: why its runs may not be cited, or not together; empty where they may.
    """

    a: str
    b: str
    metric: str
    first: ScoreSummary
    second: ScoreSummary
    difference: Difference
    mcnemar: McNemar | None
    family: InFamily | None
    verdict: Verdict
    shares: VarianceShares | None
    parts: Parts | None
    equivalence: Equivalence | None
    differs: tuple[str, ...]
    note: str
    not_citable: str = ""

    @property
    def remarks(self) -> str:
        """Its note, and how the two were treated differently."""
        differs = (f"treated differently: {one}" for one in self.differs)
        return "; ".join(filter(None, [self.note or self.difference.note, *differs]))

    @property
    def holm_p(self) -> float | None:
        """Holm's adjusted p; None where the pair is no member of a family."""
        return None if self.family is None else self.family.p

    @property
    def decidable(self) -> float | None:
        """Smallest true difference that the family decides with 80 % power; None where it is no member."""
        return None if self.family is None else self.family.decidable

    def narrower(self, seeds: int = 1, clusters: int = 1) -> float | None:
        """By what share its interval (in the family) would narrow with N times the seeds or clusters.

        None without a test, and where seeds are paired.
        """
        if self.parts is None:
            return None
        return narrower(self.parts, ALPHA if self.family is None else self.family.level, seeds, clusters)

    @property
    def most_seeds(self) -> int:
        """Of the model that has more."""
        return max(self.first.seeds, self.second.seeds)

    @property
    def needed(self) -> int | None:
        """Seeds per model that would decide a true difference as large as the measured one, if any would."""
        if self.family is None or self.parts is None:
            return None
        return seeds_to_see(self.parts, abs(self.difference.delta), self.family.level)

    @property
    def limited_by_puzzles(self) -> bool:
        """Whether even endless seeds would not decide a true difference as large as the measured one."""
        limit = self.decidable_with(ENDLESS)
        return limit is not None and limit > abs(self.difference.delta)

    def decidable_with(self, seeds: int) -> float | None:
        """The smallest true difference, 0 to 1, that as many seeds of each would decide in this family."""
        if self.family is None or self.parts is None:
            return None
        more = self.parts.with_seeds(seeds)
        return more.error.decidable(self.family.level) if more.total > 0 else None


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
        baseline: the row that was declared to be the one that all others are compared with; else empty.
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
    baseline: str = ""

    @property
    def device_hours(self) -> float:
        """All finished runs of all rows; a pass that is read at several depths counts once."""
        trained = [row.device_hours for row in self.rows if not row.evaluation]
        passes: dict[tuple[str, ...], float] = {}
        for row in (row for row in self.rows if row.evaluation):
            mode = [pair for pair in row.evaluation.split(",") if not pair.startswith("steps=")]
            key = (row.display_name, str(row.number), *mode)
            passes[key] = max(passes.get(key, 0.0), row.device_hours)
        return fsum([*trained, *passes.values()])

    @property
    def tests(self) -> int:
        """Tests of the table's family, hidden rows included."""
        return max((pair.family.tests for pair in self.pairs if pair.family is not None), default=0)

    @property
    def family(self) -> str:
        """Which tests were adjusted together; empty where nothing was tested."""
        if not self.tests:
            return ""
        which = f"every model against {self.baseline}" if self.baseline else "the tested pairs of this table"
        which += "" if self.hidden else _waiting(self.tests, self.pairs)
        if self.tests == 1:
            return f"Family: 1 test, {which}, on its primary metric, so that nothing is adjusted. {_OTHERS}"
        return (
            f"Family: {plural(self.tests, 'test')}, {which}, on its primary metric; Holm's p and the "
            f"interval in the family are adjusted for them. {_OTHERS}"
        )

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
    """A study's questions and their answers; exactly these are a family.

    Attributes:
        name, asks, source: as declared.
        scale: at which it was run.
        answers: grid by grid.
        tests: of the family: a question on the very same results as another counts once.
    """

    name: str
    asks: str
    source: str
    scale: str
    answers: tuple[Answer, ...]
    tests: int = 0

    @property
    def family(self) -> str:
        """Which tests were adjusted together; empty where nothing was tested."""
        if not self.tests:
            return ""
        which = "the questions" if self.tests > 1 else "the question"
        which += f" that the study declares{_waiting(self.tests, [answer.pair for answer in self.answers])}"
        adjusted = (
            "; Holm's p and the interval in the family are adjusted for them"
            if self.tests > 1
            else ", so that nothing is adjusted"
        )
        end = "A study's tables show every row without a test."
        return f"Family: {plural(self.tests, 'test')}, {which}{adjusted}. {end}"


def _waiting(tests: int, pairs: Sequence[Pair | None]) -> str:
    """How many tests of a family are not made yet, because a run is not done."""
    made = sum(pair is not None and pair.family is not None for pair in pairs)
    return f", {tests - made} of which wait for runs" if made < tests else ""


@dataclass(frozen=True)
class Report:
    """All tables of the folders that were read.

    Attributes:
        tables: one for each budget, data set and task.
        problems: files that could not be read, and why.
        remarks: runs that were found and are not counted, or were not requested.
        commands: what makes the runs that are shown.
        overall: each model over all tasks, where there are three or more; describes, and tests nothing.
        overall_notes: which models and tasks it leaves out.
        studies: the answers of the studies among the folders; their tables have no pairs of their own.
    """

    tables: tuple[Table, ...]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    commands: tuple[str, ...]
    overall: tuple[Overall, ...] = ()
    studies: tuple[StudyAnswers, ...] = ()
    overall_notes: tuple[str, ...] = ()
    costs: bool = False
    """Whether reporters of text print the tables of costs; no part of the JSON report."""
